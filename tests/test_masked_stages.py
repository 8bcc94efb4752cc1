"""The stage `reconstruct_masked`, the Trainer of masked models, and energies and images along the descent."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from relume.core.config import entry, merge
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.images import to_uint8
from relume.core.results import GREY, Descent, Row, is_masked, pasted, read_descent, read_masked_group, visible, write_group
from relume.core.runtime import generator
from relume.data.config import Masks
from relume.data.masks import in_pixels, masks_of
from relume.data.store import Dataset
from relume.methods.masked.config import EnergyTransformerConfig, MaskedConfig, ReconstructMasked
from relume.methods.masked.energy_transformer import EnergyTransformer
from relume.methods.masked.infer import SHOWN, Descents, Predictor, descents, scenes
from relume.methods.masked.model import read_masked
from relume.methods.masked.train import MaskedTrainer
from relume.training.loop import LOSS, train
from stages import reconstruct_masked
from tests.decoder_files import CPU, RUN, setup, training
from tests.evaluation_files import write_dataset
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


def test_stage(data: Dataset) -> None:
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
    assert (by_method == by_method[:1]).all()
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
    assert np.abs(way.images[2::3].astype(int) - group.images[at : at + 3]).max() <= 1, "the last step is the prediction"
    assert group.method["parameters"]["et"] == read_json(Path("models/et/model.json"))["parameters"]
    # the model's prediction for images that are black where hidden
    model, numbers = read_masked(Path("models/et"), CPU), data.select("test", 3)
    hidden = masks_of(data.ids(numbers), 4, MASKS, 0)
    assert np.array_equal(hidden.numpy(), by_method[0, 1])
    seen = data.pixels(numbers).masked_fill(in_pixels(hidden, 4), 0)
    assert np.array_equal(group.images[at + 3 : at + 6], to_uint8(model.predict(seen, hidden)))


def test_training_lowers_the_loss(data: Dataset) -> None:
    """Validated on the training images, since noise does not generalise."""
    steps = training(steps=80, batch=4, learning_rate=1e-2, validate_every=40, log_every=40, ema=0.0)
    toy = trainer(data, "mae", training=steps, augment={"flip": False, "crop": 0.0})
    toy.val = toy.train
    first = toy.validate()
    assert train(toy).metrics[LOSS] < 0.8 * first[LOSS]


def test_partners_and_masks_are_drawn_per_row(data: Dataset) -> None:
    toy = trainer(data, "mixed", augment={"flip": False, "crop": 0.0})
    both = toy.loss([0, 1], [generator(0, "a"), generator(0, "b")])
    apart = [toy.loss([row], [generator(0, name)]) for row, name in enumerate("ab")]
    assert set(both) == {LOSS, "pixels", "recognition"}
    assert both[LOSS].item() == pytest.approx((apart[0][LOSS].item() + apart[1][LOSS].item()) / 2, rel=1e-5)


def test_validation_includes_the_baseline(data: Dataset) -> None:
    """The mean of the visible pixels, in a second way."""
    metrics, numbers = trainer(data).validate(), data.select("val")
    hidden = in_pixels(masks_of(data.ids(numbers), 4, MASKS, 0), 4)
    wanted = []
    for picture, dark in zip(data.pixels(numbers), hidden[:, 0], strict=True):
        colour = picture[:, ~dark].mean(1, keepdim=True)
        wanted.append(-10 * float((picture[:, dark] - colour).square().mean().log10()))
    assert metrics["floor_mean_visible"] == pytest.approx(float(np.mean(wanted)), abs=1e-3)


def test_faults(data: Dataset) -> None:
    result = run(reconstruct_masked, **OPTIONS)
    assert result.exit_code == 1
    assert "models/et/model.json" in result.output
    write_masked(Path("models"), data, "codes")
    with pytest.raises(UserError, match="models/codes"):
        read_masked(Path("models/codes"), CPU)
    other = entry(MaskedConfig, SHARED, merge(MODELS["beit"], {"architecture": {"tokenizer": {"levels": [3, 3]}}}), "toy")
    with pytest.raises(UserError, match="a tokenizer with"):
        MaskedTrainer(setup(data, other), Path("models/codes"))
    with pytest.raises(UserError, match="cell, 5"):
        trainer(data, masks={"cell": 5})


STEPS, COUNT, RATIOS = 3, 11, (0.75, 0.5)
FILLING = ReconstructMasked(dataset="toy", split="test", count=COUNT, pattern="random", ratios=RATIOS, cell=4, models=("et",))


@pytest.fixture(scope="module")
def model() -> EnergyTransformer:
    torch.manual_seed(0)
    config = EnergyTransformerConfig(
        kind="energy_transformer", width=16, heads=2, key=8, memories=32, steps=STEPS, alpha=0.02, beta=0.3, init=0.2
    )
    return EnergyTransformer(config, 16, 4).eval()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("images") / "toy", size=16, splits=("test",), each=COUNT)


def predictor(model: EnergyTransformer) -> Predictor:
    return Predictor(name="et", family="masked", predict=lambda x, m: model(x, m).picture, trajectory=model.trajectory)


def ways(model: EnergyTransformer, dataset: Dataset, micro_batch: int) -> Descents:
    found = descents([predictor(model)], dataset, FILLING, replace(RUN, micro_batch=micro_batch), CPU)
    assert found is not None
    return found


def test_energies_are_means_and_fall_in_small_steps(model: EnergyTransformer, dataset: Dataset) -> None:
    found = ways(model, dataset, 4)
    for ratio, scene in zip(RATIOS, scenes(dataset, FILLING, replace(RUN, micro_batch=COUNT)), strict=True):
        with torch.no_grad():
            wanted = [float(energy.double().mean()) for energy, _ in model.trajectory(scene.images, scene.hidden)]
        mine = [row for row in found.trace if row["term"] == f"energy@{ratio:g}"]
        assert [row["step"] for row in mine] == list(range(STEPS + 1))
        assert [row["value"] for row in mine] == pytest.approx(wanted, rel=1e-5)
        assert all(later < earlier for earlier, later in zip(wanted, wanted[1:], strict=False))


def test_first_images_are_kept_at_the_first_ratio(model: EnergyTransformer, dataset: Dataset) -> None:
    shown = ways(model, dataset, 3).shown
    assert {row["mask_ratio"] for row in shown.rows} == {RATIOS[0]}
    assert list(dict.fromkeys(row["id"] for row in shown.rows)) == dataset.ids(dataset.select("test", SHOWN))
    assert shown.images.shape == (SHOWN * (STEPS + 1), 16, 16, 3)
    first = next(scenes(dataset, FILLING, replace(RUN, micro_batch=SHOWN)))
    with torch.no_grad():
        last = to_uint8(model(first.images, first.hidden).picture)
    assert np.abs(shown.images[STEPS :: STEPS + 1].astype(int) - last).max() <= 1, "the descent ends at the prediction"


def write_toy(folder: Path, descent: Descent | None) -> None:
    rows = [Row(method="et", family="masked", task="masked", oracle=False, id="a", dataset="toy", size=4)]
    images, masks = np.zeros((1, 4, 4, 3), np.uint8), np.eye(2, dtype=bool)[None]
    write_group(folder, images=images, masks=masks, ratios=[0.5], rows=rows, method={}, descent=descent)


def test_descent_files_round_trip_and_incomplete_ones(tmp_path: Path) -> None:
    write_toy(tmp_path, None)
    assert is_masked(tmp_path)
    empty = read_descent(tmp_path)
    assert (empty.images.shape, empty.rows) == ((0, 4, 4, 3), [])
    row = {"method": "et", "id": "a", "mask_ratio": 0.5, "step": 0, "energy": -1.5}
    write_toy(tmp_path, Descent(images=np.ones((1, 4, 4, 3), np.uint8), rows=[row]))
    assert read_descent(tmp_path).rows == [{"method": "et", "id": "a", "mask_ratio": "0.5", "step": "0", "energy": "-1.5"}]
    (tmp_path / "path.csv").write_text("method,id,mask_ratio,step,energy\n")
    with pytest.raises(UserError, match=r"0 rows in path\.csv, 1 images in path\.npy"):
        read_descent(tmp_path)
    (tmp_path / "path.npy").unlink()
    with pytest.raises(UserError, match=r"path\.npy cannot be read"):
        read_descent(tmp_path)
    assert read_masked_group(tmp_path)[1].tolist() == [[[True, False], [False, True]]]


def test_panels() -> None:
    """Two cells of two pixels each way: the diagonal is hidden."""
    original, predicted = (np.full((4, 4, 3), value, np.uint8) for value in (10, 200))
    hidden = np.eye(2, dtype=bool)
    corner = [[GREY, GREY, 10, 10]] * 2 + [[10, 10, GREY, GREY]] * 2
    assert visible(original, hidden)[..., 0].tolist() == corner
    assert pasted(original, predicted, hidden)[..., 2].tolist() == [[200, 200, 10, 10]] * 2 + [[10, 10, 200, 200]] * 2
