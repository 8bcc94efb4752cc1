"""Learning rate schedules."""

import math

from relume.training.config import Constant, Cosine, Training


def learning_rate(config: Training, step: int) -> float:
    """The base rate, times the schedule's factor, times the warm-up's factor."""
    rise = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return config.learning_rate * rise * factor(config, step)


def factor(config: Training, step: int) -> float:
    schedule = config.schedule
    if isinstance(schedule, Constant):
        return 1.0
    if isinstance(schedule, Cosine):
        return schedule.final + (1 - schedule.final) * 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return schedule.gamma ** (step // schedule.every)
