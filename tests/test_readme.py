"""README and docs: targets and links are there, and every command is known to some test.

The commands themselves are run in `test_pipeline.py` and `test_cli_*.py`.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    """Every line of every shell block, without its comment."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda path: path.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_command_is_known_to_some_test_and_targets_are_there() -> None:
    kinds = ("make ", "dvc ", "relume ", "source .venv/bin/activate")
    assert [command for command in commands() if not command.startswith(kinds)] == []
    targets = {command.split()[1] for command in commands() if command.startswith("make ")}
    assert targets >= {"repro", "test"}
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
