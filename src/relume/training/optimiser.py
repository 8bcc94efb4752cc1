"""Optimizers, their state as named tensors for checkpoints, and learning rate schedules."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from relume.training.config import Constant, Cosine, Training

RULES: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def build(module: nn.Module, config: Training) -> torch.optim.Optimizer:
    """Adam adds `weight_decay` times the weights to the gradient (per-layer decoders); AdamW shrinks weights by that share."""
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return RULES[config.optimiser](weights, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay)


def state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """`<number of the weight>.<name>` -> tensor."""
    return {f"{i}.{name}": value for i, entry in optimiser.state_dict()["state"].items() for name, value in entry.items()}


def restore(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".")
        entries.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": entries, "param_groups": optimiser.state_dict()["param_groups"]})


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
