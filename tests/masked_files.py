"""A masked group with its scores, its table and its models beside what `contract_files` has written: generated in a second.

`python -m tests.masked_files FOLDER` writes them there.
"""

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from relume.core.files import read_csv, write_csv, write_json
from relume.core.results import KEYS, RATIO, Descent, Row, pasted, write_group
from tests.contract_files import DEVICE, MASKED, SIZE, write

GROUP, RATIOS, CELL, STEPS = "masked", (0.85, 0.5), 4, 3
NOISE = {
    "floor_mean_visible": 0.25,
    "floor_inverse_distance": 0.12,
    "et": 0.06,
    "mae": 0.16,
}  # added to the originals
WALKS = "et"  # has a trajectory


def write_masked(root: Path, *, seed: int = 0) -> Path:
    """`root` holds the photos of `contract_files`. One method is better than the best baseline, one is worse."""
    rng = np.random.default_rng(seed)
    originals = np.load(root / "data/images/photos/images.npy")
    ids = [row["id"] for row in read_csv(root / "data/images/photos/index.csv")]
    hidden = {ratio: _masks(rng, ratio, len(ids)) for ratio in RATIOS}
    images, masks, ratios, rows, scores = [], [], [], [], []
    for method, noise in NOISE.items():
        for ratio in RATIOS:
            for id, original, mask in zip(ids, originals, hidden[ratio], strict=True):
                made = _spoilt(original, noise * (1 + ratio), rng)
                family = "floor" if method.startswith("floor") else "masked"
                row = Row(method=method, family=family, task="masked", oracle=False, id=id, dataset="photos", size=SIZE)
                images.append(made)
                masks.append(mask)
                ratios.append(ratio)
                rows.append(row)
                scores.append({**asdict(row), RATIO: ratio, **_score(original, made, mask)})
    write_group(
        root / "data/reconstructions" / GROUP,
        images=np.stack(images),
        masks=np.stack(masks),
        ratios=ratios,
        rows=rows,
        method={"config": {"dataset": "photos", "pattern": "random", "cell": CELL}, "device": DEVICE, "code": "c0de"},
        trace=[
            {"method": WALKS, "step": step, "term": f"energy@{ratio:g}", "value": -100.0 * ratio - 10 * step}
            for ratio in RATIOS
            for step in range(STEPS + 1)
        ],
        descent=_descent(originals, ids, rng),
    )
    write_csv(root / "metrics/methods" / f"{GROUP}.csv", (*KEYS, RATIO, "psnr_masked", "psnr_pasted"), scores)
    write_csv(root / "metrics/masked.csv", MASKED, _table(scores))
    for name in (name for name in NOISE if not name.startswith("floor")):
        _model(root / "models/masked" / name, rng)
    return root / "data/reconstructions" / GROUP


def _masks(rng: np.random.Generator, ratio: float, count: int) -> np.ndarray:
    cells = (SIZE // CELL) ** 2
    order = rng.random((count, cells)).argsort(1)
    hidden: np.ndarray = (order < round(ratio * cells)).reshape(count, SIZE // CELL, SIZE // CELL)
    return hidden


def _spoilt(picture: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    spoilt: np.ndarray = np.clip(picture + 255 * rng.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)
    return spoilt


def _score(original: np.ndarray, made: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    error = float((((pasted(original, made, mask) / 255.0) - original / 255.0) ** 2).mean())
    return {"psnr_masked": -10 * np.log10(error / mask.mean()), "psnr_pasted": -10 * np.log10(error)}


def _descent(originals: np.ndarray, ids: list[str], rng: np.random.Generator) -> Descent:
    """Two images with falling noise."""
    shown = [(picture, step) for picture in range(2) for step in range(STEPS + 1)]
    return Descent(
        images=np.stack([_spoilt(originals[picture], 0.5 / (1 + step), rng) for picture, step in shown]),
        rows=[
            {"method": WALKS, "id": ids[picture], RATIO: RATIOS[0], "step": step, "energy": -80.0 - picture - 10 * step}
            for picture, step in shown
        ],
    )


def _table(scores: list[dict[str, object]]) -> list[dict[str, object]]:
    """Best first at each ratio, as `compare` orders them."""
    rows = []
    for ratio in RATIOS:
        here = []
        for method in NOISE:
            mine = [score for score in scores if (score["method"], score[RATIO]) == (method, ratio)]
            hidden, whole = (float(np.mean([float(str(one[name])) for one in mine])) for name in ("psnr_masked", "psnr_pasted"))
            row: dict[str, object] = {"method": method, "dataset": "photos", "size": SIZE, RATIO: ratio, "n": len(mine)}
            row |= {"psnr_masked": hidden, "psnr_masked_lo": hidden - 0.5, "psnr_masked_hi": hidden + 0.75, "psnr_pasted": whole}
            row |= {"lpips_alex": 1 / hidden, "fd_net": "efficientnet_lite0_pool", "fd": 100 / hidden, "device": DEVICE}
            if not method.startswith("floor"):
                row |= {"parameters": 698161, "probe_top1": 0.41, "knn_top1": 0.37, "seconds_per_image": 0.0123}
            here.append((hidden, row))
        rows += [row for _, row in sorted(here, key=lambda pair: -pair[0])]
    return rows


def _model(folder: Path, rng: np.random.Generator) -> None:
    """A model folder without tensors."""
    terms = {
        "train/loss": (0.9, 0.4),
        "val/loss": (0.8, 0.5),
        "val/psnr_masked": (12.0, 15.5),
        "val/floor_mean_visible": (14, 14),
    }
    rows = [{"step": step, "term": term, "value": pair[at]} for at, step in enumerate((10, 20)) for term, pair in terms.items()]
    write_csv(folder / "history.csv", ("step", "term", "value"), rows)
    about = {"kind": "masked", "name": folder.name, "parameters": 698161, "sha256": folder.name, "device": "cpu", "best_step": 20}
    about |= {"data": {"dataset": "photos", "train": 40, "val": 8}, "config": {"masks": {"cell": CELL, "ratio": 0.85}}}
    write_json(folder / "model.json", about | {"metrics": {"loss": 0.5, "psnr_masked": 15.5, "floor_mean_visible": 14.0}})
    for file in ("progress.jpg", "samples.png"):
        Image.fromarray(rng.integers(0, 255, (20, 62, 3), dtype=np.uint8)).save(folder / file)


if __name__ == "__main__":
    write_masked(write(Path(sys.argv[1])))
