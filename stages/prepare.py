"""Write the images of a source to `data/images/<dataset>/`: decoded, square, split, memory-mapped."""

from pathlib import Path
from typing import Annotated

import click

from relume.core.config import build
from relume.core.stage import StageContext, stage
from relume.data.config import Prepare
from relume.data.prepare import prepare


@stage("prepare", item="dataset")
def main(
    context: StageContext,
    dataset: Annotated[str, "Name below `prepare.datasets` in params.yaml."],
    out: Annotated[Path, "Folder of the dataset."],
) -> None:
    section = {"max_bad": context.plain("prepare.max_bad"), "datasets": {dataset: context.plain(f"prepare.datasets.{dataset}")}}
    config = build(Prepare, section, "prepare")
    manifest = prepare(config.datasets[dataset], out, name=dataset, max_bad=config.max_bad)
    counts = ", ".join(f"{count} {split}" for split, count in manifest["counts"].items() if split != "all")
    faults = f"; {len(manifest['bad'])} bad, {len(manifest['duplicates'])} duplicates, see its manifest"
    click.echo(f"{dataset}: {counts} at {manifest['size']} px{faults}")


if __name__ == "__main__":
    main()
