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
    from relume import doctor as doctors

    root = doctors.find_root(Path.cwd())
    findings = doctors.examine(root, stale=stale)
    if as_json:
        click.echo(doctors.as_json(root, findings))
    else:
        doctors.show(findings, sys.stdout)
    sys.exit(0 if doctors.ready(findings) else 1)


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
    from relume.core import tracking
    from relume.doctor import find_root

    root = find_root(Path.cwd())
    if not (root / "dvc.yaml").exists():
        raise UserError(f"{root} holds no dvc.yaml: run in the project's folder")
    click.echo(str(tracking.project(root)))


if __name__ == "__main__":
    main()
