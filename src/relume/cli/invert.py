"""`relume invert`: reconstructs an image from its features, and saves it beside the original."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
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

FRAMES = 40  # approximate number in an animation
SETTABLE = {*InversionConfig.__dataclass_fields__} - {"network", "taps", "split", "count"}


@dataclass(frozen=True, kw_only=True)
class Options:
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
    """The checked options."""

    original: Tensor  # (1, 3, size, size)
    network: str  # with available weights
    taps: tuple[str, ...]
    plan: api.Plan
    differences: dict[str, Any]
    weights: Path
    params: Path
    images: Path
    out: Path
    animation: Path | None


def run(options: Options) -> None:
    """Checks all options, then inverts."""
    work = check(options, find_root(Path.cwd()))
    if work.network != options.network:
        click.echo(f"{options.network} is not in {work.weights}: using its convolutions, {work.network}")
    click.echo(_described(work))
    if options.dry_run:
        return
    if work.plan.needs_training_images:
        click.echo(f"colours and brightness are fitted on the training images of {work.plan.config.dataset}")
    started, config = time.perf_counter(), work.plan.config
    targets = api.features(work.original, work.network, work.taps, weights=work.weights)
    found = api.invert(
        targets,
        work.network,
        size=options.size,
        recipe=work.plan.recipe,
        seed=options.seed,
        weights=work.weights,
        params=work.params,
        images=work.images,
        frames=spacing(config.steps, config.trace_every) if work.animation else 0,
        **work.differences,
    )
    seconds = time.perf_counter() - started
    sheet = show.save_side_by_side(work.out, to_uint8(work.original)[0], found.image[0])
    if work.animation:
        show.animation(work.animation, [*(frame[0] for frame in found.frames), found.image[0]])
    if not options.no_picture and show.can_show(sys.stdout):
        click.echo(show.fit_terminal(sheet))
    click.echo(_summary(work, found, targets, seconds))


def check(options: Options, root: Path) -> Work:
    """Checks all options before the work starts."""
    weights, params, images = root / api.WEIGHTS, root / api.PARAMS, root / api.IMAGES
    read_params(params)  # fails outside of a project
    network = api.available_network(options.network, options.taps, weights=weights)
    smallest = max(8, facts(network).min_size if facts(network).any_size else 0)
    if options.size < smallest:
        raise UserError(f"--size: must be at least {smallest} for {network}, got {options.size}")
    differences = changes(options)
    plan = api.plan(network, options.taps, recipe=options.recipe, seed=options.seed, params=params, **differences)
    if plan.needs_training_images:
        api.training(images, plan)
    return Work(
        original=api.picture(options.picture, options.size),
        network=network,
        taps=options.taps,
        plan=plan,
        differences=differences,
        weights=weights,
        params=params,
        images=images,
        out=show.output_path("--out", options.out or _default_name(options), ".png", options.picture),
        animation=options.animation and show.output_path("--animation", options.animation, ".gif", options.picture),
    )


def changes(options: Options) -> dict[str, Any]:
    """`--set`, `--steps` and `--restarts` as differences to the recipe."""
    found: dict[str, Any] = {}
    for setting in options.settings:
        key, sign, text = setting.partition("=")
        first, *_ = path = key.split(".")
        if not sign or not all(path):
            raise UserError(f"--set {setting}: must be key=value, as in losses.tv=20")
        if first not in SETTABLE:
            raise UserError(f"--set {key}: unknown key {first!r}; {one_of(SETTABLE, first)}")
        try:
            value = parse(text)
        except yaml.YAMLError as error:
            raise UserError(f"--set {key}: {text!r} is not valid YAML: {error}") from None
        for part in reversed(path):
            value = {part: value}
        found = merge_recipe(found, value)
    given = {"steps": options.steps, "restarts": options.restarts}
    return found | {key: number for key, number in given.items() if number is not None}


def spacing(steps: int, trace_every: int) -> int:
    """Steps between the frames of an animation: a multiple of `trace_every`, because the loop reports images only then."""
    return trace_every * max(1, round(steps / FRAMES / trace_every))


def _default_name(options: Options) -> Path:
    return Path(f"{options.picture.stem}_{options.network}_{'+'.join(options.taps)}.png".replace("/", "-"))


def _described(work: Work) -> str:
    plan, config = work.plan, work.plan.config
    terms = ", ".join(f"{name} x {weight:g}" for name, weight in config.losses.active.items())
    return (
        f"{work.network} {'+'.join(work.taps)}, recipe {plan.recipe}: {config.steps} steps, "
        f"{config.restarts} {'start' if config.restarts == 1 else 'starts'}, {work.original.shape[-1]} px; terms: {terms}"
    )


def _summary(work: Work, found: api.Inversion, targets: dict[str, Tensor], seconds: float) -> str:
    """Files, warnings, and the distances to the image and its features."""
    config, steps = work.plan.config, int(found.trace[-1]["step"])
    rebuilt = to_float(found.image)
    lines = [str(work.out), *([str(work.animation)] if work.animation else []), *found.faults]
    if steps < config.steps:
        why = "interrupted" if found.interrupted else "stopped"
        lines.append(f"{why} after {steps} of {config.steps} steps: this is the best result so far")
    lines.append(
        f"recipe {found.recipe}, {steps} steps, {seconds:.1f} s; PSNR {float(psnr(rebuilt, work.original)):.2f} dB, "
        f"relative feature error {_feature_error(work, rebuilt, targets):.3g}"
    )
    return "\n".join(lines)


def _feature_error(work: Work, rebuilt: Tensor, targets: dict[str, Tensor]) -> float:
    """||phi(x) - phi(x0)||^2 / ||phi(x0)||^2, mean over the taps."""
    values = api.features(rebuilt, work.network, list(targets), weights=work.weights)
    return float(torch.stack([relative_l2(values[tap], target) for tap, target in targets.items()]).mean())
