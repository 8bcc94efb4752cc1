"""A learned map from one network's features, tap -> (N, C, h, h) or (N, D), to another's embedding. Inputs and outputs are
standardised by their moments over the training images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.optimise.terms import Surrogate
from relume.methods.surrogate.config import LinearSurrogate, ResidualSurrogate, SurrogateArchitecture
from relume.training.models import TrainedModel, load_model, shapes_of

Shapes = Mapping[str, tuple[int, ...]]  # tap -> (C, h, h) or (D,)
Draws = Sequence[torch.Generator]  # one per row, so that dropout is the same after resuming and in data-parallel training
FLAT = 0.1  # minimum of each std, relative to their root mean square: bounds the scale of nearly constant features


class SurrogateMap(nn.Module):
    """`forward`: the features of a batch by tap -> the predicted tap, (N, *shape)."""

    mean_in: Tensor
    std_in: Tensor
    mean_out: Tensor
    std_out: Tensor

    def __init__(self, shapes: Shapes, shape: Sequence[int], config: LinearSurrogate | ResidualSurrogate) -> None:
        super().__init__()
        self.sides, self.shape = sides(shapes, config.grid), torch.Size(shape)
        inputs = sum(numbers[0] * (self.sides[tap] or 1) ** 2 for tap, numbers in shapes.items())
        for end, count in (("in", inputs), ("out", self.shape.numel())):
            self.register_buffer(f"mean_{end}", torch.zeros(count))
            self.register_buffer(f"std_{end}", torch.ones(count))
        self.linear = nn.Linear(inputs, self.shape.numel())
        self.missed = Residual(inputs, self.shape.numel(), config) if isinstance(config, ResidualSurrogate) else None

    def set_moments(self, rows: Tensor, outputs: Tensor) -> None:
        """Sets the moments of training images: `flattened` features (n, D), outputs (n, E)."""
        for end, values in (("in", rows), ("out", outputs)):
            wide = values.cpu().double()  # not every device has float64
            std = wide.std(0, correction=0)
            getattr(self, f"mean_{end}").copy_(wide.mean(0))
            getattr(self, f"std_{end}").copy_(std.clamp_min(max(FLAT * float(std.square().mean().sqrt()), 1e-12)))

    def set_linear(self, weight: Tensor) -> None:
        """`weight`: (D, E), for standardised inputs and outputs."""
        with torch.no_grad():
            self.linear.weight.copy_(weight.T)
            self.linear.bias.zero_()

    def standard(self, rows: Tensor) -> Tensor:
        """Rows (N, D), standardised."""
        return (rows.float() - self.mean_in) / self.std_in

    def standard_out(self, values: Tensor) -> Tensor:
        """Outputs (N, *shape), standardised: (N, E)."""
        return (values.flatten(1).float() - self.mean_out) / self.std_out

    def predict(self, rows: Tensor, draws: Draws | None = None) -> Tensor:
        """`flattened` features (N, D) -> (N, *shape). `draws`: a generator per row, for dropout in training."""
        x = self.standard(rows)
        found: Tensor = self.linear(x) if self.missed is None else self.linear(x) + self.missed(x, draws)
        return (self.mean_out + self.std_out * found.float()).unflatten(1, self.shape)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        return self.predict(flattened(features, self.sides))


class Residual(nn.Module):
    """Standardised inputs (N, D) -> an offset to the linear map, (N, E), initially 0."""

    def __init__(self, inputs: int, outputs: int, config: ResidualSurrogate) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.enter = nn.Linear(inputs, config.width)
        self.blocks = nn.ModuleList(_block(config.width) for _ in range(config.depth))
        self.leave = nn.Linear(config.width, outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, draws: Draws | None = None) -> Tensor:
        x = self.enter(x if draws is None else dropped(x, self.dropout, draws))
        for block in self.blocks:
            x = x + block(x)
        return self.leave(F.gelu(x))


def dropped(x: Tensor, share: float, draws: Draws) -> Tensor:
    """Dropout with rate `share` and a generator per row: (N, D) -> (N, D)."""
    if share == 0:
        return x
    kept = torch.stack([torch.rand(x.shape[1], generator=draw) >= share for draw in draws])
    return x * kept.to(x.device) / (1 - share)


def _block(width: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))


def sides(shapes: Shapes, grid: int) -> dict[str, int | None]:
    """tap -> cells per side after averaging; None for taps without positions."""
    return {tap: min(grid, shape[1]) if len(shape) == 3 else None for tap, shape in shapes.items()}


def flattened(features: Mapping[str, Tensor], sides: Mapping[str, int | None]) -> Tensor:
    """A feature vector per image: (N, D)."""
    flat = [
        features[tap] if side is None else F.adaptive_avg_pool2d(features[tap], side).flatten(1) for tap, side in sides.items()
    ]
    return torch.cat(flat, dim=1)


def ridge(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """argmin |x w - y|^2 + penalty * v |w|^2, v the mean |x_i|^2 of the rows: (n, D), (n, E) -> (D, E). Solved in float64 in the
    smaller dimension: w = (x'x + v p)^-1 x'y = x'(xx' + v p)^-1 y."""
    x, y = x.cpu().double(), y.cpu().double()
    strength = penalty * x.square().sum(1).mean().clamp_min(1e-12)
    if len(x) < x.shape[1]:
        return x.T @ torch.linalg.solve(x @ x.T + strength * torch.eye(len(x), dtype=x.dtype), y)
    return torch.linalg.solve(x.T @ x + strength * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)


def read_surrogate(folder: Path, device: torch.device) -> TrainedModel[SurrogateMap]:
    """Its target is `card["config"]["target"]`: another network and its tap."""
    return load_model(
        TrainedModel[SurrogateMap],
        folder,
        device,
        "surrogate",
        SurrogateArchitecture,
        lambda own, card: SurrogateMap(shapes_of(card), card["shape"], own),
    )


def learned(folder: Path, device: torch.device) -> Surrogate:
    """Its taps and image size are checked with the parameters."""
    found = read_surrogate(folder, device)
    target = found.card["config"]["target"]
    return Surrogate(network=target["network"], tap=target["tap"], predict=found.module)
