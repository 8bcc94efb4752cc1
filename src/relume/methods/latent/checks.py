"""What must agree between `train_mapper`, `invert_latent` and the other sections. `params` alone uses this."""

from collections.abc import Iterable, Mapping
from typing import Any

from relume.core.errors import UserError, one_of
from relume.data.checks import asked, there
from relume.methods.latent.config import MAPPERS, InvertLatent, MapperConfig, Method, base, method
from relume.methods.optimise.config import Latent
from relume.networks.catalogue import NETWORKS, check_tap

Ways = dict[str, dict[str, Method]]  # group -> method -> what it does
SPACES = {
    "z": ("z", "w", "w_plus"),
    "w": ("w", "w_plus"),
    "w_plus": ("w_plus",),
}  # of a mapper -> that can begin with its latents


def ways(groups: Mapping[str, InvertLatent]) -> Ways:
    """All methods of all groups; every fault is named."""
    found: Ways = {}
    faults: list[str] = []
    for name, group in groups.items():
        path, found[name] = f"invert_latent.{name}", {}
        for one in group.methods:
            try:
                base(group, path)
                found[name][one] = method(group, one, path)
            except UserError as error:
                faults += str(error).splitlines()
    if faults:
        raise UserError("\n".join(dict.fromkeys(faults)))
    return found


def methods(groups: Mapping[str, InvertLatent]) -> list[str]:
    """Names in tables: of every group its floor, its mapper, its methods."""
    named = []
    for group in groups.values():
        mapper = [group.mapper.removeprefix(f"{MAPPERS}/")] if group.mapped else []
        named += [group.floor, *mapper, *group.methods]
    return named


def between(built: Mapping[str, Any], mappers: Mapping[str, MapperConfig], all_ways: Ways, taken: Iterable[str]) -> Iterable[str]:
    """`taken`: names of other methods and groups, which mappers, groups and methods of these cannot have."""
    others, shared = set(taken), built["train_mapper"].shared.dataset
    for name, config in mappers.items():
        path = f"train_mapper.models.{name}"
        if name in others:
            yield f"{path}: the name belongs to another method"
        if config.dataset != shared:
            yield f"{path}.dataset: all mappers share train_mapper.shared.dataset, {shared!r}"
        yield from _learned(path, config, built)
    names = methods(built["invert_latent"])
    for name in sorted({name for name in names if name in others or names.count(name) > 1}):
        yield f"invert_latent: {name} is the name of two methods"
    for group, config in built["invert_latent"].items():
        if group in others:
            yield f"invert_latent.{group}: the name belongs to another group"
        yield from _group(f"invert_latent.{group}", config, all_ways[group], built, mappers)


def _learned(path: str, config: MapperConfig, built: Mapping[str, Any]) -> Iterable[str]:
    """Pictures, a network and a generator are there to learn with."""
    yield from _generator(path, config.generator, built)
    if config.network not in built["weights"].networks:
        yield f"weights.networks: {config.network} is missing, which {path} needs"
    for tap in config.taps:
        try:
            check_tap(config.network, tap)
        except UserError as error:
            yield f"{path}.taps: {error}"
    datasets, network = built["prepare"].datasets, NETWORKS.get(config.network)
    if config.dataset not in datasets:
        yield f"train_mapper.shared.dataset: {config.dataset!r} is not prepared; {one_of(datasets, config.dataset)}"
        return
    dataset = datasets[config.dataset]
    for split in ("train", "val"):
        if there(dataset, split) == 0:
            yield f"prepare.datasets.{config.dataset}.{split}: mappers want pictures there"
    if network and network.any_size and network.min_size > dataset.pixels:
        yield f"{path}.network: {network.name} sees pictures of {network.min_size} px or more, these have {dataset.pixels}"


def _generator(path: str, folder: str, built: Mapping[str, Any]) -> Iterable[str]:
    """Trained here, or by others."""
    known, name = [*built["train_gan"].models, *built["import_gan"].models], folder.rsplit("/", 1)[1]
    if name not in known:
        yield f"{path}.generator: {name} is neither in train_gan.models nor in import_gan.models; {one_of(known, name)}"


def _group(
    path: str, group: InvertLatent, own: Mapping[str, Method], built: Mapping[str, Any], mappers: Mapping[str, MapperConfig]
) -> Iterable[str]:
    """Pictures are those that floors are made for; the mapper is one of this generator and of the inverted taps."""
    where, floors = base(group, path), built["floors"]
    yield from _generator(path, group.generator, built)
    yield from asked(f"{path}.base", where, built["prepare"].datasets)
    if (where.dataset, where.split) != (floors.dataset, floors.split):
        yield f"{path}.base: floors are of {floors.dataset}, {floors.split}: the same pictures are wanted"
    for name, way in own.items():
        for key in ("dataset", "split", "count", "network"):
            if getattr(way.inversion, key) != getattr(where, key):
                yield f"{path}.methods.{name}.{key}: all methods of a group share its base's"
        if way.follows and not group.mapped:
            yield f"{path}.methods.{name}.parametrisation: it begins where a mapper says, and the group has none"
    name = group.mapper.removeprefix(f"{MAPPERS}/")
    if group.mapped and name not in mappers:
        yield f"{path}.mapper: {name} is not in train_mapper.models; {one_of(mappers, name)}"
    elif group.mapped:
        yield from _mapped(path, group, own, where.network, mappers[name])


def _mapped(path: str, group: InvertLatent, own: Mapping[str, Method], network: str, mapper: MapperConfig) -> Iterable[str]:
    """A method that begins where the mapper says can do so, and knows no more of the picture than its own taps."""
    if (mapper.generator, mapper.network) != (group.generator, network):
        told = f"maps {mapper.network} to {mapper.generator}, not {network} to {group.generator}"
        yield f"{path}.mapper: {group.mapper} {told}"
    for name, way in own.items():
        if not way.follows:
            continue
        key = f"{path}.methods.{name}"
        if isinstance(way.space, Latent) and way.space.space not in SPACES[mapper.space]:
            yield f"{key}.parametrisation.space: the mapper names latents in {mapper.space}; {one_of(SPACES[mapper.space])}"
        if foreign := sorted(set(mapper.taps) - set(way.inversion.taps)):
            yield f"{key}.taps: the mapper reads {', '.join(foreign)}, which is not among them"
