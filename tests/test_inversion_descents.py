"""Energies over the steps and pictures on their way: what the model says, whatever the batches; files that are always there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from relume.core.errors import UserError
from relume.core.images import to_uint8
from relume.core.results import GREY, Descent, Row, is_masked, pasted, read_descent, read_masked_group, visible, write_group
from relume.data.store import Dataset
from relume.methods.masked.config import EnergyTransformerConfig, ReconstructMasked
from relume.methods.masked.descents import SHOWN, Descents, descents
from relume.methods.masked.energy_transformer import EnergyTransformer
from relume.methods.masked.infer import Predictor, scenes
from tests.decoder_files import CPU, RUN
from tests.evaluation_files import write_dataset

STEPS, COUNT, RATIOS = 3, 11, (0.75, 0.5)
CONFIG = ReconstructMasked(dataset="toy", split="test", count=COUNT, pattern="random", ratios=RATIOS, cell=4, models=("et",))


@pytest.fixture(scope="module")
def model() -> EnergyTransformer:
    torch.manual_seed(0)
    config = EnergyTransformerConfig(
        kind="energy_transformer", width=16, heads=2, key=8, memories=32, steps=STEPS, alpha=0.02, beta=0.3, init=0.2
    )
    return EnergyTransformer(config, 16, 4).eval()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("images") / "toy", size=16, splits=("test",), each=COUNT)


def predictor(model: EnergyTransformer) -> Predictor:
    return Predictor(name="et", family="masked", predict=lambda x, m: model(x, m).picture, trajectory=model.trajectory)


def ways(model: EnergyTransformer, data: Dataset, micro_batch: int) -> Descents:
    found = descents([predictor(model)], data, CONFIG, replace(RUN, micro_batch=micro_batch), CPU)
    assert found is not None
    return found


def test_energies_are_means_over_pictures_and_never_rise_with_small_steps(model: EnergyTransformer, data: Dataset) -> None:
    found = ways(model, data, 4)
    for ratio, scene in zip(RATIOS, scenes(data, CONFIG, replace(RUN, micro_batch=COUNT)), strict=True):
        with torch.no_grad():
            wanted = [float(energy.double().mean()) for energy, _ in model.trajectory(scene.images, scene.hidden)]
        mine = [row for row in found.trace if row["term"] == f"energy@{ratio:g}"]
        assert [row["step"] for row in mine] == list(range(STEPS + 1))
        assert [row["value"] for row in mine] == pytest.approx(wanted, rel=1e-5)
        assert all(later < earlier for earlier, later in zip(wanted, wanted[1:], strict=False))


def test_the_first_pictures_are_kept_at_the_first_ratio(model: EnergyTransformer, data: Dataset) -> None:
    shown = ways(model, data, 3).shown
    assert {row["mask_ratio"] for row in shown.rows} == {RATIOS[0]}
    assert list(dict.fromkeys(row["id"] for row in shown.rows)) == data.ids(data.select("test", SHOWN))
    assert shown.images.shape == (SHOWN * (STEPS + 1), 16, 16, 3)
    first = next(scenes(data, CONFIG, replace(RUN, micro_batch=SHOWN)))
    with torch.no_grad():
        last = to_uint8(model(first.images, first.hidden).picture)
    assert np.array_equal(shown.images[STEPS :: STEPS + 1], last), "the way ends at the prediction"


def test_micro_batches_change_nothing_that_is_kept(model: EnergyTransformer, data: Dataset) -> None:
    one, other = (ways(model, data, size) for size in (3, 8))
    assert np.abs(one.shown.images.astype(int) - other.shown.images).max() <= 1
    assert [row["id"] for row in one.shown.rows] == [row["id"] for row in other.shown.rows]
    assert [row["value"] for row in one.trace] == pytest.approx([row["value"] for row in other.trace], rel=1e-5)


def test_predictors_that_jump_have_no_way(model: EnergyTransformer, data: Dataset) -> None:
    still = Predictor(name="still", family="floor", predict=lambda x, m: x)
    assert descents([still], data, CONFIG, RUN, CPU) is None


def write_toy(folder: Path, descent: Descent | None) -> None:
    rows = [Row(method="et", family="masked", task="masked", oracle=False, id="a", dataset="toy", size=4)]
    images, masks = np.zeros((1, 4, 4, 3), np.uint8), np.eye(2, dtype=bool)[None]
    write_group(folder, images=images, masks=masks, ratios=[0.5], rows=rows, method={}, descent=descent)


def test_files_of_the_way_are_always_there_and_whole(tmp_path: Path) -> None:
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


def test_panels_by_hand() -> None:
    """Two cells of two pixels each way: the diagonal is hidden."""
    original, predicted = (np.full((4, 4, 3), value, np.uint8) for value in (10, 200))
    hidden = np.eye(2, dtype=bool)
    corner = [[GREY, GREY, 10, 10]] * 2 + [[10, 10, GREY, GREY]] * 2
    assert visible(original, hidden)[..., 0].tolist() == corner
    assert pasted(original, predicted, hidden)[..., 2].tolist() == [[200, 200, 10, 10]] * 2 + [[10, 10, 200, 200]] * 2
