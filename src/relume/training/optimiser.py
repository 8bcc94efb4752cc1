"""Optimizers, their state as named tensors for checkpoints, averages of weights, and learning rate schedules."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from relume.training.config import Constant, Cosine, Training

State = dict[str, Tensor]


class Ema:
    """Exponential moving average of a module's weights: average <- d average + (1 - d) weights, d = min(decay, (1 + step) / (10 +
    step)). Integers are copied; decay 0 averages nothing."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values: State = copied(module.state_dict())

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

    def restore(self, values: Mapping[str, Tensor]) -> None:
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Inside, the module has the averaged weights."""
        own = copied(module.state_dict())
        module.load_state_dict(self.values)
        try:
            yield
        finally:
            module.load_state_dict(own)


def copied(state: Mapping[str, Tensor]) -> State:
    return {name: value.detach().clone() for name, value in state.items()}


def prefixed(name: str, tensors: Mapping[str, Tensor]) -> State:
    return {f"{name}.{key}": value for key, value in tensors.items()}


def below(name: str, tensors: Mapping[str, Tensor]) -> State:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}


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
