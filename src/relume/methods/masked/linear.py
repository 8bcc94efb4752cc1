"""The linear prediction of hidden cells (`data/linear.py`) as a part of a model: its start, and saved with its weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
