"""The inversion of given features, whether of a group or of the API."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from relume.core.images import resize
from relume.core.run import Run
from relume.core.runtime import generator, seed_of
from relume.losses.objective import Activations, Objective
from relume.methods.optimise import initial, parametrise
from relume.methods.optimise.config import InversionConfig
from relume.methods.optimise.guide import Guide
from relume.methods.optimise.optimise import Problem
from relume.networks.network import Network


def problem(
    config: InversionConfig,
    run: Run,
    goal: Objective,
    networks: Mapping[str, Network],
    features: Activations,
    names: Sequence[str],
    *,
    size: int,
    device: torch.device,
    learned: Guide | None = None,
    base: Callable[[Tensor | None], Tensor | None] = lambda guide: None,
    references: Activations | None = None,
    originals: Tensor | None = None,
    space: parametrise.Spaces = parametrise.build,
    bounded: bool | None = None,
    channels: int = 3,
) -> Problem:
    """Inversion of features by network and tap. `names`: the image ids, which seed the random numbers.

    `base`: the guide's prediction -> initial images, (N or 1, C, h, h); None: grey. Without `learned` they are the guide, too.
    """
    restarts = config.restarts
    ids = [(name, restart) for name in names for restart in range(restarts)]
    guide = None
    if learned is not None:
        guide = learned.read({tap: features[config.network][tap] for tap in config.taps}).repeat_interleave(restarts, 0)
    images = base(guide)
    if images is not None and guide is None and config.losses.guide:
        guide = resize(images.to(device), config.terms.guide.grid)
    first = initial.base(images, config.init, config.sizes[0][1] if config.sizes else size, channels)
    inside = space(config.parametrisation).bounded if bounded is None else bounded
    start = initial.noised(first, config.init, [seed_of(run.seed, "init", *one) for one in ids], bounded=inside)
    return Problem(
        size=size,
        objective=goal,
        networks=networks,
        targets=repeated(features, restarts),
        references=repeated(references or {}, restarts),
        guide=guide,
        restarts=restarts,
        start=start.to(device),
        originals=originals if originals is None else originals.repeat_interleave(restarts, 0),
        generators=[generator(run.seed, "views", *one) for one in ids],
        space=space,
        run=run,
    )


def repeated(features: Activations, times: int) -> Activations:
    return {one: {tap: value.repeat_interleave(times, 0) for tap, value in taps.items()} for one, taps in features.items()}
