"""Ways to run three steps on a GPU: bfloat16, torch.compile and CUDA graphs, checked and timed against float32.

    python -m benchmarks.cuda
    python -m benchmarks.cuda --toy     on the CPU at a toy size: executes everything but the graphs

A step is a forward and backward pass of an inversion (the gradient of the pixels), a decoder and an Energy Transformer (gradients
of all weights). A way is timed only if its loss and gradients are those of float32 within TOLERANCE, relative to their norm. In a
row `theirs` is float32.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.common import commit
from benchmarks.timing import Row, row, summary, turns
from relume.core.config import build
from relume.core.files import write_json
from relume.core.runtime import describe
from relume.losses.feature import relative_l2
from relume.methods.decoder.config import MultiScale
from relume.methods.decoder.model import build as decoder_of
from relume.methods.masked.config import EnergyTransformerConfig
from relume.methods.masked.energy_transformer import EnergyTransformer
from relume.networks import network as networks
from relume.networks.taps import compute

OUT = Path("metrics/benchmarks/cuda.json")
TOLERANCE = {"bfloat16": 0.1, "compile": 1e-3, "graphs": 1e-4}
ENERGY = {"kind": "energy_transformer", "heads": 4, "key": 32, "steps": 4, "alpha": 0.2, "beta": 1.0, "init": 0.05}
Step = Callable[[], list[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Work:
    """`loss` of the module, and the tensors by which it is derived."""

    what: str
    module: nn.Module
    loss: Callable[[Any], Tensor]
    by: Sequence[Tensor]

    def step(self, called: Any) -> list[Tensor]:
        """`called`: the module, or what is compiled from it."""
        loss = self.loss(called)
        return [loss.detach(), *torch.autograd.grad(loss, self.by)]


def works(device: torch.device, toy: bool) -> Iterator[Work]:
    torch.manual_seed(0)
    count, size, width = (2, 64, 32) if toy else (64, 224, 256)
    images, other = torch.rand(2, count, 3, size, size, device=device)
    network = networks.random("alexnet_conv", device=device)
    with torch.no_grad():
        target, seen = network(other), compute({"it": network}, images, {"it": ["conv3"]})["it"]
    x = images.clone().requires_grad_()
    what = f"{count} pictures of {size} px"
    yield Work(what=f"inversion: {what}", module=network, loss=lambda f: relative_l2(f(x), target).sum(), by=[x])

    shapes = {tap: tuple(value.shape[1:]) for tap, value in seen.items()}
    decoder = decoder_of(shapes, size, build(MultiScale, {"kind": "multi_scale", "width": width, "finest": None}, "decoder"))
    decoder = decoder.to(device)
    yield Work(what=f"decoder: {what}", module=decoder, loss=lambda f: F.mse_loss(f(seen), images), by=[*decoder.parameters()])

    own = ENERGY | {"width": width, "memories": 4 * width}
    energy = EnergyTransformer(build(EnergyTransformerConfig, own, "energy_transformer"), 32, 4).to(device)
    small = F.interpolate(images, 32)
    hidden = torch.rand(count, 8, 8, device=device) < 0.85
    what = f"Energy Transformer: {count} pictures of 32 px"
    yield Work(what=what, module=energy, loss=lambda f: f(small, hidden).loss.mean(), by=[*energy.parameters()])


def ways(work: Work, device: torch.device, toy: bool) -> Iterator[tuple[str, Step]]:
    def half() -> list[Tensor]:
        with torch.autocast(device.type, torch.bfloat16):
            return work.step(work.module)

    yield "bfloat16", half
    compiled = torch.compile(work.module, backend="eager" if toy else "inductor")
    yield "compile", lambda: work.step(compiled)
    if device.type == "cuda":
        yield "graphs", captured(lambda: work.step(work.module))


def captured(step: Step) -> Step:
    """The step as a CUDA graph. It writes into the same tensors at every call."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()

    def replay() -> list[Tensor]:
        graph.replay()
        return found

    return replay


def apart(mine: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """The distance of all results, relative to the norm of the other's."""
    a, b = (torch.cat([one.double().flatten() for one in found]) for found in (mine, other))
    return float((a - b).norm() / b.norm())


def measure(work: Work, device: torch.device, toy: bool, repeat: int) -> Iterator[Row]:
    def plain() -> list[Tensor]:
        return work.step(work.module)

    for name, step in ways(work, device, toy):
        distance, most = apart(step(), plain()), TOLERANCE[name]
        if not distance <= most:
            raise click.ClickException(f"{work.what}: {name} differs from float32 by {distance:.1e}, more than {most:.0e}")
        yield {**row(f"{name}, {work.what}", turns((step, plain), device, repeat)), "apart": distance}


@click.command(help=__doc__)
@click.option("--toy", is_flag=True, help="On the CPU, at a toy size.")
@click.option("--repeat", type=click.IntRange(min=3), default=15, show_default=True, help="Turns per row.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True)
def main(toy: bool, repeat: int, out: Path) -> None:
    if not toy and not torch.cuda.is_available():
        raise click.ClickException("no CUDA device was found; --toy executes the script on the CPU")
    device, at, rows = torch.device("cpu" if toy else "cuda"), commit(), list[Row]()
    torch.backends.cudnn.allow_tf32 = False  # convolutions in full float32
    for work in works(device, toy):
        for found in measure(work, device, toy, repeat):
            rows.append(found)
            click.echo(f"{summary(found)}, {found['apart']:.0e} apart")
    write_json(out, {"rows": rows, "device": describe(device), "commit": at})


if __name__ == "__main__":
    main()
