"""Learned loss landscapes (Liu et al. 2022), and searches through them, several methods a group."""

from relume.methods.family import DECLARED, Family, Section
from relume.methods.landscape.config import LandscapeConfig, LandscapeGroups, SharedLandscape
from relume.training.config import models_of

FAMILY = Family(
    name="landscape",
    kind="landscape",
    report=True,
    labels={"landscape": "Landscape search"},
    about="Generator search through a learned loss landscape (landscape learning, Liu et al. 2022).",
    sections=(
        Section(
            key="train_landscape",
            cls=models_of(SharedLandscape),
            names="models",
            entry=LandscapeConfig,
            models=True,
            weights=DECLARED,
        ),
        Section(key="invert_landscape", cls=LandscapeGroups, groups=True, methods=lambda name, group: list(group.methods)),
    ),
)
