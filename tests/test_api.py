"""What a notebook does: a picture's features, and a picture from features alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
import yaml

from relume import api
from relume.core.errors import UserError
from relume.core.images import save_png, to_float
from relume.methods.optimise import tuned
from relume.methods.optimise.optimise import Report
from tests.evaluation_files import write_dataset
from tests.inversion_files import SIZE, found, pictures

ROOT = Path(__file__).resolve().parents[1]
PARAMS = ROOT / "params.yaml"
NET = "alexnet_conv"
UNGUIDED: dict[str, Any] = {"losses": {"guide": 0.0}, "init": {"base": "grey"}}


@pytest.fixture(autouse=True)
def random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "load", found)


@pytest.fixture
def images(tmp_path: Path, default_params: dict[str, Any]) -> Path:
    """The dataset that params.yaml names, of toy pictures."""
    name = default_params["invert_optimise"]["dataset"]
    write_dataset(tmp_path / name, size=SIZE, splits=("train",), each=8)
    return tmp_path


def seen(tap: str, count: int = 1) -> dict[str, torch.Tensor]:
    return api.features(pictures(count), NET, [tap])


def test_from_a_picture_to_features_and_back(tmp_path: Path) -> None:
    save_png(tmp_path / "cat.png", skimage.data.chelsea())
    picture = api.picture(tmp_path / "cat.png", size=64)
    assert picture.shape == (1, 3, 64, 64)
    targets = api.features(picture, NET, ["conv2"])
    told: list[int] = []
    made = api.invert(targets, NET, size=64, params=PARAMS, report=lambda step: told.append(step.step), steps=20, trace_every=10)
    assert made.image.shape == (1, 64, 64, 3)
    assert made.image.dtype == np.uint8
    assert made.recipe == "alexnet_shallow"
    assert made.trace[-1]["objective"] < 0.5 * made.trace[0]["objective"]
    assert made.objective == [made.trace[-1]["objective"]]
    assert told == [row["step"] for row in made.trace] == [0, 10, 20]
    assert made.frames == []


def test_the_fitting_recipe_is_taken_and_can_be_named(images: Path) -> None:
    few: dict[str, Any] = {"size": SIZE, "params": PARAMS, "steps": 1, "images": images}
    guided: dict[str, Any] = {"terms": {"guide": {"reach": 1}}}  # narrow, so that the fit is quick
    assert api.invert(seen("conv5"), NET, **few, **guided).recipe == tuned.name_for(NET, ["conv5"]) == "alexnet_deep"
    named = api.invert(seen("conv5"), NET, recipe="vgg_shallow", **few, **UNGUIDED)
    assert named.recipe == "vgg_shallow"
    with pytest.raises(UserError, match="unknown recipe 'alexnet_deeep'; did you mean 'alexnet_deep'"):
        api.invert(seen("conv5"), NET, recipe="alexnet_deeep", **few)
    with pytest.raises(UserError, match="alexnet_conv has no tap 'conv55'; did you mean 'conv5'"):
        api.invert({"conv55": torch.zeros(1, 3)}, NET, **few)
    with pytest.raises(UserError, match="invert.stepz: unknown key; did you mean 'steps'"):
        api.invert(seen("conv5"), NET, size=SIZE, params=PARAMS, stepz=1)


def test_the_guide_wants_training_pictures_and_can_be_switched_off(tmp_path: Path, images: Path) -> None:
    few: dict[str, Any] = {"size": SIZE, "params": PARAMS, "steps": 2}
    with pytest.raises(UserError, match="is missing: colours and brightness are fitted on its training images"):
        api.invert(seen("pool"), NET, images=tmp_path / "none", **few)
    api.invert(seen("pool"), NET, images=tmp_path / "none", **few, **UNGUIDED)
    guided = api.invert(seen("pool"), NET, images=images, **few)
    assert "guide" in guided.trace[0]


def test_pictures_can_begin_with_the_mean_of_the_training_pictures(images: Path, default_params: dict[str, Any]) -> None:
    begun: list[torch.Tensor] = []

    def report(step: Report) -> None:
        begun.append(step.images.clone())

    start: dict[str, Any] = {"losses": {"guide": 0.0}, "init": {"base": "mean_image", "std": 0.0}}
    api.invert(seen("conv2"), NET, size=SIZE, params=PARAMS, images=images, report=report, steps=1, **start)
    mean = to_float(np.load(images / default_params["invert_optimise"]["dataset"] / "images.npy")).mean(0, keepdim=True)
    torch.testing.assert_close(begun[0], mean, atol=0.01, rtol=0)


def test_frames_show_how_the_pictures_came_about() -> None:
    made = api.invert(seen("conv2", 2), NET, size=SIZE, params=PARAMS, frames=2, steps=5, trace_every=1, restarts=2, **UNGUIDED)
    assert [frame.shape for frame in made.frames] == [(2, SIZE, SIZE, 3)] * 3
    assert made.image.shape == (2, SIZE, SIZE, 3)
    assert not np.array_equal(made.frames[0], made.frames[2])


def test_of_the_restarts_the_objective_chooses(default_params: dict[str, Any]) -> None:
    reached: list[torch.Tensor] = []
    made = api.invert(
        seen("conv3", 2),
        NET,
        size=SIZE,
        params=PARAMS,
        restarts=3,
        steps=4,
        report=lambda step: reached.append(step.terms["objective"]),
        losses={"guide": 0.0},
        init={"base": "grey", "std": 0.3},
    )
    assert made.objective == reached[-1].view(2, 3).amin(1).tolist()
    assert made.image.shape == (2, SIZE, SIZE, 3)


def test_equal_seeds_give_equal_bits() -> None:
    few: dict[str, Any] = {"size": SIZE, "params": PARAMS, "steps": 3, **UNGUIDED, "init": {"base": "grey", "std": 0.1}}
    one, same, other = (api.invert(seen("conv2"), NET, seed=seed, **few).image for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_an_interrupt_returns_the_best_so_far() -> None:
    told: list[int] = []

    def report(step: Report) -> None:
        told.append(step.step)
        if len(told) == 4:
            raise KeyboardInterrupt

    made = api.invert(seen("conv2"), NET, size=SIZE, params=PARAMS, report=report, steps=400, trace_every=1, **UNGUIDED)
    assert made.interrupted
    assert made.trace[-1]["step"] == 3
    assert made.objective[0] < made.trace[0]["objective"]


def changed(tmp_path: Path, term: str) -> Path:
    params = yaml.safe_load(PARAMS.read_text())
    params["losses"][term] = 1.0
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path / "params.yaml"


@pytest.mark.parametrize("term", ["pixel", "lpips", "ssim", "clip"])
def test_features_alone_cannot_serve_an_oracle(tmp_path: Path, term: str) -> None:
    with pytest.raises(UserError, match=f"{term} wants the picture"):
        api.invert(seen("conv2"), NET, size=64, params=changed(tmp_path, term))


@pytest.mark.parametrize("term", ["avg", "ref", "surrogate", "logits"])
def test_terms_that_cannot_be_served_here_are_refused(tmp_path: Path, term: str) -> None:
    with pytest.raises(UserError, match=rf"losses: .*{term}"):
        api.invert(seen("conv2"), NET, size=64, params=changed(tmp_path, term))


def test_a_recipe_without_a_term_is_refused() -> None:
    with pytest.raises(UserError, match="every weight is 0"):
        api.invert(seen("conv2"), NET, size=64, params=PARAMS, losses={"feature": 0.0, "tv": 0.0, "guide": 0.0})


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(UserError, match=r"note\.txt"):
        api.picture(tmp_path / "note.txt", size=64)
