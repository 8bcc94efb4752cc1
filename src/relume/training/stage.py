"""The command of the training stages: from a section of `params.yaml` to a model on disk."""

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
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.networks.weights import WeightStore
from relume.training.loop import OnLog, ignore, train
from relume.training.models import Trained, write_model
from relume.training.ranks import ranks
from relume.training.trainer import C, Setup, Trainer

T = TypeVar("T", bound=Trainer[Any])


def train_command(
    entries: str,
    config: type[C],
    build: Callable[..., T],
    about: str | None,
    *,
    weights: bool = True,
    also: Callable[..., None] = lambda trainer, *folders: None,
    **folders: str,
) -> click.Command:
    """The command of a stage that trains one of `entries` (`train_gan.models`). A killed stage resumes; under `torchrun` the
    first process writes. `folders`: further options with their help, None for data/none. `build`: the Setup and these folders ->
    the Trainer. `also`: called with the trained Trainer and these folders; writes further outputs."""
    section, _, names = entries.partition(".")
    item = names.removesuffix("s")

    @stage(section, item=item)
    def main(context: StageContext, images: Path, out: Path, timing: Path, weights: Sequence[Path] = (), **options: Any) -> None:
        name, inputs = options[item], [options[folder] if given(options[folder]) else None for folder in folders]
        run, key = context.section(Run, "run"), f"{entries}.{name}"
        own = entry(config, context.plain(f"{section}.shared"), context.plain(key), key)
        deterministic()
        device, dataset, store = device_of(run), Dataset.open(images), WeightStore(*weights)
        with ranks(device) as group:
            where = group.describe(device)
            setup = Setup(name=name, key=key, config=own, run=run, dataset=dataset, store=store, device=device, ranks=group)
            trainer = build(setup, *inputs)
            scratch = context.scratch([images / "index.csv", *_cards([*weights, *inputs])], where)
            with context.live(asdict(own)) if group.first else nullcontext() as live:
                trained = train_model(
                    trainer,
                    out,
                    scratch.path("training.safetensors"),
                    lambda _: {"device": where, **context.provenance()},
                    on_log=live.log if live is not None else ignore,
                    also=lambda trainer: also(trainer, *inputs),
                )
            if group.first:
                write_csv(timing, ("step", "seconds"), trained.timing)
                scratch.clear()
                click.echo(f"{name}: {trainer.summary(trained.metrics)}")

    path = click.Path(path_type=Path)
    texts = {"images": "The dataset to learn from.", "out": "Folder of the model.", "timing": "Table of its seconds."}
    for option, text in (texts | folders).items():
        main = click.option(f"--{option.replace('_', '-')}", type=path, required=True, help=text)(main)
    if weights:
        main = click.option("--weights", type=path, multiple=True, required=True, help="Folders of networks; repeat.")(main)
    main = click.option(f"--{item}", required=True, help=f"Name below `{entries}`; also the name in every table.")(main)
    return click.command(section.replace("_", "-"), help=about)(main)


def train_model(
    trainer: T,
    folder: Path,
    state: Path,
    about: Callable[[Trained], Mapping[str, Any]],
    *,
    on_log: OnLog = ignore,
    also: Callable[[T], None] = lambda trainer: None,
) -> Trained:
    """Train, call `also`, write the model. `state`: the checkpoint's file. `about`: further entries of the card."""
    trained = train(trainer, checkpoint=Checkpoint(state, []), on_log=on_log)
    if trainer.ranks.first:
        also(trainer)
        write_model(folder, trained, {**trainer.card(), **about(trained)}, trainer.samples())
    return trained


def _cards(folders: Iterable[Path | None]) -> list[Path]:
    """The small files that identify the networks, models and features in the folders."""
    patterns = ("**/model.json", "**/stats.json")
    return [path for folder in folders if folder for pattern in patterns for path in sorted(folder.glob(pattern))]
