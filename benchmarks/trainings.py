"""Trains the models of a benchmark, each once by its key. A killed training resumes."""

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks.common import commit
from relume.core.files import digest, read_json
from relume.core.runtime import describe
from relume.training.models import CARD
from relume.training.stage import train_model
from relume.training.trainer import Trainer

T = TypeVar("T", bound=Trainer[Any])


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Locks the work folder for one process."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def trained_once(
    root: Path,
    folder: Path,
    key: str,
    build: Callable[[], T],
    *,
    device: torch.device,
    more: Mapping[str, Any] | None = None,
    fits: Callable[[Mapping[str, Any]], bool] = lambda card: True,
    also: Callable[[T], None] = lambda trainer: None,
) -> tuple[dict[str, Any], bool]:
    """The model's card, and whether it was trained before. If another process trains it, this one waits.

    `more`: what else the card says. `fits`: what else a model that is there must meet. `also`: see `train_model`.
    """
    with alone(root / "locks" / folder.name):
        if (folder / CARD).exists() and (found := read_json(folder / CARD)).get("digest") == key and fits(found):
            return found, True
        about = {"digest": key, "device": describe(device), **(more or {})}
        state = root / "scratch" / f"{digest([about, torch.__version__])}.safetensors"
        about["commit"] = commit()
        train_model(build(), folder, state, lambda done: {**about, "seconds": round(done.timing[-1]["seconds"], 2)}, also=also)
        state.unlink(missing_ok=True)
        return read_json(folder / CARD), False
