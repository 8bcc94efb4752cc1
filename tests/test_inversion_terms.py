"""Every term of the objective: a known value, five steps lower it, finite gradients, nothing is loaded at weight 0."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relume.core.images import resize
from relume.losses.config import Losses, TvTerm
from relume.losses.foreign import AGGREGATES, POLICIES
from relume.losses.objective import Known
from relume.losses.perceptual import LPIPS_TAPS, lpips, ssim
from relume.methods.optimise.config import InversionConfig
from relume.methods.optimise.optimise import Problem
from relume.methods.optimise.terms import MAKERS, ORACLES, Material, Surrogate, objective
from relume.networks.taps import BATCHNORM
from relume.networks.weights import WeightStore
from tests.inversion_files import CPU, NOTHING, net, problem, seen, settings, solve, value, weighted

OTHER = "efficientnet_lite0"  # a second network, also in place of CLIP
FOREIGN = {"networks": {OTHER: {"pool": 1.0}}}
NEEDS: dict[str, dict[str, Any]] = {  # the configuration a term needs
    "guide": {"terms": {"guide": {"grid": 4}}},
    "ref": {"terms": {"ref": FOREIGN}},
    "avg": {"terms": {"avg": FOREIGN}, "restarts": 2},
    "logits": {"network": OTHER, "taps": {"stage2": 1.0}},
    "batchnorm": {"network": OTHER, "taps": {"stage2": 1.0}},
    "clip": {"terms": {"clip": {"network": OTHER}}},
    "lpips": {"terms": {"lpips": {"network": "alex"}}},
    "ssim": {"terms": {"ssim": {"windows": [7, 11]}}},
}
TERMS = sorted(Losses.__dataclass_fields__)


def predicted(features: Mapping[str, Tensor]) -> Tensor:
    """From the map of conv2 to the size of the pooled features of OTHER: (N, 1280)."""
    return features["conv2"].mean((2, 3)).repeat(1, 7)[:, :1280]


class Heads(WeightStore):
    """LPIPS heads without a download."""

    def __init__(self, extractor: str, heads: list[Tensor]) -> None:
        self.extractor, self.heads = extractor, heads

    def tensors(self, name: str) -> dict[str, Tensor]:
        assert name == f"lpips_{self.extractor}"
        return {f"lin{place}": head for place, head in enumerate(self.heads)}


@cache
def material(extractor: str = "alex") -> Material:
    network, taps = LPIPS_TAPS[extractor]
    dice = torch.Generator().manual_seed(3)
    heads = [torch.rand(net(network).facts.taps[tap].channels, generator=dice) for tap in taps]
    surrogate = Surrogate(network=OTHER, tap="pool", predict=predicted)
    return Material(store=Heads(extractor, heads), device=CPU, surrogate=surrogate)


def config_for(term: str, base: dict[str, Any], **more: Any) -> InversionConfig:
    return settings(base, **NEEDS.get(term, {}), init={"std": 0.2}, **more)


def alone(term: str, config: InversionConfig, **options: Any) -> Problem:
    """A problem with this term only."""
    return problem(config, losses={term: 1.0}, material=material(config.terms.lpips.network), **options)


def test_every_loss_weight_has_a_term() -> None:
    assert set(MAKERS) == set(TERMS) >= set(NEEDS)


@pytest.mark.parametrize("term", TERMS)
def test_five_steps_lower_the_term(default_params: dict[str, Any], term: str) -> None:
    config = config_for(term, default_params)
    outcome, reports = solve(config, losses={term: 1.0}, material=material(config.terms.lpips.network))
    assert set(reports[0].terms) == {"objective", term, "learning_rate", "size"}
    assert (outcome.objective < reports[0].terms[term]).all()


@pytest.mark.parametrize("target", ["itself", "a picture"])
@pytest.mark.parametrize("term", TERMS)
def test_gradients_are_finite_at_constant_images(default_params: dict[str, Any], term: str, target: str) -> None:
    flat = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(3, 3, 48, 48).contiguous()
    whole = alone(term, config_for(term, default_params), count=3, originals=flat if target == "itself" else None)
    images = flat.repeat_interleave(whole.restarts, 0).requires_grad_()
    values = value(whole, images)
    (gradient,) = torch.autograd.grad(values.sum(), [images])
    assert torch.isfinite(values).all()
    assert torch.isfinite(gradient).all()


def relative(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).flatten(1).pow(2).sum(1) / y.flatten(1).pow(2).sum(1)


def pooled(images: Tensor) -> Tensor:
    return seen(images, {OTHER: ("pool",)})[OTHER]["pool"]


def alexnet(images: Tensor, tap: str) -> Tensor:
    return seen(images, {"alexnet_conv": (tap,)})["alexnet_conv"][tap]


def perceptual(whole: Problem, x: Tensor) -> Tensor:
    taps, heads = LPIPS_TAPS["alex"][1], material().store.tensors("lpips_alex").values()
    return lpips(*([alexnet(one, tap) for tap in taps] for one in pair(whole)), list(heads))


def pair(whole: Problem) -> tuple[Tensor, Tensor]:
    """The measured images and the originals."""
    assert whole.originals is not None
    return whole.start, whole.originals


def stripes(whole: Problem) -> Tensor:
    """Columns 0.2, 0.6, 0.2, …: horizontal neighbours differ by 0.4."""
    return torch.where(torch.arange(48) % 2 == 0, 0.2, 0.6).expand_as(whole.start)


def constant(level: float) -> Callable[[Problem], Tensor]:
    return lambda whole: torch.full_like(whole.start, level)


def starts(whole: Problem) -> Tensor:
    return whole.start


Answer = tuple[Callable[[Problem], Tensor], Callable[[Problem, Tensor], Tensor]]  # images, and the term's value on them
ANSWERS: dict[str, Answer] = {
    "feature": (starts, lambda whole, x: relative(*(alexnet(one, "conv2") for one in pair(whole)))),
    "guide": (constant(0.25), lambda whole, x: (resize(pair(whole)[1], 4) - 0.25).square().mean((1, 2, 3))),
    "ref": (starts, lambda whole, x: relative(pooled(x), whole.references[OTHER]["pool"].mean(1))),
    "avg": (starts, lambda whole, x: relative(pooled(x), pooled(x).view(2, 2, -1).mean(1).repeat_interleave(2, 0))),
    "surrogate": (
        starts,
        lambda whole, x: 1 - nn.functional.cosine_similarity(pooled(x), predicted(whole.targets["alexnet_conv"])),
    ),
    "logits": (starts, lambda whole, x: relative(*(net(OTHER)(one) for one in pair(whole)))),
    "batchnorm": (starts, lambda whole, x: seen(x, {OTHER: (BATCHNORM,)})[OTHER][BATCHNORM].mean(1)),
    "tv": (stripes, lambda whole, x: torch.tensor([0.16] * 2)),
    "alpha_norm": (constant(0.75), lambda whole, x: torch.tensor([0.5**6] * 2)),
    "clip": (starts, lambda whole, x: 1 - nn.functional.cosine_similarity(pooled(x), pooled(pair(whole)[1]))),
    "lpips": (starts, perceptual),
    "ssim": (starts, lambda whole, x: ssim(*pair(whole), (7, 11))),
    "pixel": (constant(0.5), lambda whole, x: torch.from_numpy(np.square(pair(whole)[1].numpy() - 0.5).mean((1, 2, 3)))),
}


@pytest.mark.parametrize("term", TERMS)
def test_known_value(default_params: dict[str, Any], term: str) -> None:
    whole = alone(term, config_for(term, default_params))
    make, answer = ANSWERS[term]
    images = make(whole)
    with torch.no_grad():
        torch.testing.assert_close(value(whole, images), answer(whole, images), rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("network", [OTHER, "alexnet_conv"])
def test_oracle_terms(default_params: dict[str, Any], network: str) -> None:
    """The image's embedding in another network is an oracle; in the inverted network it is known."""
    taps = {"pool": 1.0}  # the clip term compares this tap
    config = settings(default_params, taps=taps, terms={"clip": {"network": network}, "lpips": {"network": "alex"}})
    goal = objective(weighted(config, dict.fromkeys(TERMS, 1.0)), material())
    assert {term.name for term in goal.terms if term.oracle} == ORACLES | ({"clip"} if network == OTHER else set())
    assert goal.oracle
    assert not objective(weighted(config, {"feature": 1.0, "tv": 1.0}), NOTHING).oracle


@pytest.mark.parametrize(
    ("network", "tap", "oracle"),
    [
        ("alexnet", "conv5", False),
        ("alexnet", "fc6", False),
        ("alexnet", "pool", True),  # the classifier reads the map, not its mean
        ("vgg16", "pool_pre", True),
        ("squeezenet1_1", "pool", True),
        ("resnet50", "pool", False),
        ("efficientnet_lite0", "logits", False),
        ("efficientnet_lite0", "pool_pre", True),
    ],
)
def test_logits_are_an_oracle_unless_they_follow_from_the_taps(
    default_params: dict[str, Any], network: str, tap: str, oracle: bool
) -> None:
    config = settings(default_params, network=network, taps={tap: 1.0})
    assert objective(weighted(config, {"logits": 1.0}), NOTHING).oracle == oracle


def test_avg_ignores_restarts_that_are_nan(default_params: dict[str, Any]) -> None:
    config = settings(default_params, restarts=3, terms={"avg": {"networks": {"alexnet_conv": {"pool": 1.0}}}})
    goal = objective(weighted(config, {"avg": 1.0}), NOTHING)
    values = torch.rand(3, 8, generator=torch.Generator().manual_seed(0))
    values[1] = torch.nan
    features = {"alexnet_conv": {"pool": values}}
    found, _ = goal(torch.zeros(3, 3, 4, 4), features, Known(targets={}, restarts=3))
    assert torch.isfinite(found).tolist() == [True, False, True]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("term", ["avg", "ref"])
def test_foreign_terms_for_every_aggregate_and_policy(
    default_params: dict[str, Any], term: str, aggregate: str, policy: str
) -> None:
    """Two networks at once, from which every image gets a gradient."""
    networks = {"alexnet_conv": {"pool": 3.0}, "vgg16_conv": {"conv2_2": 1.0}}
    own = {"networks": networks, "aggregate": aggregate, "policy": policy, "distance": "dim_mse"}
    config = settings(default_params, terms={term: own}, restarts=3 if term == "avg" else 1, init={"std": 0.2})
    whole = problem(config, losses={term: 1.0})
    names = ("pool", "conv2_2") if policy == "as_is" else ("pool_pre", "conv2_2_pre")
    assert whole.objective.needs == {"alexnet_conv": names[:1], "vgg16_conv": names[1:]}
    images = whole.start.clone().requires_grad_()
    values = value(whole, images)
    assert values.shape == (2 * config.restarts,)
    assert (values > 0).all()
    (gradient,) = torch.autograd.grad(values.sum(), [images])
    assert torch.isfinite(gradient).all()
    assert (gradient.flatten(1).abs().amax(1) > 0).all()


def test_foreign_networks_are_a_weighted_mean(default_params: dict[str, Any]) -> None:
    def of(networks: dict[str, dict[str, float]]) -> Tensor:
        config = settings(default_params, terms={"ref": {"networks": networks}}, init={"std": 0.2})
        whole = problem(config, losses={"ref": 1.0})
        return value(whole, whole.start)

    first, second = of({"alexnet_conv": {"pool": 2.0}}), of({"vgg16_conv": {"conv2_2": 0.1}})
    both = of({"alexnet_conv": {"pool": 3.0}, "vgg16_conv": {"conv2_2": 1.0}})
    torch.testing.assert_close(both, 0.75 * first + 0.25 * second)


@pytest.mark.parametrize(
    ("penalty", "exponent", "answer"),
    [("power", 2.0, 0.16), ("power", 1.0, 0.4), ("linear", 1.0, 0.4), ("squared_relu", 1.0, 0.1 + 10 * 0.01)],
)
def test_tv_penalties(default_params: dict[str, Any], penalty: str, exponent: float, answer: float) -> None:
    config = settings(default_params, terms={"tv": {"penalty": penalty, "exponent": exponent}})
    whole = alone("tv", config)
    assert value(whole, stripes(whole)).tolist() == pytest.approx([answer] * 2, rel=1e-3)
    flat = constant(0.5)(whole).requires_grad_()
    (gradient,) = torch.autograd.grad(value(whole, flat).sum(), [flat])
    assert torch.isfinite(gradient).all()
    assert penalty in get_args(TvTerm.__dataclass_fields__["penalty"].type)
