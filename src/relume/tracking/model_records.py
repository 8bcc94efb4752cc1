"""Records of trained models: parameters, training curves, metrics of the best weights, images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.files import digest, read_csv, read_json, sha256
from relume.core.samples import CARD as CARD_OF_SAMPLES
from relume.core.samples import IMAGES, read_samples
from relume.tracking.records import Record, clean, flat, locked, stage_of
from relume.tracking.sheets import grid

MODELS, CARD, HISTORY = Path("models"), "model.json", "history.csv"
SAMPLES, SCORED = Path("data/samples"), Path("metrics/samples.csv")  # samples of generators, and their scores
TIMES = Path("metrics/training")
NOT_TRAINED = ("weights", "pretrained")  # fetched, or shipped with relume
PICTURES = ("progress.jpg", "samples.png")


def model_records(root: Path) -> list[Record]:
    """One for each `models/<kind>/<name>/`."""
    cards = [card for card in sorted((root / MODELS).glob(f"*/*/{CARD}")) if card.parent.parent.name not in NOT_TRAINED]
    lock = locked(root) if cards else {}
    return [_record(root, card.parent, lock) for card in cards]


def _record(root: Path, folder: Path, lock: Mapping[str, Any]) -> Record:
    card = read_json(folder / CARD)
    path = folder.relative_to(root)
    name = "/".join(path.parts[1:])
    files = [
        file for file in (CARD, HISTORY, *PICTURES) if (folder / file).exists()
    ]  # the card contains the sha256 of the tensors
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
    images, scored = root / SAMPLES / card["name"] / IMAGES, root / SCORED
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
