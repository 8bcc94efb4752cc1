"""A tiny dataset and groups of reconstructions on disk, for the tests of evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from relume.core.files import sha256, write_csv, write_json
from relume.core.results import KEYS, Row, write_group
from relume.data.store import Dataset
from relume.evaluation.metrics import METRICS


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
    """`metrics/methods/<group>.csv` and the files beside it that `compare` reads."""
    images = np.zeros((len(rows), 8, 8, 3), np.uint8)
    write_reconstructions(root / "data" / "reconstructions" / group, rows, images)
    table = [{**{key: getattr(entry, key) for key in KEYS}, **score} for entry, score in zip(rows, scores, strict=True)]
    write_csv(root / "metrics" / "methods" / f"{group}.csv", (*KEYS, *METRICS), table)
