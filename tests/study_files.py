"""Studies on toys: their documents, fifteen pictures of noise, one network of random weights, and the command that runs one."""

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

from benchmarks.masked_study import MASKED_FLOORS
from relume.core.images import save_png
from relume.networks import network as networks
from tests.decoder_files import training
from tests.toy_masked import ENERGY, STACK, TOKENS

ROOT = Path(__file__).resolve().parents[1]


STEPS = 4
CONV1: dict[str, Any] = {"network": "alexnet_conv", "taps": ["conv1"]}
SHORT = training(steps=STEPS)
ET: dict[str, Any] = {"architecture": ENERGY}
BEIT: dict[str, Any] = {
    "architecture": {"kind": "beit", "encoder": STACK, "tokenizer": TOKENS},
    "tokenizer": "codes",
    "masks": {"pattern": "block", "ratio": 0.4},
}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "inversion": {
        **{"pixels": 32, "count": 2, "seconds": {"equal": ["tuned", "s0"]}, "floors": True, "metrics": ["psnr", "feature_error"]},
        "losses": {"tv": 0.1, "alpha_norm": 0.2, "guide": 0.0},
        "base": {"network": "alexnet_conv", "sizes": [], "steps": 2, "trace_every": 1},
        "cases": {"shallow": {"taps": {"conv1": 1.0}}, "deep": {"taps": {"conv2": 1.0}}},
        "methods": {
            "s0": {"losses": {"alpha_norm": 0.0}},
            "tuned": {"start": "s0", "init": {"std": 0.0}},
            "once": {"only": ["deep"], "taps": {"conv1": 1.0, "conv2": 1.0}},
        },
        "per_case": {"deep": {"tuned": {"steps": 4}}},
        "questions": {"better": {"a": "tuned", "b": "s0"}},
    },
    "decoders": {
        **{"pixels": 32, "count": 2, "floors": ["floor_own_mean", "floor_blocks_7"], "metrics": ["psnr", "feature_error"]},
        "shared": {"architecture": {"width": 8}, "losses": {"lpips": 0.0}, "training": SHORT, "moments": 4},
        "decoders": {
            "conv1": CONV1,
            "conv2": {"network": "alexnet_conv", "taps": ["conv2"]},
            "both": {"network": "alexnet_conv", "taps": ["conv1", "conv2"], "architecture": {"kind": "conv_only"}},
        },
        "losses": {"tv": 0.1, "alpha_norm": 0.2},
        "base": {"steps": 2, "trace_every": 1},
        "refine": {"refined": {"decoder": "conv2", "steps": 3, "losses": {"tv": 0.5}, "init": {"std": 0.0}}},
        "depths": {"alexnet": ["conv1", "conv2"]},
        "questions": {"several_taps": {"a": "both", "b": "conv2"}},
    },
    "masked": {
        **{"pixels": 16, "cell": 4, "pattern": "random", "ratios": [0.5, 0.75], "test": 3, "train": 6, "validation": 2},
        "run": {"micro_batch": 3},
        "shared": {"masks": {"ratio": 0.75}, "augment": {"colour": 0.0}, "training": SHORT},
        "models": {"beit": BEIT, "codes": {"architecture": TOKENS}, "et": ET},
        **{"floors": list(MASKED_FLOORS), "metrics": ["psnr_masked", "ssim_pasted"], "sets": None},
        "probe": {"penalties": [0.1], "neighbours": 2},
        "questions": {
            "who": {"a": "et", "b": "beit"},
            "floor": {"a": "et", "b": "floor_mean_visible", "metrics": ["psnr_masked"]},
        },
    },
}
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
