"""Inversion by optimisation: a recipe is a group and a method."""

from collections.abc import Container
from typing import Any

from relume.losses.config import Terms
from relume.methods.family import DECLARED, Family, Part, Plain, Section
from relume.methods.optimise.config import InversionConfig, InvertOptimise, Recipe, variation


def unused(active: Container[str]) -> frozenset[tuple[str, ...]]:
    """Paths of the terms without a weight."""
    return frozenset(("terms", name) for name in Terms.__dataclass_fields__ if name not in active)


def read(whole: Plain, name: str) -> tuple[tuple[InversionConfig, Recipe], tuple[Part, ...]]:
    """A recipe, which states differences from `invert_optimise`."""
    path, plain, base = f"recipes.{name}", whole["recipes"][name], whole["invert_optimise"]
    inversion, own = variation(base, whole["losses"], plain, path)
    layers = ((path, plain), ("invert_optimise", base))
    parts = (
        Part(value=inversion, layers=layers, unused=unused(inversion.losses.active)),
        Part(value=own, layers=((path, plain),), around=(inversion,)),
    )
    return (inversion, own), parts


FAMILY = Family(
    name="optimise",
    labels={"optimise": "Optimisation", "hybrid": "Warm-started optimisation"},
    about="Gradient descent on the picture until its features match. Warm-started optimisation begins with another method's"
    " picture, such as a decoder's.",
    sections=(
        Section(key="invert_optimise", cls=InvertOptimise, unused=frozenset({("terms",)})),
        Section(
            key="recipes",
            cls=dict[str, dict[str, Any]],
            read=read,
            over=("invert_optimise", "losses"),
            groups=True,
            weights=DECLARED,
            stated=("network", *Recipe.__dataclass_fields__),
        ),
    ),
)
