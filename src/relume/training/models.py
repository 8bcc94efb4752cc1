"""Trained models, in `models/<kind>/<name>/`: `model.safetensors` and `model.json` are the model, the rest describes it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from relume.core.config import build as configured
from relume.core.errors import UserError, one_of
from relume.core.files import atomic, atomic_folder, read_json, write_csv, write_json
from relume.core.images import save_png
from relume.data.store import Dataset
from relume.networks.weights import digest

TENSORS, LAST, CARD, HISTORY = "model.safetensors", "last.safetensors", "model.json", "history.csv"
SAMPLES, PROGRESS = "samples.png", "progress.jpg"
HISTORY_COLUMNS = ("step", "term", "value")

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The weights with the lowest validation loss and the last ones, on the CPU; averages if `ema` is not 0."""

    best: dict[str, Tensor]
    last: dict[str, Tensor]
    best_step: int
    metrics: dict[str, float]  # of the best, on the validation samples
    history: list[dict[str, Any]]  # step, term, value
    timing: list[dict[str, float]]  # step, seconds
    progress: np.ndarray | None  # uint8 (H, W, 3): samples, then a row of outputs per preview


def write_model(folder: Path, trained: Trained, card: Mapping[str, Any], samples: np.ndarray) -> None:
    """`card`: config, data, parameter count, provenance. Equal trainings give equal bytes."""
    with atomic_folder(folder) as temporary:
        _save(temporary / TENSORS, trained.best)
        _save(temporary / LAST, trained.last)
        write_csv(temporary / HISTORY, HISTORY_COLUMNS, trained.history)
        save_png(temporary / SAMPLES, samples)
        if trained.progress is not None:
            from PIL import Image

            Image.fromarray(trained.progress).save(temporary / PROGRESS, format="JPEG", quality=90, subsampling=0)
        about = {"sha256": digest(trained.best), "best_step": trained.best_step, "metrics": trained.metrics}
        write_json(temporary / CARD, {**card, **about})


def read_model(folder: Path, kind: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The best weights, verified by the card's sha256, and the card. Raises UserError for a model of another kind."""
    card: dict[str, Any] = read_json(folder / CARD)
    if kind is not None and card.get("kind") != kind:
        raise UserError(f"{folder}: needs a model of kind {kind}, got {card.get('kind')}")
    try:
        tensors: dict[str, Tensor] = load_file(folder / TENSORS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder / TENSORS} cannot be read ({error}): train it again") from None
    if (got := digest(tensors)) != card["sha256"]:
        raise UserError(f"{folder / TENSORS}: its tensors have sha256 {got}, {CARD} says {card['sha256']}: train it again")
    return tensors, card


@dataclass(frozen=True, kw_only=True)
class TrainedModel(Generic[M]):
    """A trained module, frozen and in eval mode, with its `model.json`."""

    card: Mapping[str, Any]
    module: M

    @property
    def name(self) -> str:
        return self.card["name"]

    @property
    def dataset(self) -> str:
        return self.card["data"]["dataset"]

    @property
    def size(self) -> int:
        """Side of its images, pixels."""
        return self.card["size"]

    @property
    def network(self) -> str:
        return self.card["config"]["network"]

    @property
    def taps(self) -> tuple[str, ...]:
        return tuple(self.card["config"]["taps"])

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return shapes_of(self.card)

    def __str__(self) -> str:
        return f"{self.card['kind']} {self.name}"

    def check_images(self, dataset: Dataset) -> None:
        """Raises UserError for images of another size."""
        if self.size != dataset.size:
            raise UserError(f"{self} needs images of {self.size} px, those of {dataset.name} have {dataset.size}")

    def check_features(self, features: Mapping[str, Tensor]) -> None:
        """Raises UserError for features of another shape than in training."""
        for tap, shape in self.shapes.items():
            if (found := tuple(features[tap].shape[1:])) != shape:
                raise UserError(f"{self} was trained on features {shape}; {tap} has {found}")

    def finite(self, values: Tensor) -> Tensor:
        """The values that the model has made; raises UserError for NaN and Inf."""
        if not bool(torch.isfinite(values).all()):
            raise UserError(f"{self} made values that are NaN or Inf")
        return values


T = TypeVar("T", bound=TrainedModel[Any])


def load_model(
    cls: type[T], folder: Path, device: torch.device, kind: str, architecture: Any, build: Callable[[Any, Any], nn.Module]
) -> T:
    """The model in `folder`. `build`: the card's `architecture` and the card -> the module."""
    tensors, card = read_model(folder, kind)
    module = build(configured(architecture, card["config"]["architecture"], f"{folder}/{CARD}: config.architecture"), card)
    module.load_state_dict(tensors)
    module.requires_grad_(False)
    return cls(card=card, module=module.eval().to(device))


def shapes_of(card: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of the features that the model was trained on, in the order of its taps: JSON sorts its keys."""
    return {tap: tuple(card["shapes"][tap]) for tap in card["config"]["taps"]}


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    with atomic(path) as temporary:
        plain = {name: tensors[name].contiguous() for name in sorted(tensors)}
        temporary.write_bytes(save(plain))  # save_file would make it readable by its owner only


def model_folder(
    kind: str, name: str | Path, models: Path, *, stages: str, names: Iterable[str] | None = None, more: Iterable[str] = ()
) -> Path:
    """The folder `name` below `models`, or the folder `name` itself, with a model of this kind. For the error: `stages` write
    such models; `names` are allowed (default: all in `models`), and `more`."""
    folder = next((place for place in (models / name, Path(name)) if (place / CARD).exists()), None)
    if folder is None:
        allowed = names if names is not None else [card.parent.name for card in models.glob(f"*/{CARD}")]
        raise UserError(
            f"unknown model {str(name)!r} in {models}; {one_of([*allowed, *more], str(name))}, or a folder. "
            f"`dvc repro {stages}` writes the models in params.yaml"
        )
    if (found := read_json(folder / CARD).get("kind")) != kind:
        raise UserError(f"{folder}: needs a model of kind {kind!r}, got {found!r}")
    return folder
