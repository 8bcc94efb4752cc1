"""Speed of a step of the Energy Transformer: the written-out gradient against autograd through the same energy.

    python -m benchmarks.energy

Forward: x after four steps. Training: that, and its derivative by x and by all weights, for which autograd goes through its own
graph. Both take turns; a row's ratio is the median of theirs / ours over the turns, with a bootstrap interval. Both have the same
matrix products; the limit is the speed of these alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import torch
from torch import Tensor

from benchmarks.common import commit
from benchmarks.timing import row, summary, turns
from relume.core.config import build
from relume.core.files import write_json
from relume.core.process import keep_freed_memory
from relume.core.run import Run
from relume.core.runtime import autocast, describe, device_of
from relume.methods.masked.config import EnergyTransformerConfig
from relume.methods.masked.energy_transformer import EnergyBlock

OUT = Path("metrics/benchmarks/energy.json")
DESCENT = {"kind": "energy_transformer", "steps": 4, "alpha": 0.1, "beta": 0.125, "init": 0.05, "memory_init": 0.05}
Step = Callable[[EnergyBlock, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Size:
    """Sizes in the letters of the paper; `few` pictures on a CPU, `many` on an accelerator."""

    B: int
    D: int
    H: int
    Y: int
    M: int
    few: int
    many: int

    def block(self, device: torch.device) -> EnergyBlock:
        """With weights so large that attention and memories matter."""
        given = {"width": self.D, "heads": self.H, "key": self.Y, "memories": self.M}
        torch.manual_seed(0)
        return EnergyBlock(build(EnergyTransformerConfig, DESCENT | given, "energy_transformer")).to(device)

    def tokens(self, device: torch.device) -> Tensor:
        count = self.few if device.type == "cpu" else self.many
        return torch.randn(count, self.B, self.D, generator=torch.Generator().manual_seed(1)).to(device)


SIZES = {
    "one small picture": Size(B=65, D=128, H=4, Y=32, M=512, few=1, many=1),
    "small": Size(B=65, D=128, H=4, Y=32, M=512, few=16, many=128),
    "CIFAR, published port": Size(B=65, D=256, H=12, Y=64, M=1024, few=16, many=128),
    "ImageNet, the paper's": Size(B=197, D=768, H=12, Y=64, M=3072, few=1, many=64),
}


def ours(block: EnergyBlock, x: Tensor) -> Tensor:
    return block(x)


def theirs(block: EnergyBlock, x: Tensor) -> Tensor:
    """Autograd through the energy. The graph of the gradient is kept only in training."""
    training = torch.is_grad_enabled()
    for _ in range(block.steps):
        with torch.enable_grad():
            g = block.norm(x) if training else block.norm(x).detach().requires_grad_()
            energy = block.attention.energy(g) + block.memories.energy(g)
            (gradient,) = torch.autograd.grad(energy.sum(), g, create_graph=training)
        x = x - block.alpha * gradient
    return x


@torch.no_grad()
def forward(step: Step, block: EnergyBlock, x: Tensor) -> list[Tensor]:
    return [step(block, x)]


def training(step: Step, block: EnergyBlock, x: Tensor) -> list[Tensor]:
    """x after the steps, and the gradient of its mean square with respect to x and all weights."""
    x = x.detach().requires_grad_()
    after = step(block, x)
    return [after.detach(), *torch.autograd.grad(after.float().square().mean(), [x, *block.parameters()])]


PASSES = {"forward": forward, "training": training}


def products(size: Size, x: Tensor, training: bool) -> Callable[[], None]:
    """The matrix products of one step alone, in x's precision and into memory that is there already: two with the weights and
    three per head and image; in training six and nine."""
    g, w = x.flatten(0, 1), x.new_full((2 * size.H * size.Y + size.M, size.D), 0.05)
    q = x.new_full((len(x) * size.H, size.B, size.Y), 0.05)
    z, a = g @ w.T, q @ q.mT
    w_out, (g_out, z_out, q_out, a_out) = torch.empty_like(w.T), map(torch.empty_like, (g, z, q, a))

    def step() -> None:
        for _ in range(1 + training):
            torch.mm(g, w.T, out=z_out)
            torch.mm(z, w, out=g_out)
        for _ in range(2 * training):
            torch.mm(g.T, z, out=w_out)
        for _ in range(1 + 2 * training):
            torch.bmm(q, q.mT, out=a_out)
            torch.bmm(a, q, out=q_out)
            torch.bmm(a.mT, q, out=q_out)

    return step


def agree(mine: Sequence[Tensor], other: Sequence[Tensor], tolerance: float) -> None:
    """Raises unless both results agree, relative to the norm of each tensor."""
    for a, b in zip(mine, other, strict=True):
        apart = float((a - b).norm() / b.norm())
        if not apart <= tolerance:
            raise click.ClickException(f"the two differ by {apart:.1e}, more than {tolerance:.0e}: nothing is measured")


def measure(name: str, size: Size, run: Run, device: torch.device, repeat: int) -> Iterator[dict[str, object]]:
    """Rows of one size: forward and training."""
    x, block = size.tokens(device), size.block(device)
    shape = f"{len(x)} x {size.B} tokens, D {size.D} H {size.H} Y {size.Y} M {size.M}, {run.precision}"
    for way, function in PASSES.items():
        with autocast(run, device):
            mine, other = partial(function, ours, block, x), partial(function, theirs, block, x)
            agree(mine(), other(), 1e-3 if run.precision == "float32" else 0.1)
            low = x.to(getattr(torch, run.precision))
            taken = turns((mine, other, products(size, low, function is training)), device, repeat)
        yield row(f"{name}: {way}; {shape}", taken / [block.steps, block.steps, 1])


@click.command(help=__doc__)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True)
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True)
@click.option("--repeat", type=click.IntRange(min=3), default=15, show_default=True, help="Turns per row.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True)
def main(device: str, precision: str, repeat: int, out: Path) -> None:
    run = build(Run, {"seed": 0, "device": device, "precision": precision, "threads": 1, "micro_batch": 1}, "run")
    where, at = device_of(run), commit()
    keep_freed_memory()  # as the trainings do
    rows = []
    for name, size in SIZES.items():
        for found in measure(name, size, run, where, repeat):
            rows.append(found)
            click.echo(summary(found))
    write_json(out, {"rows": rows, "device": describe(where), "commit": at})


if __name__ == "__main__":
    main()
