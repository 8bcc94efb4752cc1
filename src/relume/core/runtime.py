"""Seed, device and precision: decided once at the stage's entry point, handed down as arguments."""

import hashlib
import platform

import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.run import Run


def device_of(run: Run) -> torch.device:
    """The device asked for, or an error that says which are here."""
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if run.device == "auto":
        return torch.device("cuda" if here["cuda"] else "mps" if here["mps"] else "cpu")
    if not here[run.device]:
        raise UserError(f"run.device: {run.device} is not here; here are: {', '.join(name for name in here if here[name])}")
    return torch.device(run.device)


def describe(device: torch.device) -> str:
    """What the tables say in their column `device`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type} ({platform.machine()}, {threads} thread{'s' if threads > 1 else ''})"


def autocast(run: Run, device: torch.device) -> torch.autocast:
    """Forward passes in bfloat16 where it was asked for."""
    return torch.autocast(device.type, torch.bfloat16, enabled=run.precision == "bfloat16")


def seed_of(seed: int, *keys: object) -> int:
    """A seed of its own for each (id, restart, purpose): the same whatever batch or shard it is drawn in."""
    text = "\0".join(str(key) for key in (seed, *keys))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def generator(seed: int, *keys: object) -> torch.Generator:
    """A CPU generator for `keys`; draw on the CPU and move, so that devices agree."""
    return torch.Generator().manual_seed(seed_of(seed, *keys))


def randn(shape: tuple[int, ...], seeds: list[int]) -> Tensor:
    """One standard normal sample of `shape` per seed: (len(seeds), *shape)."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def deterministic() -> None:
    """Equal bits from run to run on one machine's processor."""
    torch.set_deterministic_debug_mode("warn")  # `use_deterministic_algorithms` is the same, and imports the compiler: a second
    torch.backends.cudnn.benchmark = False
