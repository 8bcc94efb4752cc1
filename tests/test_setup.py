"""Setup of the environment: bootstrap.sh and the lock."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCK = (ROOT / "requirements.lock").read_text()


def run(*words: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "MAKE", "PYTHON"))}
    settings = {"DVC_SITE_CACHE_DIR": str(cwd / ".site"), "DVC_NO_ANALYTICS": "1", **environment}
    return subprocess.run(list(map(str, words)), cwd=cwd, env=clean | settings, capture_output=True, text=True, timeout=120)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "bootstrap.sh", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    run("git", "init", "-q", cwd=folder)
    return folder


@pytest.fixture
def tools(tmp_path: Path, clone: Path) -> Path:
    """A folder for PATH with a fake uv that records its calls, and fails while a file `fail` exists beside it."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "uv").write_text(
        f"""#!/bin/sh
echo "$*" >>'{folder}/calls'
case "$1" in
venv) mkdir -p .venv/bin && ln -sf '{sys.executable}' .venv/bin/python ;;
pip) [ ! -e '{folder}/fail' ] ;;
esac
"""
    )
    (folder / "uv").chmod(0o755)
    return folder


def bootstrap(clone: Path, tools: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return run("./bootstrap.sh", cwd=clone, PATH=f"{tools}:{os.environ['PATH']}", PYTHON=sys.executable, **environment)


def calls(tools: Path) -> list[str]:
    notes = tools / "calls"
    lines = notes.read_text().splitlines() if notes.exists() else []
    notes.unlink(missing_ok=True)
    return [line.split()[0] for line in lines if line != "--version"]


ALL = ["venv", "pip", "pip"]  # the lock, then this checkout


def test_bootstrap(clone, tools) -> None:
    assert bootstrap(clone, tools).returncode == 0
    assert calls(tools) == ALL
    assert bootstrap(clone, tools).returncode == 0
    assert calls(tools) == []
    (clone / ".venv" / "by-hand").touch()
    (clone / "requirements.lock").write_text(LOCK + "\n")
    assert bootstrap(clone, tools).returncode == 0
    assert calls(tools) == ALL[1:]
    assert (clone / ".venv" / "by-hand").exists()  # additions to a complete environment stay
    (clone / "requirements.lock").write_text(LOCK + "\n\n")
    (tools / "fail").touch()
    assert bootstrap(clone, tools).returncode != 0
    assert (clone / ".venv" / "relume.state").read_text() == "unfinished\n"
    (clone / ".venv" / "half-laid").touch()
    (tools / "fail").unlink()
    calls(tools)
    assert bootstrap(clone, tools).returncode == 0
    assert calls(tools) == ALL
    assert not (clone / ".venv" / "half-laid").exists()
    moved = clone.rename(clone.with_name("elsewhere"))
    assert bootstrap(moved, tools).returncode == 0
    assert calls(tools) == ALL
