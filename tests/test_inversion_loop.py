"""The loop on a network with random weights: it descends, rows are independent, equal seeds give equal bits, faults."""

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.losses.objective import Objective, State, Term
from relume.methods.optimise.config import Affine, InvertOptimise, Jitter, Own, Parametrisation
from relume.methods.optimise.optimise import Outcome, Problem, Report, optimise
from relume.methods.optimise.optimizers import RULES
from relume.methods.optimise.parametrise import BOXES
from relume.methods.optimise.views import TRANSFORMS
from tests.inversion_files import LOSSES, SIZE, net, problem, settings, solve, value

JITTER = {"kind": "jitter", "pixels": 2}
AFFINE = {"kind": "affine", "probability": 0.5, "degrees": 5.0, "translate": 0.02, "scale": [0.95, 1.05]}
PIXELS = {"kind": "pixels", "box": "projection"}
PRIOR = {"kind": "prior", "channels": 8, "levels": 2}
SLOW = {"learning_rate": [[0, 0.02]]}

VARIATIONS: dict[str, dict[str, Any]] = {
    "fourier": {},
    "projected pixels": {"parametrisation": PIXELS, "optimiser": SLOW},
    "sigmoid pixels": {"parametrisation": {"kind": "pixels", "box": "sigmoid"}},
    "free pixels": {"parametrisation": {"kind": "pixels", "box": "none"}, "optimiser": SLOW},
    "prior": {"parametrisation": PRIOR, "optimiser": SLOW},
    "latent": {"parametrisation": {"kind": "latent", "space": "w", "start": "random", "noise": False}},
    "sgd": {"optimiser": {"rule": "sgd", "normalise_gradient": True, "learning_rate": [[0, 3.0]]}},
    "adam": {"optimiser": {"rule": "adam", "betas": [0.5, 0.99]}},
    "lbfgs": {"optimiser": {"rule": "lbfgs", "learning_rate": [[0, 0.5]]}},
    "jitter": {"views": {"transforms": [JITTER]}},
    "affine": {"views": {"transforms": [AFFINE]}},
    "all views, two at a time": {"views": {"transforms": [JITTER, AFFINE], "ensemble": 2}},
    "growth": {"sizes": [[0, 32], [2, SIZE]]},
    "switch to a spectrum": {"parametrisation": PIXELS, "switches": [[2, {"kind": "fourier", "decay": 1.0}]], "optimiser": SLOW},
    "switch from a prior": {"parametrisation": PRIOR, "switches": [[2, PIXELS]], "optimiser": SLOW},
    "cosine distance": {"terms": {"feature": {"distance": "cosine"}}},
    "two taps": {"taps": {"conv1": 1.0, "conv3": 2.0}},
    "noised normalised sgd": {
        "parametrisation": {"kind": "pixels", "box": "none"},
        "init": {"base": "grey", "std": 0.2, "noising": 2.0},
        "optimiser": {"rule": "sgd", "normalise_gradient": True, "learning_rate": [[0, 10.0]]},
    },
}


@pytest.mark.parametrize("name", VARIATIONS)
def test_five_steps_lower_the_objective(default_params: dict[str, Any], name: str) -> None:
    outcome, reports = solve(settings(default_params, **VARIATIONS[name]))
    first, last = reports[0].terms["objective"], reports[-1].terms["objective"]
    assert (outcome.objective < first).all()
    assert torch.equal(outcome.objective, last)
    assert outcome.images.shape == (2, 3, SIZE, SIZE)
    assert outcome.images.min() >= 0
    assert outcome.images.max() <= 1
    assert outcome.faults == ()
    assert not outcome.interrupted
    assert [report.step for report in reports] == [0, 1, 2, 3, 4, 5]
    assert set(reports[0].terms) == {"objective", *LOSSES, "learning_rate", "size"}


def test_variations_cover_the_configuration(default_params: dict[str, Any]) -> None:
    configs = [settings(default_params, **differences) for differences in VARIATIONS.values()]
    spaces = [config.parametrisation for config in configs]
    assert {type(space) for space in spaces} == set(get_args(get_args(Parametrisation)[0])) - {Own}  # test_extend.py
    assert {getattr(space, "box", None) for space in spaces} >= set(BOXES)
    assert {config.optimiser.rule for config in configs} == set(RULES)
    views = {type(one) for config in configs for one in config.views.transforms}
    assert views == {Jitter, Affine} == set(TRANSFORMS) - {Own}


@pytest.mark.parametrize("name", ["all views, two at a time", "prior"])
def test_equal_seeds_give_equal_bits_and_leave_no_hooks(default_params: dict[str, Any], name: str) -> None:
    config = settings(default_params, **VARIATIONS[name])
    assert torch.equal(solve(config)[0].images, solve(config)[0].images)
    for module in net("alexnet_conv").modules():
        assert len(module._forward_hooks) + len(module._forward_pre_hooks) == 0


@pytest.mark.parametrize("name", ["prior", "lbfgs", "all views, two at a time", "noised normalised sgd"])
def test_rows_are_independent(default_params: dict[str, Any], name: str) -> None:
    config = settings(default_params, **VARIATIONS[name], steps=3)
    both, alone = solve(config, count=2)[0], solve(config, count=1)[0]
    torch.testing.assert_close(both.images[:1], alone.images, atol=1e-3, rtol=0)
    torch.testing.assert_close(both.objective[:1], alone.objective, atol=1e-4, rtol=1e-4)


def test_growth_and_switches_keep_the_image(default_params: dict[str, Any]) -> None:
    still = {"optimiser": {"learning_rate": [[0, 1.0e-9]]}}
    changes = {"sizes": [[0, 16], [2, SIZE]], "switches": [[3, PIXELS]]}
    _, reports = solve(settings(default_params, **still, **changes), losses={"tv": 1.0})
    assert [float(report.terms["size"]) for report in reports] == [16, 16, SIZE, SIZE, SIZE, SIZE]
    assert torch.allclose(reports[2].images, reports[1].images, atol=0.1)
    assert torch.allclose(reports[3].images, reports[2].images, atol=1e-5)
    assert torch.equal(reports[4].images, reports[3].images)


@pytest.mark.parametrize("transforms", [[], [JITTER, AFFINE]])
def test_reported_objective_is_without_views(default_params: dict[str, Any], transforms: Any) -> None:
    config = settings(default_params, views={"transforms": transforms, "ensemble": 2 if transforms else 1})
    _, reports = solve(config)
    for report in reports:
        clean = value(problem(config), report.images)
        torch.testing.assert_close(report.terms["objective"], clean, rtol=1e-3, atol=1e-5)


def with_term(whole: Problem, measure: Any) -> Problem:
    return replace(whole, objective=Objective((*whole.objective.terms, Term(name="trap", weight=1.0, value=measure))))


def trap(at: int) -> Any:
    """A term that is 0, and NaN for row 0 at call `at`."""
    calls: list[int] = []

    def measure(state: State) -> Tensor:
        calls.append(0)
        factors = torch.zeros(len(state.images))
        if len(calls) == at + 1:
            factors[0] = torch.nan
        return state.images.mean((1, 2, 3)) * factors

    return measure


@pytest.mark.parametrize("name", ["fourier", "lbfgs", "free pixels", "sgd"])
def test_nan_stops_its_row_only(default_params: dict[str, Any], name: str) -> None:
    config = settings(default_params, **VARIATIONS[name])
    sound, reports = solve(config)
    looks = 2 if name == "free pixels" else 1  # free pixels also measure the clamped image
    outcome = optimise(with_term(problem(config), trap(at=3 * looks)), config, lambda report: None)
    assert outcome.faults == ("row 0: step 3: trap is NaN or Inf",)
    assert torch.equal(outcome.images[1], sound.images[1])
    before = min(range(3), key=lambda step: float(reports[step].terms["objective"][0]))
    assert torch.equal(outcome.images[0], reports[before].images[0].clamp(0, 1))
    assert torch.isfinite(outcome.objective).all()


@pytest.mark.parametrize("differences", [{}, {"views": {"transforms": [JITTER]}}, {"sizes": [[0, 32], [1, SIZE]]}])
def test_nan_at_step_0_raises(default_params: dict[str, Any], differences: dict[str, Any]) -> None:
    config = settings(default_params, **differences)
    broken = problem(config)
    broken.targets["alexnet_conv"]["conv2"][1].fill_(torch.inf)
    with pytest.raises(UserError, match="row 1: step 0: feature is NaN or Inf before any valid image: try a smaller"):
        optimise(broken, config, lambda report: None)


def resting(default_params: dict[str, Any], floors: list[float], **differences: Any) -> tuple[Outcome, list[Report]]:
    """From white images; the objective is the brightness plus a constant per row, and every step lowers it by 0.02."""
    config = settings(default_params, parametrisation=PIXELS, optimiser=SLOW, init={"mean": 1.0, "std": 0.0}, **differences)
    goal = Objective((Term(name="pull", weight=1.0, value=lambda s: s.images.mean((1, 2, 3)) + torch.tensor(floors)),))
    reports: list[Report] = []
    whole = replace(problem(config), objective=goal)
    return optimise(whole, config, reports.append), reports


def test_converged_row_stops_alone(default_params: dict[str, Any]) -> None:
    """Row 0 falls by 0.02 % per step, below the tolerance, so it stops at step 3; row 1 falls by 2 %."""
    stop = {"patience": 3, "tolerance": 1.0e-3}
    outcome, reports = resting(default_params, [99.0, 0.0], stop=stop, steps=8)
    assert reports[-1].step == 8
    assert outcome.images.mean((1, 2, 3)).tolist() == pytest.approx([1 - 3 * 0.02, 1 - 8 * 0.02], abs=1e-3)


@pytest.mark.parametrize(("every", "end"), [(1, 3), (2, 4), (5, 5)])
def test_run_ends_when_all_rows_converged(default_params: dict[str, Any], every: int, end: int) -> None:
    """No step after 0 is lower by the tolerance; this is checked every `every` steps."""
    stop = {"patience": 2, "tolerance": 0.5}
    _, reports = resting(default_params, [0.0, 1.0], stop=stop, steps=20, trace_every=every)
    assert reports[-1].step == end
    _, reports = resting(default_params, [0.0, 1.0], stop={"patience": None, "tolerance": 0.5}, steps=20)
    assert reports[-1].step == 20


def interrupted(config: InvertOptimise, at: int, *, keep: bool) -> Outcome:
    told: list[int] = []

    def report(one: Report) -> None:
        told.append(one.step)
        if len(told) == at + 1:
            raise KeyboardInterrupt

    return optimise(problem(config), config, report, keep=keep)


def test_interrupt_returns_the_best_with_keep(default_params: dict[str, Any]) -> None:
    config = settings(default_params, steps=30)
    outcome = interrupted(config, 4, keep=True)
    _, reports = solve(replace(config, steps=5))
    kept = torch.stack([report.terms["objective"] for report in reports]).amin(0)
    torch.testing.assert_close(outcome.objective, kept)
    assert outcome.interrupted
    with pytest.raises(KeyboardInterrupt):
        interrupted(config, 4, keep=False)
    assert all(len(module._forward_hooks) == 0 for module in net("alexnet_conv").modules())


@pytest.mark.parametrize("box", BOXES)
def test_images_stay_in_range(default_params: dict[str, Any], box: str) -> None:
    """The objective rewards brightness without bound."""
    space = {"kind": "pixels", "box": box}
    config = settings(default_params, parametrisation=space, optimiser={"learning_rate": [[0, 2.0]]}, steps=20)
    goal = Objective((Term(name="dark", weight=1.0, value=lambda state: -state.images.mean((1, 2, 3))),))
    reports: list[Report] = []
    outcome = optimise(replace(problem(config), objective=goal), config, reports.append)
    brightest = max(float(report.images.max()) for report in reports[:-1])
    assert 0.95 < brightest <= 1, "reported and kept images are in range for every box"
    assert outcome.images.max() <= 1
    torch.testing.assert_close(outcome.objective, -outcome.images.mean((1, 2, 3)))


def test_run_ends_when_all_rows_are_nan(default_params: dict[str, Any]) -> None:
    config = settings(default_params, steps=50)
    reports: list[Report] = []
    outcome = optimise(with_term(problem(config, count=1), trap(at=2)), config, reports.append)
    assert [report.step for report in reports] == [0, 1, 2, 3]
    assert outcome.faults == ("row 0: step 2: trap is NaN or Inf",)
