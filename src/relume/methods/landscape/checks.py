"""What must agree between `train_landscape`, `invert_landscape` and the other sections. `params` alone uses this."""

from collections.abc import Iterable, Mapping
from typing import Any

from relume.core.errors import one_of
from relume.data.checks import asked, there
from relume.methods.landscape.config import MAPPERS, InvertLandscape, LandscapeConfig
from relume.methods.latent.config import MapperConfig

JUDGES = ("alexnet_conv", "vgg16_conv", "lpips_alex", "lpips_vgg")  # weights that dvc.yaml declares for every landscape
Landscapes = Mapping[str, LandscapeConfig]


def methods(groups: Mapping[str, InvertLandscape]) -> list[str]:
    """Names in tables."""
    return [name for group in groups.values() for name in group.methods]


def between(
    built: Mapping[str, Any], models: Landscapes, mappers: Mapping[str, MapperConfig], taken: Iterable[str]
) -> Iterable[str]:
    """`taken`: names of other methods and groups, which groups and methods of these cannot have."""
    others, shared = set(taken), built["train_landscape"].shared.dataset
    for name, config in models.items():
        path = f"train_landscape.models.{name}"
        if config.dataset != shared:
            yield f"{path}.dataset: all landscapes share train_landscape.shared.dataset, {shared!r}"
        yield from _learned(path, config, built)
    names = methods(built["invert_landscape"])
    for name in sorted({name for name in names if name in others or names.count(name) > 1}):
        yield f"invert_landscape: {name} is the name of two methods"
    for group, settings in built["invert_landscape"].items():
        path = f"invert_landscape.{group}"
        if group in others:
            yield f"{path}: the name belongs to another group"
        yield from asked(path, settings, built["prepare"].datasets)
        yield from _models(path, settings, models, mappers)


def _learned(path: str, config: LandscapeConfig, built: Mapping[str, Any]) -> Iterable[str]:
    """Pictures, a generator and a judge are there to learn with."""
    generators, name = [*built["train_gan"].models, *built["import_gan"].models], config.generator.rsplit("/", 1)[1]
    if name not in generators:
        yield f"{path}.generator: {name} is not in train_gan.models or import_gan.models; {one_of(generators, name)}"
    for network in JUDGES:
        if network not in built["weights"].networks:
            yield f"weights.networks: {network} is missing, which dvc.yaml declares for {path}"
    datasets = built["prepare"].datasets
    if config.dataset not in datasets:
        yield f"train_landscape.shared.dataset: {config.dataset!r} is not prepared; {one_of(datasets, config.dataset)}"
        return
    for split in ("train", "val"):
        if there(datasets[config.dataset], split) == 0:
            yield f"prepare.datasets.{config.dataset}.{split}: landscapes want pictures there"


def _models(path: str, group: InvertLandscape, models: Landscapes, mappers: Mapping[str, MapperConfig]) -> Iterable[str]:
    """Its landscape and its mapper are trained, for its generator, in one space."""
    name = group.landscape.rsplit("/", 1)[1]
    found = models.get(name)
    if found is None:
        yield f"{path}.landscape: {name} is not in train_landscape.models; {one_of(models, name)}"
        return
    if found.generator != group.generator:
        yield f"{path}.generator: {name} was trained with {found.generator}, not with {group.generator}"
    if not group.mapped:
        return
    mapper = group.mapper.removeprefix(f"{MAPPERS}/")
    if mapper not in mappers:
        yield f"{path}.mapper: {mapper} is not in train_mapper.models; {one_of(mappers, mapper)}"
    elif (mappers[mapper].generator, mappers[mapper].space) != (found.generator, found.space):
        wanted = f"{found.space} of {found.generator}, the landscape's"
        yield f"{path}.mapper: {mapper} speaks to {mappers[mapper].space} of {mappers[mapper].generator}; wanted is {wanted}"
