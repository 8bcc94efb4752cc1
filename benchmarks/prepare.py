"""Speed of preparing images, against torchvision's ImageFolder transforms in a DataLoader that fills the same file.

    python -m benchmarks.prepare --folder PHOTOS

Both decode JPEG files on all cores, short side to 256, centre crop of 224, into one uint8 array on disk; start-up counts. Without
a folder it uses crops of the photographs in the packages, as JPEG files of 500x375.
"""

import functools
import platform
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
from PIL import Image

from relume.core.files import write_json
from relume.data.archives import is_image
from relume.data.decode import decode
from relume.data.pictures import Contents, File, Picture
from relume.data.sources.photos import PHOTOS, load
from relume.data.write import render, workers, write

SIZE, SHORT_SIDE = 224, 256
OUT = Path("metrics/benchmarks/prepare.json")


def ours(files: list[Path], root: Path) -> None:
    pictures = [Picture(f"{k}", "train", "", f"{k}", File(path.name, path)) for k, path in enumerate(files)]
    contents = Contents(pictures=pictures, classes=[], licence="", origin=[])
    write(root / "ours", contents, name="ours", size=SIZE, short_side=SHORT_SIDE)


def theirs(files: list[Path], root: Path) -> None:
    from torch.utils.data import DataLoader
    from torchvision import transforms

    steps = [transforms.Resize(SHORT_SIDE), transforms.CenterCrop(SIZE), np.asarray, np.copy]
    dataset: Any = Listed(files, transforms.Compose(steps))
    shape = (len(files), SIZE, SIZE, 3)
    images = np.lib.format.open_memmap(root / "theirs.npy", mode="w+", dtype=np.uint8, shape=shape)
    start = 0
    for batch in DataLoader(dataset, batch_size=32, num_workers=workers(), collate_fn=np.stack):
        images[start : start + len(batch)] = batch
        start += len(batch)
    images.flush()


class Listed:
    """What torchvision's ImageFolder does with each file, over a list of them."""

    def __init__(self, files: list[Path], transform: Callable[[Image.Image], np.ndarray]) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> np.ndarray:
        with self.files[number].open("rb") as file:
            return self.transform(Image.open(file).convert("RGB"))


def limit(files: list[Path]) -> float:
    """Pictures per second of decoding and resizing alone, split evenly over the cores."""
    sample = [File(path.name, path) for path in files[:200]]
    start = time.perf_counter()
    for material in sample:
        render(material, size=SIZE, short_side=SHORT_SIDE)
    return len(sample) / (time.perf_counter() - start) * workers()


def timed(function: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and the most memory (MiB, shared pages counted once) that all processes held at a time beyond the start's."""
    here, most, done = psutil.Process(), 0.0, threading.Event()
    start_memory = here.memory_full_info().pss

    def watch() -> None:
        nonlocal most
        while not done.wait(0.2):
            most = max(most, sum(map(_pss, [here, *here.children(recursive=True)])) - start_memory)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    function()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return seconds, most / 2**20


def _pss(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss)
    except psutil.Error:  # it has just ended
        return 0.0


def shipped(root: Path) -> list[Path]:
    """500 different crops."""
    files = []
    for number, photo in enumerate(islice(cycle(PHOTOS), 500)):
        pixels, generator = load(photo.name), np.random.default_rng(number)
        top, left = (generator.integers(side - side // 2) for side in pixels.shape[:2])
        crop = Image.fromarray(pixels[top : top + pixels.shape[0] // 2, left : left + pixels.shape[1] // 2])
        files.append(root / f"{number}.jpg")
        crop.resize((500, 375)).save(files[-1], quality=92)
    return files


def row(what: str, mine: list[float], other: list[float], *, unit: str, top: float | None, n: int) -> dict[str, object]:
    """The ratio of means, with a bootstrap interval over the repetitions, which alternate."""
    a, b = np.array(mine), np.array(other)
    draws = np.random.default_rng(0).integers(len(a), size=(5000, len(a)))
    low, high = np.quantile(a[draws].mean(1) / b[draws].mean(1), [0.025, 0.975])
    values = {"ours": a.mean(), "theirs": b.mean(), "limit": top, "ratio": a.mean() / b.mean(), "ratio_lo": low, "ratio_hi": high}
    return {"what": what, "unit": unit, "n": n} | {key: value and round(float(value), 4) for key, value in values.items()}


@click.command(help=__doc__)
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A tree of JPEG pictures.")
@click.option(
    "--count",
    type=click.IntRange(min=100),
    default=2000,
    show_default=True,
    help="Number of files; they are repeated if there are fewer.",
)
@click.option("--repeat", type=click.IntRange(min=3), default=5, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True)
def main(folder: Path | None, count: int, repeat: int, out: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        found = sorted(path for path in folder.rglob("*") if is_image(path.name)) if folder else shipped(root)
        files = list(islice(cycle(found), count))
        for path in found:
            decode(path.read_bytes())  # checks that all are readable, and fills the system's cache
        measured = {function: [] for function in (ours, theirs)}  # type: ignore[var-annotated]
        theirs(files[:64], root)  # torchvision's import is not counted
        tops = []
        for _ in range(repeat):
            tops.append(limit(files))
            for function, results in measured.items():
                results.append(timed(functools.partial(function, files, root)))
        speed = {function: [count / seconds for seconds, _ in results] for function, results in measured.items()}
        memory = {function: [most for _, most in results] for function, results in measured.items()}
        rows = [
            row(
                f"prepare {count} pictures, 224 px",
                speed[ours],
                speed[theirs],
                unit="pictures/s",
                top=float(np.mean(tops)),
                n=repeat,
            ),
            row("prepare, peak memory", memory[ours], memory[theirs], unit="MiB", top=None, n=repeat),
        ]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    write_json(out, {"rows": rows, "device": f"cpu ({platform.machine()}, {workers()} cores)", "commit": commit})
    for each in rows:
        click.echo(f"{each['what']}: ours {each['ours']:.4g}, theirs {each['theirs']:.4g} {each['unit']}, limit {each['limit']}")


if __name__ == "__main__":
    main()
