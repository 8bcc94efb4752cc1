"""Studies on toys: fifteen pictures of noise, one network of random weights, and the command that runs a study."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from relume.core.images import save_png
from relume.networks import network as networks

ROOT = Path(__file__).resolve().parents[1]


NAMES = [f"noise/{number:02}.png" for number in range(15)]


def study_call(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    main: click.Command,
    names: Sequence[str] = NAMES,
    words: Sequence[str] = ("--folder", "noise"),
) -> Callable[..., Result]:
    for name, pixels in zip(
        names, np.random.default_rng(0).integers(0, 256, (len(names), 40, 44, 3), dtype=np.uint8), strict=True
    ):
        save_png(folder / name, pixels)
    real, net = networks.load, networks.random("alexnet_conv", seed=0)
    for module in [module for name, module in sys.modules.items() if name.startswith(("relume.", "benchmarks."))]:
        if getattr(module, "load", None) is real:
            monkeypatch.setattr(module, "load", lambda name, store, device: net)
    monkeypatch.setenv("COLUMNS", "80")
    (folder / "params.yaml").symlink_to(ROOT / "params.yaml")
    monkeypatch.chdir(folder)
    torch.set_num_threads(1)

    def invoke(document: dict[str, Any], *flags: str) -> Result:
        Path("study.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        fixed = ["--study", "study.yaml", "--work", "work", "--device", "cpu", "--out", "out/toy.csv"]
        return CliRunner().invoke(main, [*words, *fixed, *flags])

    return invoke
