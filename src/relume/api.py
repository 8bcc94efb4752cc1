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
from relume.core.runtime import deterministic, device_of, generator, randn, seed_of
from relume.data.decode import BadPicture, decode, square
from relume.features.networks import load
from relume.features.taps import collect
from relume.features.weights import WeightStore
from relume.inversion.config import variation
from relume.inversion.optimise import Problem, Report, optimise
from relume.inversion.terms import ORACLES, objective
from relume.losses.config import Losses

WEIGHTS = Path("models/weights")
PARAMS = Path("params.yaml")


@dataclass(frozen=True, kw_only=True)
class Inversion:
    image: np.ndarray  # uint8 (N, size, size, 3)
    objective: list[float]  # of each picture, as reached
    trace: list[dict[str, float]]  # step, seconds, and the mean of every term


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
    weights: Path = WEIGHTS,
    params: Path = PARAMS,
    report: Callable[[Report], None] | None = None,
    **differences: Any,
) -> Inversion:
    """Pictures of `size` pixels whose features at the taps of `targets` are those. `differences` are those of a recipe."""
    whole = read_params(params)
    own = {"start": "", "network": network, "taps": dict.fromkeys(targets, 1.0), **differences}
    config, recipe = variation(whole["invert_optimise"], own, "invert")
    run = build(Run, whole["run"], "run")
    factors = build(Losses, whole["losses"], "losses").times(recipe.losses)
    if oracles := sorted(ORACLES & factors.keys()):
        raise UserError(f"losses: {', '.join(oracles)} wants the picture itself, and here are only features: set its weight to 0")
    goal = objective(config, factors, {})
    deterministic()
    device = device_of(run)
    count = len(next(iter(targets.values())))
    side = config.sizes[0][1] if config.sizes else size
    noise = config.init.std * randn((3, side, side), [seed_of(run.seed, "init", place) for place in range(count)])
    problem = Problem(
        size=size,
        objective=goal,
        networks={network: load(network, WeightStore(weights), device)},
        targets={network: {tap: value.to(device) for tap, value in targets.items()}},
        start=(config.init.mean + noise).clamp(0, 1).to(device),
        originals=None,
        generators=[generator(run.seed, "views", place) for place in range(count)],
        run=run,
    )
    trace: list[dict[str, float]] = []
    with tqdm(total=config.steps, desc=f"{network} {'+'.join(targets)}", unit="step") as bar:

        def note(step: Report) -> None:
            bar.update(step.step - bar.n)
            trace.append(
                {
                    "step": step.step,
                    "seconds": step.seconds,
                    **{name: float(value.mean()) for name, value in step.terms.items()},
                }
            )
            if report is not None:
                report(step)

        outcome = optimise(problem, config, note)
    return Inversion(image=to_uint8(outcome.images), objective=outcome.objective.tolist(), trace=trace)
