"""The file of a study of masked models: masks, models to train, and comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from benchmarks.study import FLOOR, Asked, Differences
from relume.core.config import build, config, entry, merge, read_params
from relume.core.errors import UserError, one_of
from relume.evaluation.config import Probe, Question, Sets
from relume.evaluation.masked import FILLERS, LINEAR, MEAN_PATCH
from relume.evaluation.metrics import OF_MASKED
from relume.methods.masked import model as masked_models
from relume.methods.masked.config import MODELS, MaskedConfig, ReconstructMasked
from relume.training.config import Name

FLOORS = "floors"  # the folder of their group
TOKENIZER = "tokenizer"  # the kind of architecture that predicts no pictures
MASKED_FLOORS = (MEAN_PATCH, *FILLERS, LINEAR)
Ratio = Annotated[float, Field(gt=0, lt=1)]


@config
class MaskedStudy:
    """A study file."""

    pixels: int = Field(ge=8)
    cell: int = Field(ge=1)  # px, of all masks
    pattern: Literal["random", "block", "grid"]  # of the test masks; a model may train with another
    ratios: tuple[Ratio, ...] = Field(min_length=1)  # of the test; a model trains with its own `masks.ratio`
    test: int | None = Field(ge=1)  # the first pictures of the test; null: all
    train: int | None = Field(ge=1)  # the first training pictures; null: all
    validation: int | None = Field(ge=1)  # held out from the training pictures; null: the tree's own `val/`
    run: Differences = Field(default_factory=dict)  # differences from params.yaml's
    shared: Differences = Field(default_factory=dict)  # differences from params.yaml's train_masked.shared, for all models
    models: dict[Name, Differences]  # architecture, `tokenizer` (a model's name) and differences; may be empty: baselines alone
    floors: tuple[str, ...]  # baselines beside the models
    metrics: tuple[str, ...] = Field(min_length=1)  # of comparisons; lpips_alex is measured only if listed
    probe: Differences | None  # differences from params.yaml's; null: no probe
    sets: Sets | None  # networks that measure the distance between sets of pictures; null: none
    questions: dict[Name, Asked] = Field(default_factory=dict)  # at every ratio

    def __post_init__(self) -> None:
        for name, metrics in {
            "metrics": self.metrics,
            **{f"questions.{k}.metrics": q.metrics for k, q in self.questions.items()},
        }.items():
            for metric in set(metrics or ()) - set(OF_MASKED):
                raise ValueError(f"{name}: unknown metric {metric!r}; {one_of(OF_MASKED, metric)}")
        for floor in set(self.floors) - set(MASKED_FLOORS):
            raise ValueError(f"floors: unknown baseline {floor!r}; {one_of(MASKED_FLOORS, floor)}")
        if self.pixels % self.cell or self.pixels < 2 * self.cell:
            raise ValueError(f"cell: pictures of {self.pixels} px are not made of cells of {self.cell} px")
        if taken := [name for name in self.models if name == FLOORS or name.startswith(FLOOR)]:
            raise ValueError(f"models: {taken[0]}: {FLOORS}, and names that begin with {FLOOR}, are the floors'")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The expanded study. A tokenizer precedes the models that use it."""

    models: dict[str, MaskedConfig]
    tokenizers: dict[str, str]  # model -> its tokenizer, if it needs one
    parameters: dict[str, int]
    group: ReconstructMasked  # all that predict
    probe: Probe | None
    questions: dict[str, Question]

    @property
    def predictors(self) -> tuple[str, ...]:
        return self.group.models


def read(path: Path) -> MaskedStudy:
    return build(MaskedStudy, read_params(path), "study")


def plan(study: MaskedStudy, params: Mapping[str, Any], dataset: str) -> Plan:
    """Raises a UserError for every fault of the file, before any work."""
    _check_free("shared", study.shared)
    decided = {"dataset": dataset, "masks": {"cell": study.cell, "pattern": study.pattern}, "validation": None}
    shared = merge(merge(params["train_masked"]["shared"], decided), study.shared)
    models = {name: _model(shared, own, name) for name, own in study.models.items()}
    tokenizers = {name: found for name, own in study.models.items() if (found := _tokenizer(name, own, models))}
    order = sorted(models, key=lambda name: name in tokenizers)
    group = ReconstructMasked(
        dataset=dataset,
        split="test",
        count=study.test,
        pattern=study.pattern,
        ratios=study.ratios,
        cell=study.cell,
        models=tuple(name for name in models if models[name].architecture.kind != TOKENIZER),
    )
    return Plan(
        models={name: models[name] for name in order},
        tokenizers=tokenizers,
        parameters={name: _parameters(models[name], study, name) for name in order},
        group=group,
        probe=_probe(study, params["probe"], group),
        questions={name: _question(study, name, group.models) for name in study.questions},
    )


def _check_free(path: str, said: Differences) -> None:
    """Raises for keys that the study sets for all models."""
    fixed = {"dataset": said, "validation": said, "cell": said.get("masks", {})}
    for key, where in fixed.items():
        if key in where:
            raise UserError(f"study.{path}.{'masks.cell' if key == 'cell' else key}: the study decides on this for all models")


def _model(shared: Differences, own: Differences, name: str) -> MaskedConfig:
    _check_free(f"models.{name}", own)
    given = own.get("tokenizer")
    own = {**own, "tokenizer": f"{MODELS}/{given}"} if given is not None else own
    return entry(MaskedConfig, shared, own, f"study.models.{name}")


def _tokenizer(name: str, own: Differences, models: Mapping[str, MaskedConfig]) -> str:
    """The name of the model's tokenizer, or an empty string."""
    given = own.get("tokenizer")
    if given is None:
        return ""
    known = [other for other, config in models.items() if config.architecture.kind == TOKENIZER]
    if given not in known:
        raise UserError(f"study.models.{name}.tokenizer: {given!r} is no tokenizer of the study; {one_of(known, str(given))}")
    wanted, found = getattr(models[name].architecture, "tokenizer", None), models[given].architecture
    if wanted != found:
        raise UserError(f"study.models.{name}.architecture.tokenizer: {wanted} is wanted, but {given} is {found}")
    return str(given)


def _probe(study: MaskedStudy, section: Differences, group: ReconstructMasked) -> Probe | None:
    if study.probe is None:
        return None
    for key in {"dataset", "models"} & study.probe.keys():
        raise UserError(f"study.probe.{key}: the study decides on this")
    decided = {"dataset": group.dataset, "models": list(group.models)}
    return build(Probe, merge(merge(section, decided), study.probe), "study.probe")


def _question(study: MaskedStudy, name: str, models: Sequence[str]) -> Question:
    asked = study.questions[name]
    known = [*models, *study.floors]
    for key, method in (("a", asked.a), ("b", asked.b)):
        if method not in known:
            raise UserError(f"study.questions.{name}.{key}: no method {method!r}; {one_of(known, method)}")
    return Question(a=asked.a, b=asked.b, metrics=asked.metrics or study.metrics)


def _parameters(config: MaskedConfig, study: MaskedStudy, name: str) -> int:
    """Builds the model's configuration; raises by name if the architecture does not fit the pictures."""
    try:
        model = masked_models.build(config.architecture, study.pixels, study.cell)
    except UserError as error:
        raise UserError(f"study.models.{name}: {error}") from None
    return sum(weights.numel() for weights in model.parameters())


def chosen(planned: Plan, only: Sequence[str]) -> list[str]:
    """The models to train, in order: all, or those in `only` with their tokenizers."""
    for name in only:
        if name not in planned.models:
            raise UserError(f"--only: no model {name!r} in the study; {one_of(planned.models, name)}")
    wanted = {*only, *(planned.tokenizers[name] for name in only if name in planned.tokenizers)}
    return [name for name in planned.models if not only or name in wanted]
