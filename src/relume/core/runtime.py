"""Seed, device and precision: chosen at the stage's entry point and passed down as arguments."""

import hashlib
import platform

import torch
from torch import Tensor

from relume.core.errors import UserError, one_of
from relume.core.run import Run


def device_of(run: Run) -> torch.device:
    """Raises UserError if the device is not available."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if run.device == "auto":
        return torch.device("cuda" if available["cuda"] else "mps" if available["mps"] else "cpu")
    if not available[run.device]:
        raise UserError(f"run.device: {run.device} is not available; {one_of(name for name in available if available[name])}")
    return torch.device(run.device)


def describe(device: torch.device) -> str:
    """The value of the column `device` in the tables."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type} ({platform.machine()}, {threads} thread{'s' if threads > 1 else ''})"


def autocast(run: Run, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=run.precision == "bfloat16")


def seed_of(seed: int, *keys: object) -> int:
    """A seed for each (id, restart, purpose), independent of batches and shards."""
    text = "\0".join(str(key) for key in (seed, *keys))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def generator(seed: int, *keys: object) -> torch.Generator:
    """A CPU generator for `keys`; draw on the CPU and move, so that devices agree."""
    return torch.Generator().manual_seed(seed_of(seed, *keys))


def randn(shape: tuple[int, ...], seeds: list[int]) -> Tensor:
    """One standard normal sample of `shape` per seed: (len(seeds), *shape)."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def deterministic() -> None:
    """Runs on the same CPU give equal bits."""
    torch.set_deterministic_debug_mode("warn")  # `use_deterministic_algorithms` also imports the compiler, 1 s
    torch.backends.cudnn.benchmark = False
