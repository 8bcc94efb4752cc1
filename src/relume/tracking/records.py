"""Records of groups and of trained models: parameters, means, curves, images, and a hash of the files."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from relume.core.config import read_params
from relume.core.files import checksum, digest, read_csv, read_json, sha256
from relume.core.results import KEYS, MASKS, METHOD_FILE, PATH_IMAGES, PATH_ROWS, RATIO, Group, is_masked, read_group, run_folder
from relume.core.samples import CARD as CARD_OF_SAMPLES
from relume.core.samples import IMAGES as SAMPLE_IMAGES
from relume.core.samples import read_samples
from relume.core.sheet import grid
from relume.tracking.names import of_group
from relume.tracking.sheets import kind_of, sheets

RECONSTRUCTIONS, METHODS, IMAGES = Path("data/reconstructions"), Path("metrics/methods"), Path("data/images")
SUMMARY, LOCK, PARAMS = Path("metrics/summary.json"), Path("dvc.lock"), Path("params.yaml")
WRITTEN = ("images.npy", "index.csv", "trace.csv")  # files of a group that are in its key; timing.csv differs in every run
OF_MASKED = (MASKS, PATH_IMAGES, PATH_ROWS)  # and of a masked group
MODELS, CARD, HISTORY = Path("models"), "model.json", "history.csv"
SAMPLES, SCORED = Path("data/samples"), Path("metrics/samples.csv")  # samples of generators, and their scores
TIMES = Path("metrics/training")
NOT_TRAINED = ("weights", "pretrained")  # fetched, or shipped with relume
PICTURES = ("progress.jpg", "samples.png")

Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One group or model. `means` and `measured` are empty until the current images are evaluated."""

    name: str
    title: str  # for people
    seconds: float  # that its stage worked
    key: str
    stage: str
    device: str
    params: dict[str, str]
    curves: list[tuple[str, int, float]]  # name, step, value
    means: dict[str, float]
    measured: str
    pictures: Callable[[], dict[str, np.ndarray]]  # name -> uint8 (H, W, 3)


def records(root: Path) -> list[Record]:
    """The groups in `compare.groups` whose files are complete."""
    names = read_params(root / PARAMS)["compare"]["groups"]
    lock = locked(root)
    return [_record(root, name, lock) for name in names if _whole(root / RECONSTRUCTIONS / name)]


def _whole(folder: Path) -> bool:
    return all(path.exists() for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    names = (*WRITTEN, *OF_MASKED) if is_masked(folder) else WRITTEN
    return [*(folder / name for name in names), run_folder(folder) / METHOD_FILE]


def headline(root: Path, found: list[Record]) -> dict[str, float]:
    """The numbers of summary.json, if all groups are complete and evaluated."""
    total = len(read_params(root / PARAMS)["compare"]["groups"])
    if not (root / SUMMARY).exists() or len(found) < total or not all(record.measured for record in found):
        return {}
    numbers = flat(read_json(root / SUMMARY), "/").items()
    return {clean(name): float(value) for name, value in numbers if isinstance(value, int | float)}


def _record(root: Path, name: str, lock: Mapping[str, Any]) -> Record:
    folder = root / RECONSTRUCTIONS / name
    group = read_group(folder)
    scores = root / METHODS / f"{name}.csv"
    rows = read_csv(scores) if scores.exists() else []
    known = _same_pictures(rows, group) and _measured_on(root, name, lock)
    labels = _labels(group)
    method = {key: value for key, value in group.method.items() if key != "config"} | group.method.get("config", {})
    return Record(
        name=name,
        title=of_group(group),
        seconds=sum({row["method"]: float(row["seconds"]) for row in group.timing}.values()),  # up to the last steps
        key=digest([name, [(path.name, sha256(path)) for path in _files(folder)]]),
        stage=stage_of(RECONSTRUCTIONS / name / "index.csv", lock),
        device=str(group.method.get("device", "")),
        params={key: str(value) for key, value in flat(method).items() if key != "device"},
        curves=_curves(folder, group),
        means=_means(rows, labels) if known else {},
        measured=sha256(scores) if known else "",
        pictures=lambda: sheets(group, root / IMAGES),
    )


def flat(value: Any, joint: str = ".", path: str = "") -> dict[str, Any]:
    """Flattens nested mappings; keys are joined."""
    if not isinstance(value, Mapping):
        return {path: value}
    parts = [flat(inner, joint, f"{path}{joint}{key}" if path else str(key)) for key, inner in value.items()]
    return {key: inner for part in parts for key, inner in part.items()}


def clean(name: str) -> str:
    """Replaces characters that MLflow does not allow in names."""
    return re.sub(r"[^\w./ -]", "_", name)


def _labels(group: Group) -> dict[tuple[str, ...], str]:
    """The prefixes of metric names: empty for a single method, else what distinguishes the methods."""
    kinds = list(dict.fromkeys(kind_of(row) for row in group.index))
    methods = [kind[0] for kind in kinds]
    names = ["/".join(filter(None, kind)) if methods.count(kind[0]) > 1 else kind[0] for kind in kinds]
    return dict(zip(kinds, [f"{name}/" for name in names] if len(kinds) > 1 else [""], strict=True))


def _means(rows: list[dict[str, str]], labels: Mapping[tuple[str, ...], str]) -> dict[str, float]:
    """Means over the selected images, as in the leaderboard."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for metric in row.keys() - {*KEYS, RATIO} if row["selected"] == "true" else ():
            if row[metric]:
                values.setdefault(clean(labels[kind_of(row)] + metric), []).append(float(row[metric]))
    return {name: float(np.mean(column)) for name, column in sorted(values.items())}


def _curves(folder: Path, group: Group) -> list[tuple[str, int, float]]:
    several = len({row["method"] for row in group.index}) > 1
    trace = read_csv(folder / "trace.csv")
    return [
        (clean(f"{row['method']}/{row['term']}" if several else f"trace/{row['term']}"), int(row["step"]), float(row["value"]))
        for row in trace
    ]


def _same_pictures(rows: list[dict[str, str]], group: Group) -> bool:
    """The scores belong to this index: a group may be newer than its evaluation."""
    keys = (*KEYS, RATIO)
    return bool(rows) and [[row.get(key) for key in keys] for row in rows] == [
        [row.get(key) for key in keys] for row in group.index
    ]


def _measured_on(root: Path, name: str, lock: Mapping[str, Any]) -> bool:
    """The scores belong to the current files, by the hashes in dvc.lock."""
    folder, scores = str(RECONSTRUCTIONS / name), str(METHODS / f"{name}.csv")
    for stage in lock.values():
        if any(out["path"] == scores for out in stage.get("outs", ())):
            inputs = [dep for dep in stage.get("deps", ()) if dep["path"] == folder]
            return all((root / dep["path"]).exists() and folder_md5(root / dep["path"]) == dep["md5"] for dep in inputs)
    return True


def folder_md5(folder: Path) -> str:
    """As DVC computes it: of the sorted list of its files and their hashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = [{"md5": checksum(path, "md5"), "relpath": path.relative_to(folder).as_posix()} for path in files]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


def stage_of(out: Path, lock: Mapping[str, Any]) -> str:
    """The stage that writes this output, or a folder around it; "" before its first run."""
    paths = {out.as_posix(), *(folder.as_posix() for folder in out.parents)}
    return next((stage for stage, entry in lock.items() if any(one["path"] in paths for one in entry.get("outs", ()))), "")


def locked(root: Path) -> dict[str, Any]:
    """The stages in dvc.lock."""
    path = root / LOCK
    found = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if path.exists() else None
    return dict(found["stages"]) if found else {}


def model_records(root: Path) -> list[Record]:
    """One for each `models/<kind>/<name>/`."""
    cards = [card for card in sorted((root / MODELS).glob(f"*/*/{CARD}")) if card.parent.parent.name not in NOT_TRAINED]
    lock = locked(root) if cards else {}
    return [_model_record(root, card.parent, lock) for card in cards]


def _model_record(root: Path, folder: Path, lock: Mapping[str, Any]) -> Record:
    card = read_json(folder / CARD)
    path = folder.relative_to(root)
    name = "/".join(path.parts[1:])
    # the card contains the sha256 of the tensors
    files = [file for file in (CARD, HISTORY, *PICTURES) if (folder / file).exists()]
    sets = _sets(root, card) if card.get("kind") == "gan" else {}
    about = {key: value for key, value in card.items() if key not in ("config", "metrics", "device")}
    times = root / TIMES / f"{folder.name}.csv"
    return Record(
        name=name,
        title=name,
        seconds=max((float(row["seconds"]) for row in read_csv(times)), default=0.0) if times.exists() else 0.0,
        key=digest([name, [(file, sha256(folder / file)) for file in files]]),
        stage=stage_of(path, lock),
        device=str(card.get("device", "")),
        params={key: str(value) for key, value in flat(about | card["config"]).items()},
        curves=[(clean(row["term"]), int(row["step"]), float(row["value"])) for row in read_csv(folder / HISTORY)],
        means={clean(f"best/{metric}"): float(value) for metric, value in card["metrics"].items()} | sets,
        measured=digest([card["sha256"], sets]) if sets else card["sha256"],
        pictures=lambda: {Path(file).stem: _picture(folder / file) for file in files if file in PICTURES} | _walk(root, card),
    )


def _sets(root: Path, card: Mapping[str, Any]) -> dict[str, float]:
    """The scores of a generator's samples; empty if these samples are not scored."""
    images, scored = root / SAMPLES / card["name"] / SAMPLE_IMAGES, root / SCORED
    rows = read_csv(scored) if scored.exists() and images.exists() else []
    own = [row for row in rows if (row["name"], row["kind"]) == (card["name"], "gan") and row["sha256"] == sha256(images)]
    return {f"samples/{name}": float(row[name]) for row in own for name in ("fd", "kid", "kid_lo", "kid_hi") if row[name]}


def _walk(root: Path, card: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The latent interpolations, one row each."""
    if card.get("kind") != "gan" or not (root / SAMPLES / card["name"] / CARD_OF_SAMPLES).exists():
        return {}
    return {"walk": grid(read_samples(root / SAMPLES / card["name"]).walk)}


def _picture(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))
