"""Peak memory of `prepare`, `extract` and an inversion over more and more pictures, up to all of ImageNet's validation set.

    python -m benchmarks.memory --folder PHOTOS [--count 50000]

Of all processes of the command together, with and without the pages of mapped files, which the system takes back when it needs
memory. The stages `prepare` and `extract` have the parameters of presets/decoders_all.yaml, the network is AlexNet: statistics of
all layers, values of one with 256 maps of 13x13 and of the pooled ones. The archive has the form of ImageNet's and holds random
parts of the photographs, at 500x375. The inversion has two steps, at 32 px. 50,000 pictures take 18 GB on disk (TMPDIR).
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
import torch
import yaml
from PIL import Image
from scipy.io import savemat

from benchmarks.common import command, commit
from relume.core.config import read_params
from relume.core.files import Scratch, sha256, write_csv, write_json
from relume.core.results import write_group
from relume.core.run import Run
from relume.core.runtime import describe
from relume.data.decode import EXTENSIONS
from relume.data.store import Dataset
from relume.data.write import header
from relume.methods.optimise.config import variation
from relume.methods.optimise.infer import Work, invert
from relume.methods.optimise.targets import Provider
from relume.methods.optimise.terms import Material, objective
from relume.networks import network as networks
from relume.networks.fetch import fetch_weights
from relume.networks.weights import WeightStore
from relume.presets import both

OUT = Path("docs/results/scale_memory.csv")
COLUMNS = ("work", "pictures", "mib", "with_files", "seconds", "core_seconds", "gigabytes")
ROOT = Path(__file__).parents[1]
SMALL, SHARD = 32, 64  # of the inversion: pixels, images per shard
PEAKS = ("mib", "with_files", "core_seconds")
PSS = [re.compile(rf"^Pss{kind}: +(\d+) kB", re.MULTILINE) for kind in ("_(?:Anon|Shmem)", "")]  # of /proc/*/smaps_rollup
IMAGENET, NETWORK = "imagenet_val", "alexnet_conv"
PREPARE = f"stages.prepare --dataset {IMAGENET} --out data/images/{IMAGENET}"
EXTRACT = (
    f"stages.extract --dataset {IMAGENET} --network {NETWORK} --images data/images/{IMAGENET} "
    f"--weights models/weights/{NETWORK} --out data/features"
)
CPU = torch.device("cpu")


def archive(root: Path, count: int, photos: list[Path]) -> None:
    """ImageNet's archive of validation pictures and its development kit, of random parts of the photographs."""
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as tar:
        for number in range(1, count + 1):
            draw = np.random.default_rng(number)
            with Image.open(photos[number % len(photos)]) as photo:
                width = draw.uniform(0.5, 1) * min(photo.width, photo.height * 4 / 3)
                corner = draw.uniform(size=2) * (photo.width - width, photo.height - width * 3 / 4)
                part = photo.convert("RGB").resize((500, 375), box=(*corner, *(corner + (width, width * 3 / 4))))
            file = io.BytesIO()
            part.save(file, "JPEG", quality=95)
            _add(tar, f"ILSVRC2012_val_{number:08d}.JPEG", file)
    meta, synsets = io.BytesIO(), [(number, f"n{number:08d}") for number in range(1, 1001)]
    savemat(meta, {"synsets": np.array(synsets, [("ILSVRC2012_ID", object), ("WNID", object)])})
    truth = "".join(f"{number % 1000 + 1}\n" for number in range(count))
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
        _add(tar, "ILSVRC2012_devkit_t12/data/meta.mat", meta)
        _add(tar, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", io.BytesIO(truth.encode()))


def _add(tar: tarfile.TarFile, name: str, file: io.BytesIO) -> None:
    about = tarfile.TarInfo(name)
    about.size = file.seek(0, io.SEEK_END)
    file.seek(0)
    tar.addfile(about, file)


def tree(root: Path, count: int) -> None:
    """The parameters of the preset, for AlexNet and as many pictures."""
    _, params = both(ROOT, "decoders_all")
    params["prepare"]["datasets"][IMAGENET] |= {"verify": False, "test": min(1000, count // 8), "val": min(1000, count // 8)}
    params["extract"]["networks"].append(NETWORK)
    params["extract"] |= {"cached": [NETWORK], "pictures": count, "budget_mb": 1 + count * 43 // 500}
    (root / "params.yaml").write_text(yaml.safe_dump(params))


def noise(folder: Path, count: int) -> Dataset:
    with (folder / "images.npy").open("wb") as rows:
        header(rows, count, SMALL)
        for number in range(count):
            rows.write(np.random.default_rng(number).integers(256, size=(SMALL, SMALL, 3), dtype=np.uint8).data)
    index = ({"id": str(n), "split": "test", "label": "", "source": str(n), "sha1": ""} for n in range(count))
    write_csv(folder / "index.csv", ("id", "split", "label", "source", "sha1"), index)
    about = {"size": SMALL, "counts": {"all": count}, "index_sha256": sha256(folder / "index.csv")}
    write_json(folder / "manifest.json", about)
    return Dataset.open(folder)


def inverted(count: int) -> None:
    """In this folder, from conv2 of AlexNet with random weights."""
    torch.set_num_threads(1)
    root = Path("noise")
    root.mkdir()
    data = noise(root, count)
    name, params = "alexnet_conv", read_params(ROOT / "params.yaml")
    plain: dict[str, Any] = {"network": name, "taps": {"conv2": 1.0}, "dataset": "noise", "split": "test", "steps": 2}
    plain |= {"count": None, "restarts": 1, "init": {"base": "grey"}}
    config, _ = variation(params["invert_optimise"], {"feature": 1.0, "tv": 0.1}, plain, "scale")
    goal = objective(config, Material(store=WeightStore(), device=CPU))
    provider = Provider(data, {name: networks.random(name)}, CPU)
    run = Run(seed=0, device="cpu", precision="float32", threads=1, micro_batch=SHARD)
    work = Work(name="scale", config=config, run=run, objective=goal, provider=provider, scratch=Scratch(root / "scratch"))
    images, rows, trace, timing = invert(work, root / "group")
    write_group(root / "group", images=images, rows=rows, trace=trace, timing=timing, method={})


def peak(words: list[str], root: Path) -> dict[str, float]:
    """Peaks of MiB, and seconds on the clock and of processors, of a command and its processes. The system takes pages of mapped
    files back when it needs memory."""
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "RELUME_SOURCES": str(root)}
    started, most = time.perf_counter(), dict.fromkeys(PEAKS, 0.0)
    process = subprocess.Popen([sys.executable, *words], cwd=root, env=os.environ | paths | {"RELUME_TRACKING": "off"})
    while process.poll() is None:
        most = {kind: max(most[kind], value) for kind, value in own(psutil.Process(process.pid)).items()}
        time.sleep(0.25)
    if process.returncode:
        raise click.ClickException(f"{' '.join(words)}: ended with {process.returncode}")
    return most | {"seconds": time.perf_counter() - started}


def own(process: psutil.Process) -> dict[str, float]:
    total = dict.fromkeys(PEAKS, 0.0)
    try:
        for one in [process, *process.children(recursive=True)]:
            text, times = Path(f"/proc/{one.pid}/smaps_rollup").read_text(), one.cpu_times()
            found = [sum(map(int, lines.findall(text))) / 1024 for lines in PSS] + [times.user + times.system]
            total = {kind: total[kind] + value for kind, value in zip(PEAKS, found, strict=True)}
    except (psutil.Error, OSError):  # it has just ended
        return dict.fromkeys(PEAKS, 0.0)
    return total


def measured(counts: tuple[int, ...], photos: list[Path]) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as temporary:
        for count in counts:
            root = Path(temporary, str(count))
            root.mkdir()
            tree(root, count)
            fetch_weights(NETWORK, root / "models/weights", log=click.echo)
            archive(root, count, photos)
            for work, command, out in (("prepare", PREPARE, "data/images"), ("extract", EXTRACT, "data/features")):
                yield {"work": work, "pictures": count, **peak(["-m", *command.split()], root), "gigabytes": taken(root / out)}
            words = ["-c", f"import benchmarks.memory; benchmarks.memory.inverted({count})"]
            yield {"work": "invert", "pictures": count, **peak(words, root), "gigabytes": taken(root / "noise/group")}
            shutil.rmtree(root)


def taken(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


@click.command(help=__doc__)
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="Of photographs.")
@click.option("--count", "counts", type=int, multiple=True, default=(1000, 8000, 50_000), help="Of pictures; at least 800.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True)
def main(folder: Path, counts: tuple[int, ...], out: Path) -> None:
    started, at, rows = time.perf_counter(), commit(), list[dict[str, Any]]()
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)
    for one in measured(counts, photos):
        rows.append(one)
        write_csv(out, COLUMNS, rows)
        click.echo("{work} of {pictures} pictures: {mib:.0f} MiB, {core_seconds:.0f} s of a core".format(**one))
    data = f"parts of {len(photos)} photographs at 500x375, prepared at 224 px; inversions of noise at {SMALL} px, 2 steps"
    about = {"command": command("benchmarks.memory"), "commit": at, "device": describe(CPU), "n": 1, "data": data}
    write_json(out.with_suffix(".json"), about | {"seconds": round(time.perf_counter() - started, 1)})


if __name__ == "__main__":
    main()
