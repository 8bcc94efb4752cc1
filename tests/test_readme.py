"""README and docs: links lead somewhere, commands exist, the generated reference is fresh.

A block ```sh is run by `test_pipeline.py` in a toy tree, ```python too; `STAND_INS` says what stands for a long or special
command there. A block ```bash is for other machines: it is only parsed.
"""

import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import click
import pytest
import yaml

from benchmarks.gallery import numbers, recorded
from benchmarks.reference import FOLDER, NOTE, PAGES
from relume.core.config import build
from relume.params import SECTIONS

ROOT = Path(__file__).resolve().parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(python -m benchmarks\.[^`]+)`")
STAND_INS = {  # pattern -> what runs in the toy tree; "" where another test runs it
    r"^source .*|^make .*|^RELUME_TRAINER=.*|^relume grid .*|^cp (cluster|skypilot).*": "",  # test_{setup,pipeline,presets}.py
    r"^relume (invert|compare) .*": r"\g<0> --steps 3",
    r"recipes\.deep\.losses": "losses",  # the toy has no such recipe
    r"prepare@mine": "prepare@photos",
    r"(= relume\.invert\(.*)\)$": r"\1, steps=3)",
}
ids = pytest.mark.parametrize("page", DOCS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    return [dedent(code) for _, found, code in BLOCK.findall(page.read_text()) if found == language]


def commands(page: Path) -> list[str]:
    """Every line of every block to run, without its comment."""
    lines = [line.split(" #")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def toy(text: str) -> str:
    """What stands for a command or a script in the toy tree."""
    for pattern, stand_in in STAND_INS.items():
        text = re.sub(pattern, stand_in, text, flags=re.MULTILINE)
    return text


def anchors(page: Path) -> set[str]:
    """As GitHub and MkDocs make them of headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@ids
def test_links_lead_somewhere(page: Path) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            missing.append(link)
    assert missing == []


@ids
def test_commands_are_known(page: Path) -> None:
    kinds = ("make ", "dvc ", "relume ", "python -m ", "source .venv/bin/activate", "RELUME_TRAINER=", "git ", "cp ", "find ")
    found = commands(page)
    assert [command for command in found if not command.startswith(kinds)] == []
    made = [command for command in [*found, *"\n".join(blocks(page, "bash")).splitlines()] if command.startswith("make ")]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {command.split()[1] for command in made} <= targets
    presets = {path.stem for path in (ROOT / "presets").glob("*.yaml")}
    assert set(re.findall(r"PRESET=(\w+)", " ".join(made))) <= presets
    for block in blocks(page, "bash"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


@ids
def test_benchmarks_take_the_options_shown(page: Path) -> None:
    for line in INLINE.findall(page.read_text()):
        _, _, module, *words = shlex.split(line)
        command: click.Command = import_module(module).main
        command.make_parser(click.Context(command)).parse_args(words)
        assert all((ROOT / word).exists() for word in words if word.startswith("benchmarks/")), line


@ids
def test_parameters_shown_are_valid(page: Path) -> None:
    for block in blocks(page, "yaml"):
        for key, section in yaml.safe_load(block).items():
            assert build(SECTIONS[key].cls, section, key)


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_fresh(name: str) -> None:
    assert (ROOT / FOLDER / f"{name}.md").read_text() == NOTE + PAGES[name](), "run python -m benchmarks.reference"


def test_the_numbers_are_those_of_the_record() -> None:
    text = DOCS[0].read_text()
    assert text == numbers(text, recorded(ROOT)), "run python -m benchmarks.gallery"
