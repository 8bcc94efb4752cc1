"""`relume invert`: reconstructs an image from its features, and saves it beside the original."""

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

from relume.api.inversion import Inversion
from relume.api.models import Source
from relume.api.results import Result, to_pil
from relume.api.settings import SETTABLE, changes
from relume.cli import show
from relume.core.config import parse
from relume.core.errors import UserError, one_of
from relume.core.images import to_uint8
from relume.evaluation.floors import blocks
from relume.evaluation.pixel import psnr
from relume.methods.optimise.config import merge_recipe
from relume.methods.optimise.optimise import Report

FRAMES = 40  # approximate number in an animation


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command's options."""

    picture: Path
    network: str
    layers: tuple[str, ...]
    weights: str | None
    size: int | None
    recipe: str | None
    decoder: str | None
    steps: int | None
    restarts: int | None
    seed: int
    settings: tuple[str, ...]  # key=value
    out: Path | None
    animation: Path | None
    dry_run: bool
    no_picture: bool


def run(options: Options) -> None:
    """Checks all options, then inverts."""
    out = show.output_path("--out", options.out or _default_name(options), ".png", options.picture)
    if options.animation:
        show.output_path("--animation", options.animation, ".gif", options.picture)
    if options.picture.is_dir():
        raise UserError(f"{options.picture}: is a folder, one picture is needed")
    work = checked(options)
    click.echo(str(work))
    if options.dry_run:
        return
    frames: list[np.ndarray] = []
    spaced = spacing(work.config.steps, work.config.trace_every)

    def on_step(report: Report) -> None:
        if options.animation and report.step % spaced == 0:
            frames.append(to_uint8(report.images))

    result = work.run(on_step=on_step)
    original, made = (np.asarray(to_pil(to_uint8(images)[0]).convert("RGB")) for images in (work.originals, result.images))  # type: ignore[arg-type]
    sheet = show.save_panels(out, [original, made], ["original", f"from {'+'.join(options.layers)}"])
    if options.animation:
        shown = [*(frame[result.restart[0]] for frame in frames), to_uint8(result.images)[0]]
        show.animation(options.animation, [np.asarray(to_pil(frame).convert("RGB")) for frame in shown])
    if not options.no_picture and show.can_show(sys.stdout):
        click.echo(show.fit_terminal(sheet))
    click.echo(_summary(result, [path for path in (out, options.animation) if path]))


def checked(options: Options) -> Inversion:
    """All options, before the work starts."""
    differences = changes(options.steps, None, options.restarts, None, settings(options.settings))
    source = Source(options.network, weights=options.weights)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        work = Inversion(
            source,
            options.layers,
            options.picture,
            size=options.size,
            recipe=options.recipe,
            decoder=options.decoder,
            seed=options.seed,
            **differences,
        )
    for warning in told:
        click.echo(str(warning.message), err=True)
    if work.opened.name != options.network and source.catalogue:
        click.echo(f"no weights of {options.network} are here: using its convolutions, {work.opened.name}")
    return work


def settings(given: tuple[str, ...]) -> dict[str, Any]:
    """`--set` as differences to the recipe."""
    found: dict[str, Any] = {}
    for setting in given:
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
    return found


def spacing(steps: int, trace_every: int) -> int:
    """Steps between the frames of an animation: a multiple of `trace_every`, because the loop reports images only then."""
    return trace_every * max(1, round(steps / FRAMES / trace_every))


def _default_name(options: Options) -> Path:
    name = f"{options.picture.stem}_{options.network}_{'+'.join(options.layers)}.png"
    return Path(name.replace("/", "-").replace(":", "-"))


def _summary(result: Result, files: list[Path]) -> str:
    """Files, warnings, and the distances to the image and its features."""
    steps, wanted = int(result.trace[-1]["step"]), result.settings["steps"]
    lines = [*map(str, files), *result.faults]
    if steps < wanted:
        why = "interrupted" if result.interrupted else "stopped"
        lines.append(f"{why} after {steps} of {wanted} steps: this is the best result so far")
    assert result.originals is not None
    shown = [images.mul(255).round() / 255 for images in (result.images, result.originals, blocks(result.originals, 1))]
    x, y, mean = (one[:, :3].expand(-1, 3, -1, -1) for one in shown)  # as they are written
    lines.append(
        f"recipe {result.settings['recipe']}, {steps} steps, {result.seconds:.1f} s; PSNR {float(psnr(x, y)):.2f} dB "
        f"(mean colour {float(psnr(mean, y)):.2f}), relative feature error {result.feature_error[0]:.3g}"
    )
    return "\n".join(lines)
