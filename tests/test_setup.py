"""From nothing to an environment: Makefile, bootstrap.sh, lock, hooks, and what docs/sharing.md tells to do."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from relume.doctor.environment import pinned

ROOT = Path(__file__).resolve().parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DIRECT = [Requirement(line) for line in [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]]


def run(*words: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "MAKE", "PYTHON"))}
    settings = {"DVC_SITE_CACHE_DIR": str(cwd / ".site"), "DVC_NO_ANALYTICS": "1", **environment}
    return subprocess.run(list(map(str, words)), cwd=cwd, env=clean | settings, capture_output=True, text=True, timeout=120)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What setting up needs of a clone, in a folder with a blank in its name."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "bootstrap.sh", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    run("git", "init", "-q", cwd=folder)
    return folder


@pytest.fixture
def tools(tmp_path: Path, clone: Path) -> Path:
    """A folder for PATH with a stand-in for uv that notes how it was called, and fails while `fail` lies beside it."""
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
    """What uv was asked to do since the last question, `uv --version` apart."""
    notes = tools / "calls"
    lines = notes.read_text().splitlines() if notes.exists() else []
    notes.unlink(missing_ok=True)
    return [line.split(" --python")[0] for line in lines if line != "--version"]


INSTALLS = ["pip install", "pip install"]  # the lock, then this checkout


def test_bootstrap_installs_once_and_again_when_the_lock_changes(clone, tools):
    assert bootstrap(clone, tools).returncode == 0
    assert [line.split()[0] for line in calls(tools)] == ["venv", "pip", "pip"]
    assert bootstrap(clone, tools).returncode == 0
    assert calls(tools) == []
    (clone / ".venv" / "by-hand").touch()
    (clone / "requirements.lock").write_text(LOCK + "\n")
    assert bootstrap(clone, tools).returncode == 0
    assert calls(tools) == INSTALLS
    assert (clone / ".venv" / "by-hand").exists()  # what was added to a whole environment stays


def test_bootstrap_begins_anew_after_an_interruption_and_after_a_move(clone, tools):
    (tools / "fail").touch()
    assert bootstrap(clone, tools).returncode != 0
    assert (clone / ".venv" / "relume.state").read_text() == "unfinished\n"
    (clone / ".venv" / "half-laid").touch()
    (tools / "fail").unlink()
    calls(tools)
    assert bootstrap(clone, tools).returncode == 0
    assert [line.split()[0] for line in calls(tools)] == ["venv", "pip", "pip"]
    assert not (clone / ".venv" / "half-laid").exists()
    moved = clone.rename(clone.with_name("elsewhere"))
    assert bootstrap(moved, tools).returncode == 0
    assert [line.split()[0] for line in calls(tools)] == ["venv", "pip", "pip"]


@pytest.mark.skipif(shutil.which("flock") is None, reason="no flock here: two at once are not kept apart")
def test_two_bootstraps_at_once_install_once(clone, tools):
    uv = tools / "uv"
    uv.write_text(uv.read_text().replace("pip) ", "pip) sleep 0.5; "))
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHON": sys.executable}
    both = [subprocess.Popen("./bootstrap.sh", cwd=clone, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [each.communicate(timeout=60)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert [line.split()[0] for line in calls(tools)] == ["venv", "pip", "pip"]
    assert sum("waiting" in text for text in said) == 1


def test_bootstrap_says_which_python_it_wants(clone, tools):
    (clone / ".venv").mkdir()
    done = run("./bootstrap.sh", cwd=clone, PATH=f"{tools}:{os.environ['PATH']}", PYTHON="python2.7")
    assert done.returncode == 1
    assert all(part in done.stderr for part in ("3.11 to 3.14", "python2.7"))


def test_repro_says_that_a_clone_is_needed(clone):
    shutil.rmtree(clone / ".git")
    done = run("make", "repro", cwd=clone, GIT_CEILING_DIRECTORIES=str(clone.parent))
    assert done.returncode != 0
    assert "no git clone" in done.stderr


def test_the_lock_names_no_address_and_every_direct_dependency():
    assert "://" not in LOCK
    assert not re.search(r"^-|\s@\s", LOCK, re.MULTILINE)
    lines = {canonicalize_name(re.split(r"[=; ]", line, maxsplit=1)[0]) for line in LOCK.splitlines() if line}
    assert {canonicalize_name(each.name) for each in DIRECT} <= lines
    for each in DIRECT:
        assert each.specifier.contains(pinned(LOCK)[canonicalize_name(each.name)], prereleases=True), each


def test_what_is_installed_is_what_is_pinned():
    differing = {
        name: (metadata.version(name), version) for name, version in pinned(LOCK).items() if metadata.version(name) != version
    }
    assert not differing


def test_dvc_asks_nobody_and_adds_nothing_to_git():
    lines = {line.strip() for line in (ROOT / ".dvc" / "config").read_text().split("\n")}
    assert {"analytics = false", "check_update = false", "autostage = false", "out_dir = metrics/plots"} <= lines
    assert not any(line.startswith("[remote") for line in lines)
    assert not (ROOT / "uv.lock").exists(), "`uv run` and `uv sync` would write a second lock"


def test_large_files_are_kept_out_of_git(tmp_path):
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]}
    run("git", "init", "-q", cwd=tmp_path)
    (tmp_path / "small one.txt").write_text("x")
    (tmp_path / "big one.bin").write_bytes(b"x" * 500_001)
    run("git", "add", ".", cwd=tmp_path)
    (tmp_path / "big one.bin").write_bytes(b"x")  # what counts is what is staged
    guard = hooks["large-files"]["entry"]
    done = run("sh", "-c", f'{guard} "$@"', "sh", "small one.txt", "big one.bin", cwd=tmp_path)
    assert done.returncode == 1
    assert "big one.bin: 500001 bytes" in done.stdout
    assert "small one" not in done.stdout
    assert run("sh", "-c", f'{guard} "$@"', "sh", "small one.txt", cwd=tmp_path).returncode == 0


def blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "sharing.md").read_text(), re.DOTALL)


def shell(block: str, cwd: Path, **paths: Path) -> "subprocess.CompletedProcess[str]":
    for place, path in {"/mnt/team/relume": paths.get("team"), "/srv/relume-cache": paths.get("cache")}.items():
        block = block.replace(place, str(path))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = run("sh", "-ec", block, cwd=cwd, PATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """This project's settings of DVC, and git; no pipeline."""
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    run("git", "init", "-q", cwd=folder)
    return folder


@pytest.fixture
def pipeline(bare: Path) -> Path:
    """A clone's worth of DVC: one stage, run and committed."""
    (bare / "given.txt").write_text("given\n")
    (bare / "dvc.yaml").write_text("stages: {one: {cmd: cp given.txt made.txt, deps: [given.txt], outs: [made.txt]}}\n")
    shell("dvc repro -q && git add . && git -c user.name=a -c user.email=a@b commit -qm all", bare)
    return bare


@pytest.fixture
def colleague(pipeline: Path) -> Path:
    folder = pipeline.with_name("colleague")
    assert run("git", "clone", "-q", pipeline, folder, cwd=pipeline.parent).returncode == 0
    return folder


@pytest.mark.slow
def test_sharing_by_a_folder(pipeline, colleague, tmp_path):
    push, pull = blocks()[:2]
    (tmp_path / "team").mkdir()
    shell(push, pipeline, team=tmp_path / "team")
    said = shell(push.splitlines()[0] + "\n" + pull, colleague, team=tmp_path / "team")
    assert (colleague / "made.txt").read_text() == "given\n"
    assert "Data and pipelines are up to date" in said.stdout
    assert run("git", "status", "--porcelain", "--untracked-files=no", cwd=colleague).stdout == ""  # the address stays local


@pytest.mark.slow
def test_sharing_by_one_cache(pipeline, colleague, tmp_path):
    settings, bring = blocks()[2:4]
    cache = tmp_path / "cache"
    shell(settings + bring, pipeline, cache=cache)
    said = shell(settings + "dvc repro", colleague, cache=cache)
    assert (colleague / "made.txt").read_text() == "given\n"
    assert "Running stage" not in said.stdout
    assert len({path.stat().st_ino for path in (pipeline / "made.txt", colleague / "made.txt")}) == 1


@pytest.mark.slow
def test_sharing_by_servers_is_set_up_as_shown(bare):
    shell("".join(blocks()[4:]), bare)
    settings = (bare / ".dvc" / "config.local").read_text()
    for address in ("s3://bucket/relume", "https://storage.example:9000", "ssh://user@server.example/srv/relume"):
        assert f"url = {address}\n" in settings
