"""Checkpoints of long runs: tensors as safetensors, numbers and log as JSON in the header."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from relume.core.files import atomic

EVERY = 20.0  # seconds between two writes; if a write takes longer than a second, this many times its duration


class Checkpoint:
    """One file, written atomically. `log` belongs to the caller; it is saved and restored with the rest."""

    def __init__(self, path: Path, log: list[dict[str, Any]]) -> None:
        self.path, self.log = path, log
        self._written, self._took = time.monotonic(), 0.0

    def due(self) -> bool:
        return time.monotonic() - self._written > EVERY * max(1.0, self._took)

    def write(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        started = time.monotonic()
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        notes = {"numbers": json.dumps(numbers), "log": json.dumps(self.log)}
        with atomic(self.path) as temporary:
            try:
                save_file(contiguous, temporary, metadata=notes)
            except SafetensorError as error:  # in place of the OSError that it tells of
                number = re.search(r"os error (\d+)", str(error))
                raise OSError(*([int(number[1]), os.strerror(int(number[1]))] if number else [str(error)])) from None
        self._written = time.monotonic()
        self._took = self._written - started

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and numbers; restores the log. None if there is no checkpoint."""
        if not self.path.exists():
            return None
        with safe_open(self.path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
            notes = file.metadata()
        self.log[:] = json.loads(notes["log"])
        return tensors, json.loads(notes["numbers"])
