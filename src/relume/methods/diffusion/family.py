"""Conditional denoisers: mean images, samples, and the spread of samples."""

from relume.methods.diffusion.config import DiffusionConfig, DiffusionGroups, SharedDiffusion
from relume.methods.family import Family, Section
from relume.training.config import models_of

DIRECT, SAMPLE, MEAN = WAYS = ("direct", "sample", "mean")


FAMILY = Family(
    name="diffusion",
    kind="diffusion",
    report=True,
    labels={"diffusion": "Conditional denoiser"},
    about="A network trained to remove noise from pictures while it sees the features; it draws pictures that agree with them.",
    sections=(
        Section(key="train_diffusion", cls=models_of(SharedDiffusion), names="models", entry=DiffusionConfig, models=True),
        Section(
            key="invert_diffusion",
            cls=DiffusionGroups,
            groups=True,
            methods=lambda name, group: [f"{one}_{way}" for one in group.seen for way in WAYS],
        ),
    ),
)
