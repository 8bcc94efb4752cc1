"""Reads `models/weights/<network>/`: `model.safetensors` and `model.json`, and verifies the pinned sha256."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.files import read_json
from relume.networks.sources import PINS

TENSORS, CARD = "model.safetensors", "model.json"


class WeightStore:
    """The weights of a stage: each folder is `models/weights` or the folder of one network. `given`: networks in memory, by name,
    passed to the library by its user."""

    def __init__(self, *folders: Path, given: Mapping[str, Any] | None = None) -> None:
        self.folders, self.given = folders, given or {}

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The converted tensors, verified."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = self.folder(name)
        try:
            tensors: dict[str, Tensor] = load_file(folder / TENSORS)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{folder / TENSORS} cannot be read ({error}): remove {folder} and run `dvc repro weights`") from None
        expected = PINS.get(name) or self.card(name)["sha256"]
        if (got := digest(tensors)) != expected:
            fix = f"remove {folder} and run `dvc repro weights`"
            raise UserError(f"{folder / TENSORS}: its tensors have sha256 {got}, expected {expected}: {fix}")
        return tensors

    def card(self, name: str) -> dict[str, Any]:
        """The content of `model.json`."""
        card: dict[str, Any] = read_json(self.folder(name) / CARD)
        return card

    def folder(self, name: str) -> Path:
        """The folder of the weights of `name`."""
        for folder in self.folders:
            if (folder / CARD).exists():
                if read_json(folder / CARD)["name"] == name:
                    return folder
            elif (folder / name / CARD).exists():
                return folder / name
        raise UserError(
            f"no weights of {name} in {', '.join(map(str, self.folders))}; found: {', '.join(self.names()) or 'none'}. "
            f"Add {name} to weights.networks and run `dvc repro weights`, or declare it as a dependency of this stage"
        )

    def names(self) -> list[str]:
        """The names of all weights in the folders."""
        cards = [card for folder in self.folders for card in sorted(folder.glob(f"**/{CARD}"))]
        return sorted({str(read_json(card)["name"]) for card in cards})


def canonical(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sorted by name, contiguous, floating point as float32; without the unused counters of batch normalisations."""
    kept = sorted(name for name in tensors if not name.endswith("num_batches_tracked"))
    plain = {}
    for name in kept:
        dtype = torch.float32 if tensors[name].is_floating_point() else tensors[name].dtype
        plain[name] = tensors[name].detach().to(dtype, copy=True).contiguous()  # safetensors cannot store shared memory
    return plain


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(tensor.view(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return total.hexdigest()


def count(tensors: Mapping[str, Tensor]) -> int:
    """The number of parameters, without the running statistics of batch normalisations."""
    running = ("running_mean", "running_var")
    return sum(tensor.numel() for name, tensor in tensors.items() if not name.endswith(running))
