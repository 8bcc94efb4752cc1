"""A preset is one `dvc exp run`: `python -m relume.presets paper_s0`, or `make exp PRESET=paper_s0`.

`presets/<name>.yaml` states differences from params.yaml and why. `only` in it names the sections whose things by name are
wanted: the others have none, and look at the pictures of `dataset`. What comes out is checked as a whole before anything runs.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from relume.core.config import merge, parse, read_params
from relume.core.errors import UserError, one_of
from relume.core.files import find_root
from relume.methods.optimise.config import LISTED as MERGED
from relume.params import SECTIONS, check

ONLY = "only"
# sections of things by name, without any
EMPTY: dict[str, Any] = {key: section.empty for key, section in SECTIONS.items() if section.empty is not None}
# of these, those with a dataset of their own, whatever they hold
LOOKS = tuple(key for key in EMPTY if SECTIONS[key].own_dataset)
# maps of things by name: a preset that has one lists them all
LISTED = {"datasets", "questions", *MERGED, *(SECTIONS[key].names or key for key in EMPTY)}

Params = Mapping[str, Any]


def read(root: Path, name: str) -> dict[str, Any]:
    """The differences that `presets/<name>.yaml` states."""
    there = sorted(path.stem for path in (root / "presets").glob("*.yaml"))
    if name not in there:
        raise UserError(f"presets: unknown preset {name!r}; {one_of(there, name)}")
    stated = read_params(root / "presets" / f"{name}.yaml")
    return emptied(stated, stated.pop(ONLY), name) if ONLY in stated else stated


def emptied(stated: Params, only: Any, name: str) -> dict[str, Any]:
    """What is stated, and that the sections which `only` does not name are empty."""
    if not isinstance(only, list):
        raise UserError(f"presets: {name}.only: a list of sections is wanted, got {only!r}")
    faults = [
        f"presets: {name}.only: {key} holds no things by name; {one_of(EMPTY, str(key))}" for key in only if key not in EMPTY
    ]
    faults += [
        f"presets: {name}.{key}: stated, though only does not name it" for key in EMPTY if key in stated and key not in only
    ]
    if faults:
        raise UserError("\n".join(faults))
    empty = {key: dict(value) for key, value in EMPTY.items() if key not in only}
    if "dataset" in stated:
        empty |= {key: {**empty[key], "dataset": stated["dataset"]} for key in LOOKS if key in empty}
    return {**empty, **stated}


def changes(base: Any, wanted: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """What makes `wanted` of `base`: (dotted key, add, set or replace, value). Maps with the same plain keys are entered."""
    both = isinstance(base, dict) and isinstance(wanted, dict)
    if both and (not path or base.keys() == wanted.keys() == set(filter(_plain, base))):
        for key, value in wanted.items():
            below = f"{path}.{key}" if path else key
            if key in base:
                yield from changes(base[key], value, below)
            else:
                yield below, "add", value
    elif base != wanted or type(base) is not type(wanted):
        yield path, "replace" if isinstance(base, dict) else "set", wanted


def _plain(name: object) -> bool:
    """It can stand in a dotted key."""
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z_][\w-]*", name) is not None


def arguments(base: Params, wanted: Params) -> list[str]:
    """`-S` arguments of `dvc exp run` that make `wanted` of `base`. Hydra only adds to a map, so the old one goes first."""
    words: list[str] = []
    for key, how, value in changes(base, wanted):
        words += ["-S", f"~{key}"] if how == "replace" else []
        words += ["-S", f"{'' if how == 'set' else '+'}{key}={spelled(value, key)}"]
    return words


def spelled(value: Any, key: str) -> str:
    """A value in Hydra's grammar of overrides."""
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][\w./-]*", name) or parse(name) != name:
                raise UserError(f"presets: {key}: the name {name!r} cannot be handed to DVC; letters, digits and _ . / - can")
        return "{" + ",".join(f"{name}:{spelled(one, f'{key}.{name}')}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spelled(one, key) for one in value) + "]"
    if isinstance(value, str):  # backslashes count double where they stand before a quotation mark, the last one included
        return '"' + re.sub(r'(\\*)("|\Z)', lambda end: 2 * end[1] + ('\\"' if end[2] else ""), value) + '"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    raise UserError(f"presets: {key}: numbers, text, lists and maps are wanted, got {value!r}")


def written(wanted: Params) -> None:
    """What the stages would not read as it was meant, once DVC has written it, is an error."""
    from dvc.utils.serialize import dumps_yaml

    for key, _, value in changes(parse(dumps_yaml(dict(wanted))), wanted):
        raise UserError(f"presets: {key}: DVC would write {value!r} so that it reads otherwise: another number or text is wanted")


def command(root: Path, name: str) -> list[str]:
    """The one command that a preset is, checked."""
    base, wanted = both(root, name)
    check(wanted)
    written(wanted)
    return ["dvc", "exp", "run", *arguments(base, wanted)]


def both(root: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """params.yaml, and what the preset makes of it."""
    base = read_params(root / "params.yaml")
    return base, merge(base, read(root, name), LISTED)


def check_room(root: Path, name: str) -> None:
    """`compare` stops where groups lie that its parameters do not name: said now, not after hours."""
    wanted = set(both(root, name)[1]["compare"]["groups"])
    folders = {"data/reconstructions": "*/", "metrics/methods": "*.csv"}
    there = [path for folder, pattern in folders.items() for path in sorted((root / folder).glob(pattern))]
    if left := [str(path.relative_to(root)) for path in there if path.stem not in wanted]:
        found = f"{left[0]} and {len(left) - 1} more" if len(left) > 1 else left[0]
        cure = f"`rm -r {' '.join(sorted({str(Path(path).parent) for path in left}))}` (dvc checkout brings them back)"
        raise UserError(
            f"presets: {name} has no such groups: {found} from other parameters would stop compare. {cure}, or --temp"
        )


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]})
@click.argument("name")
@click.option("--print", "only_print", is_flag=True, help="Check, say the command, run nothing.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(name: str, only_print: bool, arguments: tuple[str, ...]) -> None:
    """Run the pipeline with presets/NAME.yaml laid over params.yaml; further arguments go to `dvc exp run`.

    \b
    Examples:
      python -m relume.presets paper_s0 --print
      python -m relume.presets paper_s0 --queue
      python -m relume.presets paper_s0 -S invert_optimise.steps=2000
    """
    root = find_root(Path.cwd())
    try:
        words = [*command(root, name), *arguments]
        if not only_print and not {"--temp", "--queue"} & set(arguments):
            check_room(root, name)
    except UserError as error:
        click.secho(str(error), fg="red", err=True)
        sys.exit(1)
    if only_print:
        click.echo(shlex.join(words))
        return
    if subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "params.yaml"], cwd=root, check=False).returncode:
        click.echo("note: params.yaml differs from the commit; the preset is laid over it as it is", err=True)
    sys.exit(subprocess.run([sys.executable, "-m", *words], cwd=root, check=False).returncode)


if __name__ == "__main__":
    main()
