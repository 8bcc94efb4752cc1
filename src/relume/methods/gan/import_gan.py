"""Imports a published generator: finds and verifies the file, estimates the mean w, draws noise maps."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relume.core.download import check, fetch
from relume.core.errors import UserError
from relume.core.images import resize, to_uint8
from relume.core.runtime import generator
from relume.core.sheet import grid
from relume.methods.gan import model as gans
from relume.methods.gan.config import ExternalGan, StyleGan1
from relume.methods.gan.generator import Generator, set_mean
from relume.methods.gan.style_gan1_files import read_style_gan1
from relume.training.models import Trained

SEED = 0  # fixed: an import is the same in every run
ROWS, SHOWN, SIDE, PSI = 2, 4, 128, 0.7  # of the sheet; psi as published


def locate(name: str, config: ExternalGan) -> Path:
    """The generator's file, verified by its sha256; downloaded if it is not found and `source` is a URL."""
    remote = config.source.startswith(("https://", "http://"))
    file = config.source.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
    folders = [Path(folder).expanduser() for folder in os.environ.get("RELUME_WEIGHTS", "").split(os.pathsep) if folder]
    paths = [folder / file for folder in folders]
    if remote:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relume" / "gan" / config.sha256[:16]
        if not any(path.is_file() for path in paths):
            return fetch(config.source, cache / file, sha256=config.sha256, describe=f"the weights of generator {name}")
    else:
        paths = [Path(config.source).expanduser(), *paths]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        searched = ", ".join(map(str, paths))
        raise UserError(f"import_gan.models.{name}.source: no such file; searched {searched}. RELUME_WEIGHTS can name folders")
    check(found, sha256=config.sha256, hint=f"expected by import_gan.models.{name}.sha256")
    return found


@torch.no_grad()
def external(path: Path, config: ExternalGan) -> tuple[StyleGan1, Generator]:
    architecture, tensors = read_style_gan1(path, config.pixels)
    made = gans.generator(architecture, config.pixels)
    noise = made.draw_noise([generator(SEED, "import_gan", "noise")])
    own = {f"styled.{number}.noise": one for number, one in enumerate(noise)}
    made.load_state_dict({**tensors, **own, "running_mean": made.running_mean})
    set_mean(made, SEED, "import_gan")
    return architecture, made.eval()


def as_trained(made: Generator) -> Trained:
    """For `write_model`: without history and last weights."""
    return Trained(best=made.state_dict(), last={}, best_step=0, metrics={}, history=[], timing=[], progress=None)


def card(name: str, config: ExternalGan, architecture: StyleGan1, made: Generator) -> dict[str, Any]:
    """The `model.json`, without the stage's provenance and without the file's path."""
    return {
        "kind": "gan",
        "name": name,
        "config": {"architecture": asdict(architecture), "file_sha256": config.sha256},
        "size": config.pixels,
        "data": {"dataset": "external", "train": 0, "val": 0},
        "parameters": sum(weights.numel() for weights in made.parameters()),
        "device": "cpu",
    }


@torch.no_grad()
def sheet(made: Generator) -> np.ndarray:
    """Samples, at most SIDE px each, uint8 (H, W, 3). One at a time, because of memory."""
    pictures = []
    for number in range(ROWS * SHOWN):
        w = made.truncated(made.map(made.draw([generator(SEED, "sample", number)])), PSI)
        pictures.append(to_uint8(resize(made.synthesise(w), min(SIDE, made.size))))
    drawn = np.concatenate(pictures)
    return grid(drawn.reshape(ROWS, SHOWN, *drawn.shape[1:]))
