"""The facts of a network of section `networks`: it is built once, and what its taps look like is kept for the next stage."""

import re
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from relume.core import code
from relume.core.errors import UserError
from relume.core.files import digest, read_json, write_json
from relume.networks.catalogue import WEIGHTS
from relume.networks.config import OwnNetwork
from relume.networks.facts import Facts, output
from relume.networks.sources import cache_folder

PACKAGES = ("torch", "timm", "torchvision", "open_clip_torch")


def facts_of(name: str, declared: OwnNetwork) -> Facts:
    """Raises UserError for a factory that is not there, or a tap that is none of its modules."""
    if name in WEIGHTS or not re.fullmatch(r"[A-Za-z]\w*", name):
        raise UserError(f"{name!r} must be letters, digits and _, and no name of the catalogue")
    _check_place(declared.module.partition(":")[0])
    path = cache_folder() / "declared" / f"{_key(declared)}.json"
    if not path.exists():
        write_json(path, _measured(declared))
    taps = {tap: output(tap, channels, stride, form=form) for tap, (channels, stride, form) in read_json(path).items()}
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


def _measured(declared: OwnNetwork) -> dict[str, list[Any]]:
    """tap -> channels, stride, form"""
    from relume.networks.factories import build
    from relume.networks.own import OwnNetwork as Own
    from relume.networks.own import borrowed, choose, described, layers, with_taps

    model = build(declared.module, declared.kwargs)
    with borrowed(model):
        own = Own(described(model, mean=declared.mean, std=declared.std, channels=3), model)
        tapped = with_taps(own, choose(layers(own, declared.pixels), declared.taps, declared.module), declared.pixels)
    return {tap: [about.channels, about.stride, about.form] for tap, about in tapped.facts.taps.items()}


def _check_place(module: str) -> None:
    """DVC is told of code below src/ alone."""
    here = Path(*module.split("."))
    if here.with_suffix(".py").exists() or here.is_dir():
        raise UserError(f"module: {module} lies in the project's root: move it below src/, where changes are noticed")


def _key(declared: OwnNetwork) -> str:
    module = declared.module.partition(":")[0]
    own = code.files_of([module]) if code.exists(module) else {}
    return digest([asdict(declared), own, [_version(package) for package in PACKAGES]])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
