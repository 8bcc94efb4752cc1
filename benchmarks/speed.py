"""Speed of what users wait for: ours, a plain implementation of the same, and the network alone.

    python -m benchmarks.speed

`theirs` is the plain way: an inversion with a forward pass per term that needs features, which reads every value back in every
step; a training loop of its own; the forward pass alone for features. `limit` is the forward and backward pass of the inverted
network, cut off after the tap; of `extract`, a forward pass that keeps all taps and reads them once. All take turns in one
process on one thread. The weights of the networks come with packages.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.common import commit
from benchmarks.timing import Row, row, summary, turns
from relume.api.models import Store
from relume.core.config import entry, read_params
from relume.core.files import find_root, write_json
from relume.core.run import Run
from relume.core.runtime import describe
from relume.data.store import Dataset
from relume.losses.feature import relative_l2
from relume.losses.image import tv
from relume.losses.objective import Objective
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips
from relume.methods.decoder.config import DecoderConfig
from relume.methods.decoder.train import DecoderTrainer
from relume.methods.optimise.config import variation
from relume.methods.optimise.optimise import Descent, forward_pass
from relume.methods.optimise.problem import problem
from relume.methods.optimise.terms import Material, objective
from relume.networks.extract import ForwardPass, Pictures, extract
from relume.networks.network import Network, load
from relume.networks.taps import collect, compute
from relume.training.loop import TrainState
from relume.training.trainer import Setup

OUT = Path("metrics/benchmarks/speed.json")
CPU = torch.device("cpu")
STORE = Store()
ADAM = {"rule": "adam", "learning_rate": [[0, 0.01]], "warmup": 0, "cosine": False}
TERMS = {"feature": 1.0, "tv": 0.1, "lpips": 0.1, "pixel": 0.1}
CASES = (("alexnet_conv", "conv5", 8), ("vgg16_conv", "conv4_3", 2), ("efficientnet_lite0", "stage4", 4))
SIZE = 128
RUN = Run(seed=0, device="cpu", precision="float32", threads=1, micro_batch=8)


def images(count: int, size: int = SIZE) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def features(network: Network, tap: str, x: Tensor) -> Tensor:
    """Of the network cut off after the tap."""
    with collect(network, [tap]) as tapped:
        return tapped(x)[tap]


def descent(
    network: Network, tap: str, count: int, terms: int, *, size: int = SIZE, device: torch.device = CPU
) -> tuple[Callable[[], Tensor], Tensor]:
    """A function that does one step of our inversion and returns the pictures, and the pictures that it starts from."""
    name, params = network.facts.name, read_params(find_root(Path.cwd()) / "params.yaml")
    plain: dict[str, Any] = {"network": name, "taps": {tap: 1.0}, "parametrisation": {"kind": "pixels", "box": "projection"}}
    plain |= {"steps": 10**6, "trace_every": 10**6, "optimiser": ADAM}
    plain |= {"dataset": "noise", "terms": {"lpips": {"network": "alex"}}}
    config, _ = variation(params["invert_optimise"], dict(list(TERMS.items())[:terms]), plain, "speed")
    goal: Objective = objective(config, Material(store=STORE, device=device))
    known = {one: network if one == name else load(one, STORE, device) for one in {*goal.needs, *goal.targets}}
    truth = images(count, size).to(device)
    with torch.no_grad():
        targets = compute(known, truth, goal.targets)
    names = [str(number) for number in range(count)]
    found = problem(config, RUN, goal, known, targets, names, size=size, device=device, originals=truth)
    state = Descent(found, config)
    state.moments = state.moments[:0]  # no record of the way

    def step() -> Tensor:
        with forward_pass(found) as forward:
            state.advance(forward, lambda report: None)
        return state.code.detach()

    return step, found.start


def plain_descent(network: Network, tap: str, start: Tensor, terms: int) -> Callable[[], Tensor]:
    """The same as it is usually written: a forward pass per term, every value read back in every step."""
    truth, x = images(len(start)), start.clone().requires_grad_()
    with torch.no_grad():
        target = features(network, tap, truth)
    optimizer = torch.optim.Adam([x], lr=0.01)
    other, taps = load("alexnet_conv", STORE, CPU), LPIPS_TAPS["alex"][1]
    heads = heads_of("alex", STORE.tensors("lpips_alex"))

    def seen(pictures: Tensor) -> list[Tensor]:
        with collect(other, taps) as tapped:
            return [*tapped(pictures).values()]

    with torch.no_grad():
        wanted = seen(truth)
    losses: dict[str, Callable[[], Tensor]] = {
        "feature": lambda: relative_l2(features(network, tap, x), target),
        "tv": lambda: tv(x, 2.0),
        "lpips": lambda: lpips(seen(x), wanted, heads),
        "pixel": lambda: (x - truth).square().flatten(1).mean(1),
    }

    def step() -> Tensor:
        optimizer.zero_grad()
        total = torch.zeros(())
        for name, weight in list(TERMS.items())[:terms]:
            value = weight * losses[name]().sum()
            value.item()
            total = total + value
        total.backward()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
        return x.detach()

    return step


def bare(network: Network, tap: str, count: int) -> Callable[[], Tensor]:
    """The forward and backward pass alone."""
    x = images(count).requires_grad_()

    def step() -> Tensor:
        return torch.autograd.grad(features(network, tap, x).square().sum(), x)[0]

    return step


def agree(mine: Tensor, other: Tensor) -> None:
    """After their first step. Adam moves every pixel by about its rate, whose sign is chance where the gradient is all but 0."""
    apart = float((mine - other).abs().mean())
    if not apart < 1e-4:
        raise click.ClickException(f"the two ways differ by {apart:.1e} after a step, more than 1e-4: nothing is measured")


def inversions(repeat: int) -> Iterator[Row]:
    for name, tap, count in CASES:
        network = load(name, STORE, CPU)
        limit = bare(network, tap, count)
        for terms in (1, 2, 4):
            ours, start = descent(network, tap, count, terms)
            plain = plain_descent(network, tap, start, terms)
            agree(ours(), plain())
            what = f"inversion step: {name} {tap}, {count} pictures of {SIZE} px, {terms} term{'s' if terms > 1 else ''}"
            yield row(what, turns((ours, plain, limit), CPU, repeat))


def batches(repeat: int) -> Iterator[Row]:
    """A batch against as many runs of one picture each."""
    network = load("alexnet_conv", STORE, CPU)
    single, _ = descent(network, "conv5", 1, 2)
    for count in (4, 16):
        together, _ = descent(network, "conv5", count, 2)

        def apart(count: int = count) -> None:
            for _ in range(count):
                single()

        taken = turns((together, apart), CPU, repeat)
        yield row(f"batch of {count} against single pictures: alexnet_conv conv5", taken, work=count, unit="pictures/s")


def decoders(repeat: int) -> Iterator[Row]:
    """A training step of a decoder of conv3, against a loop without a frame."""
    network, params = load("alexnet_conv", STORE, CPU), read_params(find_root(Path.cwd()) / "params.yaml")["train_decoder"]
    pixels = (255 * images(24).permute(0, 2, 3, 1)).byte().numpy()
    index = [{"id": str(at), "split": "val" if at > 20 else "train", "label": "", "source": str(at)} for at in range(len(pixels))]
    own: dict[str, Any] = {"network": "alexnet_conv", "taps": ["conv3"], "dataset": "noise", "losses": {"lpips": 0.0}}
    own["architecture"] = {"width": 64, "finest": 64}
    config = entry(DecoderConfig, params["shared"], own, "speed")
    config = replace(config, augment=replace(config.augment, flip=False, crop=0.0, colour=0.0))
    dataset = Dataset(name="noise", size=SIZE, images=pixels, index=index, manifest={})
    setup = Setup(name="speed", config=config, run=RUN, dataset=dataset, store=STORE, device=CPU)
    ours, theirs = TrainState(DecoderTrainer(setup)), DecoderTrainer(setup).module.train()
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3)

    def plain() -> None:
        x = torch.from_numpy(pixels[np.random.default_rng(0).permutation(21)[: config.training.batch]])
        x = x.permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            seen = features(network, "conv3", x)
        loss = F.mse_loss(theirs({"conv3": seen}), x)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
        loss.item()

    yield row(
        f"decoder training step: alexnet_conv conv3, batch {config.training.batch}", turns((ours.advance, plain), CPU, repeat)
    )


def forms(repeat: int) -> Iterator[Row]:
    """Forward and backward pass of a network in bfloat16, and in channels_last, as it is loaded."""
    for name, tap, count in CASES:
        plain, other = bare(load(name, STORE, CPU), tap, count), load(name, STORE, CPU)
        other.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

        def half(plain: Callable[[], Tensor] = plain) -> None:
            with torch.autocast("cpu", torch.bfloat16):
                plain()

        # without the conversion of the pictures
        other.run = other.body.__call__  # type: ignore[method-assign]
        what = f"{name} {tap}, {count} pictures of {SIZE} px"
        yield row(f"bfloat16 against float32: {what}", turns((half, plain), CPU, repeat))
        yield row(f"channels_last against contiguous: {what}", turns((plain, bare(other, tap, count)), CPU, repeat))


def extraction(repeat: int) -> Iterator[Row]:
    """Statistics of all taps against the forward pass of the network alone."""
    pixels = (255 * images(32, 224).permute(0, 2, 3, 1)).byte().numpy()
    pictures = Pictures(dataset="noise", images=pixels, sample=range(len(pixels)), split="train")
    for name in ("alexnet_conv", "efficientnet_lite0", "vgg16_conv"):
        network = load(name, STORE, CPU)
        through = ForwardPass(network=network, device=CPU, micro_batch=RUN.micro_batch)

        @torch.no_grad()
        def plain(network: Network = network) -> None:
            for at in range(0, len(pixels), RUN.micro_batch):
                network(torch.from_numpy(pixels[at : at + RUN.micro_batch]).permute(0, 3, 1, 2).float() / 255)

        def limit(through: ForwardPass = through) -> None:
            for _, values in through.stream(pixels, pictures.sample, list(through.network.facts.taps)):
                for value in values.values():
                    value.sum()

        with tempfile.TemporaryDirectory() as temporary:

            def ours(through: ForwardPass = through, out: Path = Path(temporary) / "features") -> None:
                extract(through, pictures, out, budget_mb=0)

            taken = turns((ours, plain, limit), CPU, max(3, repeat // 3))
        yield row(f"extract: {name}, {len(pixels)} pictures of 224 px", taken, work=len(pixels), unit="pictures/s")


def starts(repeat: int) -> Iterator[Row]:
    """Processor seconds of `--help`, which imports what a run imports at its start, against `import torch`."""
    root = find_root(Path.cwd())
    commands: dict[str, tuple[str, ...]] = {
        f"start-up: {path.stem}": ("-m", f"stages.{path.stem}", "--help") for path in sorted((root / "stages").glob("[a-z]*.py"))
    }
    commands["start-up: relume --help"] = ("-m", "relume.cli.main", "--help")

    kept = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # compiled once, as it is for users

    def cpu(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], cwd=root, env=kept, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    for what, arguments in commands.items():
        cpu(*arguments)
        taken = np.array([(cpu(*arguments), cpu("-c", "import torch")) for _ in range(max(3, repeat // 3))])
        yield row(what, taken, unit="starts/s")


PARTS = {"inversion": inversions, "batch": batches, "decoder": decoders, "form": forms, "extract": extraction, "start": starts}


@click.command(help=__doc__)
@click.option("--part", "parts", type=click.Choice(list(PARTS)), multiple=True, help="Only this; may be repeated.  [all]")
@click.option("--repeat", type=click.IntRange(min=3), default=15, show_default=True, help="Turns per row.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True)
def main(parts: tuple[str, ...], repeat: int, out: Path) -> None:
    torch.set_num_threads(1)
    at, rows = commit(), list[Row]()
    for part in parts or PARTS:
        for found in PARTS[part](repeat):
            rows.append(found)
            limit = f", limit {found['limit']}" if found["limit"] else ""
            click.echo(summary(found) + limit)
    write_json(out, {"rows": rows, "device": describe(CPU), "commit": at})


if __name__ == "__main__":
    main()
