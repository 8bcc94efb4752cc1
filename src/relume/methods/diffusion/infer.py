"""Inversion by denoisers: from the features of a dataset, never its images, to predictions, samples, means and spreads."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.config import build
from relume.core.images import to_uint8
from relume.core.results import Row, new_array, new_images
from relume.core.run import Run
from relume.core.runtime import autocast, generator
from relume.data.store import Dataset
from relume.methods.diffusion.config import InvertDiffusion, Noise, UNet
from relume.methods.diffusion.family import WAYS
from relume.methods.diffusion.model import Denoiser, conditioned, direct, pure, sample
from relume.methods.diffusion.spread import SPREAD
from relume.networks.network import Network
from relume.networks.taps import collect, spatial
from relume.training.models import TrainedModel, load_model, shapes_of


class TrainedDenoiser(TrainedModel[Denoiser]):
    @property
    def noise(self) -> Noise:
        return build(Noise, self.card["config"]["noise"], f"{self.name}: config.noise")


def read_denoiser(folder: Path, device: torch.device) -> TrainedDenoiser:
    return load_model(
        TrainedDenoiser, folder, device, "diffusion", UNet, lambda own, card: Denoiser(shapes_of(card), card["size"], own)
    )


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A group. `spread`, float16 (N, H, W), has a row for each row of a method `_mean`: the standard deviation over samples, of
    all colours together, for images in [0, 1]."""

    pictures: np.ndarray
    rows: list[Row]
    timing: list[dict[str, object]]
    spread: np.ndarray


def invert(
    models: Mapping[str, TrainedDenoiser],
    dataset: Dataset,
    config: InvertDiffusion,
    *,
    networks: Mapping[str, Network],
    run: Run,
    device: torch.device,
    folder: Path | None = None,
) -> Drawn:
    """Three methods per entry of `seen`. The noise depends only on the image's id, so all methods start from the same noise.
    `folder`: of the group."""
    for model in models.values():
        model.check_images(dataset)
    places, index, timing = dataset.chosen(config), [], []
    count, side = len(config.seen) * len(places), dataset.size
    pictures = new_images(folder, len(WAYS) * count, side)
    spread = new_array(folder and folder / SPREAD, (count, side, side), np.float16)
    same: dict[str, Any] = {"family": "diffusion", "task": "feature", "oracle": False, "dataset": dataset.name}
    parts = zip(config.seen.items(), np.split(pictures, len(config.seen)), np.split(spread, len(config.seen)), strict=True)
    for (name, seen), own, own_spread in parts:
        model = models[seen.model]
        made = dict(zip(WAYS, np.split(own, len(WAYS)), strict=True))
        seconds = dict.fromkeys(WAYS, 0.0)
        for at in range(0, len(places), run.micro_batch):
            rows = places[at : at + run.micro_batch]
            features = _features(model, networks[model.network], dataset.pixels(rows).to(device))
            units = _units(model.size, dataset.ids(rows), run, config.draws, device)
            with autocast(run, device):
                found, deviation, spent = _draw(model, features, seen.tap, units, config.steps)
            for way in WAYS:
                made[way][at : at + len(rows)] = to_uint8(found[way])
                seconds[way] += spent[way]
            own_spread[at : at + len(rows)] = deviation.cpu().numpy()
        tap = seen.tap or "+".join(model.taps)
        for way in WAYS:
            about = {**same, "size": dataset.size, "method": f"{name}_{way}", "network": model.network, "tap": tap}
            index += [Row(**about, id=id) for id in dataset.ids(places)]
            timing.append({"method": f"{name}_{way}", "step": 0, "seconds": seconds[way]})
    return Drawn(pictures=pictures, rows=index, timing=timing, spread=spread)


def _units(size: int, ids: Sequence[str], run: Run, draws: int, device: torch.device) -> list[Tensor]:
    """Unit noise of the images, (N, 3, size, size), per sample."""
    return [pure(size, [generator(run.seed, "draw", id, number) for id in ids], device) for number in range(draws)]


def _draw(
    model: TrainedDenoiser,
    features: Mapping[str, Tensor],
    tap: str | None,
    units: Sequence[Tensor],
    steps: int,
) -> tuple[dict[str, Tensor], Tensor, dict[str, float]]:
    """Images by method, their spread (N, H, W), and seconds by method."""
    denoise, noise = conditioned(model.module, features, tap), model.noise
    times = [time.perf_counter()]
    answer = direct(denoise, units[0], noise)
    times.append(time.perf_counter())
    draws = []
    for unit in units:
        draws.append(model.finite(sample(denoise, unit, noise, steps)))  # also waits for the device
        times.append(time.perf_counter())
    stack = torch.stack(draws)
    spread = stack.var(0, correction=1).mean(1).sqrt()
    spent = {"direct": times[1] - times[0], "sample": times[2] - times[1], "mean": times[-1] - times[1]}
    return {"direct": answer, "sample": stack[0], "mean": stack.mean(0)}, spread, spent


@torch.no_grad()
def _features(model: TrainedDenoiser, network: Network, images: Tensor) -> dict[str, Tensor]:
    with collect(network, model.taps) as tapped:
        found = {tap: spatial(value) for tap, value in tapped(images).items()}
    model.check_features(found)
    return found
