"""The stage `reconstruct_masked` on toy files, and what a masked Trainer measures: masks are everybody's, faults by name."""

from pathlib import Path

import numpy as np
import pytest

from relume.core.config import entry, merge
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.images import to_uint8
from relume.core.results import read_descent, read_masked_group
from relume.core.runtime import generator
from relume.data.masks import in_pixels, masks_of
from relume.data.masks_config import Masks
from relume.data.store import Dataset
from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.train import MaskedTrainer
from relume.methods.masked.trained import read_masked
from relume.training.loop import LOSS, train
from stages import reconstruct_masked
from tests.decoder_files import CPU, setup, training
from tests.stage_files import IMAGES, project, run, succeed
from tests.toy_masked import MODELS, SHARED, trainer, write_masked

SIZE = 16
MASKS = Masks(pattern="random", ratio=0.75, cell=4)
GROUP = {
    "dataset": "toy",
    "split": "test",
    "count": 3,
    "pattern": "random",
    "ratios": [0.5, 0.75],
    "cell": 4,
    "models": ["et", "mae"],
}
OPTIONS = {"group": "masked", "models": "models", "out": "out"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    project(tmp_path, monkeypatch, {"reconstruct_masked": {"masked": GROUP}}, size=SIZE)
    return Dataset.open(Path(IMAGES))


def test_a_group_of_models_and_baselines(data: Dataset) -> None:
    write_masked(Path("models"), data, "et")
    write_masked(Path("models"), data, "mae")
    succeed(reconstruct_masked, **OPTIONS)
    group, masks = read_masked_group(Path("out"))
    methods = list(dict.fromkeys(row["method"] for row in group.index))
    assert methods[-2:] == ["et", "mae"]
    assert all(name.startswith("floor_") for name in methods[:-2])
    assert len(group.index) == len(methods) * 2 * 3
    assert [row["id"] for row in group.index[:3]] == ["test0", "test1", "test2"]
    assert {(row["task"], row["oracle"], row["selected"]) for row in group.index} == {("masked", "false", "true")}
    by_method = masks.reshape(len(methods), 2, 3, 4, 4)
    assert (by_method == by_method[:1]).all(), "masks are the same for all methods"
    assert [float(row["mask_ratio"]) for row in group.index] == ([0.5] * 3 + [0.75] * 3) * len(methods)
    assert masks[:3].sum() == 3 * 8
    assert masks[3:6].sum() == 3 * 12
    assert [row["method"] for row in group.timing] == methods
    assert {row["term"] for row in read_csv(group.folder / "trace.csv")} == {"energy@0.5", "energy@0.75"}
    way = read_descent(group.folder)
    assert [(row["method"], row["id"], row["step"]) for row in way.rows[:4]] == [
        *(("et", "test0", step) for step in "012"),
        ("et", "test1", "0"),
    ]
    at = methods.index("et") * 6
    assert np.array_equal(way.images[2::3], group.images[at : at + 3]), "the last step is the prediction"
    assert group.method["parameters"]["et"] == read_json(Path("models/et/model.json"))["parameters"]
    # what the model says of pictures that are black where they are hidden
    model, numbers = read_masked(Path("models/et"), CPU), data.select("test", 3)
    hidden = masks_of(data.ids(numbers), 4, MASKS, 0)
    assert np.array_equal(hidden.numpy(), by_method[0, 1])
    seen = data.pixels(numbers).masked_fill(in_pixels(hidden, 4), 0)
    assert np.array_equal(group.images[at + 3 : at + 6], to_uint8(model.predict(seen, hidden)))


def test_it_learns(data: Dataset) -> None:
    """On noise there is nothing to learn but the training images themselves."""
    steps = training(steps=80, batch=4, learning_rate=1e-2, validate_every=40, log_every=40, ema=0.0)
    toy = trainer(data, "mae", training=steps, augment={"flip": False, "crop": 0.0})
    toy.val = toy.train
    first = toy.validate()
    assert train(toy).metrics[LOSS] < 0.8 * first[LOSS]


def test_partners_and_masks_come_from_each_rows_generator(data: Dataset) -> None:
    toy = trainer(data, "mixed", augment={"flip": False, "crop": 0.0})
    both = toy.loss([0, 1], [generator(0, "a"), generator(0, "b")])
    apart = [toy.loss([row], [generator(0, name)]) for row, name in enumerate("ab")]
    assert set(both) == {LOSS, "pixels", "recognition"}
    assert both[LOSS].item() == pytest.approx((apart[0][LOSS].item() + apart[1][LOSS].item()) / 2, rel=1e-5)


def test_validation_states_the_baseline_beside_the_score(data: Dataset) -> None:
    """The mean of the visible, worked out apart."""
    metrics, numbers = trainer(data).validate(), data.select("val")
    hidden = in_pixels(masks_of(data.ids(numbers), 4, MASKS, 0), 4)
    wanted = []
    for picture, dark in zip(data.pixels(numbers), hidden[:, 0], strict=True):
        colour = picture[:, ~dark].mean(1, keepdim=True)
        wanted.append(-10 * float((picture[:, dark] - colour).square().mean().log10()))
    assert metrics["floor_mean_visible"] == pytest.approx(float(np.mean(wanted)), abs=1e-3)


def test_faults_name_themselves(data: Dataset) -> None:
    result = run(reconstruct_masked, **OPTIONS)
    assert result.exit_code == 1
    assert "models/et/model.json" in result.output
    write_masked(Path("models"), data, "codes")
    with pytest.raises(UserError, match="models/codes"):
        read_masked(Path("models/codes"), CPU)
    other = entry(MaskedConfig, SHARED, merge(MODELS["beit"], {"architecture": {"tokenizer": {"levels": [3, 3]}}}), "toy")
    with pytest.raises(UserError, match="a tokenizer with"):
        MaskedTrainer(setup(data, other), Path("models/codes"))
    with pytest.raises(UserError, match="cells of 5 px"):
        trainer(data, masks={"cell": 5})
