"""docs/howto/share.md between two people: one has run the whole pipeline, the other's processor computes other last digits."""

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import KINDS
from tests.test_pipeline import commit, copied, executed, run
from tests.test_share import CONFLICT

pytestmark = pytest.mark.slow
OTHER = {"ATEN_CPU_CAPABILITY": "default"}  # PyTorch without vector instructions
RELUME = [sys.executable, "-c", "import sys; sys.path.insert(0, 'src'); from relume.cli.main import main; main()"]
DVC = [sys.executable, "-m", "dvc"]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One colleague's clone, all stages run and committed."""
    root = copied(tmp_path_factory.mktemp("team") / "first")
    run(*RELUME, "repro", cwd=root)
    commit(root)
    return root


@pytest.fixture(scope="module")
def after(before: Path) -> Path:
    """The same, a recipe changed."""
    root = before.with_name("changed")
    shutil.copytree(before, root, symlinks=True)
    steps(root, "shallow")
    return root


def steps(root: Path, recipe: str, **more: str) -> set[str]:
    """One recipe takes another number of steps: which stages that runs."""
    text, section = (root / "params.yaml").read_text(), f"  {recipe}:\n"
    start = text.index(section, text.index("\nrecipes:"))
    (root / "params.yaml").write_text(text[:start] + text[start:].replace("steps: 4", "steps: 5", 1))
    ran = executed(run(*DVC, "repro", cwd=root, **more))
    commit(root)
    return ran


@pytest.mark.parametrize("kind", KINDS)
def test_two_people_share_all_results(before: Path, after: Path, kind: str, tmp_path: Path) -> None:
    """The second runs nothing, then only what a parameter changes, then of a merge only what neither has computed."""
    mine = tmp_path / "second"
    with contextmanager(KINDS[kind])(tmp_path) as remote:
        setup, known = ["sh", "-ec", remote.setup.replace("add", "add -f")], remote.environment
        run(*setup, cwd=before)
        run(*DVC, "push", cwd=before, **known)
        run("git", "clone", "-q", str(before), str(mine), cwd=before)
        run(*setup, cwd=mine)
        run(*DVC, "pull", cwd=mine, **known, **OTHER)
        report = "metrics/report/index.html"
        assert (mine / report).read_bytes() == (before / report).read_bytes()
        assert "up to date" in run(*RELUME, "repro", cwd=mine, **OTHER)
        assert run("git", "status", "--porcelain", "--untracked-files=no", cwd=mine) == ""

        for name, value in (("name", "t"), ("email", "t@t")):
            run("git", "config", f"user.{name}", value, cwd=mine)
        assert steps(mine, "middle", **OTHER) == {"invert_optimise@middle", "evaluate@middle", "compare", "report"}

        run(*setup, cwd=after)
        run(*DVC, "push", "--run-cache", cwd=after, **known)
        run("git", "pull", "-q", "--no-rebase", str(after), cwd=mine, fails=True)
        solved = run("bash", "-ec", CONFLICT, cwd=mine, **known, **OTHER)
        assert executed(solved) == {"compare", "report"}
