"""Inversion of a generator through a landscape, from known latents to the stage `invert_landscape`."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relume.core.config import build
from relume.core.files import Scratch, read_csv, write_json
from relume.core.images import resize, to_uint8
from relume.core.results import read_group
from relume.data.store import Dataset
from relume.evaluation.statistics import CURVES, curves, interval
from relume.methods.landscape import infer as landscape
from relume.methods.landscape.config import InvertLandscape, LandscapeArchitecture
from relume.methods.landscape.infer import Search, TrainedLandscape, follow, index, inverse, invert, timing, trace
from relume.methods.landscape.model import Landscape
from relume.methods.landscape.train import LandscapeTrainer
from relume.training.loop import LOSS
from stages import invert_landscape, train_landscape, train_mapper
from tests import landscape_files as files
from tests.decoder_files import CPU, training
from tests.evaluation_files import write_dataset
from tests.landscape_files import PLAIN_LOSS, group, trainer
from tests.latent_files import GENERATOR, mapper_section, write_gan
from tests.stage_files import project, succeed

ROWS = [0, 1, 2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("data") / "toy", size=32)


def searching(data: Dataset, **differences: Any) -> Search:
    """With an untrained landscape, which is the identity."""
    made: LandscapeTrainer = trainer(data, size=16, **{"losses": PLAIN_LOSS, **differences})
    return Search(
        dataset=data,
        painter=made.painter,
        landscape=TrainedLandscape(card={"name": "toy", "config": asdict(made.config)}, module=made.model.requires_grad_(False)),
        likeness=made.likeness,
        mapper=None,
        device=CPU,
        seed=0,
        micro_batch=2,
    )


def settings(**differences: Any) -> InvertLandscape:
    return build(InvertLandscape, group(**differences), "invert_landscape.toy")


def test_identity_landscape_equals_plain_descent(data: Dataset) -> None:
    found = invert(searching(data), settings(), ROWS)
    assert list(found) == [("plain", 0), ("plain", 5), ("landscape", 0), ("landscape", 5)]
    assert np.allclose(found["plain", 5].values[LOSS][:, :3], found["landscape", 5].values[LOSS], atol=1e-6)
    assert not np.allclose(found["plain", 0].values[LOSS][:, 0], found["plain", 5].values[LOSS][:, 0]), "seeds differ"
    assert found["plain", 0].images.shape == (3, 32, 32, 3)
    assert (found["plain", 0].best[:, -1] < found["plain", 0].values[LOSS][:, 0]).all()
    assert (np.diff(found["plain", 0].seconds) > 0).all()


def test_start_at_the_mean(data: Dataset) -> None:
    made = searching(data)
    ways = {
        name: {"start": "mean", "theta": name == "b", "steps": 1, "learning_rate": 0.1, "betas": [0.9, 0.999]} for name in "ab"
    }
    found = invert(made, settings(methods=ways), ROWS)
    assert list(found) == [("a", 0), ("b", 0)], "one seed, since nothing is drawn"
    with torch.no_grad():
        mean = made.paint(made.theta.centre[None])
    target = made.likeness.target(resize(data.pixels(ROWS), 16))
    wanted = made.likeness(mean.expand(3, -1, -1, -1), target)[LOSS]
    for key in found:
        assert found[key].values[LOSS][:, 0].tolist() == pytest.approx(wanted.tolist())
        assert (found[key].values[LOSS][:, 1] < found[key].values[LOSS][:, 0]).all()


def test_rows_are_independent(data: Dataset) -> None:
    together, alone = (invert(searching(data), settings(seeds=[0]), rows) for rows in (ROWS, [1]))
    assert np.allclose(together["plain", 0].values[LOSS][1], alone["plain", 0].values[LOSS][0], atol=1e-6)


def test_start_at_the_mapper(data: Dataset) -> None:
    """Images with known latents and a mapper that returns them, with the identity and with a trained landscape."""
    made = searching(data)
    theta = made.theta
    torch.manual_seed(0)
    torch.nn.init.normal_(list(theta.parameters())[-2], std=0.1)
    latents = theta.latents(torch.randn(3, theta.centre.numel()))
    with torch.no_grad():
        pictures = to_uint8(made.paint(latents))
    own = replace(data, images=pictures, size=16, index=data.index[:3])

    def mapper(given: Tensor) -> Tensor:
        return torch.stack([latents[int((own.pixels(ROWS) - one).flatten(1).norm(dim=1).argmin())] for one in given])

    ways = {
        name: {"start": "mapper", "theta": name == "b", "steps": 0, "learning_rate": 0.1, "betas": [0.9, 0.999]} for name in "ab"
    }
    config = settings(mapper="models/mapper/toy", methods=ways)
    found = invert(replace(made, dataset=own, mapper=mapper), config, ROWS)
    assert list(found) == [("a", 0), ("b", 0)], "one seed, since nothing is drawn"
    assert found["a", 0].values[LOSS].max() < 1e-5
    assert found["b", 0].values[LOSS].max() < 1e-4
    assert np.abs(found["a", 0].images.astype(int) - pictures).max() <= 1


def test_inverse_of_a_landscape() -> None:
    torch.manual_seed(0)
    made = Landscape(torch.zeros(4), 1.0, LandscapeArchitecture(hidden=(16,), residual=True, rotated=True))
    made.basis.copy_(torch.linalg.qr(torch.randn(4, 4)).Q)
    wanted = torch.randn(3, 4)
    assert torch.allclose(inverse(made, wanted), wanted @ made.basis, atol=1e-6)
    torch.nn.init.normal_(list(made.parameters())[-2], std=0.1)
    made.requires_grad_(False)
    off = (made.theta(wanted) - wanted).square().mean()
    assert float((made.theta(inverse(made, wanted)) - wanted).square().mean()) < 0.01 * float(off)


def test_best_seed_is_selected_and_tables_are_means(data: Dataset) -> None:
    config = settings()
    found = invert(searching(data), config, ROWS)
    images, rows = np.concatenate([one.images for one in found.values()]), index(found, config, data, ROWS)
    assert images.shape == (12, 32, 32, 3)
    assert {(row.task, row.family, row.oracle) for row in rows} == {("image", "latent", False), ("image", "landscape", False)}
    for id in data.ids(ROWS):
        own = [row for row in rows if (row.method, row.id) == ("plain", id)]
        assert [row.restart for row in own] == [0, 1]
        assert [row.selected for row in own] == [row.objective == min(float(str(one.objective)) for one in own) for row in own]
    told = [row for row in trace(found) if (row["method"], row["term"]) == ("plain", "mse")]
    by_hand = [(found["plain", 0].values["mse"][:, 2].mean() + found["plain", 5].values["mse"][:, 2].mean()) / 2]
    assert [row["value"] for row in told if row["step"] == 2] == pytest.approx(by_hand)
    spent = [row["seconds"] for row in timing(found) if row["method"] == "plain"]
    assert spent[-1] == pytest.approx(found["plain", 0].seconds[-1] + found["plain", 5].seconds[-1])


def test_images_along_the_way_equal_a_shorter_descent(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landscape, "FOLLOWED", 2)
    config = settings()
    found = invert(searching(data), config, ROWS)
    images, table = np.concatenate([one.images for one in found.values()]), index(found, config, data, ROWS)
    way = follow(found, config, data.ids(ROWS))
    assert way is not None
    assert way.rows == [
        {"method": name, "id": id, "step": step}
        for name, steps in (("plain", (1, 2, 4)), ("landscape", (1, 2)))
        for id in data.ids([0, 1])
        for step in steps
    ]
    chosen = {(row.method, row.id): image for row, image in zip(table, images, strict=True) if row.selected}
    for row, image in zip(way.rows, way.images, strict=True):
        if row["step"] == config.methods[str(row["method"])].steps:
            assert np.array_equal(image, chosen[str(row["method"]), str(row["id"])])
    short = {"plain": {**group()["methods"]["plain"], "steps": 2}}
    shorter = invert(searching(data), settings(methods=short), ROWS)
    for key, one in shorter.items():
        assert np.array_equal(found[key].path[:, :2], one.path)
        assert np.array_equal(one.path[:, 1], one.images[:2])


def test_curves() -> None:
    """An image counts with its mean over seeds; sources are resampled."""
    values = {("a", 0): np.array([[1.0, 0.5], [3.0, 1.5]]), ("a", 7): np.array([[2.0, 0.5], [4.0, 2.5]])}
    rows = curves(values, ["x", "y"], seed=0, resamples=200, level=0.9)
    first = interval([1.5, 3.5], ["x", "y"], seed=0, resamples=200, level=0.9)
    told = (2.5, first.lo, first.hi, 0.9, 2)
    assert tuple(rows[0][key] for key in ("value", "lo", "hi", "level", "n")) == told
    assert [(row["seed"], row["step"], row["value"]) for row in rows[2:]] == [(0, 0, 2.0), (0, 1, 1.0), (7, 0, 3.0), (7, 1, 1.5)]


def test_resume(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, made = invert(searching(data), settings(), ROWS), searching(data)
    own, calls = landscape.descents, []

    def killed(*given: Any, **named: Any) -> Any:
        calls.append(given)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return own(*given, **named)

    monkeypatch.setattr(landscape, "descents", killed)
    with pytest.raises(KeyboardInterrupt):
        invert(made, settings(), ROWS, Scratch(tmp_path))
    again = invert(made, settings(), ROWS, Scratch(tmp_path))
    assert len(calls) == 8 + 1, "of eight shards three were done"
    same(whole, again)


def same(found: dict[tuple[str, int], Any], wanted: dict[tuple[str, int], Any]) -> None:
    for key, one in wanted.items():
        assert np.array_equal(one.images, found[key].images)
        assert np.array_equal(one.path, found[key].path)
        assert all(np.array_equal(value, found[key].values[name]) for name, value in one.values.items())


def test_shards_in_jobs_equal_the_whole(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, shares = invert(searching(data), settings(), ROWS), [[0, 3, 6], [1, 4, 7], [2, 5]]
    write_json(tmp_path / "jobs.json", {"shares": shares})
    for job, own in enumerate(shares):
        monkeypatch.setenv("RELUME_SHARDS", str(tmp_path / "jobs.json"))
        monkeypatch.setenv("RELUME_JOB", str(job))
        before = set(tmp_path.glob("*.npz"))
        with pytest.raises(SystemExit):
            invert(searching(data), settings(), ROWS, Scratch(tmp_path))
        assert len(set(tmp_path.glob("*.npz")) - before) == len(own)
    monkeypatch.delenv("RELUME_SHARDS")
    monkeypatch.setattr(landscape, "descents", None)  # nothing is left to compute
    same(invert(searching(data), settings(), ROWS, Scratch(tmp_path)), whole)


FILES = {"images.npy", "index.csv", "path.npy", "path.csv", "trace.csv", "curves.csv", "timing.csv", "method.json"}
FROM_MAPPER = {
    name: {"start": "mapper", "theta": theta, "steps": 1, "learning_rate": 0.1, "betas": [0.9, 0.999]}
    for name, theta in {"plain_mapper": False, "landscape_mapper": True}.items()
}
MODELS = {"weights": "models/weights", "generator": GENERATOR}
OPTIONS = MODELS | {"group": "pictures", "landscape": "models/landscape/toy", "mapper": "models/mapper/toy_mapper", "out": "out"}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_gan(tmp_path / GENERATOR)
    own = files.group(generator=GENERATOR, mapper=OPTIONS["mapper"])
    sections = {
        "train_mapper": mapper_section(training=training(steps=2)),
        "train_landscape": {"shared": files.shared(losses=files.PLAIN_LOSS), "models": {"toy": {"generator": GENERATOR}}},
        "invert_landscape": {"pictures": own | {"methods": own["methods"] | FROM_MAPPER}},
        "compare": {"level": 0.95, "resamples": 50},
    }
    return project(tmp_path, monkeypatch, sections)


def test_stage(toy: Path) -> None:
    succeed(train_mapper, **MODELS, model="toy_mapper", out=OPTIONS["mapper"], timing="mapper.csv")
    succeed(train_landscape, **MODELS, model="toy", out=OPTIONS["landscape"], timing="landscape.csv")
    succeed(invert_landscape, **OPTIONS)
    group = read_group(Path("out"))
    assert {path.name for path in group.folder.iterdir()} == FILES
    rows = [(row["method"], row["family"], row["restart"]) for row in group.index[::3]]
    assert rows == [
        *(("plain", "latent", seed) for seed in "01"),
        *(("landscape", "landscape", seed) for seed in "01"),
        ("plain_mapper", "latent", "0"),
        ("landscape_mapper", "landscape", "0"),
    ]
    assert {(row["task"], row["oracle"], row["network"], row["size"]) for row in group.index} == {("image", "false", "", "64")}
    assert len([row for row in group.index if row["selected"] == "true"]) == 4 * 3
    curves = read_csv(group.folder / "curves.csv")
    assert tuple(curves[0]) == CURVES
    last = [float(row["value"]) for row in curves if (row["method"], row["seed"], row["step"]) == ("plain", "", "4")]
    assert last == pytest.approx([np.mean([float(row["objective"]) for row in group.index[:6]])], rel=1e-5)
    assert [row["step"] for row in group.timing if row["method"] == "landscape"] == ["0", "1", "2"]
    assert not list(toy.glob(".dvc/tmp/resume/*")), "scratch files remain"
