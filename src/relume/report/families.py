"""What each family of methods adds to the report: names for people, and parts of the page. No family is named here."""

from collections.abc import Iterator
from importlib import import_module

from relume.methods.registry import FAMILIES
from relume.report.blocks import Part
from relume.report.images import Drawing


def labels() -> dict[str, str]:
    """`family` in the tables -> its name for people."""
    return {key: label for family in FAMILIES for key, label in family.labels.items()}


def abouts() -> dict[str, str]:
    """Name for people -> how such a method makes its pictures."""
    return {family.labels.get(family.name, family.name): family.about for family in FAMILIES if family.about}


def about(key: str) -> str:
    """By `family` in the tables."""
    return next((f"{one.labels[one.name]}: {one.about}" for one in FAMILIES if key in one.labels), "")


def parts(drawing: Drawing) -> Iterator[Part]:
    """By the modules `report` of the families that have one."""
    for family in FAMILIES:
        if family.report:
            yield from import_module(f"relume.methods.{family.name}.report").parts(drawing)
