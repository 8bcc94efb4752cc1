"""Cross-section validation of mappers' and latents' sections."""

from collections.abc import Iterator

from relume.core.errors import one_of
from relume.methods.latent.config import MAPPERS, InvertLatent, MapperConfig, base, follows
from relume.methods.optimise.checks import inversion
from relume.methods.optimise.config import InversionConfig, InvertOptimise, Latent
from relume.methods.references import Params

# space of a mapper -> spaces of methods that can start from its latents
SPACES = {"z": ("z", "w", "w_plus"), "w": ("w", "w_plus"), "w_plus": ("w_plus",)}
MISSING = {"ref": "an earlier group", "surrogate": "a surrogate"}  # inputs of terms that this section does not provide


def faults(params: Params) -> Iterator[str]:
    for name, (group, methods) in params.entries("invert_latent").items():
        path, floors = f"invert_latent.{name}", params["floors"]
        shared = base(group, path)
        if shared.split != floors.split:
            yield f"{path}.base: the baselines are of {floors.split}; needs the same images"
        for one, way in methods.items():
            yield from _method(f"{path}.methods.{one}", way, shared, group, params)
        mapper = params.entries("train_mapper.models").get(group.mapper.removeprefix(f"{MAPPERS}/"))
        if group.mapped and mapper is not None:
            yield from _mapped(path, group, methods, shared.network, mapper)


def _method(path: str, way: InversionConfig, shared: InvertOptimise, group: InvertLatent, params: Params) -> Iterator[str]:
    for key in ("dataset", "split", "count", "network"):
        if getattr(way, key) != getattr(shared, key):
            yield f"{path}.{key}: must equal the base's {key}"
    if follows(way) and not group.mapped:
        yield f"{path}.parametrisation: starts from a mapper's latents, and the group has no mapper"
    losses = way.losses.active
    yield from (
        f"{path}.losses.{term}: needs {MISSING[term]}, which this section does not have" for term in MISSING if term in losses
    )
    yield from inversion(path, way, losses, params)


def _mapped(
    path: str, group: InvertLatent, methods: dict[str, InversionConfig], network: str, mapper: MapperConfig
) -> Iterator[str]:
    """A method that starts from the mapper has a compatible space, and the mapper uses only the method's taps."""
    if (mapper.generator, mapper.network) != (group.generator, network):
        fault = f"maps {mapper.network} to {mapper.generator}, not {network} to {group.generator}"
        yield f"{path}.mapper: {group.mapper} {fault}"
    for name, way in methods.items():
        if not follows(way):
            continue
        key = f"{path}.methods.{name}"
        if isinstance(way.parametrisation, Latent) and way.parametrisation.space not in SPACES[mapper.space]:
            yield f"{key}.parametrisation.space: the mapper's latents are in {mapper.space}; {one_of(SPACES[mapper.space])}"
        if foreign := sorted(set(mapper.taps) - set(way.taps)):
            yield f"{key}.taps: the mapper reads {', '.join(foreign)}; needs it here, too"
