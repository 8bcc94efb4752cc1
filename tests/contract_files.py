"""Files as the contracts of DESIGN §3 want them, made up in a second: for tests of what only reads files."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.files import digest, write_csv, write_json
from relume.core.results import Row, write_group


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


LEADERBOARD = _columns(
    "method,family,task,oracle,dataset,size,network,tap,n,sources,psnr,psnr_lo,psnr_hi,ssim,ms_ssim,lpips_alex,lpips_vgg,"
    "feature_error,reid_top1,reid_net,reid_n,fd_net,fd,kid,seconds_per_image,device"
)
MASKED = _columns(
    "method,dataset,size,mask_ratio,n,psnr_masked,psnr_masked_lo,psnr_masked_hi,psnr_pasted,psnr_full,mse_masked,"
    "ssim_pasted,lpips_alex,fd_net,fd,probe_top1,knn_top1,parameters,seconds_per_image,device"
)
MAPS = _columns(
    "decoder,network,tap,dataset,size,split,fill,ranking,action,group,channels,n,sources,psnr,psnr_change,psnr_change_lo,"
    "psnr_change_hi,lpips_alex,lpips_alex_change,lpips_alex_change_lo,lpips_alex_change_hi"
)
SETS = _columns("name,kind,dataset,n,net,fd,kid,kid_lo,kid_hi")
COMPARISONS = _columns("question,a,b,dataset,size,network,tap,metric,n,sources,mean_a,mean_b,diff,lo,hi,device")
METRICS = ("mse", "psnr", "ssim", "ms_ssim", "lpips_alex", "lpips_vgg", "feature_error")
TAPS = ("conv1", "conv2", "conv3", "conv4", "conv5", "pool")
GROUPS = ("floors", "shallow", "deep")
DEVICE = "cpu (x86_64, 2 threads)"
SIZE = 32


def narrowed(params: dict[str, Any]) -> dict[str, Any]:
    params["recipes"] = {name: recipe for name, recipe in params["recipes"].items() if name in GROUPS}
    params["train_decoder"]["decoders"], params["invert_decoder"] = {}, {}
    params["maps"]["decoders"] = params["defend"]["embeddings"] = []
    params["train_masked"]["models"], params["reconstruct_masked"], params["probe"]["models"] = {}, {}, []
    params["train_gan"]["models"], params["score_samples"]["models"] = {}, []
    params["train_mapper"]["models"], params["invert_latent"] = {}, {}
    params["train_landscape"]["models"], params["invert_landscape"] = {}, {}
    params["evaluate"].update(reid=None, other_taps=[], classifier=None)
    params["compare"].update(groups=list(GROUPS), questions={"depth": params["compare"]["questions"]["depth"]})
    return params


def write(root: Path, *, seed: int = 0, pictures: Mapping[str, np.ndarray] | None = None, strength: float = 1.0) -> Path:
    """A whole project's files below `root`. `pictures`: source -> uint8 (N, H, W, 3); made up where not given."""
    rng = np.random.default_rng(seed)
    originals, index = _dataset(root / "data/images/photos", pictures or _pictures(rng))
    made = {
        "floors": {"floor_dataset_mean": _mosaic(originals.mean(0, keepdims=True).repeat(len(originals), 0), 1)}
        | {"floor_own_mean": _mosaic(originals, 1), "floor_blocks_4": _mosaic(originals, 4)},
        "shallow": {"shallow": _spoil(originals, rng, 0.03 * strength, 1)},
        "deep": {"deep": _spoil(originals, rng, 0.12 * strength, 6)},
    }
    write_json(root / "data/features/photos/alexnet_conv/stats.json", {"order": list(TAPS), "taps": {tap: {} for tap in TAPS}})
    rows = [row for group, methods in made.items() for row in _group(root, group, methods, originals, index, rng)]
    write_csv(root / "metrics/leaderboard.csv", LEADERBOARD, rows)
    write_csv(root / "metrics/masked.csv", MASKED, [])
    write_csv(root / "metrics/sets.csv", SETS, [])
    write_csv(root / "metrics/maps/maps.csv", MAPS, [])
    write_csv(root / "metrics/comparisons.csv", COMPARISONS, _comparisons(rows))
    best = {row["method"]: {"psnr": round(float(str(row["psnr"])), 3)} for row in rows}
    write_json(root / "metrics/summary.json", {"photos_128": best})
    return root


def _pictures(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Soft coloured discs: enough structure for a PSNR that means something."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    found = {}
    for source in ("astronaut", "coffee", "rocket"):
        canvas = np.ones((4, SIZE, SIZE, 3)) * rng.uniform(0.2, 0.8, (4, 1, 1, 3))
        for picture in canvas:
            for _ in range(12):
                cx, cy, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.3)
                picture[(x - cx) ** 2 + (y - cy) ** 2 < r**2] = rng.uniform(0, 1, 3)
        found[source] = (canvas * 255).astype(np.uint8)
    return found


def _dataset(folder: Path, pictures: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[dict[str, str]]]:
    images = np.concatenate(list(pictures.values()))
    index = [
        {"id": f"{source}-{number}", "split": "test", "label": "", "source": source, "sha1": hashlib.sha1(picture).hexdigest()}
        for source, batch in pictures.items()
        for number, picture in enumerate(batch)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", images)
    write_csv(folder / "index.csv", tuple(index[0]), index)
    write_json(folder / "manifest.json", {"counts": {"all": len(images)}, "size": images.shape[1]})
    return images / 255, index


def _mosaic(images: np.ndarray, k: int) -> np.ndarray:
    n, h, w, _ = images.shape
    small = images.reshape(n, k, h // k, k, w // k, 3).mean((2, 4))
    return small.repeat(h // k, 1).repeat(w // k, 2)


def _spoil(images: np.ndarray, rng: np.random.Generator, noise: float, blur: int) -> np.ndarray:
    """Smoothed and noisy: what an inversion might look like."""
    soft = images
    for _ in range(blur):
        soft = (soft + np.roll(soft, 1, 1) + np.roll(soft, -1, 1) + np.roll(soft, 1, 2) + np.roll(soft, -1, 2)) / 5
    return np.clip(soft + rng.normal(0, noise, images.shape), 0, 1)


def _group(
    root: Path, name: str, methods: Mapping[str, np.ndarray], originals: np.ndarray, index: list[dict[str, str]], rng: Any
) -> list[dict[str, object]]:
    floor = name == "floors"
    own: dict[str, Any] = {"family": "floor" if floor else "optimise", "task": "feature", "dataset": "photos"}
    own |= {"size": originals.shape[1], "network": "" if floor else "alexnet_conv"}
    own |= {"tap": {"shallow": "conv2", "deep": "conv5"}.get(name, "")}
    rows, scores, board = [], [], []
    for method, images in methods.items():
        oracle = method in ("floor_own_mean", "floor_blocks_4")
        for entry, image, original in zip(index, images, originals, strict=True):
            mse = float(((image - original) ** 2).mean())
            rows.append(Row(method=method, oracle=oracle, id=entry["id"], objective=None if floor else mse * 3, **own))
            guess = (1 / (1 + 30 * mse), None, 0.2 + 6 * mse, 0.25 + 5 * mse, None if floor else 4 * mse)
            scores.append({**asdict(rows[-1]), **dict(zip(METRICS, (mse, -10 * np.log10(mse), *guess), strict=True))})
        board.append(_board(scores[-len(index) :], index, rng, seconds=2e-4 if floor else 3.2))
    steps = [] if floor else list(range(0, 301, 10))
    trace = [
        {"method": name, "step": step, "term": term, "value": start * np.exp(-step / scale) + end}
        for term, start, scale, end in (("objective", 0.9, 60, 0.05), ("feature", 0.85, 50, 0.02), ("tv", 0.004, 200, 0.01))
        for step in steps
    ]
    config = {"network": "alexnet_conv", "taps": {own["tap"]: 1.0}, "steps": 300, "losses": {"feature": 1.0, "tv": 0.05}}
    config |= {"optimiser": {"kind": "adam", "learning_rate": [[0, 0.05]]}}
    method = {"config": {"blocks": [4]} if floor else config, "device": DEVICE}
    method |= {"code": digest([name, "code"]), "params": digest([name])}
    write_group(
        root / "data/reconstructions" / name,
        images=(np.concatenate(list(methods.values())) * 255).round().astype(np.uint8),
        rows=rows,
        method=method,
        trace=trace,
        timing=[{"method": name, "step": step, "seconds": step * 0.26} for step in steps],
    )
    write_csv(root / "metrics/methods" / f"{name}.csv", tuple(scores[0]), scores)
    return board


def _board(scores: list[dict[str, Any]], index: list[dict[str, str]], rng: Any, *, seconds: float) -> dict[str, object]:
    first, half = scores[0], float(rng.uniform(0.5, 1.4))
    means = {name: None if first[name] is None else float(np.mean([score[name] for score in scores])) for name in METRICS[1:]}
    return {
        **{key: first[key] for key in ("method", "family", "task", "oracle", "dataset", "size", "network", "tap")},
        **{"n": len(scores), "sources": len({entry["source"] for entry in index}), **means},
        **{"psnr_lo": means["psnr"] - half, "psnr_hi": means["psnr"] + 1.1 * half},
        **{"seconds_per_image": seconds, "device": DEVICE},
    }


def _comparisons(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    by_name = {str(row["method"]): row for row in rows}
    floors = (("the best blind floor", "floor_dataset_mean"), ("its mean colour", "floor_own_mean"))
    pairs = [(f"{method} against {label}", method, floor) for method in ("shallow", "deep") for label, floor in floors]
    found = []
    for question, a, b in [*pairs, ("depth", "shallow", "deep")]:
        for metric, half in (("psnr", 1.1), ("lpips_vgg", 0.04)):
            mean_a, mean_b = (float(str(by_name[name][metric])) for name in (a, b))
            same = {key: by_name[a][key] for key in ("dataset", "size", "network", "tap", "n", "sources", "device")}
            diff = mean_a - mean_b
            values = {"mean_a": mean_a, "mean_b": mean_b, "diff": diff, "lo": diff - half, "hi": diff + half}
            found.append({"question": question, "a": a, "b": b, "metric": metric, **same, **values})
    return found
