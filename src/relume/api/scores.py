"""`relume.evaluate`: an inversion against its originals, by the pipeline's metrics, beside baselines that invert nothing."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from relume.api.guides import training
from relume.api.models import Opened
from relume.api.pictures import Images, load
from relume.api.results import Result
from relume.api.settings import PARAMS
from relume.core.config import read_params
from relume.core.errors import UserError
from relume.core.images import as_channels
from relume.core.registry import added
from relume.evaluation.floors import blocks
from relume.evaluation.perceptual import LPIPS_METRICS, extractor, feature_error
from relume.evaluation.pixel import psnr, ssim

if TYPE_CHECKING:
    from pandas import DataFrame

Metric = str | Callable[[Tensor, Tensor], Tensor]
OTHERS = 128  # pictures that the nearest one is looked for among


def evaluate(
    result: Result, originals: Images | None = None, *, others: Images | None = None, metrics: Sequence[Metric] = ()
) -> "DataFrame":
    """A row per method and image: psnr (dB), ssim, lpips_alex and lpips_vgg where their weights are at hand, feature_error.

    Methods: the inversion; `mean colour`, the original's own; `nearest`, that of `others` with the nearest features, as retrieval
    would find it. feature_error is 1 for the mean feature of `others` (the squared distance over their mean squared deviation),
    as in the pipeline's tables. `result.feature_error` is relative to the feature's own length instead.

    originals: the images whose features were inverted; None: those that `relume.invert` was given.
    others: pictures that have nothing to do with them; None: the training photographs of the default pipeline.
    metrics: further columns: functions of images and originals, both (N, C, H, W) in [0, 1], that return (N,); or their names,
        "<module>:<name>" or that of an entry point of the group `relume.metrics`.
    """
    from pandas import DataFrame

    if result.opened is None:
        raise UserError("result: was not made by relume.invert in this process")
    source, opened = result.opened
    channels, size = opened.channels, opened.size
    truth = load(originals, size=size, channels=channels) if originals is not None else result.originals
    if truth is None or len(truth) != len(result.images):
        count = 0 if truth is None else len(truth)
        raise UserError(f"originals: needs {len(result.images)} images, one for each of the result, got {count}")
    candidates = _others(size, channels) if others is None else load(others, size=size, channels=channels)
    with source.borrow():
        known, wanted = opened.features(candidates, 8), opened.features(truth, 8)
        nearest = _distances(wanted, known).argmin(1).cpu()
        scales = {layer: float((value - value.mean(0)).flatten(1).square().sum(1).mean()) for layer, value in known.items()}
        methods = {"inversion": result.images, "mean colour": blocks(truth, 1), "nearest": candidates[nearest]}
        rows = []
        for method, images in methods.items():
            columns = _scores(opened, images, truth)
            for metric in metrics:
                function = metric if callable(metric) else added("metrics", metric)
                columns[getattr(function, "__name__", str(metric))] = function(images, truth)
            columns["feature_error"] = feature_error(opened.features(images, 8), wanted, scales)
            each = {name: value.cpu().tolist() for name, value in columns.items()}
            rows += [
                {"method": method, "image": number, **{name: values[number] for name, values in each.items()}}
                for number in range(len(images))
            ]
    return DataFrame(rows).set_index(["method", "image"])


def _others(size: int, channels: int) -> Tensor:
    parameters = read_params(PARAMS)
    dataset = training(parameters["dataset"], parameters)
    return load(as_channels(dataset.pixels(dataset.select("train")[:OTHERS]), channels), size=size, channels=channels)


def _distances(wanted: dict[str, Tensor], known: dict[str, Tensor]) -> Tensor:
    """(N, M): squared distances, each layer's over its own length."""
    parts = [
        torch.cdist(value.flatten(1), known[layer].flatten(1)).square()
        / value.flatten(1).square().sum(1, keepdim=True).clamp_min(1e-8)
        for layer, value in wanted.items()
    ]
    return torch.stack(parts).mean(0)


def _scores(opened: Opened, images: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Of pixels, and of LPIPS's networks as far as they are here. Grey images count as colour images of equal channels."""
    x, y = (one[:, :3].expand(-1, 3, -1, -1).clamp(0, 1) for one in (images, truth))
    found = {"psnr": psnr(x, y), "ssim": ssim(x, y)}
    for metric, kind in LPIPS_METRICS.items():
        if kind == "squeeze" or not opened.store.has(f"lpips_{kind}"):
            continue
        try:
            looks = extractor([metric], [], opened.store, opened.device)
        except UserError:  # its network is not here
            continue
        seen, target = (looks.look(one.to(opened.device), looks.networks) for one in (x, y))
        found[metric] = looks.lpips(metric, seen, target)
    return found
