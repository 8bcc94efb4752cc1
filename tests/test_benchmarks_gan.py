"""The study of generators: as many steps as fill the seconds, measured and trained once; faults by name."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import gan_runs
from benchmarks.gan_runs import Bench, GanStudy, configs, planned
from relume.core.config import build
from relume.core.errors import UserError
from tests.decoder_files import CPU, RUN, Store
from tests.evaluation_files import write_dataset
from tests.gan_files import DUELS, KINDS, shared

EYE = {"network": "alexnet_conv", "tap": "conv1"}
PARAMS = {"train_gan": {"shared": shared()}}


def study(**differences: Any) -> GanStudy:
    models = {name: {"architecture": KINDS[name], "objective": DUELS[name]} for name in ("style", "dcgan")}
    plain = {"pixels": 64, "train": None, "validation": 2, "test": None, "seconds": 6.0, "looks": 3, "count": 3, "patches": 4}
    return build(GanStudy, {**plain, "sets": EYE, "models": models} | differences, "study")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    data = write_dataset(tmp_path / "data/toy", size=64)
    return Bench(root=tmp_path / "work", run=RUN, dataset=data, device=CPU, code="this", commit="that")


def test_steps_fill_the_seconds_in_whole_looks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """6 s of 0.5 s a step are 12 steps, three looks of 4; of 0.1 s 60, three of 20: rows are written every 2 steps."""
    asked: list[object] = []

    def measured(*given: object) -> dict[str, float]:
        asked.append(given)
        return {"style": 0.5, "dcgan": 0.1}

    monkeypatch.setattr(gan_runs, "paces", measured)
    wanted = configs(study(), PARAMS, "toy")
    found = planned(bench, study(), wanted, Store())  # type: ignore[arg-type]
    steps = {name: (one.training.steps, one.training.validate_every) for name, one in found.items()}
    assert steps == {"style": (12, 4), "dcgan": (60, 20)}
    assert planned(bench, study(), wanted, Store()) == found  # type: ignore[arg-type]
    assert len(asked) == 1, "measured once"
    planned(bench, study(seconds=7.0), wanted, Store())  # type: ignore[arg-type]
    assert len(asked) == 2


def test_faults_are_named() -> None:
    with pytest.raises(UserError, match="study.*patches"):
        study(patches=7)
    with pytest.raises(UserError, match=r"study\.models\.style.*objective"):
        configs(study(models={"style": {"objective": {"kind": "hinge"}}}), PARAMS, "toy")
