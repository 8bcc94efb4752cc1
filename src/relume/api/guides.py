"""What is learned from other pictures before an inversion: the guide, and the mean picture. Guides are fitted once and kept."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from tqdm import tqdm

from relume.api.models import Opened
from relume.core.config import build
from relume.core.errors import UserError
from relume.core.files import atomic, digest, find_root, sha256
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


def training(name: str, parameters: dict[str, Any]) -> Dataset:
    """The project's dataset of this name; outside a project the same, made once from photographs in installed packages."""
    project = find_root(Path.cwd()) / "data/images" / name
    folder = project if (project / "manifest.json").exists() else cache_folder() / "images" / name
    if not (folder / "manifest.json").exists():
        own = parameters["prepare"]["datasets"].get(name, {})
        if own.get("source") != "photos":
            raise UserError(
                f"{project} is missing, which the guide is fitted on: run `dvc repro prepare`, or set losses.guide to 0"
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


def guide(opened: Opened, config: InversionConfig, dataset: Dataset, *, progress: bool) -> Guide:
    """From the cache, where the same network, layers, size, pictures and code have been fitted before."""
    path = cache_folder() / "guides" / f"{_key(opened, config, dataset)}.safetensors"
    if path.exists():
        found = {name: value.to(opened.device, copy=True) for name, value in load_file(path).items()}
        return Guide(config=config.terms.guide, channels=opened.channels, **found)
    provider = Provider(dataset, {opened.name: opened.network}, opened.device, opened.channels)

    def watch(batches: range) -> Iterable[int]:
        return tqdm(batches, desc="guide: fitted once, then kept", unit="batch", dynamic_ncols=True, disable=not progress)

    made = provider.guide(config, opened.size, watch)
    with atomic(path) as temporary:
        numbers = {"mean": made.mean, "centre": made.centre, "gradient": made.gradient}
        temporary.write_bytes(save({name: value.cpu() for name, value in numbers.items()}))
    return made


def _key(opened: Opened, config: InversionConfig, dataset: Dataset) -> str:
    """What the network computes of one image stands for its weights, its code, its layers and torch's threads."""
    image = torch.rand(1, opened.channels, opened.size, opened.size, generator=torch.Generator().manual_seed(0))
    seen = digest_of({layer: value.cpu() for layer, value in opened.features(image, 1).items()})
    code = [sha256(Path(str(module.__file__))) for module in (guides, targets)]
    about = [opened.size, vars(config.terms.guide), str(opened.device), torch.get_num_threads()]
    return digest([seen, code, dataset.manifest["index_sha256"], *about])
