"""The facts of a network of section `networks`, from its modules."""

import re
from pathlib import Path

from relume.core.errors import UserError
from relume.networks.catalogue import WEIGHTS
from relume.networks.config import OwnNetwork
from relume.networks.factories import build
from relume.networks.facts import Facts
from relume.networks.own import OwnNetwork as Own
from relume.networks.own import borrowed, choose, described, layers, with_taps


def facts_of(name: str, declared: OwnNetwork) -> Facts:
    """Raises UserError for an unknown factory, or a tap that is not one of its modules."""
    if name in WEIGHTS or not re.fullmatch(r"[A-Za-z]\w*", name):
        raise UserError(f"{name!r} must consist of letters, digits and _, and must not be in the catalogue")
    local = Path(*declared.module.partition(":")[0].split("."))
    if local.with_suffix(".py").exists() or local.is_dir():
        raise UserError(f"module: {local} is in the project's root: move it below src/, where DVC notices changes")
    model = build(declared.module, declared.kwargs)
    with borrowed(model):
        own = Own(described(model, mean=declared.mean, std=declared.std, channels=3), model)
        chosen = choose(layers(own, declared.pixels), declared.taps, declared.module)
        taps = with_taps(own, chosen, declared.pixels).facts.taps
    return Facts(
        name=name,
        builder="own",
        mean=declared.mean,
        std=declared.std,
        size=declared.pixels,
        any_size=declared.any_size,
        min_size=1,
        taps=taps,
        variant=f"{declared.module}, {declared.weights or 'weights of its factory'}",
        licence=declared.licence,
        module=declared.module,
        kwargs=declared.kwargs,
        file=declared.weights or "",
        sha256=declared.sha256 or "",
    )
