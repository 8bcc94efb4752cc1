"""`relume`, for people. Each command is a few lines; its imports stand inside it, so that help is quick."""

import sys
from pathlib import Path
from typing import Any

import click

from relume.core.errors import UserError


class Group(click.Group):
    """A fault that is the user's to mend is a message, for every command alike."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            click.secho(str(error), fg="red", err=True)
            ctx.exit(1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="relume")
def main() -> None:
    """See again what a neural network kept of an image.

    The pipeline itself is run by `make repro` or `dvc repro`; these commands stand around it.
    """


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
@click.option("--stale", is_flag=True, help="Also ask DVC which stages would run (some seconds).")
def doctor(as_json: bool, stale: bool) -> None:
    """What is here, what is lacking, and what to do about it.

    Python, packages, device, weights and datasets and where each was looked for, remote, cache, tracking, disk. Nothing
    is changed. Ends with 1 if anything is lacking that `make repro` needs.

    \b
    Examples:
      relume doctor
      relume doctor --stale
      relume doctor --json
    """
    from relume.core.files import find_root
    from relume.doctor import findings as doctors

    root = find_root(Path.cwd())
    findings = doctors.examine(root, stale=stale)
    if as_json:
        click.echo(doctors.as_json(root, findings))
    else:
        doctors.show(findings, sys.stdout)
    sys.exit(0 if doctors.ready(findings) else 1)


@main.command()
@click.argument("targets", nargs=-1)
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Stages at once.  [the number of processors, at most 8]")
@click.option("--force", "-f", is_flag=True, help="Also run what is up to date.")
def repro(targets: tuple[str, ...], jobs: int | None, force: bool) -> None:
    """Run what is stale of the pipeline, independent stages at once.

    TARGETS are stages of dvc.yaml, as `dvc repro` takes them; what they need is run first. Without them: all. What a stage writes
    to the terminal is shown when it ends; with --jobs 1 as it comes. A stage that fails lets those finish that run beside it.
    Ctrl-C stops; the same command goes on. `dvc repro` and `dvc exp run` do the same, one stage after the other.

    \b
    Examples:
      relume repro
      relume repro train_decoder evaluate@decoders --jobs 4
    """
    from relume.cli.repro import repro as run
    from relume.core.config import read_params
    from relume.core.files import find_root
    from relume.params import check

    check(read_params(find_root(Path.cwd()) / "params.yaml"))
    sys.exit(run(targets, jobs=jobs, force=force, echo=click.echo))


@main.command()
def track() -> None:
    """Write every result that is here to MLflow.

    Stages do so themselves when they end; this adds what came from elsewhere: pulled from a colleague's cache, or made
    while the server was down. What is there already stays as it is. The store is mlflow.db, or what MLFLOW_TRACKING_URI
    names; `make ui` shows it.

    \b
    Examples:
      dvc pull && relume track
      MLFLOW_TRACKING_URI=http://localhost:5000 relume track
    """
    from relume.core.files import find_root
    from relume.tracking import project as tracking

    root = find_root(Path.cwd())
    if not (root / "dvc.yaml").exists():
        raise UserError(f"{root} holds no dvc.yaml: run in the project's folder")
    click.echo(str(tracking.project(root)))


@main.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--network", required=True, help="Whose features: alexnet, vgg16, efficientnet_lite0, resnet50, …")
@click.option("--tap", "taps", multiple=True, required=True, help="A layer: conv4_3, layer2, pool, …; repeat for several.")
@click.option("--size", default=128, show_default=True, help="Side of the picture in pixels; its central square is taken.")
@click.option("--recipe", help="One of relume.methods.optimise.tuned; without it the one that fits network and tap.")
@click.option("--steps", type=int, help="Steps of the optimiser, instead of the recipe's.")
@click.option("--restarts", type=int, help="Starts, of which the objective chooses one.")
@click.option("--seed", type=int, help="Of all random numbers, instead of run.seed in params.yaml.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key below invert_optimise, or losses.tv=20.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG to write: original | rebuilt.  [<picture>_<network>_<taps>.png]"
)
@click.option("--animation", type=click.Path(path_type=Path), metavar="FILE.gif", help="Also write how the picture came about.")
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, write nothing.")
@click.option("--no-picture", is_flag=True, help="Do not show the picture in the terminal.")
def invert(**options: Any) -> None:
    """Rebuild PICTURE from what a network kept of it at some taps.

    The optimiser is given these features and never the picture; then both are set side by side. Networks must be in
    models/weights: `dvc repro weights prepare` brings those that params.yaml names. Ctrl-C ends the search and keeps the best
    so far.

    \b
    Examples:
      relume invert my.jpg --network vgg16 --tap conv4_3
      relume invert my.jpg --network alexnet --tap conv2 --tap conv5 --animation my.gif
      relume invert my.jpg --network vgg16 --tap conv4_3 --set losses.tv=20 --set optimiser.learning_rate='[[0, 0.1]]'
      relume invert my.jpg --network efficientnet_lite0 --tap pool --restarts 4 --dry-run
    """
    from relume.cli.invert import Order, run

    run(Order(**options), click.echo)


@main.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--decoder", required=True, help="Name below models/decoder, or a decoder's folder.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG to write: original | decoded.  [<picture>_decoded_<decoder>.png]"
)
@click.option("--no-picture", is_flag=True, help="Do not show the picture in the terminal.")
def decode(**options: Any) -> None:
    """Decode, in one pass, what a network kept of PICTURE.

    The decoder is given the features at its taps and never the picture, of which the central square is taken at the size
    that the decoder knows; then both are set side by side. `dvc repro train_decoder` trains the decoders that params.yaml names.

    \b
    Examples:
      relume decode my.jpg --decoder alexnet_conv1
      relume decode my.jpg --decoder models/decoder/lite0_stage4 --out my_stage4.png
    """
    from relume.cli.decode import Order, run

    run(Order(**options), click.echo)


@main.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--mask", type=click.Path(path_type=Path), help="Picture of the same size: white is filled, black is known.")
@click.option("--hide", type=float, metavar="SHARE", help="Instead of a mask: hide this share of the middle square, as 0.75.")
@click.option("--pattern", type=click.Choice(["random", "block", "grid"]), help="What --hide draws.  [random]")
@click.option("--seed", type=int, help="Of what --hide draws.  [0]")
@click.option("--model", help="Name below models/masked, or a model's folder; not needed where just one is there.")
@click.option("--out", type=click.Path(path_type=Path), help="PNG to write.  [<picture>_filled_<model>.png]")
@click.option(
    "--film", type=click.Path(path_type=Path), metavar="FILE", help="Also an Energy Transformer's steps: .webp or .gif."
)
@click.option("--no-picture", is_flag=True, help="Do not show the picture in the terminal.")
def inpaint(**options: Any) -> None:
    """Fill the holes of PICTURE by a trained masked model.

    White in the mask (128 of 255 or lighter) is what is to be filled, and the mask has the picture's size. Around every hole a
    square window is shown to the model, at the size that it knows and with the hole hidden; of its answer the hidden pixels alone
    are taken. All others stay as they are. Beside the filled picture, <out>_panels.png shows what was visible, what was
    predicted, that pasted and, with --hide, the original. `dvc repro train_masked` trains the models that params.yaml names.

    \b
    Examples:
      relume inpaint my.jpg --mask mask.png --model et
      relume inpaint my.jpg --hide 0.75 --pattern block --model et
      relume inpaint my.jpg --hide 0.5 --model models/masked/et --film my.webp --out filled.png
    """
    from relume.cli.inpaint import Order, run

    run(Order(**options), click.echo)


@main.command()
@click.argument("generator")
@click.option("--out", type=click.Path(path_type=Path), help="PNG to write.  [<generator>_sample.png, or _mix.png]")
@click.option("--truncation", type=float, default=1.0, show_default=True, help="Draw w towards its mean: 0 is the mean itself.")
@click.option("--layers", type=int, help="Of w, the coarsest so many are truncated.  [all]")
@click.option("--mix", is_flag=True, help="Coarse layers from the left column, fine ones from the top row.")
@click.option("--crossover", type=int, help="Of w, how many layers --mix takes from the left.  [half]")
@click.option("--rows", type=int, default=4, show_default=True, help="Of the sheet.")
@click.option("--columns", type=int, default=8, show_default=True, help="Of the sheet.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn.")
@click.option("--no-picture", is_flag=True, help="Do not show the sheet in the terminal.")
def sample(**options: Any) -> None:
    """Draw a sheet of what a trained GENERATOR makes.

    GENERATOR is a name below models/gan, or a generator's folder.
    With --truncation below 1 they are more alike, and fewer are odd (published: 0.7). With --mix the first row and the first
    column are pictures of their own, and each of the others is a cross: what is coarse as on its left, what is fine as above.
    `dvc repro train_gan import_gan` makes the generators that params.yaml names.

    \b
    Examples:
      relume sample style
      relume sample models/gan/style --out sheet.png --truncation 0.7
      relume sample style --mix --crossover 3 --rows 3 --columns 5
    """
    from relume.cli.sample import Order, run

    run(Order(**options), click.echo)


if __name__ == "__main__":
    main()
