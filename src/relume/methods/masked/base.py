"""The base class of masked models. An image has side x side cells of `cell` pixels; `hidden` (N, side, side) is True where they
are masked. Models normalise by CENTRE and SPREAD: natural images then have mean 0 and variance 1, roughly."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.core.images import check
from relume.data.linear import WINDOW, LinearFill
from relume.data.store import Dataset

RANK = 1024  # components of the covariance: on CIFAR-10 within 0.01 dB of all 3072, at a third of the bytes in half precision


class LinearStart(nn.Module):
    """`(images, hidden)` -> images whose hidden cells are predicted from visible pixels. Before `fit`, of unrelated pixels."""

    mean: Tensor
    factor: Tensor
    own: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        values = 3 * min(WINDOW, size) ** 2
        self.register_buffer("mean", torch.full((values,), 0.5))
        self.register_buffer("factor", torch.zeros(min(RANK, values), values, dtype=torch.float16))
        self.register_buffer("own", torch.ones(values))  # what the components leave of each variance, and the noise
        self.fill: LinearFill | None = None
        self.register_load_state_dict_post_hook(lambda *_: setattr(self, "fill", None))

    def fit(self, dataset: Dataset, rows: Sequence[int]) -> None:
        """Learns from these images. The components do not depend on the random state."""
        found = LinearFill.fit(dataset, rows)
        variances = found.covariance.diagonal()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            vectors, values, _ = torch.svd_lowrank(found.covariance, q=len(self.factor), niter=2)
        self.mean.copy_(found.mean)
        self.factor.copy_((vectors * values.sqrt()).T)
        rest = variances - self.factor.float().square().sum(0)
        self.own.copy_(rest.clamp_min(0) + found.noise * variances.mean())
        self.fill = None

    @torch.no_grad()
    def forward(self, images: Tensor, hidden: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):  # the solve needs float32
            if self.fill is None:
                factor = self.factor.float()
                self.fill = LinearFill(mean=self.mean, covariance=factor.T @ factor + self.own.diag(), noise=0.0)
            return self.fill(images, hidden)


CENTRE, SPREAD = 0.5, 0.25
LEAST = 0.01  # added to a squared error before its logarithm


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The output of a model for a batch. `picture` does not depend on hidden cells; the rest does."""

    picture: Tensor  # (N, 3, size, size) in [0, 1]: the prediction, visible cells included
    loss: Tensor  # (N,)
    terms: dict[str, Tensor] = field(default_factory=dict)  # unweighted terms of the loss: (N,) each


class MaskedModel(nn.Module):
    """`forward(images, hidden, generator)` -> Prediction; `represent(images)` -> features of whole images, (N, D). In
    training a CPU `generator` is given. `linear`: the model predicts what the linear prediction leaves."""

    sees_all = False  # hidden cells are an input, too: a tokenizer, not a method

    def __init__(self, size: int, cell: int, linear: bool = False) -> None:
        super().__init__()
        if size % cell:
            raise ValueError(f"size must be a multiple of cell, {cell}; got {size}")
        self.size, self.cell, self.side = size, cell, size // cell
        self.cells = self.side**2
        self.linear = LinearStart(size) if linear else None

    def begin(self, images: Tensor, hidden: Tensor) -> Tensor:
        """The images, normalised; with `linear`, hidden cells have the linear prediction."""
        return normalise(self.linear(images, hidden) if self.linear is not None and bool(hidden.any()) else images)

    def represent(self, images: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no representation of an unmasked image")

    def check_inputs(self, images: Tensor, hidden: Tensor) -> None:
        """Checks the shapes."""
        check(images, bounded=False)
        expected = (len(images), self.side, self.side)
        if images.shape[-1] != self.size or images.shape[-2] != self.size or tuple(hidden.shape) != expected:
            raise ValueError(
                f"needs images of {self.size} px and hidden {expected}, got {tuple(images.shape)}, {tuple(hidden.shape)}"
            )


def normalise(images: Tensor) -> Tensor:
    return (images - CENTRE) / SPREAD


def picture_of(values: Tensor) -> Tensor:
    """The inverse of `normalise`, clamped to [0, 1]."""
    return (values.float() * SPREAD + CENTRE).clamp(0, 1)


def patches(images: Tensor, cell: int) -> Tensor:
    """(N, C, H, W) -> (N, cells, C cell cell), row by row."""
    return F.unfold(images, cell, stride=cell).mT.contiguous()


def unpatch(values: Tensor, cell: int) -> Tensor:
    """The inverse of `patches` for square images: (N, cells, 3 cell cell) -> (N, 3, H, H)."""
    side = round(values.shape[1] ** 0.5) * cell
    return F.fold(values.mT, (side, side), cell, stride=cell)


def over_hidden(values: Tensor, hidden: Tensor) -> Tensor:
    """Means over hidden cells: (N, cells), (N, cells) -> (N,)."""
    weight = hidden.to(values)
    return (values * weight).sum(1) / weight.sum(1)


def log_error(values: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """The logarithm of an image's squared error over hidden cells, in units of SPREAD: PSNR, up to a factor: (N,). The squared
    error itself is mostly that of few images with much contrast."""
    error = patches((values - normalise(images)).square(), images.shape[-1] // hidden.shape[-1]).mean(-1)
    return (over_hidden(error, hidden.flatten(1)) + LEAST).log()


def ordered(hidden: Tensor) -> tuple[Tensor, int]:
    """(N, side, side) -> cells, visible before hidden, (N, cells), and the number of visible ones, equal in all rows."""
    flat = hidden.flatten(1)
    counts = (~flat).sum(1)
    if not bool((counts == counts[0]).all()) or not 0 < int(counts[0]) < flat.shape[1]:
        raise ValueError(
            f"every row needs the same number of visible cells, neither 0 nor all; got {sorted(set(counts.tolist()))}"
        )
    return flat.to(torch.uint8).argsort(dim=1, stable=True), int(counts[0])


def take(tokens: Tensor, order: Tensor) -> Tensor:
    """(N, B, D), (N, K) -> (N, K, D)."""
    return tokens.gather(1, order[..., None].expand(-1, -1, tokens.shape[-1]))
