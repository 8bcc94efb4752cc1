"""Every term of the objective: a known answer, five steps lower it, finite gradients, nothing at weight 0."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.core.images import resize
from relume.losses.config import Distance, Losses, TvTerm
from relume.losses.feature import DISTANCES
from relume.losses.foreign import AGGREGATES, POLICIES
from relume.losses.objective import Known
from relume.losses.perceptual import LPIPS_TAPS
from relume.methods.optimise.config import InversionConfig
from relume.methods.optimise.optimise import Problem
from relume.methods.optimise.terms import MAKERS, ORACLES, Material, Surrogate, objective
from relume.networks.network import Network
from relume.networks.weights import WeightStore
from tests.inversion_files import CPU, NOTHING, net, pictures, problem, seen, settings, solve, value, weighted, work_in

OTHER = "efficientnet_lite0"  # stands in for foreign networks, CLIP's too
FOREIGN = {"networks": {OTHER: {"pool": 1.0}}}
NEEDS: dict[str, dict[str, Any]] = {  # what a term wants of the configuration
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
    """A map of conv2 to as many numbers as the other network pools: (N, 1280)."""
    return features["conv2"].mean((2, 3)).repeat(1, 7)[:, :1280]


class Heads(WeightStore):
    """In the place of fetched ones."""

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
    """The problem that has this term only."""
    return problem(config, losses={term: 1.0}, material=material(config.terms.lpips.network), **options)


def test_every_weight_has_its_term() -> None:
    assert set(MAKERS) == set(TERMS) >= set(NEEDS)


@pytest.mark.parametrize("term", TERMS)
def test_five_steps_lower_it(default_params: dict[str, Any], term: str) -> None:
    config = config_for(term, default_params)
    outcome, reports = solve(config, losses={term: 1.0}, material=material(config.terms.lpips.network))
    assert set(reports[0].terms) == {"objective", term, "learning_rate", "size"}
    assert (outcome.objective < reports[0].terms[term]).all()


@pytest.mark.parametrize("target", ["itself", "a picture"])
@pytest.mark.parametrize("term", TERMS)
def test_gradients_are_finite_at_constant_pictures(default_params: dict[str, Any], term: str, target: str) -> None:
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


def statistics(images: Tensor) -> Tensor:
    """What batch normalisations meet against what they expect, written out: (N,)."""
    found: list[Tensor] = []

    def note(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        rows = inputs[0].flatten(2)
        mean, variance = rows.mean(2), rows.pow(2).mean(2) - rows.mean(2).pow(2)
        found.append((mean - norm.running_mean).norm(dim=1) + (variance - norm.running_var).norm(dim=1))

    norms = [module for module in net(OTHER).modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [norm.register_forward_pre_hook(note) for norm in norms]
    with torch.no_grad():
        net(OTHER)(images)
    for handle in handles:
        handle.remove()
    return torch.stack(found).mean(0)


def perceptual(whole: Problem, images: Tensor) -> Tensor:
    total = torch.zeros(len(images))
    for tap, head in zip(LPIPS_TAPS["alex"][1], material().store.tensors("lpips_alex").values(), strict=True):
        here, there = (nn.functional.normalize(alexnet(one, tap), dim=1) for one in pair(whole))
        total += ((here - there) ** 2 * head.view(1, -1, 1, 1)).sum(1).mean((1, 2))
    return total


def similarity(x: Tensor, y: Tensor, window: int) -> Tensor:
    """SSIM with a gaussian window of deviation 1.5, as its paper writes it: (N,)."""
    line = torch.exp(-((torch.arange(window) - window // 2) ** 2) / (2 * 1.5**2))
    kernel = (line[:, None] * line / line.sum() ** 2).expand(3, 1, -1, -1)

    def blur(values: Tensor) -> Tensor:
        return nn.functional.conv2d(values, kernel, groups=3)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean((1, 2, 3))


def pair(whole: Problem) -> tuple[Tensor, Tensor]:
    """The pictures that are measured, and those that are to be found."""
    assert whole.originals is not None
    return whole.start, whole.originals


def stripes(whole: Problem) -> Tensor:
    """Columns 0.2, 0.6, 0.2, …: right neighbours differ by 0.4."""
    return torch.where(torch.arange(48) % 2 == 0, 0.2, 0.6).expand_as(whole.start)


def constant(level: float) -> Callable[[Problem], Tensor]:
    return lambda whole: torch.full_like(whole.start, level)


def starts(whole: Problem) -> Tensor:
    return whole.start


Answer = tuple[Callable[[Problem], Tensor], Callable[[Problem, Tensor], Tensor]]  # pictures, and the term's value of them
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
    "batchnorm": (starts, lambda whole, x: statistics(x)),
    "tv": (stripes, lambda whole, x: torch.tensor([0.16] * 2)),
    "alpha_norm": (constant(0.75), lambda whole, x: torch.tensor([0.5**6] * 2)),
    "clip": (starts, lambda whole, x: 1 - nn.functional.cosine_similarity(pooled(x), pooled(pair(whole)[1]))),
    "lpips": (starts, perceptual),
    "ssim": (starts, lambda whole, x: 1 - (similarity(*pair(whole), 7) + similarity(*pair(whole), 11)) / 2),
    "pixel": (constant(0.5), lambda whole, x: torch.from_numpy(np.square(pair(whole)[1].numpy() - 0.5).mean((1, 2, 3)))),
}


@pytest.mark.parametrize("term", TERMS)
def test_a_known_answer(default_params: dict[str, Any], term: str) -> None:
    whole = alone(term, config_for(term, default_params))
    make, answer = ANSWERS[term]
    images = make(whole)
    with torch.no_grad():
        torch.testing.assert_close(value(whole, images), answer(whole, images), rtol=2e-4, atol=2e-6)


NETWORKS = {"ref": "resnet18", "avg": "resnet34", "clip": "clip_vit_b_32", "lpips": "vgg16_conv"}
ELSEWHERE = {
    "ref": {"networks": {"resnet18": {"pool": 1.0}}},
    "avg": {"networks": {"resnet34": {"pool": 1.0}}},
    "clip": {"network": "clip_vit_b_32"},
    "lpips": {"network": "vgg"},
}


@pytest.mark.parametrize("term", [None, *NETWORKS])
def test_only_networks_of_terms_with_a_weight_are_loaded(
    default_params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: str | None
) -> None:
    loaded: set[str] = set()

    def load(name: str, store: object, device: torch.device) -> Network:
        loaded.add(name)
        return net("alexnet_conv")

    monkeypatch.setattr("relume.methods.optimise.infer.load", load)
    monkeypatch.setattr("relume.methods.optimise.terms.heads_of", lambda *_: [])
    monkeypatch.setattr(WeightStore, "tensors", lambda *_: {})
    weights = dict.fromkeys(set(TERMS) - ({*NETWORKS, "surrogate", "logits", "batchnorm"} - {term}), 1.0)
    work = work_in(tmp_path, settings(default_params, terms=ELSEWHERE), losses=weights)
    assert loaded == {"alexnet_conv"} | ({NETWORKS[term]} if term else set())
    assert {one.name for one in work.objective.terms} == weights.keys()
    assert work.objective.needs.keys() == loaded


@pytest.mark.parametrize("network", [OTHER, "alexnet_conv"])
def test_the_terms_that_look_at_the_picture_are_known(default_params: dict[str, Any], network: str) -> None:
    """Another network's embedding of the picture tells of the picture; the inverted network's own does not."""
    taps = {"pool": 1.0}  # what the clip term looks at: known, where the network is the same
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
        ("alexnet", "pool", True),  # its head reads the map, not its mean
        ("vgg16", "pool_pre", True),
        ("squeezenet1_1", "pool", True),
        ("resnet50", "pool", False),
        ("efficientnet_lite0", "logits", False),
        ("efficientnet_lite0", "pool_pre", True),
    ],
)
def test_logits_are_an_oracle_where_they_do_not_follow(
    default_params: dict[str, Any], network: str, tap: str, oracle: bool
) -> None:
    config = settings(default_params, network=network, taps={tap: 1.0})
    assert objective(weighted(config, {"logits": 1.0}), NOTHING).oracle == oracle


def test_a_restart_without_a_number_is_none_to_agree_with(default_params: dict[str, Any]) -> None:
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
def test_every_aggregate_and_policy_of_the_foreign_terms(
    default_params: dict[str, Any], term: str, aggregate: str, policy: str
) -> None:
    """Two networks at once; a picture among its own restarts or references counts as the formula says."""
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


def test_networks_and_taps_of_a_foreign_term_are_a_weighted_mean(default_params: dict[str, Any]) -> None:
    def of(networks: dict[str, dict[str, float]]) -> Tensor:
        config = settings(default_params, terms={"ref": {"networks": networks}}, init={"std": 0.2})
        whole = problem(config, losses={"ref": 1.0})
        return value(whole, whole.start)

    first, second = of({"alexnet_conv": {"pool": 2.0}}), of({"vgg16_conv": {"conv2_2": 0.1}})
    both = of({"alexnet_conv": {"pool": 3.0}, "vgg16_conv": {"conv2_2": 1.0}})
    torch.testing.assert_close(both, 0.75 * first + 0.25 * second)


def test_restarts_of_one_picture_are_no_company_for_anothers(default_params: dict[str, Any]) -> None:
    config = config_for("avg", default_params)
    whole = alone("avg", config)
    changed = whole.start.clone()
    changed[2:] = 0.3
    assert torch.allclose(value(whole, changed)[:2], value(whole, whole.start)[:2], rtol=1e-4)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("term", ["feature", "ref", "avg", "surrogate", "logits", "clip"])
def test_every_distance_of_the_terms_that_compare_features(default_params: dict[str, Any], term: str, distance: str) -> None:
    plain = NEEDS.get(term, {})
    terms = {term: {**plain.get("terms", {}).get(term, {}), "distance": distance}}
    config = settings(default_params, **{**plain, "terms": terms}, init={"std": 0.2})
    whole = alone(term, config)
    values = value(whole, whole.start)
    assert torch.isfinite(values).all()
    assert (values > 0).all()


def test_distances_of_the_configuration_are_the_registered_ones() -> None:
    assert set(get_args(Distance)) == set(DISTANCES)


@pytest.mark.parametrize(
    ("penalty", "exponent", "answer"),
    [("power", 2.0, 0.16), ("power", 1.0, 0.4), ("linear", 1.0, 0.4), ("squared_relu", 1.0, 0.1 + 10 * 0.01)],
)
def test_every_penalty_on_variation_by_hand(default_params: dict[str, Any], penalty: str, exponent: float, answer: float) -> None:
    config = settings(default_params, terms={"tv": {"penalty": penalty, "exponent": exponent}})
    whole = alone("tv", config)
    assert value(whole, stripes(whole)).tolist() == pytest.approx([answer] * 2, rel=1e-3)
    assert penalty in get_args(TvTerm.__dataclass_fields__["penalty"].type)


def test_what_a_term_lacks_is_named(default_params: dict[str, Any]) -> None:
    config = settings(default_params)
    with pytest.raises(UserError, match=r"losses\.surrogate: there is no trained surrogate"):
        objective(weighted(config, {"surrogate": 1.0}), NOTHING)
    for term, words in (("pixel", "pixel term is an oracle"), ("ssim", "ssim term is an oracle"), ("guide", "given no guide")):
        with pytest.raises(ValueError, match=words):
            objective(weighted(config, {term: 1.0}), NOTHING)(pictures(), {}, Known(targets={}))
