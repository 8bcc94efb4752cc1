"""Inversions in a generator's latent space, from its mean latent or from a trained mapper's latents."""

from typing import Any

from relume.core.config import build
from relume.core.errors import UserError
from relume.methods.family import Family, Part, Plain, Section
from relume.methods.latent.config import (
    MAPPERS,
    InvertLatent,
    LatentGroups,
    MapperConfig,
    SharedMapper,
    base,
    inherited,
    method,
)
from relume.methods.optimise.config import InversionConfig
from relume.methods.optimise.family import unused
from relume.training.config import models_of

Group = tuple[InvertLatent, dict[str, InversionConfig]]


def read(whole: Plain, name: str) -> tuple[Group, tuple[Part, ...]]:
    """A group, which states differences from `invert_optimise`, and its methods, which state differences from it."""
    path, plain = f"invert_latent.{name}", whole["invert_latent"][name]
    group = inherited(build(InvertLatent, plain, path), whole["invert_optimise"])
    below = ((f"{path}.base", plain["base"]), ("invert_optimise", whole["invert_optimise"]))
    parts = [Part(value=base(group, path), layers=below, unused=frozenset({("terms",)}))]
    found: dict[str, InversionConfig] = {}
    faults: list[str] = []
    for one, own in plain["methods"].items():
        try:
            found[one] = method(group, one, path)
        except UserError as error:
            faults += str(error).splitlines()
            continue
        layers = ((f"{path}.methods.{one}", own), *below)
        parts.append(Part(value=found[one], layers=layers, unused=unused(found[one].losses.active)))
    if faults:
        raise UserError("\n".join(faults))
    return (group, found), tuple(parts)


def methods(name: str, group: Any) -> list[str]:
    """The mapper's own images are a method, too."""
    about, own = group
    return [*([about.mapper.removeprefix(f"{MAPPERS}/")] if about.mapped else []), *own]


FAMILY = Family(
    name="latent",
    kind="mapper",
    labels={"latent": "Generator search"},
    about="Gradient descent on a generator's latent, the numbers from which it makes a picture (W+: one set per layer), or a"
    " mapper that predicts the latent from features in one pass.",
    sections=(
        Section(key="train_mapper", cls=models_of(SharedMapper), names="models", entry=MapperConfig, models=True),
        Section(
            key="invert_latent",
            cls=LatentGroups,
            read=read,
            over=("invert_optimise",),
            groups=True,
            methods=methods,
            baselines=lambda name, group: (group[0].floor,),
        ),
    ),
)
