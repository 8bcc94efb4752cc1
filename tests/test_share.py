"""docs/howto/share.md: its commands, on a small pipeline and a colleague's clone of it, against real servers on this machine."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.servers import KINDS, Remote
from tests.test_readme import ROOT, blocks

pytestmark = pytest.mark.slow
FOLDER, S3, SSH, _, PUSH, PULL, EXP_PUSH, EXP_PULL, CACHE, BRING, GC, CONFLICT = blocks(ROOT / "docs/howto/share.md", "sh")
PARAMS = "x: 1\n#\n#\n#\ny: 1\n"  # apart, so that git merges both
STAGES = """
stages:
  one: {cmd: "sed -n 's/x: //p' params.yaml > one.txt", params: [x], outs: [one.txt]}
  two: {cmd: "sed -n 's/y: //p' params.yaml > two.txt", params: [y], outs: [two.txt]}
  all:
    cmd: mkdir -p metrics && echo "[$(cat one.txt), $(cat two.txt)]" > metrics/summary.json
    deps: [one.txt, two.txt]
    metrics: [metrics/summary.json: {cache: false}]
"""
MANY = """  many:
    cmd: mkdir many && cd many && for i in $(seq 100 400); do head -c 100000 /dev/zero >$i; echo $i >>$i; done
    outs: [many]
"""


def run(*words: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "PYTHON", "AWS_"))}
    person = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    settings = {"DVC_SITE_CACHE_DIR": str(cwd / ".site"), "DVC_NO_ANALYTICS": "1", **person, **environment}
    settings["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(list(map(str, words)), cwd=cwd, env=clean | settings, capture_output=True, text=True, timeout=300)


def shell(block: str, cwd: Path, fails: bool = False, **environment: str) -> str:
    done = run("sh", "-ec", block, cwd=cwd, **environment)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """This project's settings of DVC and a small pipeline, run and committed."""
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    for name, text in {"dvc.yaml": STAGES, "params.yaml": PARAMS, ".gitignore": "/.site\n"}.items():
        (folder / name).write_text(text)
    shell("git init -q -b main; dvc repro -q; git add .; git commit -qm all", folder)
    shell("git init -q --bare -b main ../origin; git remote add origin ../origin; git push -q -u origin main", folder)
    return folder


@pytest.fixture
def colleague(mine: Path) -> Path:
    folder = mine.with_name("colleague")
    shell(f"git clone -q ../origin {folder}", mine)
    return folder


@pytest.fixture(params=KINDS)
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    yield from KINDS[request.param](tmp_path)


def test_results_and_a_variant_reach_a_colleague(mine: Path, colleague: Path, remote: Remote) -> None:
    shell(remote.setup + PUSH, mine, **remote.environment)
    said = shell(remote.setup + PULL, colleague, **remote.environment)
    assert "Data and pipelines are up to date" in said
    assert (colleague / "one.txt").read_text() == "1\n"
    assert run("git", "status", "--porcelain", "--untracked-files=no", cwd=colleague).stdout == ""  # the address stays local
    variant = "dvc exp run -q -n weak-tv -S x=2; git checkout -q .; dvc checkout -q;"
    shell(variant + EXP_PUSH, mine, **remote.environment)
    shell(EXP_PULL, colleague, **remote.environment)
    assert (colleague / "one.txt").read_text() == "2\n"


def test_an_interrupted_push_goes_on(mine: Path, colleague: Path, remote: Remote) -> None:
    """Killed when some of 300 files are there. The same command again sends the rest."""
    (mine / "dvc.yaml").write_text(STAGES + MANY)
    shell(f"dvc repro -q; git add .; git commit -qm many; git push -q;{remote.setup}", mine, **remote.environment)
    for _ in range(2):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_"))}
        push = subprocess.Popen([sys.executable, "-m", "dvc", "push", "-q", "-j", "2"], cwd=mine, env=clean | remote.environment)
        before = remote.count()
        while remote.count() < before + 20 and push.poll() is None:
            time.sleep(0.02)
        push.kill()
        assert push.wait() == -signal.SIGKILL
    shell("dvc push -q", mine, **remote.environment)
    shell(f"git pull -q; {remote.setup}dvc pull -q", colleague, **remote.environment)
    sent, got = ({path.name: path.read_bytes() for path in (folder / "many").iterdir()} for folder in (mine, colleague))
    assert sent == got


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        ("s3", {"AWS_ACCESS_KEY_ID": "none"}, "InvalidAccessKeyId|Forbidden"),
        ("s3", {}, "Unable to locate credentials"),
        ("ssh", {}, "Permission denied for user"),
    ],
)
def test_a_wrong_key_is_refused_and_loses_nothing(
    kind: str, wrong: dict[str, str], message: str, mine: Path, tmp_path: Path
) -> None:
    with contextmanager(KINDS[kind])(tmp_path) as remote:
        shell(remote.setup + remote.spoil, mine)
        secret = remote.environment | wrong if wrong else {}
        assert re.search(message, shell("dvc push", mine, fails=True, HOME=str(tmp_path), **secret))
        shell("dvc checkout -q; dvc repro -q", mine)
        again = remote.setup.replace("add", "add -f") + "dvc push -q; rm -r one.txt .dvc/cache; dvc pull -q"
        shell(again, mine, **remote.environment)
        assert (mine / "one.txt").read_text() == "1\n"


def test_what_nobody_has_pushed_is_named_and_computed(mine: Path, colleague: Path, tmp_path: Path) -> None:
    setup = FOLDER.replace("/mnt/team/relume", str(tmp_path / "team"))
    shell(setup + PUSH, mine)
    (found,) = [path for path in (tmp_path / "team/files").rglob("*") if path.is_file() and path.read_text() == "1\n"]
    found.unlink()
    said = shell(setup + "dvc pull", colleague, fails=True)
    assert "missing-files" in said
    assert "one.txt" in said
    shell("dvc repro", colleague)
    assert (colleague / "one.txt").read_text() == "1\n"


def test_one_cache_for_all(mine: Path, colleague: Path, tmp_path: Path) -> None:
    settings, bring = (block.replace("/srv/relume-cache", str(tmp_path / "cache")) for block in (CACHE, BRING))
    shell(settings + bring, mine)
    assert "Running stage" not in shell(settings + "dvc repro", colleague)
    assert len({(folder / "one.txt").stat().st_ino for folder in (mine, colleague)}) == 1
    assert all(path.stat().st_mode & 0o020 for path in (tmp_path / "cache").rglob("*") if path.is_dir()), "the group may write"


def test_a_shared_cache_is_cleaned_of_what_nobody_needs(mine: Path, colleague: Path, tmp_path: Path) -> None:
    """The colleague's result is in no commit and was not pushed."""
    settings = CACHE.replace("/srv/relume-cache", str(tmp_path / "cache")) + "dvc config --local cache.type copy;"
    setup = FOLDER.replace("/mnt/team/relume", str(tmp_path / "team"))
    shell(
        setup + settings + "sed -i 's/x: 1/x: 8/' params.yaml; dvc repro -q; git checkout -q .; dvc repro -q; dvc push -q", mine
    )
    shell(settings + "sed -i 's/x: 1/x: 9/' params.yaml; dvc repro -q", colleague)

    def cached(command: str) -> set[str]:
        shell(command.strip() + " --force", mine)
        kept = {path.read_text() for path in (tmp_path / "cache/files").rglob("*") if path.is_file()}
        return {"1\n", "8\n", "9\n"} & kept

    assert cached(GC) == {"1\n", "9\n"}
    assert cached(f"{GC.strip()} --not-in-remote") == {"9\n"}
    assert cached("dvc gc --workspace --not-in-remote") == set()


def test_the_commands_for_servers_are_those_of_the_tests(mine: Path) -> None:
    shell(S3 + SSH, mine)
    settings = (mine / ".dvc" / "config.local").read_text()
    for address in ("s3://bucket/relume", "https://storage.example:9000", "ssh://user@server.example/srv/relume"):
        assert f"url = {address}\n" in settings


def test_what_a_cloud_machine_has_run_is_not_run_again(mine: Path, colleague: Path, tmp_path: Path) -> None:
    """The commands of skypilot.example.yaml, in a clone: at home the stage is then taken from the remote."""
    words = yaml.safe_load((ROOT / "skypilot.example.yaml").read_text())["run"].replace("source .venv/bin/activate", "")
    shell(FOLDER.replace("/mnt/team/relume", str(tmp_path / "team")) + PUSH, mine)
    for clone in (mine, colleague):
        shell("sed -i 's/x: 1/x: 5/' params.yaml", clone)
    assert "Running stage 'one'" in shell(words, colleague, STAGE="one", REMOTE=str(tmp_path / "team"))
    assert "Running stage" not in shell("dvc repro --pull one", mine)
    assert (mine / "one.txt").read_text() == "5\n"


def test_skypilot_reads_the_example() -> None:
    task = pytest.importorskip("sky").Task.from_yaml(str(ROOT / "skypilot.example.yaml"))
    assert set(task.envs) == {"STAGE", "REMOTE"}


def test_a_conflict_in_the_lock_is_solved_as_shown(mine: Path, colleague: Path, tmp_path: Path) -> None:
    """Each has changed another parameter: what the other has computed comes from the remote."""
    setup = FOLDER.replace("/mnt/team/relume", str(tmp_path / "team"))
    shell("sed -i 's/x: 1/x: 3/' params.yaml; dvc repro -q; git commit -qam x;" + setup + PUSH, mine)
    shell(setup + "sed -i 's/y: 1/y: 4/' params.yaml; dvc repro -q; git commit -qam y", colleague)
    shell("git pull -q --no-rebase", colleague, fails=True)
    said = shell(CONFLICT, colleague)
    assert [line for line in said.splitlines() if line.startswith("Running")] == ["Running stage 'all':"]
    assert (colleague / "metrics/summary.json").read_text() == "[3, 4]\n"
    assert "dvc.lock" in run("git", "diff", "--cached", "--name-only", cwd=colleague).stdout
