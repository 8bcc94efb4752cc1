"""The loop on a network with random weights: it descends, rows do not touch, seeds repeat to the bit, a kill loses nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.core.errors import UserError
from relume.core.files import Scratch
from relume.core.images import to_float
from relume.core.results import read_group, write_group
from relume.core.run import Run
from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.features import networks
from relume.features.taps import collect
from relume.inversion import run as group
from relume.inversion.config import InvertOptimise, variation
from relume.inversion.optimise import Outcome, Problem, Report, optimise
from relume.inversion.targets import Provider
from relume.inversion.terms import ORACLES, objective
from relume.losses.config import Losses
from tests.evaluation_files import write_dataset

SIZE = 64
NET = networks.random("alexnet_conv", seed=0)
LOSSES = {"feature": 1.0, "tv": 0.1, "alpha_norm": 0.01}


def pixels(count: int = 4) -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return small.repeat(SIZE // 8, 1).repeat(SIZE // 8, 2)


def settings(base: dict[str, Any], **differences: Any) -> InvertOptimise:
    toy = {"start": "", "taps": {"conv3": 1.0}, "steps": 5, "trace_every": 1, "split": "test", "count": None}
    return variation(base["invert_optimise"], {**toy, **differences}, "toy")[0]


def problem(config: InvertOptimise, count: int = 2, losses: dict[str, float] = LOSSES) -> Problem:
    images = to_float(pixels(count))
    with torch.no_grad(), collect(NET, list(config.taps)) as tapped:
        targets = dict(tapped(images))
    return Problem(
        size=SIZE,
        objective=objective(config, losses, {}),
        networks={"alexnet_conv": NET},
        targets={"alexnet_conv": targets},
        start=torch.full(
            (count, 3, config.sizes[0][1] if config.sizes else SIZE, config.sizes[0][1] if config.sizes else SIZE), 0.5
        ),
        originals=images,
        generators=[generator(0, row) for row in range(count)],
        run=Run(seed=0, device="cpu", precision="float32", micro_batch=2),
    )


def solve(config: InvertOptimise, **options: Any) -> tuple[Outcome, list[Report]]:
    reports: list[Report] = []
    return optimise(problem(config, **options), config, reports.append), reports


VARIATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "cosine distance": {"terms": {"feature": {"distance": "cosine"}}},
    "two taps": {"taps": {"conv2": 1.0, "conv5": 2.0}},
    "jitter": {"views": {"jitter": 2}},
    "growth": {"sizes": [[0, 32], [2, SIZE]]},
    "projected pixels": {"parametrisation": {"kind": "pixels", "box": "projection"}, "optimiser": {"learning_rate": [[0, 0.02]]}},
    "sigmoid pixels": {"parametrisation": {"kind": "pixels", "box": "sigmoid"}, "optimiser": {"learning_rate": [[0, 0.05]]}},
    "S0's rule": {
        "parametrisation": {"kind": "pixels", "box": "projection"},
        "optimiser": {"rule": "sgd", "normalise_gradient": True, "learning_rate": [[0, 2.0]]},
    },
}


@pytest.mark.parametrize("name", VARIATIONS)
def test_five_steps_lower_the_objective(default_params: dict[str, Any], name: str) -> None:
    outcome, reports = solve(settings(default_params, **VARIATIONS[name]))
    first, last = reports[0].terms["objective"], reports[-1].terms["objective"]
    assert (outcome.objective < first).all()
    assert torch.equal(outcome.objective, last)
    assert outcome.images.min() >= 0
    assert outcome.images.max() <= 1
    assert set(reports[0].terms) == {"objective", *LOSSES, "learning_rate", "size"}


def test_equal_seeds_give_equal_bits_and_leave_no_hook(default_params: dict[str, Any]) -> None:
    config = settings(default_params, views={"jitter": 2})
    assert torch.equal(solve(config)[0].images, solve(config)[0].images)
    assert sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in NET.modules()) == 0


def test_rows_do_not_touch_each_other(default_params: dict[str, Any]) -> None:
    config = settings(default_params)
    both, alone = solve(config, count=2)[0], solve(config, count=1)[0]
    assert torch.allclose(both.images[0], alone.images[0], atol=1e-4)


def test_a_zero_gradient_is_no_catastrophe(default_params: dict[str, Any]) -> None:
    """At a constant picture the total variation has no slope at all: the normalised step stays where it is."""
    config = settings(default_params, **VARIATIONS["S0's rule"])
    outcome, _ = solve(config, losses={"tv": 1.0})
    assert torch.equal(outcome.images, torch.full_like(outcome.images, 0.5))


def test_numbers_that_are_none_stop_the_run_by_name(default_params: dict[str, Any]) -> None:
    config = settings(default_params)
    broken = problem(config)
    broken.targets["alexnet_conv"]["conv3"].fill_(torch.inf)  # type: ignore[index]
    with pytest.raises(UserError, match="step 0: objective is"):
        optimise(broken, config, lambda report: None)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "toy", size=SIZE, splits=("test",), each=4)


@pytest.fixture
def work(
    dataset: Dataset, default_params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., group.Work]:
    monkeypatch.setattr("relume.inversion.targets.load", lambda name, store, device: NET)

    def make(**differences: Any) -> group.Work:
        config = settings(default_params, **differences)
        goal = objective(config, LOSSES, {})
        provider = Provider(dataset, None, goal.needs, torch.device("cpu"))  # type: ignore[arg-type]
        run = Run(seed=0, device="cpu", precision="float32", micro_batch=2)
        return group.Work(
            name="toy", config=config, run=run, objective=goal, provider=provider, start=None, scratch=Scratch(tmp_path / "s")
        )

    return make


def test_a_killed_run_goes_on_from_its_last_shard_to_the_same_bits(
    work: Callable[..., group.Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = group.invert(work())
    work().scratch.clear()
    calls = []

    def killed(*arguments: Any) -> Outcome:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return optimise(*arguments)

    monkeypatch.setattr(group, "optimise", killed)
    with pytest.raises(KeyboardInterrupt):
        group.invert(work())
    images, rows, trace, _ = group.invert(work())
    assert len(calls) == 3, "the first shard was not computed again"
    assert np.array_equal(images, whole[0])
    assert (rows, trace) == (whole[1], whole[2])


def test_restarts_are_chosen_by_the_objective(work: Callable[..., group.Work]) -> None:
    images, rows, _, timing = group.invert(work(restarts=2, init={"std": 0.2}))
    assert [row.restart for row in rows] == [0, 1] * 4
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert first.objective != second.objective
        best = min((first, second), key=lambda row: row.objective or 0)
        assert best.selected
        assert first.selected != second.selected
    assert len(images) == 8
    assert timing[-1]["seconds"] > 0


def test_a_group_can_be_a_start(work: Callable[..., group.Work], tmp_path: Path) -> None:
    images, rows, trace, timing = group.invert(work())
    write_group(tmp_path / "first", images=images, rows=rows, trace=trace, timing=timing, method={})
    first = read_group(tmp_path / "first")
    begun = work(steps=3, init={"std": 0.0})
    begun = group.Work(**{**vars(begun), "start": first, "name": "second", "scratch": Scratch(tmp_path / "other")})
    _, later, log, _ = group.invert(begun)
    assert {row.family for row in later} == {"hybrid"}
    opening = next(row["value"] for row in log if row["term"] == "objective")
    ending = [row["value"] for row in trace if row["term"] == "objective"][-1]
    assert opening == pytest.approx(ending, rel=0.2)
    assert np.mean([row.objective for row in later]) < np.mean([row.objective for row in rows])


def test_the_terms_that_look_at_the_picture_are_known(default_params: dict[str, Any]) -> None:
    weights = dict.fromkeys(Losses.__dataclass_fields__, 1.0)
    goal = objective(settings(default_params), weights, {"vgg": []})
    assert {term.name for term in goal.terms} == set(weights)
    assert {term.name for term in goal.terms if term.oracle} == ORACLES


def test_a_term_that_looks_at_the_picture_marks_every_row(work: Callable[..., group.Work]) -> None:
    plain = work()
    goal = objective(plain.config, {"feature": 1.0, "pixel": 1.0}, {})
    oracle = group.Work(**{**vars(plain), "objective": goal})
    assert {row.oracle for row in group.invert(oracle)[1]} == {True}
