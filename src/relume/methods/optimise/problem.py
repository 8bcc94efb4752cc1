"""The inversion of given features, whether of a group or of the API."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.images import per_channel, resize
from relume.core.run import Run
from relume.core.runtime import generator, randn, seed_of
from relume.losses.objective import Activations, Objective
from relume.methods.optimise import parametrise
from relume.methods.optimise.config import Init, InversionConfig
from relume.methods.optimise.guide import Guide
from relume.methods.optimise.optimise import Problem
from relume.networks.facts import IMAGENET_MEAN, IMAGENET_STD
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
    first = placed(images, config.init, config.sizes[0][1] if config.sizes else size, channels)
    inside = space(config.parametrisation).bounded if bounded is None else bounded
    start = noised(first, config.init, [seed_of(run.seed, "init", *one) for one in ids], bounded=inside)
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


def placed(images: Tensor | None, init: Init, size: int, channels: int = 3) -> Tensor:
    """(N or 1, C, size, size): `images` downscaled by averaging or upscaled bicubically; grey for None."""
    if images is None:
        return torch.full((1, channels, size, size), init.mean)
    images = images.cpu()
    if images.shape[-1] < size:
        return F.interpolate(images, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    return F.interpolate(images, size=(size, size), mode="area")


def noised(images: Tensor, init: Init, seeds: list[int], *, bounded: bool = True) -> Tensor:
    """One initial image per seed, in [0, 1] if `bounded`. Both blends use the same noise."""
    noise = randn(tuple(images.shape[1:]), seeds)
    initial_image = images + init.std * noise
    if init.noising > 0:
        mean, std = (per_channel(values, images) for values in (IMAGENET_MEAN, IMAGENET_STD))
        natural = mean + std * noise  # multi-objective inversion's noise, standard normal after normalisation
        initial_image = (initial_image + init.noising * natural) / (1 + init.noising)
    return initial_image.clamp(0, 1) if bounded else initial_image
