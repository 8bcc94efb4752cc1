"""Import a published generator: verify its file and convert its weights."""

from pathlib import Path
from typing import Annotated

import click

from relume.core.runtime import deterministic
from relume.core.stage import StageContext, stage
from relume.methods.gan.config import ExternalGan
from relume.methods.gan.import_gan import as_trained, card, external, locate, sheet
from relume.training.models import write_model

SECTION = "import_gan"


@stage(SECTION, item="model")
def main(
    context: StageContext,
    model: Annotated[str, "Name below `import_gan.models`."],
    out: Annotated[Path, "Folder of the model."],
) -> None:
    config = context.section(ExternalGan, f"{SECTION}.models.{model}")
    deterministic()
    path = locate(model, config)
    architecture, made = external(path, config)
    write_model(out, as_trained(made), {**card(model, config, architecture, made), **context.provenance()}, sheet(made))
    click.echo(f"{model}: from {path}, {made.size} px, {made.layers} layers of w")


if __name__ == "__main__":
    main()
