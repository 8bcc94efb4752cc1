"""A tiny dataset and groups of reconstructions on disk, for the tests of evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from relume.core.files import sha256, write_csv, write_json
from relume.core.results import KEYS, RATIO, Row, write_group
from relume.data.store import Dataset
from relume.evaluation.metrics import METRICS, OF_MASKED, SETS
from relume.evaluation.sets import kids
from relume.losses.perceptual import LPIPS_TAPS
from relume.networks import network as networks
from relume.networks.weights import canonical, digest


def write_dataset(folder: Path, size: int = 32, splits: Sequence[str] = ("test", "val", "train"), each: int = 4) -> Dataset:
    """`each` pictures per split, two of every source."""
    count = each * len(splits)
    small = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", small.repeat(-(-size // 4), 1).repeat(-(-size // 4), 2)[:, :size, :size])
    index = [
        {"id": f"{split}{number}", "split": split, "label": "", "source": f"{split}-photo{number // 2}", "sha1": ""}
        for split in splits
        for number in range(each)
    ]
    write_csv(folder / "index.csv", ("id", "split", "label", "source", "sha1"), index)
    seal = sha256(folder / "index.csv")
    write_json(folder / "manifest.json", {"size": size, "counts": {"all": count}, "index_sha256": seal})
    return Dataset.open(folder)


def write_weights(root: Path) -> Path:
    for extractor, (network, _) in list(LPIPS_TAPS.items())[:2]:
        tensors = canonical(networks.random(network, seed=1).body.state_dict())
        channels = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}[extractor]
        heads = {f"lin{number}": torch.ones(count) for number, count in enumerate(channels)}
        for name, content in ((network, tensors), (f"lpips_{extractor}", heads)):
            (root / name).mkdir()
            save_file(content, root / name / "model.safetensors")
            write_json(root / name / "model.json", {"name": name, "sha256": digest(content)})
    return root


def row(method: str, id: str, **other: object) -> Row:
    plain = {"family": "optimise", "task": "feature", "oracle": False, "dataset": "toy", "size": 32}
    return Row(**{"method": method, "id": id, **plain, "network": "alexnet_conv", "tap": "conv2", **other})  # type: ignore[arg-type]


def write_reconstructions(folder: Path, rows: Sequence[Row], images: np.ndarray, seconds: float = 6.0) -> None:
    timing = [
        {"method": name, "step": step, "seconds": seconds * step / 10}
        for name in dict.fromkeys(entry.method for entry in rows)
        for step in (0, 10)
    ]
    write_group(folder, images=images, rows=rows, method={"config": {}, "device": "cpu"}, timing=timing)


def write_scores(root: Path, group: str, rows: Sequence[Row], scores: Sequence[Mapping[str, float]]) -> None:
    images = np.zeros((len(rows), 8, 8, 3), np.uint8)
    write_reconstructions(root / "data" / "reconstructions" / group, rows, images)
    table = [{**{key: getattr(entry, key) for key in KEYS}, **score} for entry, score in zip(rows, scores, strict=True)]
    write_csv(root / "metrics" / "methods" / f"{group}.csv", (*KEYS, *METRICS), table)
    write_csv(root / "metrics" / "sets" / f"{group}.csv", SETS, [])


def write_masked_scores(root: Path, group: str, scores: Mapping[tuple[str, str], Sequence[float]], **other: object) -> None:
    """A masked group as `compare` reads it: (method, ratio) -> psnr_masked of test0, test1, …"""
    rows, table = [], []
    for (name, ratio), values in scores.items():
        family = "floor" if name.startswith("floor_") else "masked"
        for number, psnr in enumerate(values):
            entry = row(name, f"test{number}", **{"task": "masked", "family": family, "network": "", "tap": "", **other})
            rows.append(entry)
            cells = {key: getattr(entry, key) for key in KEYS}
            table.append({**cells, RATIO: ratio, "psnr_masked": psnr, "psnr_full": psnr + 1, "lpips_alex": 1 - psnr / 40})
    write_reconstructions(root / "data" / "reconstructions" / group, rows, np.zeros((len(rows), 8, 8, 3), np.uint8))
    write_csv(root / "metrics" / "methods" / f"{group}.csv", (*KEYS, RATIO, *OF_MASKED), table)
    write_csv(root / "metrics" / "sets" / f"{group}.csv", SETS, [])


def kid(x: Tensor, y: Tensor, from_x: Tensor | None = None, from_y: Tensor | None = None) -> float:
    """`kids` of the whole sets; by default each row is a source of its own."""
    own, everything = torch.arange(len(x) + len(y)), [torch.ones(len(e), 1, dtype=torch.bool) for e in (x, y)]
    sources = own[: len(x)] if from_x is None else from_x, own[len(x) :] if from_y is None else from_y
    return float(kids(x, y, everything[0], everything[1], *sources)[0])
