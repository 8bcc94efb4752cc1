"""Writes docs/reference from the code: parameters, commands, stages with their files, studies.

    python -m benchmarks.reference

Parameters come from the dataclasses of `params.yaml` (descriptions: docstrings and the comments beside the fields), commands from
click, stages from dvc.yaml, studies from the JSON files in docs/results.
"""

import ast
import dataclasses
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

import click
import yaml
from pydantic import TypeAdapter

from relume.cli.main import main as cli
from relume.core.files import read_json
from relume.core.references import Same
from relume.methods.optimise.config import Recipe
from relume.params import SECTIONS

ROOT = Path(__file__).resolve().parents[1]
FOLDER, RESULTS = Path("docs/reference"), Path("docs/results")
NOTE = "<!-- Written by `python -m benchmarks.reference`. -->\n\n"
Schema = Mapping[str, Any]


def plain(text: str) -> str:
    """One line for a table."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")  # every other one is code
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts))


@cache
def comments(cls: type) -> dict[str, str]:
    """Field -> the comment beside it, or in the lines above it."""
    try:
        lines, _ = inspect.getsourcelines(cls)
    except (OSError, TypeError):  # made by a function
        return {}
    tree = ast.parse(inspect.cleandoc("".join(lines))).body[0]
    found: dict[str, str] = {}
    for node in tree.body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.end_lineno:
            _, _, beside = lines[node.end_lineno - 1].partition("  # ")
            above: list[str] = []
            place = node.lineno - 2
            while not beside and lines[place].strip().startswith("#"):
                above.insert(0, lines[place].strip("# \n"))
                place -= 1
            found[node.target.id] = plain(beside or " ".join(above))
    inherited: dict[str, str] = {}
    for base in reversed(cls.__mro__[1:]):
        if dataclasses.is_dataclass(base):
            inherited |= comments(base)
    return inherited | found


def spelled(schema: Schema) -> str:
    """A JSON schema as a type with its range; other dataclasses as links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(spelled(one) for one in schema[key]))
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(spelled(one) for one in schema['prefixItems'])}]"
        return f"list of {spelled(schema['items'])}" if schema.get("items") else "list"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"map of {spelled(values)}" if isinstance(values, Mapping) else "map"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<", "multipleOf": "multiple of"}
    limits = ", ".join(f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema)
    name = {"integer": "int", "number": "float", "boolean": "bool", "string": "str"}.get(schema.get("type", ""), "any")
    return f"{schema.get('type', 'any') if name == 'any' else name} {limits}".strip()


def table(cls: type) -> str:
    """The fields of a dataclass."""
    properties = TypeAdapter(cls).json_schema()
    properties = properties.get("properties") or properties["$defs"][cls.__name__]["properties"]
    notes, lines = comments(cls), ["| key | type | default | description |", "|---|---|---|---|"]
    for field in dataclasses.fields(cls):
        schema = properties[field.name]
        known = cls.__pydantic_fields__[field.name]  # type: ignore[attr-defined]
        default = "" if known.is_required() else f"`{json.dumps(known.get_default(call_default_factory=True), default=list)}`"
        if Same("dataset") in known.metadata:
            default = "[`dataset`](#dataset)"
        lines.append(f"| `{field.name}` | {spelled(schema)} | {default} | {notes.get(field.name, '')} |")
    return "\n".join(lines) + "\n"


def about(cls: type) -> str:
    """The docstring; dataclasses write a signature where there is none."""
    text = inspect.getdoc(cls) or ""
    return "" if text.startswith(f"{cls.__name__}(") else plain(text) + "\n\n"


def inside(annotation: Any) -> Iterator[type]:
    """The dataclasses that an annotation names."""
    if isinstance(annotation, type) and hasattr(annotation, "__pydantic_fields__"):
        yield annotation
    for part in get_args(annotation):
        yield from inside(part)


def below(cls: type, known: set[type]) -> None:
    """Adds the dataclasses of the fields, and of theirs, to `known`."""
    for field in cls.__pydantic_fields__.values():  # type: ignore[attr-defined]
        for one in inside(field.annotation):
            if one not in known:
                known.add(one)
                below(one, known)


def parameters() -> str:
    """Sections in the order of the check, then the types that they use."""
    text = "# Parameters\n\nAll keys of `params.yaml`. Keys without a default must be stated.\n"
    listed: set[type] = set()
    for section in SECTIONS.values():
        text += f"\n## {section.key}\n"
        if section.cls is str:
            text += "\nThe name of an entry of `prepare.datasets`, for every section whose own `dataset` says so.\n"
        entry = section.entry or (Recipe if section.key == "recipes" else None)
        for cls in dict.fromkeys([*inside(section.cls), *inside(entry)]):
            heading = f"An entry of `{section.path}`. " if cls is entry else ""
            text += "\n" + f"{heading}{about(cls)}{table(cls)}".lstrip()
            listed.add(cls)
    known = set(listed)
    for cls in listed:
        below(cls, known)
    types = sorted(known - listed, key=lambda cls: cls.__name__)
    return text + "\n## Types\n" + "".join(f"\n### {cls.__name__}\n\n{about(cls)}{table(cls)}" for cls in types)


def commands() -> str:
    """`--help` of every command."""
    text = "# Commands\n\n`relume COMMAND --help` prints the same.\n"
    assert isinstance(cli, click.Group)
    for name, command in cli.commands.items():
        options = {**cli.context_settings, "max_content_width": 100, "terminal_width": 100}
        with click.Context(command, info_name=f"relume {name}", **options) as context:
            text += f"\n## relume {name}\n\n```text\n{command.get_help(context)}\n```\n"
    targets = re.findall(r"^([a-z-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text += "\n## make\n\n| target | what it does |\n|---|---|\n"
    return text + "".join(f"| `make {name}` | {plain(words)} |\n" for name, words in targets)


def stages() -> str:
    """What every stage of dvc.yaml reads and writes."""
    text = "# Stages and files\n\n`<item>` stands for each entry of the stage's section.\n\n"
    text += "| stage | what it does | reads | writes |\n|---|---|---|---|\n"
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        body = stage.get("do", stage)
        reads = [path for path in body.get("deps", ()) if not path.startswith(("code/", "${item."))]
        cells = [[_item(path) for path in paths] for paths in (reads, _written(body))]
        text += f"| `{name}` | {plain(body.get('desc', ''))} | {' '.join(dict.fromkeys(cells[0]))} | {' '.join(cells[1])} |\n"
    return text


def _item(path: str) -> str:
    """Weights and images as a whole, whichever of their files is read."""
    path = re.sub(r"^(models/weights)/.*", r"\1/<network>", re.sub(r"^(data/images/[^/]*)/.*", r"\1", path))
    path = re.sub(r"\$\{(?:\w+\.(?:shared\.)?)?dataset\}", "<dataset>", path)
    return "`" + re.sub(r"\$\{(key|item[^}]*)\}", "<item>", path) + "`"


def _written(body: Mapping[str, Any]) -> list[str]:
    outputs = [one for key in ("outs", "metrics", "plots") for one in body.get(key, ())]
    return [one if isinstance(one, str) else next(iter(one)) for one in outputs]


def studies() -> str:
    """How the tables in docs/results were made."""
    text = "# Studies\n\nHow each table in `docs/results` was measured. Time is computing time, all stages added up.\n\n"
    text += "| table | command | data | device | computing time, minutes |\n|---|---|---|---|---|\n"
    for path in sorted((ROOT / RESULTS).glob("*.json")):
        made = read_json(path)
        if made.get("command") and (path.with_suffix(".csv")).exists():
            minutes = f"{float(made['seconds']) / 60:.0f}" if made.get("seconds") else ""
            link = f"[{path.stem}](../results/{path.stem}.csv)"
            text += (
                f"| {link} | `{made['command']}` | {plain(str(made.get('data', '')))} | {made.get('device', '')} | {minutes} |\n"
            )
    return text


PAGES = {"parameters": parameters, "commands": commands, "files": stages, "studies": studies}


@click.command(help=__doc__)
def main() -> None:
    for name, page in PAGES.items():
        (ROOT / FOLDER / f"{name}.md").write_text(NOTE + page())


if __name__ == "__main__":
    main()
