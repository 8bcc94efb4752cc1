"""docs/howto/share.md: its commands, on a pipeline of one stage and a colleague's clone of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_readme import ROOT, blocks

pytestmark = pytest.mark.slow
BLOCKS = blocks(ROOT / "docs/howto/share.md", "sh")


def run(*words: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "PYTHON"))}
    settings = {"DVC_SITE_CACHE_DIR": str(cwd / ".site"), "DVC_NO_ANALYTICS": "1", **environment}
    return subprocess.run(list(map(str, words)), cwd=cwd, env=clean | settings, capture_output=True, text=True, timeout=120)


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


def test_sharing_by_a_folder(pipeline, colleague, tmp_path):
    push, pull = BLOCKS[:2]
    (tmp_path / "team").mkdir()
    shell(push, pipeline, team=tmp_path / "team")
    said = shell(push.splitlines()[0] + "\n" + pull, colleague, team=tmp_path / "team")
    assert (colleague / "made.txt").read_text() == "given\n"
    assert "Data and pipelines are up to date" in said.stdout
    assert run("git", "status", "--porcelain", "--untracked-files=no", cwd=colleague).stdout == ""  # the address stays local


def test_sharing_by_one_cache(pipeline, colleague, tmp_path):
    settings, bring = BLOCKS[2:4]
    cache = tmp_path / "cache"
    shell(settings + bring, pipeline, cache=cache)
    said = shell(settings + "dvc repro", colleague, cache=cache)
    assert (colleague / "made.txt").read_text() == "given\n"
    assert "Running stage" not in said.stdout
    assert len({path.stat().st_ino for path in (pipeline / "made.txt", colleague / "made.txt")}) == 1


def test_sharing_by_servers_is_set_up_as_shown(bare):
    shell("".join(BLOCKS[4:6]), bare)
    settings = (bare / ".dvc" / "config.local").read_text()
    for address in ("s3://bucket/relume", "https://storage.example:9000", "ssh://user@server.example/srv/relume"):
        assert f"url = {address}\n" in settings


def test_a_conflict_in_the_lock_is_solved_as_shown(pipeline):
    """Two branches that ran stages: DVC brings the lock up to date, whichever side is taken."""
    stage = (
        "{cmd: cat a.txt b.txt > metrics/summary.json, deps: [a.txt, b.txt], metrics: [{metrics/summary.json: {cache: false}}]}"
    )
    (pipeline / "metrics").mkdir()
    (pipeline / "dvc.yaml").write_text(f"stages: {{one: {stage}}}\n")
    done = "dvc repro -q && git add . && git -c user.name=a -c user.email=a@b commit -qm done"
    shell(f"echo '[1,' >a.txt; echo '2]' >b.txt; {done}; git branch other", pipeline)
    shell(f"echo '[3,' >a.txt; {done}", pipeline)
    shell(f"git checkout -q other; echo '4]' >b.txt; {done}", pipeline)
    shell("! git -c user.name=a -c user.email=a@b merge -q -", pipeline)
    shell(BLOCKS[6], pipeline)
    assert (pipeline / "metrics/summary.json").read_text().split() == ["[3,", "4]"]
    assert "dvc.lock" in run("git", "diff", "--cached", "--name-only", cwd=pipeline).stdout
