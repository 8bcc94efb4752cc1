"""What the report reads beside `contract_files`: where its folders are, and a model's training."""

from pathlib import Path

import numpy as np
from PIL import Image

from relume.core.files import write_csv, write_json
from relume.report.material import Folders

HISTORY = {  # term -> step -> value
    "learning_rate": {10: 1e-3, 20: 5e-4},
    "train/loss": {10: 0.4, 20: 0.2},
    "val/floor_own_mean": {10: 12.0, 20: 12.0},
    "val/loss": {10: 0.5, 20: 0.3},
    "val/psnr": {10: 11.0, 20: 14.0},
}


def folders(root: Path) -> Folders:
    data = {name: root / "data" / name for name in ("reconstructions", "images", "features")}
    return Folders(metrics=root / "metrics", models=root / "models", **data)


def write_model(root: Path, name: str, *, picture: str = "progress.jpg") -> Path:
    folder = root / "models/decoder" / name
    card = {"name": name, "parameters": 1234, "best_step": 20, "data": {"dataset": "photos", "train": 6, "val": 2}}
    write_json(folder / "model.json", card)
    rows = [{"step": step, "term": term, "value": values[step]} for step in (10, 20) for term, values in HISTORY.items()]
    write_csv(folder / "history.csv", ("step", "term", "value"), rows)
    pixels = np.random.default_rng(0).integers(0, 255, (20, 62, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / picture)
    return folder
