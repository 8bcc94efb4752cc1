"""Surrogates: maps from one network's features to another's, which recipes ask."""

from relume.methods.family import Family, Section
from relume.methods.surrogate.config import SurrogateConfig, TrainSurrogate

FAMILY = Family(
    name="surrogate",
    kind="surrogate",
    report=True,
    sections=(Section(key="train_surrogate", cls=TrainSurrogate, names="models", entry=SurrogateConfig, models=True),),
)
