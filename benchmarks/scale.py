"""What 50,000 pictures, 12 layers of 5 networks cost: time and storage, from measured rates.

    python -m benchmarks.scale [--device cuda]

Rates are of one thread (or one GPU) at 224 px with random weights, which are as fast as trained ones: `extract` with the
statistics of all layers, a step of the inversion of a layer (12 layers over the depth of the network), and a pass of a shipped
decoder with its network. Writes docs/results/scale.csv.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.common import command, commit
from benchmarks.speed import descent, features, images
from benchmarks.timing import seconds
from relume.core.files import write_csv, write_json
from relume.core.runtime import describe
from relume.methods.decoder.infer import apply
from relume.methods.decoder.model import read_decoder
from relume.networks import network as networks
from relume.networks.extract import ForwardPass, Pictures, extract

OUT = Path("docs/results/scale.csv")
PICTURES, TAPS, STEPS, SIZE = 50_000, 12, 200, 224
NETWORKS = ("alexnet_conv", "squeezenet1_1", "efficientnet_lite0", "resnet50", "vgg16_conv")
BATCH = 4
COLUMNS = ("work", "network", "unit", "rate", "lowest", "highest", "n", "amount", "hours", "gigabytes")
Rates = list[float]


def spread(names: list[str]) -> list[str]:
    """TAPS of them, from the first to the last."""
    return [names[at] for at in np.linspace(0, len(names) - 1, TAPS).round().astype(int)]


def taps_of(name: str) -> list[str]:
    return spread([tap for tap in networks.facts_of(name).taps if tap != "logits"])


def rates(function: Callable[[], object], work: float, device: torch.device, turns: int) -> Rates:
    """`work` per second, in each of the turns after a first one."""
    function()
    return [work / seconds(function, device, 1) for _ in range(turns)]


def row(work: str, name: str, unit: str, found: Rates, *, amount: int, size: float) -> dict[str, Any]:
    """`size`: bytes of what it writes."""
    rate = float(np.median(found))
    about = {"rate": rate, "lowest": min(found), "highest": max(found), "n": len(found)}
    return {"work": work, "network": name, "unit": unit, **about, "amount": amount, "hours": amount / rate / 3600} | {
        "gigabytes": size / 1e9
    }


def extraction(name: str, device: torch.device, turns: int) -> dict[str, Any]:
    through = ForwardPass(network=networks.random(name, device=device), device=device, micro_batch=BATCH)
    pixels = (255 * images(2 * BATCH, SIZE).permute(0, 2, 3, 1)).byte().numpy()
    pictures = Pictures(dataset="noise", images=pixels, sample=range(len(pixels)), split="train")
    with tempfile.TemporaryDirectory() as temporary:
        found = rates(lambda: extract(through, pictures, Path(temporary) / "features", budget_mb=0), len(pixels), device, turns)
    with torch.no_grad():
        _, first = next(through.stream(pixels, [0], taps_of(name)))
    numbers = sum(value.numel() for value in first.values())
    return row("extract", name, "pictures/s", found, amount=PICTURES, size=2 * numbers * PICTURES)


def inversion(name: str, device: torch.device, turns: int) -> dict[str, Any]:
    """A turn is a step of each of the layers."""
    network = networks.random(name, device=device)
    spent = np.zeros(turns)
    for tap in taps_of(name):
        step, _ = descent(network, tap, BATCH, 2, size=SIZE, device=device)
        spent += [1 / rate for rate in rates(step, 1, device, turns)]
    found = (TAPS * BATCH / spent).tolist()
    return row("invert", name, "picture-steps/s", found, amount=PICTURES * TAPS * STEPS, size=PICTURES * TAPS * 3 * SIZE**2)


def decoding(folder: Path, device: torch.device, turns: int) -> dict[str, Any]:
    """From the picture to its features to the picture."""
    decoder = read_decoder(folder, device)
    network, x = networks.random(decoder.network, device=device), images(BATCH, decoder.size).to(device)
    (tap,) = decoder.taps

    def once() -> None:
        with torch.no_grad():
            apply(decoder, {tap: features(network, tap, x)})

    work = f"decode {tap}, {decoder.size} px"
    found = rates(once, BATCH, device, turns)
    return row(work, decoder.network, "pictures/s", found, amount=PICTURES, size=PICTURES * 3 * decoder.size**2)


@click.command(help=__doc__)
@click.option("--device", type=click.Choice(["cpu", "cuda", "mps"]), default="cpu", show_default=True)
@click.option("--turns", type=click.IntRange(min=2), default=3, show_default=True, help="Of each rate.")
@click.option("--network", "names", type=click.Choice(NETWORKS), multiple=True, default=NETWORKS, help="[all]")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True)
def main(device: str, turns: int, names: tuple[str, ...], out: Path) -> None:
    torch.set_num_threads(1)
    started, at, place, rows = time.perf_counter(), commit(), torch.device(device), list[dict[str, Any]]()
    for name in names:
        for measure in (extraction, inversion):
            rows.append(measure(name, place, turns))
            click.echo("{work} {network}: {rate:.3g} {unit}, {hours:.3g} hours".format(**rows[-1]))
    for folder in (Path("models/pretrained/alexnet_conv3_128"), Path("models/pretrained/alexnet_conv5_224")):
        rows.append(decoding(folder, place, turns))
        click.echo("{work}: {rate:.3g} {unit}, {hours:.3g} hours".format(**rows[-1]))
    write_csv(out, COLUMNS, rows)
    about = {"command": command("benchmarks.scale"), "commit": at, "device": describe(place), "n": turns}
    write_json(
        out.with_suffix(".json"), about | {"data": f"noise at {SIZE} px", "seconds": round(time.perf_counter() - started, 1)}
    )


if __name__ == "__main__":
    main()
