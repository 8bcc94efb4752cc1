"""What is learned from other pictures before an inversion: the guide, and the mean picture. Guides are fitted once and kept;
relume carries those of networks whose weights come with packages (`python -m benchmarks.guides` fits them)."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from tqdm import tqdm

from relume.api.models import Opened
from relume.core.config import build
from relume.core.errors import UserError
from relume.core.files import atomic, digest, find_root, read_json, sha256
from relume.data.config import Photos
from relume.data.prepare import prepare
from relume.data.store import Dataset
from relume.methods.optimise import guide as guides
from relume.methods.optimise import targets
from relume.methods.optimise.config import InversionConfig
from relume.methods.optimise.guide import WIDEST, Guide
from relume.methods.optimise.targets import Provider
from relume.networks.sources import cache_folder
from relume.networks.weights import digest as digest_of

CARRIED = Path(__file__).with_name(
    "fitted"
)  # <network>.safetensors, `<layers>/<part>`; what they were fitted with is its metadata
PARTS = ("mean", "centre", "gradient")


def _folder(name: str) -> Path:
    """The project's dataset of this name; else the library's own."""
    project = find_root(Path.cwd()) / "data/images" / name
    return project if (project / "manifest.json").exists() else cache_folder() / "images" / name


def training(name: str, parameters: dict[str, Any]) -> Dataset:
    """The project's dataset of this name; outside a project the same, made once from photographs in installed packages."""
    folder = _folder(name)
    if not (folder / "manifest.json").exists():
        own = parameters["prepare"]["datasets"].get(name, {})
        if own.get("source") != "photos":
            raise UserError(
                f"data/images/{name} is missing, which the guide is fitted on: run `dvc repro prepare`, or set losses.guide to 0"
            )
        prepare(build(Photos, own, f"prepare.datasets.{name}"), folder, name=f"training pictures, {name}", processes=1)
    found = Dataset.open(folder)
    found.select("train")  # an error if there are none
    return found


def reach(opened: Opened, asked: int) -> int:
    """How many positions a cell of the guide may read each way: 1 where more would be too many numbers; 0: not even that fits."""
    taps = [opened.network.facts.taps[name] for name in opened.weights]
    if all(tap.stride is None for tap in taps):
        return asked if sum(tap.channels for tap in taps) <= WIDEST else 0
    width = sum(
        tap.channels * (2 if len(opened.shapes[name]) == 2 else 1) for name, tap in zip(opened.weights, taps, strict=True)
    )
    return next((one for one in (asked, 1) if width * one**2 <= WIDEST), 0)


def guide(opened: Opened, config: InversionConfig, parameters: dict[str, Any], *, progress: bool) -> Guide:
    """The one that relume carries; else from the cache, where the same network, layers, size, pictures and code have been fitted
    before."""
    if (found := carried(opened, config)) is not None:
        return found
    dataset = training(config.dataset, parameters)
    path = cache_folder() / "guides" / f"{_key(opened, config, dataset)}.safetensors"
    if path.exists():
        return _guide(opened, config, load_file(path))
    made = fit(opened, config, dataset, progress=progress)
    with atomic(path) as temporary:
        temporary.write_bytes(save({name: getattr(made, name).cpu() for name in PARTS}))
    return made


def fit(opened: Opened, config: InversionConfig, dataset: Dataset, *, progress: bool) -> Guide:
    provider = Provider(dataset, {opened.name: opened.network}, opened.device, opened.channels)

    def watch(batches: range) -> Iterable[int]:
        return tqdm(batches, desc="guide: fitted once, then kept", unit="batch", dynamic_ncols=True, disable=not progress)

    try:
        return provider.guide(config, opened.size, watch)
    except KeyboardInterrupt:
        tqdm.write(
            "interrupted while the guide was fitted: there is no image yet, and nothing was written. The same call begins again; "
            "losses.guide=0 with init.base=grey needs no guide.",
            file=sys.stderr,
        )
        raise


def carried(opened: Opened, config: InversionConfig) -> Guide | None:
    """None where relume carries none of these layers, or one that was fitted on other weights or pictures, or otherwise."""
    path, layers = CARRIED / f"{opened.name}.safetensors", "+".join(opened.weights)
    about, manifest = known(path).get(layers), _folder(config.dataset) / "manifest.json"
    if about is None:
        return None
    pictures = read_json(manifest)["index_sha256"] if manifest.exists() else about["pictures"]
    if about != fitted_with(opened, config, pictures):
        return None
    with safe_open(path, "pt") as file:
        return _guide(opened, config, {part: file.get_tensor(f"{layers}/{part}") for part in PARTS})


def known(path: Path) -> dict[str, dict[str, Any]]:
    """Layers -> what a guide in this file was fitted with."""
    if not path.exists():
        return {}
    with safe_open(path, "pt") as file:
        found: dict[str, dict[str, Any]] = json.loads(file.metadata()["fitted"])
    return found


def fitted_with(opened: Opened, config: InversionConfig, pictures: str) -> dict[str, Any]:
    """All that a guide depends on, besides its code."""
    weights = digest_of({name: value.cpu() for name, value in opened.network.state_dict().items()})
    about = {"size": opened.size, "dataset": config.dataset, "guide": vars(config.terms.guide)}
    return {"weights": weights, "pictures": pictures, **about}


def _guide(opened: Opened, config: InversionConfig, parts: dict[str, torch.Tensor]) -> Guide:
    found = {name: value.to(opened.device, copy=True) for name, value in parts.items()}
    return Guide(config=config.terms.guide, channels=opened.channels, **found)


def _key(opened: Opened, config: InversionConfig, dataset: Dataset) -> str:
    """What the network computes of one image stands for its weights, its code, its layers and torch's threads."""
    image = torch.rand(1, opened.channels, opened.size, opened.size, generator=torch.Generator().manual_seed(0))
    seen = digest_of({layer: value.cpu() for layer, value in opened.features(image, 1).items()})
    code = [sha256(Path(str(module.__file__))) for module in (guides, targets)]
    about = [opened.size, vars(config.terms.guide), str(opened.device), torch.get_num_threads()]
    return digest([seen, code, dataset.manifest["index_sha256"], *about])
