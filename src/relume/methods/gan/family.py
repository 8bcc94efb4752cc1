"""Generators: trained here, or read from files."""

from relume.methods.family import Family, Section
from relume.methods.gan.config import GanConfig, ImportGan, TrainGan

FAMILY = Family(
    name="gan",
    kind="gan",
    report=True,
    sections=(
        Section(key="import_gan", cls=ImportGan, names="models", models=True),
        Section(key="train_gan", cls=TrainGan, names="models", entry=GanConfig, models=True),
    ),
)
