"""From a section of `params.yaml` to a model on disk: what all stages that train share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from relume.core.checkpoint import Checkpoint
from relume.core.config import entry
from relume.core.files import given, write_csv
from relume.core.runtime import Run, deterministic, device_of
from relume.core.stage import StageContext
from relume.data.store import Dataset
from relume.networks.weights import WeightStore
from relume.training.loop import OnLog, ignore, train
from relume.training.models import Trained, write_model
from relume.training.ranks import ranks
from relume.training.trainer import C, Setup, Trainer

FOLDER = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=Trainer[Any])


def options(command: F) -> F:
    """Those of every stage that trains."""
    for name, about in (
        ("timing", "Table of the seconds that it took."),
        ("out", "Folder of the model."),
        ("images", "The dataset to learn from."),
    ):
        command = click.option(f"--{name}", type=FOLDER, required=True, help=about)(command)
    return command


weights_option = click.option("--weights", type=FOLDER, multiple=True, required=True, help="Folders of networks; repeat.")


def optional(path: Path) -> Path | None:
    """An input that may be absent: dvc.yaml then names data/none."""
    return path if given(path) else None


def train_entry(
    context: StageContext,
    entries: str,
    name: str,
    config: type[C],
    build: Callable[[Setup[C]], T],
    *,
    images: Path,
    out: Path,
    timing: Path,
    weights: Sequence[Path] = (),
    inputs: Iterable[Path | None] = (),
    also: Callable[[T], None] = lambda trainer: None,
) -> None:
    """Train entry `name` of `entries` (`train_gan.models`). A killed stage resumes; under `torchrun` the first process writes.

    `inputs`: other folders that the training reads. `also`: writes what else the stage makes of the finished model.
    """
    run, key = context.section(Run, "run"), f"{entries}.{name}"
    own = entry(config, context.plain(f"{context.name}.shared"), context.plain(key), key)
    deterministic()
    device = device_of(run)
    with ranks(device) as here:
        where, dataset = here.describe(device), Dataset.open(images)
        setup = Setup(
            name=name, key=key, config=own, run=run, dataset=dataset, store=WeightStore(*weights), device=device, ranks=here
        )
        trainer = build(setup)
        scratch = context.scratch([images / "index.csv", *_cards([*weights, *inputs])], where)
        state = scratch.path("training.safetensors")
        with context.live(asdict(own)) if here.first else nullcontext() as live:
            on_log = live.log if live is not None else ignore
            trained = train_model(
                trainer, out, state, lambda _: {"device": where, **context.provenance()}, on_log=on_log, also=also
            )
        if here.first:
            write_csv(timing, ("step", "seconds"), trained.timing)
            scratch.clear()
            click.echo(f"{name}: {trainer.summary(trained.metrics)}")


def train_model(
    trainer: T,
    folder: Path,
    state: Path,
    about: Callable[[Trained], Mapping[str, Any]],
    *,
    on_log: OnLog = ignore,
    also: Callable[[T], None] = lambda trainer: None,
) -> Trained:
    """Train, and write the model, after what `also` makes of it. `state`: the checkpoint's file. `about`: more for the card."""
    trained = train(trainer, checkpoint=Checkpoint(state, []), on_log=on_log)
    if trainer.ranks.first:
        also(trainer)
        write_model(folder, trained, {**trainer.card(), **about(trained)}, trainer.samples())
    return trained


def _cards(folders: Iterable[Path | None]) -> list[Path]:
    """The small files that say which networks, models and features lie in the folders."""
    patterns = ("**/model.json", "**/stats.json")
    return [path for folder in folders if folder for pattern in patterns for path in sorted(folder.glob(pattern))]
