"""The file of a study of decoders: which are trained, which are refined by optimisation, and which are compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from benchmarks.study import DECIDED, FLOOR, Asked, Differences, Job
from relume.core.config import build, config, entry, read_params
from relume.core.errors import UserError, one_of
from relume.evaluation.config import OWN_MEAN, Evaluate, Question
from relume.methods.decoder.config import DecoderConfig
from relume.methods.optimise import tuned
from relume.methods.optimise.config import InversionConfig, merge_recipe
from relume.networks.catalogue import check_tap
from relume.training.config import Name

CASE = "decoders"  # all methods are in one case, so that a refinement finds its decoder
ALONE = "alone"  # suffix of the optimiser that starts without the decoder
FIXED = (
    *DECIDED,
    "network",
    "taps",
    "start",
    "reference",
    "surrogate",
    "weights",
)  # keys of a refinement that the study and the decoder set
BLIND = ("floor_dataset_mean", "floor_mean_picture")


@config
class DecoderStudy:
    """A study file."""

    pixels: int = Field(ge=32)
    balanced: bool = True  # learn from as many further pictures as crops of the photographs; false: from all of them
    detail: float = Field(default=0.0, ge=0, le=2)  # how much of a photograph's fine detail each further picture gets
    count: int | None = Field(ge=1)  # the first pictures of the split; null: all of them
    shared: Differences = Field(default_factory=dict)  # differences from params.yaml's train_decoder.shared, for all
    decoders: dict[Name, Differences] = Field(min_length=1)  # network, taps, and differences from `shared`
    losses: dict[str, float] = Field(default_factory=dict)  # differences from params.yaml's, for optimisers
    base: Differences = Field(default_factory=dict)  # differences from params.yaml's invert_optimise, for optimisers
    refine: dict[Name, Differences] = Field(default_factory=dict)  # `decoder`, and differences from its tap's tuned recipe
    depths: dict[Name, tuple[str, ...]] = Field(default_factory=dict)  # from shallow to deep; each is compared with the next
    floors: tuple[str, ...]  # with which every decoder is compared
    metrics: tuple[str, ...] = Field(min_length=1)
    questions: dict[Name, Asked] = Field(default_factory=dict)  # further comparisons
    ship: tuple[str, ...] = ()  # decoders that are stored and scored in float16

    def __post_init__(self) -> None:
        Evaluate(metrics=self.metrics)
        if "psnr" not in self.metrics:
            raise ValueError("metrics: psnr is wanted, by which the tables are ordered")
        for name, own in self.refine.items():
            if own.get("decoder") not in self.decoders:
                known = one_of(self.decoders, str(own.get("decoder")))
                raise ValueError(f"refine.{name}.decoder: one of the study's decoders is wanted; {known}")
        for name, chain in {"ship": self.ship, **{f"depths.{name}": chain for name, chain in self.depths.items()}}.items():
            for link in set(chain) - set(self.decoders):
                raise ValueError(f"{name}: no decoder {link!r}; {one_of(self.decoders, link)}")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The expanded study: every method by name, and the comparisons."""

    decoders: dict[str, DecoderConfig]
    jobs: list[Job]  # optimisers: for each refined decoder one that starts without it, and the refinements
    questions: list[tuple[str, Question]]

    @property
    def methods(self) -> list[str]:
        return [*self.decoders, *(job.method for job in self.jobs)]


def read(path: Path) -> DecoderStudy:
    return build(DecoderStudy, read_params(path), "study")


def plan(study: DecoderStudy, params: Mapping[str, Any], *, dataset: str, split: str) -> Plan:
    """Raises a UserError for every fault of the file, before any work."""
    _check_free("shared", study.shared, ("dataset",))
    shared = merge_recipe(params["train_decoder"]["shared"], study.shared)
    decoders = {name: _decoder(merge_recipe(shared, {"dataset": dataset}), own, name) for name, own in study.decoders.items()}
    decided = dict(zip(DECIDED, (dataset, split, study.count), strict=True))
    jobs = list(_jobs(study, params, merge_recipe(params["invert_optimise"], decided), decoders))
    found = Plan(decoders=decoders, jobs=jobs, questions=[])
    if len(set(found.methods)) < len(found.methods):
        raise UserError(f"study.refine: a method's name stands twice among {', '.join(found.methods)}")
    floors = [*BLIND, OWN_MEAN, *(f"{FLOOR}blocks_{k}" for k in params["floors"]["blocks"])]
    return Plan(decoders=decoders, jobs=jobs, questions=list(_questions(study, found, floors)))


def _check_free(key: str, said: Differences, fixed: Sequence[str]) -> None:
    if taken := sorted(set(fixed) & said.keys()):
        raise UserError(f"study.{key}.{taken[0]}: the study decides on this, or the decoder")


def _decoder(shared: Differences, own: Differences, name: str) -> DecoderConfig:
    """The configuration, after its taps are checked against the network."""
    path = f"study.decoders.{name}"
    _check_free(f"decoders.{name}", own, ("dataset",))
    found = entry(DecoderConfig, shared, own, path)
    for tap in found.taps:
        try:
            known = check_tap(found.network, tap)
        except UserError as error:
            raise UserError(f"{path}.taps: {error}") from None
        if found.architecture.kind == "conv_only" and known.stride is None:
            raise UserError(f"{path}.taps: architecture conv_only decodes maps; {tap} has no positions")
    return found


def _jobs(
    study: DecoderStudy, params: Mapping[str, Any], section: Differences, decoders: Mapping[str, DecoderConfig]
) -> Iterator[Job]:
    """For every refined decoder: the optimiser alone, with the steps of the longest refinement, and the refinements."""
    section = {**section, "losses": merge_recipe(params["losses"], study.losses)}
    for name in dict.fromkeys(own["decoder"] for own in study.refine.values()):
        target = decoders[name]
        base = merge_recipe(section, {"network": target.network, "taps": dict.fromkeys(target.taps, 1.0)})
        mine = {method: own for method, own in study.refine.items() if own["decoder"] == name}
        refined = [_job(study, base, method, own, name) for method, own in mine.items()]
        steps = max(job.config.steps for job in refined)
        yield _job(study, base, f"{name}_{ALONE}", {"steps": steps}, "")
        yield from refined


def _job(study: DecoderStudy, section: Differences, method: str, own: Differences, start: str) -> Job:
    """params.yaml <- base <- the tuned recipe of the tap <- the refinement's own differences."""
    own = {key: value for key, value in own.items() if key != "decoder"}
    for key, layer in {"base": study.base, f"refine.{method}": own}.items():
        _check_free(key, layer, FIXED)
    recipe = tuned.recipe(tuned.name_for(section["network"], list(section["taps"])))
    said = merge_recipe(merge_recipe(study.base, recipe), own)
    config = build(InversionConfig, merge_recipe(section, said), f"study.refine.{method}")
    return Job(case=CASE, method=method, config=config, start=start, reference="")


def _questions(study: DecoderStudy, found: Plan, floors: Sequence[str]) -> Iterator[tuple[str, Question]]:
    """Comparisons: depths in order, decoders with floors, refinements with both parents, and those of the file."""
    seen = {name: (one.network, one.taps) for name, one in found.decoders.items()}
    seen |= {job.method: (job.config.network, tuple(job.config.taps)) for job in found.jobs}
    known = [*seen, *floors]

    def asked(name: str, key: str, a: str, b: str, metrics: Sequence[str] | None = None) -> tuple[str, Question]:
        for method in (a, b):
            if method not in known:
                raise UserError(f"study.{key}: no method {method!r}; {one_of(known, method)}")
        same = seen.get(a) == seen.get(b)  # feature errors at different taps cannot be compared
        fitting = [metric for metric in study.metrics if same or metric != "feature_error"]
        return name, Question(a=a, b=b, metrics=tuple(metrics or fitting))

    for name, chain in study.depths.items():
        for a, b in zip(chain, chain[1:], strict=False):
            yield asked(f"depth_{name}", f"depths.{name}", a, b)
    for floor in study.floors:
        yield from (asked(f"against_{floor}", "floors", one, floor) for one in found.decoders)
    for name, own in study.refine.items():
        yield asked("refined_decoder", f"refine.{name}", name, own["decoder"])
        yield asked("refined_alone", f"refine.{name}", name, f"{own['decoder']}_{ALONE}")
    for name, one in study.questions.items():
        yield asked(name, f"questions.{name}", one.a, one.b, one.metrics)
