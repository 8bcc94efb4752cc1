"""The command of the training stages: from a section of `params.yaml` to a model on disk."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

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

    options: dict[str, Any] = {item: Annotated[str, f"Name below `{entries}`; also the name in every table."]}
    options |= {folder: Annotated[Path, text] for folder, text in folders.items()}
    options |= {"weights": Annotated[tuple[Path, ...], "Folders of networks; repeat."]} if weights else {}

    @stage(section, item=item, about=about, options=options)
    def main(
        context: StageContext,
        images: Annotated[Path, "The dataset to learn from."],
        out: Annotated[Path, "Folder of the model."],
        timing: Annotated[Path, "Table of its seconds."],
        **options: Any,
    ) -> None:
        name, inputs = options[item], [options[folder] if given(options[folder]) else None for folder in folders]
        run, key, networks = context.section(Run, "run"), f"{entries}.{name}", options.get("weights", ())
        own = entry(config, context.plain(f"{section}.shared"), context.plain(key), key)
        deterministic()
        device, dataset, store = device_of(run), Dataset.open(images), WeightStore(*networks)
        with ranks(device) as group:
            where = group.describe(device)
            setup = Setup(name=name, key=key, config=own, run=run, dataset=dataset, store=store, device=device, ranks=group)
            trainer = build(setup, *inputs)
            scratch = context.scratch([images / "index.csv", *networks, *filter(None, inputs)], where)
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

    return main


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
