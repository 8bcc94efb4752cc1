"""What trained models' folders say, as records: parameters, curves of the training, metrics of the best weights, pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.files import digest, read_csv, read_json, sha256
from relume.core.records import Record, clean, flat, locked, stage_of

MODELS, CARD, HISTORY = Path("models"), "model.json", "history.csv"
WEIGHTS = "weights"  # the kind that is fetched: no training's result
PICTURES = ("progress.jpg", "samples.png")


def model_records(root: Path) -> list[Record]:
    """Of every `models/<kind>/<name>/`."""
    cards = [card for card in sorted((root / MODELS).glob(f"*/*/{CARD}")) if card.parent.parent.name != WEIGHTS]
    lock = locked(root) if cards else {}
    return [_record(root, card.parent, lock) for card in cards]


def _record(root: Path, folder: Path, lock: Mapping[str, Any]) -> Record:
    card = read_json(folder / CARD)
    path = folder.relative_to(root)
    name = "/".join(path.parts[1:])
    files = [file for file in (CARD, HISTORY, *PICTURES) if (folder / file).exists()]  # the card states the tensors' sha256
    about = {key: value for key, value in card.items() if key not in ("config", "metrics", "device")}
    return Record(
        name=name,
        key=digest([name, [(file, sha256(folder / file)) for file in files]]),
        stage=stage_of(path, lock),
        device=str(card.get("device", "")),
        params={key: str(value) for key, value in flat(about | card["config"]).items()},
        curves=[(clean(row["term"]), int(row["step"]), float(row["value"])) for row in read_csv(folder / HISTORY)],
        means={clean(f"best/{metric}"): float(value) for metric, value in card["metrics"].items()},
        measured=card["sha256"],
        pictures=lambda: {Path(file).stem: _picture(folder / file) for file in files if file in PICTURES},
    )


def _picture(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))
