"""Fair timing of alternatives: they take turns in one process, and a ratio is the median over the turns."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

Row = dict[str, Any]  # of metrics/benchmarks
SHORTEST = 0.02  # seconds that are measured at once


def seconds(function: Callable[[], object], device: torch.device, times: int) -> float:
    """Mean seconds of a call. On a CPU these are processor seconds, so other processes do not count."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    start = clock()
    for _ in range(times):
        function()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return (clock() - start) / times


def turns(functions: Sequence[Callable[[], object]], device: torch.device, repeat: int) -> np.ndarray:
    """Seconds of each function, (repeat, functions). The order changes from turn to turn. Short ones are called several times."""
    times = [max(1, round(SHORTEST / max(seconds(function, device, 1), 1e-6))) for function in functions]
    found = np.zeros((repeat, len(functions)))
    for turn in range(repeat):
        for at in np.roll(range(len(functions)), turn).tolist():
            found[turn, at] = seconds(functions[at], device, times[at])
    return found


def row(what: str, taken: np.ndarray, *, unit: str = "steps/s", limit: float | None = None, work: int = 1) -> Row:
    """A row of metrics/benchmarks from seconds of ours, theirs and, in a third column, the limit.

    Speeds are medians of `work` per second. The ratio is the median of theirs / ours, above 1 where ours is faster, with an
    interval of 95 % by the bootstrap.
    """
    ratios = taken[:, 1] / taken[:, 0]
    drawn = np.random.default_rng(0).integers(len(ratios), size=(5000, len(ratios)))
    low, high = np.quantile(np.median(ratios[drawn], axis=1), [0.025, 0.975])
    speeds = [float(value) for value in np.median(work / taken, axis=0)]
    values = {"ours": speeds[0], "theirs": speeds[1], "limit": speeds[2] if len(speeds) > 2 else limit}
    values |= {"ratio": float(np.median(ratios)), "ratio_lo": float(low), "ratio_hi": float(high)}
    rounded = {key: None if value is None else round(value, 4) for key, value in values.items()}
    return {"what": what, "unit": unit, "n": len(ratios), **rounded}


def summary(row: Row) -> str:
    return "{what}: {ratio:.2f} ({ratio_lo:.2f} to {ratio_hi:.2f}) times as fast".format(**row)
