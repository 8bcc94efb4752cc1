"""Where a group comes from: its command, the networks and models that it used, their hashes and training times."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relume.core.files import read_csv, read_json
from relume.core.results import Group

WEIGHTS = "weights"  # the kind of downloaded models
Folder = tuple[str, str]  # the parent folder and the folder: ("decoder", "alexnet_conv3"), ("reconstructions", "floors")
Commands = Mapping[Folder, str]


@dataclass(frozen=True, kw_only=True)
class Model:
    """`models/<kind>/<name>`."""

    kind: str
    name: str
    card: dict[str, Any]  # model.json
    seconds: float | None  # of its training

    @property
    def kind_text(self) -> str:
        return "published weights" if self.kind == WEIGHTS else self.kind

    @property
    def training_time(self) -> str:
        if self.seconds is None:
            return "not trained here"
        return f"{self.seconds / 60:.1f} min" if self.seconds >= 120 else f"{self.seconds:.0f} s"


def read_models(models: Path, training: Path) -> list[Model]:
    """Sorted by kind."""
    folders = sorted(path.parent for path in models.glob("*/*/model.json"))
    return [
        Model(
            kind=folder.parent.name, name=folder.name, card=read_json(folder / "model.json"), seconds=_seconds(training, folder)
        )
        for folder in folders
    ]


def _seconds(training: Path, folder: Path) -> float | None:
    path = training / f"{folder.name}.csv"
    rows = read_csv(path) if folder.parent.name != WEIGHTS and path.is_file() else []
    return max((float(row["seconds"]) for row in rows), default=None)


def used(group: Group, models: Sequence[Model]) -> list[Model]:
    """Models named by its settings, models that those were made with, and the networks of its rows; networks last."""
    about = group.method
    networks = {name for row in group.index for name in row["network"].split("+")}
    found = {(one.kind, one.name): one for one in models if one.kind == WEIGHTS and one.name in networks}
    queue = set(_settings(about))
    while queue:
        new = [one for one in models if one.kind != WEIGHTS and (one.kind, one.name) not in found and _named(one, queue)]
        found |= {(one.kind, one.name): one for one in new}
        queue = {text for one in new for text in _texts(one.card.get("config", {}))}
    return sorted(found.values(), key=lambda one: (one.kind == WEIGHTS, one.kind, one.name))


def _settings(about: Mapping[str, Any]) -> Iterator[str]:
    """Of the loss terms only those in `losses`: the others have weight 0."""
    config = dict(about.get("config", {}))
    terms = config.pop("terms", {})
    yield from _texts(config)
    yield from _texts([terms.get(name) for name in config.get("losses", {})])


def _texts(value: object) -> Iterator[str]:
    """All strings in nested settings, except kinds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for key, inner in value.items() if key != "kind" for text in _texts(inner))
    elif isinstance(value, list | tuple):
        yield from (text for inner in value for text in _texts(inner))


def _named(one: Model, texts: set[str]) -> bool:
    """By its folder or by its name."""
    return f"models/{one.kind}/{one.name}" in texts or one.name in texts


def commands(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> dict[Folder, str]:
    """From the parsed `dvc.yaml` and `params.yaml` the command that makes each group and model."""
    return {
        (above, folder): f"dvc repro {stage}"
        for name, entry in pipeline.get("stages", {}).items()
        for stage, outs in _items(name, entry, params)
        for above, folder in (Path(out).parts[1:3] for out in outs if len(Path(out).parts) > 2)
    }


def _items(name: str, entry: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """A stage, or the items of its `foreach`, with their outs."""
    outs = [out if isinstance(out, str) else next(iter(out)) for out in entry.get("do", entry).get("outs", [])]
    if "foreach" not in entry:
        yield name, outs
        return
    items: Any = params
    for key in str(entry["foreach"]).removeprefix("${").removesuffix("}").split("."):
        items = items.get(key, {})
    for item in items:
        yield f"{name}@{item}", [out.replace("${key}", str(item)).replace("${item}", str(item)) for out in outs]
