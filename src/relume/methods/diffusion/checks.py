"""Checks of denoisers' sections beyond the annotations."""

from collections.abc import Iterator

from relume.core.errors import one_of
from relume.methods.references import Params


def faults(params: Params) -> Iterator[str]:
    models = params.entries("train_diffusion.models")
    for group, config in params.entries("invert_diffusion").items():
        for name, seen in config.seen.items():
            if (model := models.get(seen.model)) is None:
                continue
            allowed = model.taps if model.alone else ("null",)
            if (seen.tap or "null") not in allowed:
                key = f"invert_diffusion.{group}.seen.{name}.tap"
                yield f"{key}: {seen.tap!r} is not what {seen.model} was trained to see; {one_of(allowed)}"
