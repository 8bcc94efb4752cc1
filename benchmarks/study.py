"""The file of a study: cases and methods, expanded to inversions in order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from relume.core.config import build, config, read_params
from relume.core.errors import UserError, one_of
from relume.evaluation.config import Evaluate
from relume.methods.optimise.config import InversionConfig, merge_recipe

V = TypeVar("V")
Differences = dict[str, Any]
OWN = ("start", "reference", "only")  # keys of a method that are not differences from params.yaml's `invert_optimise`
DECIDED = ("dataset", "split", "count")  # keys that the study sets for all methods
FLOOR = "floor_"  # prefix of a floor's name
EQUAL = "equal_seconds"  # suffix of the method's name, and name of the comparison


@config
class Seconds:
    """`equal: [a, b]`: if a took longer than b, it also runs with as many steps as fit into b's seconds."""

    equal: tuple[str, str]


@config
class Asked:
    """Is `a` better than `b`, a method or a floor? Per case, picture by picture."""

    a: str
    b: str
    metrics: tuple[str, ...] | None = None  # null: all of the study's


@config
class Study:
    """A study file."""

    pixels: int = Field(ge=32)
    count: int | None = Field(ge=1)  # the first pictures of the split; null: all of them
    seconds: Seconds | None = None
    losses: dict[str, float] = Field(default_factory=dict)  # differences from params.yaml's
    base: Differences = Field(default_factory=dict)  # differences from params.yaml's invert_optimise, for all
    cases: dict[str, Differences] = Field(min_length=1)
    methods: dict[str, Differences] = Field(min_length=1)  # and `losses`, `only`, `start`, `reference`
    per_case: dict[str, dict[str, Differences]] = Field(default_factory=dict)  # case -> method -> further differences
    metrics: tuple[str, ...] = Field(min_length=1)
    questions: dict[str, Asked] = Field(default_factory=dict)
    floors: bool

    def __post_init__(self) -> None:
        Evaluate(metrics=self.metrics)
        for key, named in self._named():
            for case in {part for part in named[:1] if part} - set(self.cases):
                raise ValueError(f"{key}: no case {case!r}; {one_of(self.cases, case)}")
            for method in {part for part in named[1:] if part} - set(self.methods):
                raise ValueError(f"{key}: no method {method!r}; {one_of(self.methods, method)}")

    def _named(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """All places that name cases and methods: key -> (case, methods …)."""
        if self.seconds:
            yield "seconds.equal", ("", *self.seconds.equal)
        for name, asked in self.questions.items():
            yield f"questions.{name}", ("", asked.a, *([] if asked.b.startswith(FLOOR) else [asked.b]))
        for case, methods in self.per_case.items():
            yield f"per_case.{case}", (case, *methods)
        for name, method in self.methods.items():
            yield from ((f"methods.{name}.only", (case,)) for case in method.get("only", ()))


@dataclass(frozen=True, kw_only=True)
class Job:
    """One inversion of one case by one method."""

    case: str
    method: str
    config: InversionConfig
    start: str  # an earlier method of the case, or empty
    reference: str  # likewise

    @property
    def folder(self) -> str:
        return f"{self.case}_{self.method}"


def read(path: Path) -> Study:
    return build(Study, read_params(path), "study")


def jobs(study: Study, params: Mapping[str, Any], *, dataset: str, split: str) -> list[Job]:
    """Cases and methods in the order of the file. Raises for every fault of the file, before any work."""
    decided = dict(zip(DECIDED, (dataset, split, study.count), strict=True))
    section = {**merge_recipe(params["invert_optimise"], decided), "losses": merge_recipe(params["losses"], study.losses)}
    found: list[Job] = []
    for case in study.cases:
        for method, said in study.methods.items():
            if case in said.get("only", study.cases):
                found.append(_job(study, section, case, method))
    _check_order(found)
    _check_names(found)
    return found


def _job(study: Study, section: Differences, case: str, method: str) -> Job:
    """params.yaml <- base <- case <- method <- per_case."""
    said, further = study.methods[method], study.per_case.get(case, {}).get(method, {})
    layers = {"base": study.base, f"cases.{case}": study.cases[case], f"methods.{method}": said, f"per_case.{case}": further}
    for key, layer in layers.items():
        if taken := sorted(set(DECIDED) & layer.keys()):
            raise UserError(f"study.{key}.{taken[0]}: the study decides on this for all methods")
    own: dict[str, str] = {key: further.get(key, said.get(key, "")) or "" for key in ("start", "reference")}
    for layer in layers.values():
        section = merge_recipe(section, {key: value for key, value in layer.items() if key not in OWN})
    config = build(InversionConfig, section, f"study.{case}.{method}")
    return Job(case=case, method=method, config=config, **own)


def _check_order(found: Sequence[Job]) -> None:
    """Checks that `start` and `reference` name earlier methods."""
    for number, job in enumerate(found):
        earlier = [other.method for other in found[:number] if other.case == job.case]
        for key, name in (("start", job.start), ("reference", job.reference)):
            if name and name not in earlier:
                raise UserError(f"study.methods.{job.method}.{key}: {name!r} is none before it; {one_of(earlier, name)}")


def _check_names(found: Sequence[Job]) -> None:
    """Checks that names of folders and of table rows are unique."""
    folders: dict[str, Job] = {}
    rows: dict[tuple[str, ...], Job] = {}
    for job in found:
        line = (job.method, job.config.network, "+".join(job.config.taps))
        for other in (folders.setdefault(job.folder, job), rows.setdefault(line, job)):
            if other is not job:
                both = f"{other.method} of {other.case} and {job.method} of {job.case}"
                raise UserError(f"study: {both} would look alike in the tables: give one another name")


def shortened(job: Job, ratio: float) -> Job:
    """The same method with fewer steps. Its schedules shrink in proportion."""
    old, steps = job.config, max(1, int(job.config.steps * ratio))
    new = replace(
        old,
        steps=steps,
        sizes=_shrunk(old.sizes, ratio),
        switches=tuple(pair for pair in _shrunk(old.switches, ratio, least=1) if pair[0] < steps),
        optimiser=replace(old.optimiser, learning_rate=_shrunk(old.optimiser.learning_rate, ratio)),
    )
    return replace(job, method=f"{job.method}_{EQUAL}", config=new)


def _shrunk(pairs: Sequence[tuple[int, V]], ratio: float, least: int = 0) -> tuple[tuple[int, V], ...]:
    """The last of several entries at the same step is kept."""
    return tuple({max(least, int(step * ratio)): value for step, value in pairs}.items())
