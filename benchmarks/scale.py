"""What 50,000 pictures, 12 layers of 5 networks cost: time and storage from measured rates, and peak memory over more pictures.

    python -m benchmarks.scale [--device cuda]

Rates are of one thread (or one GPU) at 224 px with random weights, which are as fast as trained ones: `extract` with the
statistics of all layers, a step of the inversion of a layer (12 layers over the depth of the network), and a pass of a shipped
decoder with its network. Writes docs/results/scale.csv. With `--memory`, it measures the memory of all processes together, beyond
files that are mapped, with more and more pictures: an inversion of two steps at 32 px; `prepare` of a tar of synthetic JPEG files
as source `imagenet_val` at 64 px, and `extract`. Writes docs/results/scale_memory.csv.
"""

import io
import multiprocessing
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks.common import command, commit
from benchmarks.speed import descent, features, images
from benchmarks.timing import seconds
from relume.core.config import read_params
from relume.core.files import Scratch, find_root, sha256, write_csv, write_json
from relume.core.results import write_group
from relume.core.run import Run
from relume.core.runtime import describe
from relume.data.config import ImagenetVal
from relume.data.prepare import prepare
from relume.data.store import Dataset
from relume.data.write import Rows
from relume.methods.decoder.infer import apply
from relume.methods.decoder.model import read_decoder
from relume.methods.optimise.config import variation
from relume.methods.optimise.infer import Work, invert
from relume.methods.optimise.targets import Provider
from relume.methods.optimise.terms import Material, objective
from relume.networks import network as networks
from relume.networks.extract import ForwardPass, Pictures, extract
from relume.networks.weights import WeightStore

OUT = Path("docs/results/scale.csv")
PICTURES, TAPS, STEPS, SIZE = 50_000, 12, 200, 224
NETWORKS = ("alexnet_conv", "squeezenet1_1", "efficientnet_lite0", "resnet50", "vgg16_conv")
BATCH = 4
SMALL, SMALLEST, SHARD = 64, 32, 64  # for memory: pixels, pixels of an inversion, its images per shard
COLUMNS = ("work", "network", "unit", "rate", "lowest", "highest", "n", "amount", "hours", "gigabytes")
MEMORY = ("work", "pictures", "mib", "seconds")
SMAPS = re.compile(r"^Pss_(?:Anon|Shmem): +(\d+) kB", re.MULTILINE)
CPU = torch.device("cpu")
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


def archive(root: Path, count: int) -> None:
    """As many different JPEG files of 160x120 as the official tar of the validation images holds them, and their classes."""
    with tarfile.open(root / "val.tar", "w") as tar:
        for number in range(1, count + 1):
            coarse = np.random.default_rng(number).integers(256, size=(24, 32, 3), dtype=np.uint8)
            file = io.BytesIO()
            Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC).save(file, "JPEG", quality=92)
            about = tarfile.TarInfo(f"ILSVRC2012_val_{number:08d}.JPEG")
            about.size = file.tell()
            file.seek(0)
            tar.addfile(about, file)
    (root / "truth.txt").write_text("".join(f"{number % 1000}\n" for number in range(count)))


def prepared(root: Path, count: int) -> None:
    files = {"archive": str(root / "val.tar"), "truth": str(root / "truth.txt"), "verify": False}
    numbers = {"pixels": SMALL, "short_side": SMALL, "seed": 0, "test": 1, "val": 1}
    prepare(ImagenetVal(source="imagenet_val", **files, **numbers), root / "val", name="val")  # type: ignore[arg-type]


def extracted(root: Path, count: int) -> None:
    """All layers' statistics over all pictures, and the values of the last."""
    torch.set_num_threads(1)
    through = ForwardPass(network=networks.random("alexnet_conv"), device=CPU, micro_batch=BATCH)
    pictures = Pictures(dataset="val", images=Dataset.open(root / "val").images, sample=range(count), split="all")
    extract(through, pictures, root / "features", budget_mb=max(1, count // 1000))


def noise(folder: Path, count: int) -> Dataset:
    with Rows(folder / "images.npy", SMALLEST) as rows:
        for number in range(count):
            rows.append(np.random.default_rng(number).integers(256, size=(SMALLEST, SMALLEST, 3), dtype=np.uint8))
    index = ({"id": str(n), "split": "test", "label": "", "source": str(n), "sha1": ""} for n in range(count))
    write_csv(folder / "index.csv", ("id", "split", "label", "source", "sha1"), index)
    about = {"size": SMALLEST, "counts": {"all": count}, "index_sha256": sha256(folder / "index.csv")}
    write_json(folder / "manifest.json", about)
    return Dataset.open(folder)


def inverted(root: Path, count: int) -> None:
    """From conv2 of AlexNet with random weights."""
    torch.set_num_threads(1)
    (root / "noise").mkdir()
    data = noise(root / "noise", count)
    name, params = "alexnet_conv", read_params(find_root(Path.cwd()) / "params.yaml")
    plain: dict[str, Any] = {"network": name, "taps": {"conv2": 1.0}, "dataset": "noise", "split": "test", "steps": 2}
    plain |= {"count": None, "restarts": 1, "init": {"base": "grey"}}
    config, _ = variation(params["invert_optimise"], {"feature": 1.0, "tv": 0.1}, plain, "scale")
    goal = objective(config, Material(store=WeightStore(), device=CPU))
    provider = Provider(data, {name: networks.random(name)}, CPU)
    run = Run(seed=0, device="cpu", precision="float32", threads=1, micro_batch=SHARD)
    work = Work(name="scale", config=config, run=run, objective=goal, provider=provider, scratch=Scratch(root / "scratch"))
    images, rows, trace, timing = invert(work, root / "group")
    write_group(root / "group", images=images, rows=rows, trace=trace, timing=timing, method={})


def peak(function: Callable[[Path, int], None], root: Path, count: int) -> tuple[float, float]:
    """MiB and seconds of a process of its own and those that it starts. Pages of mapped files do not count: the system takes
    them back when it needs memory."""
    started, most = time.perf_counter(), 0.0
    process = multiprocessing.get_context("spawn").Process(target=function, args=(root, count))
    process.start()
    while process.is_alive():
        most = max(most, own(psutil.Process(process.pid)))
        process.join(0.1)
    if process.exitcode:
        raise click.ClickException(f"{function.__name__} of {count} pictures ended with {process.exitcode}")
    return most, time.perf_counter() - started


def own(process: psutil.Process) -> float:
    total = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            total += sum(map(int, SMAPS.findall(Path(f"/proc/{one.pid}/smaps_rollup").read_text())))
    except (psutil.Error, OSError):  # it has just ended
        return 0.0
    return total / 1024


def memory(counts: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    for works in ({"invert": inverted}, {"prepare": prepared, "extract": extracted}):
        for count in counts:
            with tempfile.TemporaryDirectory() as temporary:
                if "prepare" in works:
                    archive(Path(temporary), count)
                for work, function in works.items():
                    mib, taken = peak(function, Path(temporary), count)
                    yield {"work": work, "pictures": count, "mib": mib, "seconds": taken}


@click.command(help=__doc__)
@click.option("--device", type=click.Choice(["cpu", "cuda", "mps"]), default="cpu", show_default=True)
@click.option("--turns", type=click.IntRange(min=2), default=3, show_default=True, help="Of each rate.")
@click.option("--count", "counts", type=int, multiple=True, default=(200, 2000, 8000), show_default=True, help="Of pictures.")
@click.option("--network", "names", type=click.Choice(NETWORKS), multiple=True, default=NETWORKS, help="[all]")
@click.option("--memory", "peaks", is_flag=True, help="Peak memory, not rates.")
@click.option("--out", type=click.Path(path_type=Path), help="[docs/results/scale.csv, or scale_memory.csv]")
def main(device: str, turns: int, counts: tuple[int, ...], names: tuple[str, ...], peaks: bool, out: Path | None) -> None:
    torch.set_num_threads(1)
    started, at, place, rows = time.perf_counter(), commit(), torch.device(device), list[dict[str, Any]]()
    out = out or (OUT.with_name("scale_memory.csv") if peaks else OUT)
    if peaks:
        for one in memory(counts):
            rows.append(one)
            write_csv(out, MEMORY, rows)
            click.echo("{work} of {pictures} pictures: {mib:.0f} MiB, {seconds:.0f} s".format(**one))
        data = f"synthetic JPEG files of 160x120, prepared at {SMALL} px; inversions of noise at {SMALLEST} px, 2 steps"
        about = {"command": command("benchmarks.scale"), "commit": at, "device": describe(place), "n": 1, "data": data}
        write_json(out.with_suffix(".json"), about | {"seconds": round(time.perf_counter() - started, 1)})
        return
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
