"""Small inversions of networks with random weights."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from relume.core.files import Scratch
from relume.core.images import resize
from relume.core.run import Run
from relume.core.runtime import generator
from relume.losses.config import Losses
from relume.losses.objective import Activations, Taps
from relume.methods.latent.space import spaces
from relume.methods.optimise import infer as group
from relume.methods.optimise.config import InversionConfig, merge_recipe, variation
from relume.methods.optimise.optimise import Outcome, Problem, Report, optimise
from relume.methods.optimise.problem import noised, placed
from relume.methods.optimise.terms import Material, objective
from relume.networks import network as networks
from relume.networks.network import Network
from relume.networks.taps import collect
from relume.networks.weights import WeightStore
from tests import gan_files
from tests.evaluation_files import write_dataset

SIZE = 48
LOSSES = {"feature": 1.0, "tv": 0.1, "alpha_norm": 0.01}
CPU = torch.device("cpu")
NOTHING = Material(store=WeightStore(), device=CPU)
RUN = Run(seed=0, device="cpu", precision="float32", threads=1, micro_batch=2)
TOY: dict[str, Any] = {
    "taps": {"conv2": 1.0},
    "parametrisation": {"kind": "fourier", "decay": 1.0},
    "init": {"base": "grey", "mean": 0.5, "std": 0.05, "noising": 0.0},
    "optimiser": {"rule": "adam", "learning_rate": [[0, 0.1]], "warmup": 0, "cosine": False},
    "steps": 5,
    "trace_every": 1,
}


@cache
def net(name: str) -> Network:
    """The same weights at every call, Kaiming scaled so that deep taps are not near zero."""
    made, dice = networks.random(name, seed=0), torch.Generator().manual_seed(0)
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=dice)
    return made


def pictures(count: int = 2, size: int = SIZE) -> Tensor:
    """Coloured blocks with some texture: (count, 3, size, size)."""
    small = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    fine = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))
    return 0.8 * resize(small, size) + 0.2 * fine


def settings(base: Mapping[str, Any], **differences: Any) -> InversionConfig:
    """`base`: the whole of params.yaml. Whatever is tuned there and shapes a descent is fixed by TOY; foreign networks are those
    of `differences` alone, where it names any."""
    plain = copy.deepcopy(base["invert_optimise"])
    for name, term in differences.get("terms", {}).items():
        if "networks" in term:
            plain["terms"][name]["networks"] = {}
    return variation(plain, LOSSES, merge_recipe(TOY, differences), "toy")[0]


def weighted(config: InversionConfig, losses: Mapping[str, float]) -> InversionConfig:
    return replace(config, losses=Losses(**losses))


def seen(images: Tensor, taps: Taps) -> dict[str, dict[str, Tensor]]:
    found = {}
    for name, wanted in taps.items():
        with torch.no_grad(), collect(net(name), wanted) as tapped:
            found[name] = tapped(images)
    return found


def problem(
    config: InversionConfig,
    *,
    losses: Mapping[str, float] = LOSSES,
    count: int = 2,
    material: Material = NOTHING,
    originals: Tensor | None = None,
) -> Problem:
    """The inversion of `originals`, `pictures(count)` by default. The references are three noisy copies of each."""
    goal = objective(weighted(config, losses), material)
    images = (pictures(count) if originals is None else originals).repeat_interleave(config.restarts, 0)
    side = config.sizes[0][1] if config.sizes else SIZE
    rows = range(len(images))
    return Problem(
        size=SIZE,
        objective=goal,
        networks={name: net(name) for name in {*goal.needs, *goal.targets}},
        targets=seen(images, goal.targets),
        references=_references(images, goal.references),
        guide=resize(images, config.terms.guide.grid),
        restarts=config.restarts,
        start=noised(placed(None, config.init, side), config.init, list(rows)),
        originals=images,
        generators=[generator(0, row) for row in rows],
        space=spaces(gan_files.generator("style").requires_grad_(False)),
        run=RUN,
    )


def _references(images: Tensor, taps: Taps) -> Activations:
    noise = torch.rand(len(images), 3, *images.shape[1:], generator=torch.Generator().manual_seed(2))
    found = seen((0.7 * images[:, None] + 0.3 * noise).flatten(0, 1), taps)
    return {name: {tap: value.unflatten(0, (-1, 3)) for tap, value in values.items()} for name, values in found.items()}


def solve(config: InversionConfig, **options: Any) -> tuple[Outcome, list[Report]]:
    reports: list[Report] = []
    return optimise(problem(config, **options), config, reports.append), reports


def value(problem: Problem, images: Tensor) -> Tensor:
    """The objective (N,) of images, differentiable."""
    features = {}
    for name, taps in problem.objective.needs.items():
        with collect(problem.networks[name], taps) as tapped:
            features[name] = tapped(images)
    total, _ = problem.objective(images, features, problem)
    return total


def work_in(folder: Path, config: InversionConfig, *, losses: Mapping[str, float] = LOSSES, **changes: Any) -> group.Work:
    """The work of a group on a toy dataset in `folder`. `infer.load` must be patched with `found`."""
    if not (folder / "toy").exists():
        write_dataset(folder / "toy", size=SIZE)
    made = group.work(
        name="toy",
        config=weighted(config, losses),
        run=RUN,
        dataset=group.Dataset.open(folder / "toy"),
        store=WeightStore(),
        device=CPU,
        scratch=Scratch(folder / "scratch"),
    )
    return replace(made, **changes)


def found(name: str, store: object, device: torch.device) -> Network:
    """Stands for `networks.load`."""
    return net(name)
