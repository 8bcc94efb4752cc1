"""What `relume invert` does: check everything, rebuild a picture from its features alone, set it beside the original."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from relume import api
from relume.cli import show
from relume.core.config import parse, read_params
from relume.core.errors import UserError, one_of
from relume.core.files import find_root
from relume.core.images import to_float, to_uint8
from relume.evaluation.pixel import psnr
from relume.losses.feature import relative_l2
from relume.methods.optimise.config import InversionConfig, merge_recipe
from relume.networks.catalogue import facts

FRAMES = 40  # of an animation, about
SETTABLE = {*InversionConfig.__dataclass_fields__} - {"network", "taps", "split", "count"}

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Order:
    """The command's options."""

    picture: Path
    network: str
    taps: tuple[str, ...]
    size: int
    recipe: str | None
    steps: int | None
    restarts: int | None
    seed: int | None
    settings: tuple[str, ...]  # key=value
    out: Path | None
    animation: Path | None
    dry_run: bool
    no_picture: bool


@dataclass(frozen=True, kw_only=True)
class Work:
    """An order that has been checked."""

    original: Tensor  # (1, 3, size, size)
    network: str  # whose weights are here
    taps: tuple[str, ...]
    plan: api.Plan
    differences: dict[str, Any]
    weights: Path
    params: Path
    images: Path
    out: Path
    animation: Path | None


def run(order: Order, tell: Tell) -> None:
    """From the command's options to the picture beside the original."""
    work = check(order, find_root(Path.cwd()))
    if work.network != order.network:
        tell(f"{order.network} is not in {work.weights}; {work.network}, its convolutions, is, and has these taps: taken")
    tell(_described(work))
    if order.dry_run:
        return
    if work.plan.learns:
        tell(f"colours and brightness are learned from the training pictures of {work.plan.config.dataset} first")
    started, config = time.perf_counter(), work.plan.config
    targets = api.features(work.original, work.network, work.taps, weights=work.weights)
    found = api.invert(
        targets,
        work.network,
        size=order.size,
        recipe=work.plan.recipe,
        seed=order.seed,
        weights=work.weights,
        params=work.params,
        images=work.images,
        frames=spacing(config.steps, config.trace_every) if work.animation else 0,
        **work.differences,
    )
    seconds = time.perf_counter() - started
    sheet = show.beside(work.out, to_uint8(work.original)[0], found.image[0])
    if work.animation:
        show.animation(work.animation, [*(frame[0] for frame in found.frames), found.image[0]])
    if not order.no_picture and show.can_show(sys.stdout):
        tell(show.fitting(sheet))
    tell(_account(work, found, targets, seconds))


def check(order: Order, root: Path) -> Work:
    """Everything that can be wrong, before anything that takes long."""
    weights, params, images = root / api.WEIGHTS, root / api.PARAMS, root / api.IMAGES
    read_params(params)  # first of all, the project is here
    network = api.at_hand(order.network, order.taps, weights=weights)
    least = max(8, facts(network).min_size if facts(network).any_size else 0)
    if order.size < least:
        raise UserError(f"--size: {network} sees pictures of {least} px or more, got {order.size}")
    differences = changes(order)
    plan = api.plan(network, order.taps, recipe=order.recipe, seed=order.seed, params=params, **differences)
    if plan.learns:
        api.training(images, plan)
    return Work(
        original=api.picture(order.picture, order.size),
        network=network,
        taps=order.taps,
        plan=plan,
        differences=differences,
        weights=weights,
        params=params,
        images=images,
        out=show.target("--out", order.out or _default_name(order), ".png", order.picture),
        animation=order.animation and show.target("--animation", order.animation, ".gif", order.picture),
    )


def changes(order: Order) -> dict[str, Any]:
    """`--set`, `--steps` and `--restarts` as differences from the recipe."""
    found: dict[str, Any] = {}
    for setting in order.settings:
        key, sign, text = setting.partition("=")
        first, *_ = path = key.split(".")
        if not sign or not all(path):
            raise UserError(f"--set {setting}: key=value is wanted, as in losses.tv=20")
        if first not in SETTABLE:
            raise UserError(f"--set {key}: unknown key {first!r}; {one_of(SETTABLE, first)}")
        try:
            value = parse(text)
        except yaml.YAMLError as error:
            raise UserError(f"--set {key}: {text!r} is not valid YAML: {error}") from None
        for part in reversed(path):
            value = {part: value}
        found = merge_recipe(found, value)
    given = {"steps": order.steps, "restarts": order.restarts}
    return found | {key: number for key, number in given.items() if number is not None}


def spacing(steps: int, trace_every: int) -> int:
    """Steps between the frames of an animation. The loop shows its pictures only at multiples of `trace_every`."""
    return trace_every * max(1, round(steps / FRAMES / trace_every))


def _default_name(order: Order) -> Path:
    return Path(f"{order.picture.stem}_{order.network}_{'+'.join(order.taps)}.png".replace("/", "-"))


def _described(work: Work) -> str:
    plan, config = work.plan, work.plan.config
    terms = ", ".join(f"{name} x {weight:g}" for name, weight in config.losses.active.items())
    return (
        f"{work.network} {'+'.join(work.taps)}, recipe {plan.recipe}: {config.steps} steps, "
        f"{config.restarts} {'start' if config.restarts == 1 else 'starts'}, {work.original.shape[-1]} px; terms: {terms}"
    )


def _account(work: Work, found: api.Inversion, targets: dict[str, Tensor], seconds: float) -> str:
    """What came out, and how near it is to the picture and to its features."""
    config, taken = work.plan.config, int(found.trace[-1]["step"])
    rebuilt = to_float(found.image)
    lines = [str(work.out), *([str(work.animation)] if work.animation else []), *found.faults]
    if taken < config.steps:
        why = "interrupted" if found.interrupted else "ended"
        lines.append(f"{why} after {taken} of {config.steps} steps: this is the best so far")
    lines.append(
        f"recipe {found.recipe}, {taken} steps, {seconds:.1f} s; PSNR {float(psnr(rebuilt, work.original)):.2f} dB, "
        f"relative feature error {_feature_error(work, rebuilt, targets):.3g}"
    )
    return "\n".join(lines)


def _feature_error(work: Work, rebuilt: Tensor, targets: dict[str, Tensor]) -> float:
    """||phi(x) - phi(x0)||^2 / ||phi(x0)||^2, mean over the taps."""
    seen = api.features(rebuilt, work.network, list(targets), weights=work.weights)
    return float(torch.stack([relative_l2(seen[tap], target) for tap, target in targets.items()]).mean())
