"""Generators: trained here, or read from files."""

from relume.methods.family import Family, Section
from relume.methods.gan.config import GanConfig, ImportGan, SharedGan
from relume.training.config import models_of

FAMILY = Family(
    name="gan",
    kind="gan",
    report=True,
    sections=(
        Section(key="import_gan", cls=ImportGan, names="models", models=True),
        Section(key="train_gan", cls=models_of(SharedGan), names="models", entry=GanConfig, models=True),
    ),
)
