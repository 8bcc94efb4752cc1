"""The benchmarks of landscapes and of generators on toys: tables, equal seconds, steps that fill the seconds."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from benchmarks import landscape, latent
from benchmarks.landscape import Reached, bench_of, rows_of, worth
from benchmarks.landscape_runs import Bench
from relume.core.files import read_csv, read_json
from relume.evaluation.comparison import COMPARISONS
from relume.methods.landscape.infer import Descents
from relume.training.loop import LOSS
from tests.decoder_files import Store, training
from tests.evaluation_files import write_dataset
from tests.landscape_files import PLAIN_LOSS, gan, shared

STUDY = {"pictures": 3, "tuning": 2, "seeds": 2, "steps": 1, "long": 3, "rates": [0.01, 0.2], "betas": [[0.9, 0.999]]}
STUDY |= {"run": {"device": "cpu"}, "published": [0.1, [0.9, 0.999]]}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_dataset(tmp_path / "toy", size=32)
    (tmp_path / "style").mkdir()
    own = shared(losses=PLAIN_LOSS, training=training(steps=2, batch=3))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY | {"shared": own}))
    monkeypatch.setattr(landscape, "read_gan", lambda folder, device: gan(size=16))
    monkeypatch.setattr(landscape, "WeightStore", lambda *folders: Store())
    return tmp_path


def bench(files: Path) -> Bench:
    places = files / "study.yaml", files / "toy", files / "style"
    return bench_of(*places, work=files / "work", mapper=None, weights=[files])


def descents(*losses: list[float], seconds: list[float]) -> Descents:
    return Descents(images=np.zeros(0), path=np.zeros(0), values={LOSS: np.array(losses)}, seconds=np.array(seconds))


def test_differences_and_equal_seconds(files: Path) -> None:
    one = Reached(loss=np.array([[4.0, 3.0, 2.0]]), seconds=np.array([1.0, 2.0, 3.0]))
    assert [float(one.at(when)[0]) for when in (0.5, 1.0, 2.9, 3.0, 9.0)] == [4, 4, 3, 2, 2]
    # two sources, two seeds; 1 and 3 steps; a rising descent keeps its best
    few = descents([4, 3], [8, 6], seconds=[1, 2])
    many = descents([4, 3.5, 2, 5], [8, 7, 6, 4], seconds=[1, 2, 3, 4])
    found = {(f"plain_{start}_{len(one.seconds) - 1}", 0): one for start in ("mean", "noise") for one in (few, many)}
    for start in ("mean", "noise"):
        found[f"landscape_{start}_1", 0] = descents([4, 2], [8, 3], seconds=[2, 4])
        found[f"landscape_{start}_1", 1] = descents([4, 1], [8, 2], seconds=[2, 4])
    rows = [row for row in rows_of(bench(files), found, ["x", "y"]) if row["a"] == "landscape_mean_1"]
    told = {(row["b"], row["question"]): (row["mean_a"], row["mean_b"], row["diff"]) for row in rows}
    wanted = {
        ("plain_mean_3", "1 steps against 3"): (2.0, 3.0, -1.0),
        ("plain_mean_1", "after 1 steps"): (2.0, 4.5, -2.5),
        ("plain_mean_1", "in the seconds of 1 plain steps"): (6.0, 4.5, 1.5),
    }
    assert told == wanted | {(b.replace("mean", "noise"), question): values for (b, question), values in wanted.items()}


def test_few_steps_are_worth_the_plain_steps_that_reach_as_far(files: Path) -> None:
    """From the mean after two steps of three; from noise never, so at least all three."""
    plain = descents([9, 8, 4, 4], [9, 8, 6, 6], seconds=[1, 2, 3, 4])
    found = {(name, 0): plain for name in ("plain_mean_3", "plain_noise_3", "published")}
    found |= {("landscape_mean_1", 0): descents([9, 5.5], [9, 5], seconds=[1, 2])}
    found |= {("landscape_noise_1", 0): descents([9, 1], [9, 1], seconds=[1, 2])}
    rows = {(row["a"], row["b"]): row for row in worth(bench(files), found, ["x", "y"])}
    assert {key: (row["mean_b"], row["diff"]) for key, row in rows.items()} == {
        (f"landscape_{start}_1", rival): (steps, float(steps))
        for start, steps in (("mean", 2), ("noise", 3))
        for rival in ("plain_mean_3", "plain_noise_3", "published")
    }
    assert all(row["lo"] <= row["diff"] <= row["hi"] for row in rows.values())


@pytest.mark.slow
def test_landscape_tables(files: Path) -> None:
    options = {"study": "study.yaml", "generator": "style", "work": "work", "out": "out.csv", "weights": ""}
    words = [part for key, value in options.items() for part in (f"--{key}", str(files / value))]
    result = CliRunner().invoke(landscape.main, [str(files / "toy"), *words])
    assert result.exit_code == 0, result.output
    assert [tuple(row) for row in read_csv(files / "out.csv")] == [COMPARISONS] * (2 * 2 * 3 + 2 * 3)
    seeds = {name: len(one["seeds"]) for name, one in read_json(files / "out.json")["curves"].items()}
    plain = {"plain_mean_1": 1, "plain_noise_1": 2, "plain_mean_3": 1, "plain_noise_3": 2, "published": 2}
    assert seeds == plain | {"landscape_mean_1": 2, "landscape_noise_1": 2}


def test_steps_and_shares() -> None:
    curve, names = np.array([[3.0, 5.0], [2.0, 3.0], [1.0, 2.0]]), ["a", "b"]
    assert latent.steps_to(curve, np.array([2.0, 3.0]), names).mean == 1
    assert latent.steps_to(curve, np.array([0.0, 1.0]), names).mean == 3, "never"
    alike = latent.steps_to(np.array([[3.0, 3.0], [1.0, 1.0]]), np.array([2.0, 2.0]), names)
    assert (alike.mean, alike.lo, alike.hi) == (1, 1, 1)
    apart = latent.steps_to(curve, np.array([2.0, 2.5]), names)
    assert (apart.mean, apart.lo, apart.hi) == (2, 1, 2), "a needs one step, b two"
    # none of n: 1 - (a/2)^(1/n); all of n: the mirror image
    assert latent.share(0, 10) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert latent.share(10, 10) == (pytest.approx(0.025**0.1), 1.0)
    assert latent.share(45, 50)[0] == pytest.approx(0.7819, abs=1e-3)
