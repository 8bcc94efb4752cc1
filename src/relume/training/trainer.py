"""The base class of trainers: a family states its module, its loss and its validation."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.core.images import to_uint8
from relume.core.run import Run
from relume.core.runtime import seed_of
from relume.core.sheet import grid
from relume.data.store import Dataset, batches
from relume.networks.weights import WeightStore
from relume.training.adversarial import DiscriminatorState
from relume.training.config import Training
from relume.training.models import Trained
from relume.training.ranks import ALONE, Ranks

LOSS = "loss"  # the term that is minimised; in validation, the one that selects the best weights
SHOWN = 8  # images in a row of a preview


class TrainerConfig(Protocol):
    """Fields of the configuration of every trained model."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def dataset(self) -> str: ...

    @property
    def training(self) -> Training: ...

    @property
    def validation(self) -> int | None: ...


C = TypeVar("C", bound=TrainerConfig)


@dataclass(frozen=True, kw_only=True)
class Setup(Generic[C]):
    """Arguments of every Trainer."""

    name: str
    config: C
    run: Run
    dataset: Dataset
    store: WeightStore
    device: torch.device
    ranks: Ranks = ALONE
    key: str = ""  # of the configuration in params.yaml, for messages; default: the name


class Trainer(ABC, Generic[C]):
    """A model in training. `module` is on its device. Rows are indices into the dataset."""

    kind: ClassVar[str]  # of the model, as in its card
    module: nn.Module
    discriminator: DiscriminatorState | None = None  # minimises the term DISCRIMINATOR of `loss`

    def __init__(self, setup: Setup[C]) -> None:
        self.name, self.config, self.run, self.device = setup.name, setup.config, setup.run, setup.device
        self.dataset, self.store, self.ranks, self.key = setup.dataset, setup.store, setup.ranks, setup.key or setup.name
        self.ranks.check(self.config.training.batch, f"{self.key}.training.batch")
        if self.dataset.name != self.config.dataset:
            raise UserError(f"{self.kind} {self.name} trains on {self.config.dataset}, but --images holds {self.dataset.name}")
        self.train, self.val = self.dataset.select("train"), self.dataset.select("val", self.config.validation)

    @abstractmethod
    def loss(self, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Positions in `train` and a generator for each -> LOSS and its terms, scalars."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """LOSS and other metrics on the validation split."""

    def preview(self) -> np.ndarray | None:
        """Images, then the module's outputs for them: uint8 (2, K, H, W, 3). None: there is no preview."""
        return None

    def samples(self) -> np.ndarray:
        """The `samples.png` of the trained model, uint8 (H, W, 3)."""
        seen = self.preview()
        assert seen is not None
        return grid(seen)

    def finish(self, trained: Trained) -> Trained:
        """The result that is saved. The module has the best weights."""
        return trained

    @property
    def model(self) -> nn.Module:
        """The part of `module` that is saved."""
        return self.module

    def facts(self) -> dict[str, Any]:
        """Further entries of the model's card."""
        return {}

    def card(self) -> dict[str, Any]:
        """The model's `model.json`, without metrics and provenance."""
        return {
            "kind": self.kind,
            "name": self.name,
            "config": asdict(self.config),
            "size": self.dataset.size,
            "data": {"dataset": self.dataset.name, "train": len(self.train), "val": len(self.val)},
            "parameters": sum(weights.numel() for weights in self.model.parameters()),
            **self.facts(),
        }

    def summary(self, metrics: Mapping[str, float]) -> str:
        """One line about the trained model."""
        return f"validation loss {metrics[LOSS]:.4f}"

    def pixels(self, rows: Sequence[int]) -> Tensor:
        return self.dataset.pixels(list(rows)).to(self.device)

    def batches(self, rows: Sequence[int]) -> Iterator[list[int]]:
        """Micro-batches of rows."""
        return batches(rows, self.run.micro_batch)

    @contextmanager
    def seeded(self, *keys: str) -> Iterator[None]:
        """Modules built inside get weights that depend only on the run's seed, `keys` (default: the kind) and the name."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.run.seed, *(keys or (self.kind,)), self.name))
            yield


def mean_terms(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.mean() for name, value in terms.items()}


def mean_metrics(batches: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Means over all batches' values, (N,) each."""
    return {name: float(torch.cat([values[name] for values in batches]).cpu().double().mean()) for name in batches[0]}


def sheet_rows(batches: Sequence[tuple[Tensor, ...]]) -> np.ndarray:
    """Batches of rows of images, (N, 3, H, W) each -> uint8 (rows, K, H, W, 3)."""
    return np.stack([to_uint8(torch.cat(row)) for row in zip(*batches, strict=True)])
