"""The study harness: faults of a study's file, and a tiny study from photographs to tables that is not recomputed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from benchmarks import runs, study
from benchmarks.inversion import main, split_of
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.results import read_group
from relume.evaluation.comparison import COMPARISONS, LEADERBOARD
from tests.study_files import study_call

SIZE, STEPS = 32, 2


def plain() -> dict[str, Any]:
    return {
        "pixels": SIZE,
        "count": 2,
        "seconds": {"equal": ["tuned", "s0"]},
        "losses": {"tv": 0.1, "alpha_norm": 0.2, "guide": 0.0},
        "base": {"network": "alexnet_conv", "sizes": [], "steps": STEPS, "trace_every": 1},
        "cases": {"shallow": {"taps": {"conv1": 1.0}}, "deep": {"taps": {"conv2": 1.0}}},
        "methods": {
            "s0": {"losses": {"alpha_norm": 0.0}},
            "tuned": {"start": "s0", "init": {"std": 0.0}},
            "once": {"only": ["deep"], "taps": {"conv1": 1.0, "conv2": 1.0}},
        },
        "per_case": {"deep": {"tuned": {"steps": 2 * STEPS}}},
        "metrics": ["psnr", "feature_error"],
        "questions": {"better": {"a": "tuned", "b": "s0"}},
        "floors": True,
    }


def planned(params: dict[str, Any], **changes: Any) -> list[study.Job]:
    wanted = study.build(study.Study, {**plain(), **changes}, "study")
    return study.jobs(wanted, params, dataset="toy", split="test")


def test_splits():
    found = [split_of(at) for at in range(11)]
    assert [at for at, split in enumerate(found) if split == "test"] == [0, 10]
    assert [at for at, split in enumerate(found) if split == "val"] == [2, 7]


def test_jobs_and_shortened_schedules(default_params: dict[str, Any]) -> None:
    jobs = {job.folder: job for job in planned(default_params)}
    assert list(jobs) == ["shallow_s0", "shallow_tuned", "deep_s0", "deep_tuned", "deep_once"]
    assert [jobs[name].config.steps for name in jobs] == [2, 2, 2, 4, 2]
    assert jobs["deep_once"].config.taps == {"conv1": 1.0, "conv2": 1.0}
    assert {job.config.count for job in jobs.values()} == {2}
    assert jobs["deep_tuned"].start == "s0"
    weights = {name: (job.config.losses.tv, job.config.losses.alpha_norm) for name, job in jobs.items()}
    assert (weights["deep_tuned"], weights["deep_s0"]) == ((0.1, 0.2), (0.1, 0.0))
    long = {"steps": 100, "sizes": [[0, 16], [50, 32]], "switches": [[40, {"kind": "pixels", "box": "projection"}]]}
    long |= {"optimiser": {"learning_rate": [[0, 0.3], [60, 0.1]]}}
    job = study.shortened(planned(default_params, base=long, per_case={})[0], 0.5)
    assert (job.method, job.config.steps) == ("s0_equal_seconds", 50)
    assert job.config.sizes == ((0, 16), (25, 32))
    assert [step for step, _ in job.config.switches] == [20]
    assert job.config.optimiser.learning_rate == ((0, 0.3), (30, 0.1))
    least = study.shortened(job, 0.001).config
    assert (least.steps, least.sizes, least.optimiser.learning_rate) == (1, ((0, 32),), ((0, 0.1),))


FAULTS: dict[str, dict[str, Any]] = {
    "per_case.shalow: ": {"per_case": {"shalow": {}}},
    "questions.q: ": {"questions": {"q": {"a": "tuned", "b": "s1"}}},
    "methods.tuned.start: ": {"methods": {"tuned": {"start": "s0"}, "s0": {}}},
    "study.base.count: ": {"base": {"count": 3}},
    "s0 of shallow and s0 of deep": {"cases": {"shallow": {}, "deep": {}}},
}


@pytest.mark.parametrize("message", FAULTS)
def test_faults_are_named_before_any_work(message: str, default_params: dict[str, Any]):
    with pytest.raises(UserError) as caught:
        planned(default_params, **FAULTS[message])
    assert message in str(caught.value)


def done(job: study.Job, seconds: float, upstream: float = 0.0, device: str = "cpu", fixed: float = 0.0) -> runs.Done:
    steps = job.config.steps
    return runs.Done(job=job, digest="", steps=steps, seconds=seconds, fixed=fixed, upstream=upstream, device=device, kept=False)


def test_equal_seconds(default_params: dict[str, Any]):
    job = planned(default_params, base={"steps": 100})[0]
    fast = done(job, 6.0)
    assert runs.equal_seconds({"a": done(job, 5.0), "b": fast}, "a", "b") is None  # it was not slower
    assert runs.equal_seconds({"a": done(job, 9.0)}, "a", "b") is None  # b has no such case
    fitted = runs.equal_seconds({"a": done(job, 8.0, upstream=2.0), "b": fast}, "a", "b")
    assert fitted is not None
    assert fitted.config.steps == 50  # (6 - 2) / 8
    fitted = runs.equal_seconds({"a": done(job, 9.0, fixed=4.0), "b": fast}, "a", "b")
    assert fitted is not None
    assert fitted.config.steps == 40  # (6 - 4) / (9 - 4): what comes before the first step is not shortened
    with pytest.raises(UserError, match="longer already"):
        runs.equal_seconds({"a": done(job, 1.0, upstream=7.0), "b": fast}, "a", "b")
    with pytest.raises(UserError, match="cpu and on gpu"):
        runs.equal_seconds({"a": done(job, 8.0), "b": done(job, 6.0, device="gpu")}, "a", "b")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    times = {"s0": 1.0, "tuned": 3.0}  # independent of the machine
    monkeypatch.setattr(runs, "seconds_of", lambda folder: times.get(folder.name.split("_", 1)[1], 1.0))
    return study_call(tmp_path, monkeypatch, main)


@pytest.mark.slow
def test_study(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    document = plain()
    document["methods"]["tuned"] = {}  # from scratch: it can then run in s0's seconds
    result = call(document)
    assert result.exit_code == 0, result.output
    board = read_csv(Path("out/toy.csv"))
    assert tuple(board[0]) == LEADERBOARD
    rows = {(line["method"], line["tap"]) for line in board if line["family"] != "floor"}
    each = {(method, tap) for method in ("s0", "tuned", "tuned_equal_seconds") for tap in ("conv1", "conv2")}
    assert rows == each | {("once", "conv1+conv2")}
    comparisons = read_csv(Path("out/toy_comparisons.csv"))
    assert tuple(comparisons[0]) == COMPARISONS
    asked = {(line["question"], line["a"], line["b"], line["tap"], line["metric"]) for line in comparisons}
    for tap in ("conv1", "conv2"):
        assert ("better", "tuned", "s0", tap, "feature_error") in asked
        assert ("equal_seconds", "tuned_equal_seconds", "s0", tap, "psnr") in asked
    about = read_json(Path("out/toy.json"))
    assert about["runs"]["deep"]["tuned"] == {"steps": 2 * STEPS, "seconds": 3.0}
    assert about["runs"]["deep"]["tuned_equal_seconds"]["steps"] == 1
    used = {row["id"] for row in read_group(Path("work/reconstructions/deep_s0")).index}
    assert used == {"00.png", "10.png"}

    refused = call(document, "--split", "val", "--out", "docs/results/toy.csv")
    assert "tuning" in refused.output
    monkeypatch.setattr(runs, "invert", lambda prepared: pytest.fail("nothing is to be inverted anew"))
    first = Path("out/toy_comparisons.csv").read_bytes()
    assert call(document).exit_code == 0
    assert Path("out/toy_comparisons.csv").read_bytes() == first
