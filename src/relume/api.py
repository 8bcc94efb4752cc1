"""For notebooks: the features of a picture, and a picture from features, with the parameters of `params.yaml`.

from relume import api
picture = api.picture("my.jpg", size=128)
features = api.features(picture, "alexnet_conv", ["conv3"])
found = api.invert(features, "alexnet_conv", size=128)
found.image  # uint8 (1, 128, 128, 3)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from relume.core.config import build, read_params
from relume.core.errors import UserError
from relume.core.images import to_float, to_uint8
from relume.core.run import Run
from relume.core.runtime import deterministic, device_of, generator, seed_of
from relume.data.decode import BadPicture, decode, square
from relume.data.store import Dataset
from relume.features.networks import load
from relume.features.taps import collect
from relume.features.weights import WeightStore
from relume.inversion import initial, tuned
from relume.inversion.config import InvertOptimise, merge, variation
from relume.inversion.optimise import Problem, Report, optimise
from relume.inversion.targets import Provider
from relume.inversion.terms import ORACLES, Material, objective
from relume.losses.config import Losses

WEIGHTS = Path("models/weights")
PARAMS = Path("params.yaml")
IMAGES = Path("data/images")


@dataclass(frozen=True, kw_only=True)
class Inversion:
    image: np.ndarray  # uint8 (N, size, size, 3)
    objective: list[float]  # of each picture, as reached
    trace: list[dict[str, float]]  # step, seconds, and the mean of every term
    frames: list[np.ndarray]  # uint8 (N, size, size, 3), where they were asked for
    recipe: str


def picture(path: str | Path, size: int) -> Tensor:
    """A picture file, its central square at `size` pixels: float (1, 3, size, size) in [0, 1]."""
    try:
        return to_float(square(decode(Path(path).read_bytes()), size)[None])
    except (OSError, BadPicture) as error:
        raise UserError(f"{path}: {error}") from None


def features(images: Tensor, network: str, taps: Sequence[str], *, weights: Path = WEIGHTS) -> dict[str, Tensor]:
    """What `network` keeps of pictures at `taps`, as it is."""
    net = load(network, WeightStore(weights), images.device)
    with torch.no_grad(), collect(net, taps) as tapped:
        return dict(tapped(images))


def invert(
    targets: Mapping[str, Tensor],
    network: str,
    *,
    size: int,
    recipe: str | None = None,
    weights: Path = WEIGHTS,
    params: Path = PARAMS,
    images: Path = IMAGES,
    frames: int = 0,
    report: Callable[[Report], None] | None = None,
    **differences: Any,
) -> Inversion:
    """Pictures of `size` pixels whose features at the taps of `targets` are those.

    `recipe` names one of `relume.inversion.tuned`, the fitting one by default; `differences` are laid over it as a recipe's
    would be. `frames`: keep the pictures of every so many steps. Ctrl-C ends the search and returns the best so far.
    """
    name = recipe or tuned.name_for(network, list(targets))
    own = {"start": "", "reference": "", "weights": "", "network": network, "taps": dict.fromkeys(targets, 1.0)}
    whole = read_params(params)
    config, stated = variation(whole["invert_optimise"], {**merge(tuned.recipe(name), differences), **own}, "invert")
    run = build(Run, whole["run"], "run")
    factors = build(Losses, whole["losses"], "losses").times(stated.losses)
    if oracles := sorted((ORACLES | {"clip"}) & factors.keys()):
        raise UserError(f"losses: {', '.join(oracles)} wants the picture itself, and here are only features: set its weight to 0")
    if "avg" in factors or "ref" in factors or "surrogate" in factors:
        raise UserError("losses: avg, ref and surrogate are for the stage invert_optimise: set their weights to 0")
    deterministic()
    problem = _problem(targets, config, factors, run, size, weights, images)
    trace: list[dict[str, float]] = []
    kept: list[np.ndarray] = []
    with tqdm(total=config.steps, desc=f"{network} {'+'.join(targets)}", unit="step", dynamic_ncols=True) as bar:

        def note(step: Report) -> None:
            bar.update(step.step - bar.n)
            means = {name: float(value.mean()) for name, value in step.terms.items()}
            bar.set_postfix(objective=f"{means['objective']:.4g}", refresh=False)
            trace.append({"step": step.step, "seconds": step.seconds, **means})
            if frames and step.step % frames == 0:
                kept.append(to_uint8(step.images))
            if report is not None:
                report(step)

        outcome = optimise(problem, config, note, keep=True)
    image, reached = _chosen(to_uint8(outcome.images), outcome.objective.tolist(), config.restarts)
    return Inversion(image=image, objective=reached, trace=trace, frames=kept, recipe=name)


def _problem(
    targets: Mapping[str, Tensor],
    config: InvertOptimise,
    factors: Mapping[str, float],
    run: Run,
    size: int,
    weights: Path,
    images: Path,
) -> Problem:
    network, restarts, device = config.network, config.restarts, device_of(run)
    goal = objective(config, factors, Material(heads={}))
    net = load(network, WeightStore(weights), device)
    here = {tap: value.to(device) for tap, value in targets.items()}
    ids = [(row, restart) for row in range(len(next(iter(here.values())))) for restart in range(restarts)]
    guide = None
    if goal.has("guide") or config.init.base == "guide":
        learned = Provider(_training(images / config.dataset), {network: net}, device).guide(config, size)
        guide = learned.read(here).repeat_interleave(restarts, 0)
    side = config.sizes[0][1] if config.sizes else size
    begun = guide if config.init.base == "guide" else None
    seeds = [seed_of(run.seed, "init", *one) for one in ids]
    return Problem(
        size=size,
        objective=goal,
        networks={network: net},
        targets={network: {tap: value.repeat_interleave(restarts, 0) for tap, value in here.items()}},
        guide=guide,
        restarts=restarts,
        start=initial.noised(initial.base(begun, config.init, side), config.init, seeds).to(device),
        originals=None,
        generators=[generator(run.seed, "views", *one) for one in ids],
        run=run,
    )


def _training(folder: Path) -> Dataset:
    if not (folder / "manifest.json").exists():
        raise UserError(
            f"{folder} is missing: colours and brightness are learned from its training pictures. Run `dvc repro prepare`, "
            "or switch the guide off with losses={'guide': 0.0} and init={'base': 'grey'}"
        )
    return Dataset.open(folder)


def _chosen(images: np.ndarray, reached: list[float], restarts: int) -> tuple[np.ndarray, list[float]]:
    """Of the restarts of each picture the one that the objective prefers."""
    table = np.array(reached).reshape(-1, restarts)
    places = np.arange(len(table)) * restarts + table.argmin(1)
    return images[places], [reached[place] for place in places]
