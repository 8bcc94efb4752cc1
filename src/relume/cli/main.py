"""The command `relume`. Subcommands import their modules when called, so that help is fast."""

import math
import sys
from pathlib import Path
from typing import Any

import click

from relume.core.errors import UserError

PIPELINE = ("dvc", "mlflow", "jinja2")  # packages that the library does without


class Group(click.Group):
    """Shows a UserError, or that the pipeline's packages are not here, as a message."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            told = str(error)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in PIPELINE:
                raise
            told = f"{error.name} is not installed: the pipeline needs the extra relume[pipeline]"
        click.secho(told, fg="red", err=True)
        return ctx.exit(1)


class Number(click.FloatRange):
    """A number in a range. Click's own type lets nan pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        return self.fail("nan is not a number.", param, ctx) if math.isnan(number) else number


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="relume")
def main() -> None:
    """Invert neural-network features back into images.

    `make repro` or `dvc repro` runs the pipeline.
    """


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--stale", is_flag=True, help="Also list the stages that DVC would run (some seconds more).")
def doctor(as_json: bool, stale: bool) -> None:
    """Check the installation, and say how to fix it.

    Checks Python, packages, device, weights, datasets, DVC remote and cache, tracking and disk. Changes nothing. Exits with 1 if
    `make repro` needs something that is missing.

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
@click.argument("settings", nargs=-1, required=True)
@click.option("--jobs", "-j", type=click.IntRange(min=1), default=1, show_default=True, help="Variants at once.")
def grid(settings: tuple[str, ...], jobs: int) -> None:
    """Run a variant for every combination of parameters.

    SETTINGS are KEY=VALUE,VALUE of params.yaml. Each combination is one `dvc exp run --temp`, named by what it changes, in a
    copy of the project at this commit. Combinations that have a result are skipped, so the same command goes on after an
    interruption. `dvc exp show` lists them.

    \b
    Examples:
      relume grid losses.lpips=0,0.5 run.seed=1,2
      relume grid recipes.deep.losses.tv=5,10 --jobs 2
    """
    from relume.cli.grid import grid as run
    from relume.core.files import find_root

    sys.exit(run(find_root(Path.cwd()), settings, jobs=jobs, echo=click.echo))


@main.command()
def track() -> None:
    """Write all results to MLflow.

    Stages write their results at the end. This command adds results that were pulled from a remote, or made while the server
    was down. Existing runs are not changed. The store is mlflow.db, or MLFLOW_TRACKING_URI; `make ui` opens it.

    \b
    Examples:
      dvc pull && relume track
      MLFLOW_TRACKING_URI=http://localhost:5000 relume track
    """
    from relume.core.files import find_root
    from relume.tracking import project as tracking

    root = find_root(Path.cwd())
    if not (root / "dvc.yaml").exists():
        raise UserError(f"{root} has no dvc.yaml: run in the project's folder")
    click.echo(str(tracking.project(root)))


@main.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option(
    "--network",
    required=True,
    help="Network: vgg16, …; timm:, torchvision: or open_clip:<name>; <module>:<factory>.",
)
@click.option(
    "--layer", "--tap", "layers", multiple=True, required=True, help="Layer: conv4_3, pool, blocks.6, …; may be repeated."
)
@click.option(
    "--weights",
    metavar="FILE",
    help="Of a network that is no name of `relume list networks`: safetensors, a state dict, or random.",
)
@click.option("--size", type=int, help="Side of the image in pixels; its central square is used.  [128, or the network's]")
@click.option("--recipe", help="One of relume.methods.optimise.tuned.  [the one for the network and tap]")
@click.option(
    "--decoder",
    metavar="NAME",
    help="One that ships, to start from; none: without.  [that of these layers, unless --recipe is given]",
)
@click.option("--steps", type=int, help="Steps of the optimiser.  [the recipe's]")
@click.option("--restarts", type=int, help="Number of starts; the one with the best objective is kept.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key below invert_optimise, or losses.tv=20.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG to write: original | reconstruction.  [<picture>_<network>_<layers>.png]"
)
@click.option("--animation", type=click.Path(path_type=Path), metavar="FILE.gif", help="Also write the steps as a GIF.")
@click.option("--dry-run", is_flag=True, help="Check all options and print the plan only.")
@click.option("--no-picture", is_flag=True, help="Do not show the image in the terminal.")
def invert(**options: Any) -> None:
    """Reconstruct PICTURE from its features at some layers of a network.

    The optimiser uses these features only, not the image, unless losses.lpips, ssim, pixel or clip are set. The result is saved
    beside the original. `relume list networks` and `relume list taps NETWORK` show what there is. What deep features leave open
    is guided by a decoder that ships (`relume list decoders`), else by a linear map that is fitted on other pictures, once per
    network and layer. Ctrl-C stops and keeps the best so far.

    \b
    Examples:
      relume invert my.jpg --network vgg16 --layer conv4_3
      relume invert my.jpg --network alexnet --layer conv2 --layer conv5 --animation my.gif
      relume invert my.jpg --network vgg16 --layer conv4_3 --set losses.tv=20 --set optimiser.learning_rate='[[0, 0.1]]'
      relume invert my.jpg --network efficientnet_lite0 --layer pool --restarts 4 --dry-run
      relume invert my.jpg --network timm:vit_tiny_patch16_224 --weights my.safetensors --layer blocks.6
    """
    from relume.cli.invert import Options, run

    run(Options(**options))


@main.command(name="list")
@click.argument("kind", type=click.Choice(["networks", "taps", "decoders", "recipes", "datasets", "presets"]))
@click.argument("network", required=False)
@click.option("--size", type=int, help="Side of the images, of shapes of taps.  [128, or the network's]")
def list_things(kind: str, network: str | None, size: int | None) -> None:
    """List networks, taps of a NETWORK, decoders, recipes, datasets or presets, and which are at hand.

    \b
    Examples:
      relume list networks
      relume list taps vgg16
      relume list taps timm:vit_tiny_patch16_224
    """
    from relume.cli.listing import lines

    click.echo("\n".join(lines(kind, network, size)))


@main.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--network", default="alexnet", show_default=True, help="As for `relume invert`.")
@click.option("--layer", "layers", multiple=True, help="May be repeated.  [of AlexNet: conv1, conv2, conv3, conv5]")
@click.option("--weights", metavar="FILE", help="As for `relume invert`.")
@click.option("--size", type=int, help="Side of the image in pixels.  [128, or the network's]")
@click.option("--steps", type=int, help="Steps of the optimiser.  [the recipe's]")
@click.option("--out", type=click.Path(path_type=Path), help="Page to write.  [<picture>_compared.html]")
def compare(**options: Any) -> None:
    """Reconstruct PICTURE by all methods at hand, on one page.

    The layers of the network are inverted by optimisation, alone and from a decoder that ships. Every decoder that ships for the
    network or is in models/decoder decodes its own features. The page
    shows them beside the original, with PSNR and SSIM. It is one file that needs no connection.

    \b
    Examples:
      relume compare my.jpg
      relume compare my.jpg --network vgg16 --layer conv3_3 --layer conv5_3 --out vgg.html
    """
    from relume.cli.compare import Options, run

    run(Options(**options))


@main.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option(
    "--decoder", default="alexnet_conv3_128", show_default=True, help="One that ships, a name in models/decoder, or a folder."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG to write: original | decoded.  [<picture>_decoded_<decoder>.png]"
)
@click.option("--no-picture", is_flag=True, help="Do not show the image in the terminal.")
def decode(**options: Any) -> None:
    """Reconstruct PICTURE from its features in one pass of a decoder.

    The decoder uses the features at its taps only, not the image. The central square of the image is used, at the decoder's
    size. The result is saved beside the original. `relume list decoders` lists those that ship with relume, and those that
    `dvc repro train_decoder` trains.

    \b
    Examples:
      relume decode my.jpg
      relume decode my.jpg --decoder lite0_stage4_128
      relume decode my.jpg --decoder models/decoder/alexnet_conv5 --out my_conv5.png
    """
    from relume.cli.decode import run

    run(**options)


@main.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--mask", type=click.Path(path_type=Path), help="Image of the same size: white is filled, black is known.")
@click.option(
    "--hide",
    type=Number(0, 1, True, True),
    metavar="SHARE",
    help="Instead of a mask: hide this share of the central square, as 0.75.",
)
@click.option("--pattern", type=click.Choice(["random", "block", "grid"]), help="Pattern of --hide.  [random]")
@click.option("--seed", type=int, help="Random seed of --hide.  [0]")
@click.option("--model", help="Name in models/masked, or a folder.  [the only model]")
@click.option("--out", type=click.Path(path_type=Path), help="PNG to write.  [<picture>_filled_<model>.png]")
@click.option(
    "--film",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the steps of an Energy Transformer: .webp or .gif.",
)
@click.option("--no-picture", is_flag=True, help="Do not show the image in the terminal.")
def inpaint(**options: Any) -> None:
    """Fill the holes of PICTURE by a trained masked model.

    The mask has the size of the image; white (128 of 255 or more) is filled. The model predicts a square window around each hole,
    resized to its own size. Only hidden pixels change. <out>_panels.png has the visible part, the prediction, the pasted
    prediction and, with --hide, the original. `dvc repro train_masked` trains the models in params.yaml.

    \b
    Examples:
      relume inpaint my.jpg --mask mask.png --model et
      relume inpaint my.jpg --hide 0.75 --pattern block --model et
      relume inpaint my.jpg --hide 0.5 --model models/masked/et --film my.webp --out filled.png
    """
    from relume.cli.inpaint import Options, run

    run(Options(**options))


@main.command()
@click.argument("generator")
@click.option("--out", type=click.Path(path_type=Path), help="PNG to write.  [<generator>_sample.png, or _mix.png]")
@click.option(
    "--truncation",
    type=Number(0, 1),
    default=1.0,
    show_default=True,
    help="Truncation psi: 1 is none, 0 is the mean of w.",
)
@click.option("--layers", type=int, help="Number of coarse layers of w to truncate.  [all]")
@click.option("--mix", is_flag=True, help="Style mixing: coarse layers from the left column, fine layers from the top row.")
@click.option("--crossover", type=int, help="Number of layers of w from the left with --mix.  [half]")
@click.option("--rows", type=click.IntRange(1), default=4, show_default=True, help="Rows of the sheet.")
@click.option("--columns", type=click.IntRange(1), default=8, show_default=True, help="Columns of the sheet.")
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@click.option("--no-picture", is_flag=True, help="Do not show the sheet in the terminal.")
def sample(**options: Any) -> None:
    """Draw a sheet of images by a trained GENERATOR.

    GENERATOR is a name in models/gan, or a folder. With --truncation below 1 images are less diverse and better (published: 0.7).
    With --mix the first row and column are samples; the others combine the coarse layers of their row with the fine layers of
    their column. `dvc repro train_gan import_gan` makes the generators in params.yaml.

    \b
    Examples:
      relume sample style
      relume sample models/gan/style --out sheet.png --truncation 0.7
      relume sample style --mix --crossover 3 --rows 3 --columns 5
    """
    from relume.cli.sample import Options, run

    run(Options(**options))


if __name__ == "__main__":
    main()
