"""Cross-section validation of landscapes' sections."""

from collections.abc import Iterator

from relume.methods.landscape.config import MAPPERS
from relume.methods.references import Params


def faults(params: Params) -> Iterator[str]:
    """A group's landscape and mapper must have its generator and the same space."""
    models, mappers = params.entries("train_landscape.models"), params.entries("train_mapper.models")
    for name, group in params.entries("invert_landscape").items():
        path, landscape = f"invert_landscape.{name}", models.get(group.landscape.rpartition("/")[2])
        if landscape is None:
            continue  # reported elsewhere
        if landscape.generator != group.generator:
            yield f"{path}.generator: {group.landscape} was trained with {landscape.generator}, not with {group.generator}"
        mapper = mappers.get(group.mapper.removeprefix(f"{MAPPERS}/")) if group.mapped else None
        if mapper and (mapper.generator, mapper.space) != (landscape.generator, landscape.space):
            fault = f"maps to {mapper.space} of {mapper.generator}"
            yield f"{path}.mapper: {group.mapper} {fault}; the landscape is in {landscape.space} of {landscape.generator}"
