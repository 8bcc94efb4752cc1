"""The benchmark of landscapes on a toy: its table, what equal seconds mean, how a rate is chosen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import landscape
from benchmarks.landscape import Reached, main, rows_of
from relume.core.files import read_csv, read_json
from relume.evaluation.comparison import COMPARISONS
from relume.inversion.landscape import Descents
from relume.training.landscape import card, kept, sheet
from relume.training.loop import LOSS, train
from relume.training.models import write_model
from tests.decoder_files import RUN, Store, training
from tests.evaluation_files import write_dataset
from tests.landscape_files import PLAIN_LOSS, gan, lesson


def descents(*losses: list[float], seconds: list[float]) -> Descents:
    return Descents(images=np.zeros(0), path=np.zeros(0), values={LOSS: np.array(losses)}, seconds=np.array(seconds))


def test_equal_seconds_are_the_last_step_by_then() -> None:
    one = Reached(loss=np.array([[4.0, 3.0, 2.0]]), seconds=np.array([1.0, 2.0, 3.0]))
    assert [float(one.at(when)[0]) for when in (0.5, 1.0, 2.9, 3.0, 9.0)] == [4, 4, 3, 2, 2]


def test_differences_by_hand() -> None:
    """Two sources, two seeds of the plain one; a descent that rises is worth what it had."""
    found = {
        ("plain", 0): descents([4, 3, 5], [8, 6, 4], seconds=[1, 2, 3]),
        ("plain", 1): descents([6, 5, 3], [8, 6, 4], seconds=[1, 2, 3]),
        ("landscape", 0): descents([4, 2, 1], [8, 3, 2], seconds=[2, 4, 6]),
    }
    rows = {row["question"]: row for row in rows_of(found, ["x", "y"], steps=1, long=2, about={})}
    told = {question: (row["mean_a"], row["mean_b"], row["diff"]) for question, row in rows.items()}
    assert told == {
        "after 1 steps": (2.5, 5.0, -2.5),
        "after 2 steps": (1.5, 3.5, -2.0),
        "1 steps against 2": (2.5, 3.5, -1.0),
        "in the seconds of 1 plain steps": (6.0, 5.0, 1.0),
    }


def test_it_writes_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_dataset(tmp_path / "toy", size=32)
    trained = gan(size=16)
    made = lesson(data, trained=trained, loss=PLAIN_LOSS, training=training(steps=2, batch=3))
    write_model(tmp_path / "theta", kept(train(made.task(), made.config.training, RUN)), card(made), sheet(made))
    (tmp_path / "style").mkdir()
    monkeypatch.setattr(landscape, "read_gan", lambda folder, device: trained)
    monkeypatch.setattr(landscape, "WeightStore", lambda *folders: Store())
    options: dict[str, Any] = {"generator": tmp_path / "style", "landscape": tmp_path / "theta", "out": tmp_path / "out.csv"}
    options |= {"weights": tmp_path, "pictures": 3, "steps": 1, "long": 2, "seeds": 2, "device": "cpu"}
    words = [str(part) for key, value in options.items() for part in (f"--{key}", value)]
    result = CliRunner().invoke(main, [str(tmp_path / "toy"), *words, "--rate", "0.01", "--rate", "0.2"])
    assert result.exit_code == 0, result.output
    rows = read_csv(tmp_path / "out.csv")
    assert tuple(rows[0]) == COMPARISONS
    assert len(rows) == 4
    told = read_json(tmp_path / "out.json")
    assert told["rates"].keys() == {"plain", "landscape"}
    assert len(told["curves"]["plain"]["loss"]) == 3
    assert {"command", "commit", "data", "n", "device", "seconds"} <= set(told)
    result = CliRunner().invoke(main, [str(tmp_path / "toy"), *words, "--long", "0"])
    assert result.exit_code != 0
