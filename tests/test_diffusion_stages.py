"""Denoisers on toy files: what they are shown, how draws go, and the stage `invert_diffusion`, with its spreads."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relume.core.config import build
from relume.core.errors import UserError
from relume.core.files import read_csv
from relume.core.results import read_group
from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.methods.diffusion import report
from relume.methods.diffusion.config import InvertDiffusion, Noise
from relume.methods.diffusion.infer import invert, read_denoiser
from relume.methods.diffusion.model import conditioned, direct, pure, sample
from relume.methods.diffusion.spread import agreement, errors, spreads
from relume.networks import network as networks
from relume.report.blocks import Pictures
from relume.report.data import _originals
from relume.report.images import Drawing, Sheets
from relume.training.loop import train
from relume.training.models import write_model
from stages import invert_diffusion
from tests.decoder_files import CPU, RUN, training
from tests.stage_files import IMAGES, project, succeed
from tests.training_files import denoiser

NOISE = Noise(mean=0.0, spread=1.0, least=0.01, most=50.0)
SEEN = {"one": {"model": "toy", "tap": "conv3"}, "other": {"model": "toy", "tap": "pool"}}
GROUP = {"dataset": "toy", "split": "test", "count": None, "steps": 2, "draws": 3, "seen": SEEN}
OPTIONS = {"group": "draws", "weights": "models/weights", "models": "models", "out": "out"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    project(tmp_path, monkeypatch, {"invert_diffusion": {"draws": GROUP}})
    found = Dataset.open(Path(IMAGES))
    trainer = denoiser(found, training=training(steps=2))
    write_model(Path("models/toy"), train(trainer), trainer.card(), trainer.samples())
    return found


def exact(mean: float, deviation: float) -> object:
    """The denoiser of pictures whose numbers are normal and independent."""
    return lambda noisy, sigma: mean + deviation**2 / (deviation**2 + sigma.view(-1, 1, 1, 1) ** 2) * (noisy - mean)


def test_draws_have_the_distribution_that_an_exact_denoiser_knows() -> None:
    unit = pure(16, [generator(0, number) for number in range(64)], CPU)
    denoise = exact(0.2, 0.1)
    mean, drawn = direct(denoise, unit, NOISE), sample(denoise, unit, NOISE, 40)  # type: ignore[arg-type]
    assert float((mean - 0.6).abs().max()) < 1e-3, "in [0, 1]"
    assert float(drawn.mean()) == pytest.approx(0.6, abs=2e-3)
    assert float(drawn.std()) == pytest.approx(0.05, rel=0.03)
    assert torch.equal(drawn, sample(denoise, unit, NOISE, 40))  # type: ignore[arg-type]


def test_a_denoiser_sees_the_taps_that_it_is_shown(data: Dataset) -> None:
    model = read_denoiser(Path("models/toy"), CPU)
    for weights in model.module.parameters():
        torch.nn.init.normal_(weights, std=0.1)
    features = {tap: torch.rand(2, *shape) for tap, shape in model.shapes.items()}
    unit = pure(64, [generator(0, 0), generator(0, 1)], CPU)

    def answer(tap: str | None, **changed: Tensor) -> Tensor:
        return direct(conditioned(model.module, features | changed, tap), unit, NOISE)

    other = torch.rand(2, *model.shapes["pool"])
    assert torch.equal(answer("conv3"), answer("conv3", pool=other))
    assert not torch.equal(answer("pool"), answer("pool", pool=other))
    assert not torch.equal(answer(None), answer("conv3"))


def test_a_group_of_answers_draws_and_means_with_spreads(data: Dataset) -> None:
    succeed(invert_diffusion, **OPTIONS)
    group = read_group(Path("out"))
    names = [f"{name}_{way}" for name in SEEN for way in ("direct", "sample", "mean")]
    assert [row["method"] for row in group.index] == [name for name in names for _ in range(4)]
    assert {(row["method"].split("_")[0], row["tap"]) for row in group.index} == {("one", "conv3"), ("other", "pool")}
    assert [row["method"] for row in read_csv(group.folder / "timing.csv")] == names
    found = spreads(group)
    assert [(one.method, one.maps.shape) for one in found] == [(f"{name}_mean", (4, 64, 64)) for name in SEEN]
    assert found[1].rows == list(range(20, 24))
    assert all((one.maps > 0).any() for one in found)
    model, config = read_denoiser(Path("models/toy"), CPU), build(InvertDiffusion, GROUP | {"count": 1}, "group")
    alone = invert({"toy": model}, data, config, networks={"alexnet_conv": networks.random("alexnet_conv")}, run=RUN, device=CPU)
    assert np.abs(alone.pictures[1].astype(int) - group.images[4]).max() <= 1, "a draw does not depend on the other pictures"


def test_pictures_and_features_must_be_those_of_the_training(data: Dataset) -> None:
    model, nets = read_denoiser(Path("models/toy"), CPU), {"alexnet_conv": networks.random("alexnet_conv")}
    config = build(InvertDiffusion, GROUP, "group")
    for wrong, message in (({"size": 32}, "32 px"), ({"shapes": {"conv3": (9, 3, 3), "pool": (9,)}}, "was trained on")):
        with pytest.raises(UserError, match=message):
            invert({"toy": replace(model, card={**model.card, **wrong})}, data, config, networks=nets, run=RUN, device=CPU)
    with pytest.raises(UserError, match="photos.*toy"):
        invert({"toy": model}, data, replace(config, dataset="photos"), networks=nets, run=RUN, device=CPU)


def test_a_spread_that_tells_the_error_correlates_with_it(data: Dataset) -> None:
    original = data.images[:4]
    wrong = original.copy()
    for number, rows in enumerate(wrong):
        rows[: 8 * (number + 1)] = 255 - rows[: 8 * (number + 1)]
    error = errors(wrong, original)
    assert (error[:, 32:] == 0).all()
    found = agreement(3 * error, error)
    assert [found[name] for name in ("pixels", "pictures", "pooled", "pooled_lo", "pooled_hi")] == pytest.approx([1] * 5)
    each = np.stack([np.full((64, 64), value) for value in (1.0, 2.0, 3.0, 5.0)]) + 0.1 * error
    found = agreement(each, error)
    assert found["pooled"] == pytest.approx(np.corrcoef(each.ravel(), error.ravel())[0, 1])
    assert found["pooled_lo"] < found["pooled"] < found["pooled_hi"]
    noise = np.random.default_rng(0).random(error.shape)
    assert abs(agreement(noise, error)["pixels"]) < 0.1
    assert agreement(-error + 1, error)["pixels_hi"] == pytest.approx(-1)


def test_the_report_shows_spreads_beside_errors(data: Dataset) -> None:
    succeed(invert_diffusion, **OPTIONS)
    shown: Any = SimpleNamespace(groups=[read_group(Path("out"))], originals=lambda name: _originals(Path(IMAGES)))
    drawing = Drawing(data=shown, sheets=Sheets(), level="95%", count=2)
    (found,) = report.parts(drawing)
    columns, rows = found.tables["spread"]
    assert [row["method"] for row in rows] == ["one_mean", "other_mean"]
    assert all(set(row) == set(columns) for row in rows)
    pictures = [block for block in found.blocks if isinstance(block, Pictures)]
    assert [len(tiles) for block in pictures for _, tiles in block.rows] == 10 * [2]
    page = drawing.sheets.tiles["out-one-Spread"][0]
    assert page.shape == (64, 64, 3)
    assert page.max() > 0
