"""A benchmark's models: trained once, by one process at a time, resumed after a kill, trained anew where something differs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.trainings import trained_once
from relume.core.files import read_json
from relume.data.store import Dataset
from relume.training import stage
from tests.decoder_files import CPU, dataset, toy


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return dataset(tmp_path / "data")


@pytest.fixture
def call(tmp_path: Path, data: Dataset) -> Callable[..., tuple[dict[str, Any], bool]]:
    def call(root: str = "work", key: str = "key", **options: Any) -> tuple[dict[str, Any], bool]:
        folder = tmp_path / root / "models/toy"
        return trained_once(tmp_path / root, folder, key, lambda: toy(data), device=CPU, **options)

    return call


def test_it_is_trained_once_from_just_this(call: Callable[..., Any], tmp_path: Path) -> None:
    card, kept = call(more={"code": "a"})
    assert not kept
    assert {"digest", "commit", "device", "seconds", "code", "sha256"} <= set(card)
    assert call() == (card, True)
    assert call(fits=lambda card: card["code"] == "b")[1] is False
    assert call(key="another")[1] is False
    assert read_json(tmp_path / "work/models/toy/model.json")["digest"] == "another"


def test_a_killed_training_resumes(call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relume.core.checkpoint.EVERY", 0.0)
    whole, _ = call("whole")
    train, steps = stage.train, list[int]()

    def dying(trainer: Any, **options: Any) -> Any:
        def on_log(step: int, *_: Any) -> None:
            steps.append(step)
            if len(steps) == 3:
                raise KeyboardInterrupt

        return train(trainer, **options | {"on_log": on_log})

    monkeypatch.setattr(stage, "train", dying)
    with pytest.raises(KeyboardInterrupt):
        call()
    assert not (tmp_path / "work/models").exists()
    card, kept = call()
    assert (steps, kept) == ([1, 2, 3, 3, 4, 5, 6], False)
    assert card["sha256"] == whole["sha256"]
    assert not list((tmp_path / "work/scratch").iterdir())
