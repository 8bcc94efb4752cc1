"""Inversion by optimisation: a recipe is a group and a method."""

from collections.abc import Container
from typing import Any

from relume.core.config import build
from relume.core.errors import UserError
from relume.losses.config import Losses, Terms
from relume.methods.family import DECLARED, Family, Part, Plain, Section
from relume.methods.optimise.config import InvertOptimise, Recipe, variation


def unused(active: Container[str]) -> frozenset[tuple[str, ...]]:
    """Terms without a weight name networks that nothing needs."""
    return frozenset(("terms", name) for name in Terms.__dataclass_fields__ if name not in active)


def read(whole: Plain, name: str) -> tuple[tuple[InvertOptimise, Recipe], tuple[Part, ...]]:
    """A recipe, which states differences from `invert_optimise`."""
    path, plain, base = f"recipes.{name}", whole["recipes"][name], whole["invert_optimise"]
    if "network" not in plain:
        raise UserError(f"params: {path}.network: missing; dvc.yaml reads it to know which weights the recipe depends on")
    inversion, own = variation(base, plain, path)
    weights = build(Losses, whole["losses"], "losses").times(own.losses)
    layers = ((path, plain), ("invert_optimise", base))
    parts = (
        Part(value=inversion, layers=layers, unused=unused(weights)),
        Part(value=own, layers=((path, plain),), around=(inversion,)),
    )
    return (inversion, own), parts


FAMILY = Family(
    name="optimise",
    sections=(
        Section(key="invert_optimise", cls=InvertOptimise, unused=frozenset({("terms",)})),
        Section(
            key="recipes",
            cls=dict[str, dict[str, Any]],
            read=read,
            over=("invert_optimise", "losses"),
            groups=True,
            weights=DECLARED,
        ),
    ),
)
