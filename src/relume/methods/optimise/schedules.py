"""Schedules: lists of pairs [step, value]; a value applies from its step on."""

import math
from collections.abc import Sequence
from typing import TypeVar

from relume.methods.optimise.config import Optimiser

V = TypeVar("V", int, float)


def at(pairs: Sequence[tuple[int, V]], step: int) -> V:
    """The value at `step`."""
    return next(value for start, value in reversed(pairs) if start <= step)


def learning_rate(config: Optimiser, step: int, steps: int) -> float:
    rate = at(config.learning_rate, step)
    if config.cosine:
        rate *= 0.5 * (1 + math.cos(math.pi * step / steps))
    if config.cooldown:
        rate *= 0.5 - 0.5 * math.cos(math.pi * min(1.0, (steps - step) / config.cooldown))
    if config.warmup:
        rate *= min(1.0, (step + 1) / config.warmup)
    return rate
