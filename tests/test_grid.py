"""`relume grid`: variants by name, side by side, resumable."""

import sys
from pathlib import Path

import pytest

from relume.cli.grid import points
from relume.core.errors import UserError
from tests.test_presets import repository, run

pytestmark = pytest.mark.slow
GRID = [sys.executable, "-m", "relume.cli.main", "grid"]


def test_points_are_named_by_what_they_change() -> None:
    assert points(["losses.tv=1,2", "run.seed=0"]) == {
        "tv=1,seed=0": ["losses.tv=1", "run.seed=0"],
        "tv=2,seed=0": ["losses.tv=2", "run.seed=0"],
    }
    assert list(points(["a.tv=1", "b.tv=2"])) == ["a.tv=1,b.tv=2"]
    assert list(points(["a.sizes=[[0,32]]"])) == ["sizes=_0,32_"]


@pytest.mark.parametrize("settings", [["losses.tv"], ["a=1", "a=2"]])
def test_what_is_no_setting_is_refused(settings: list[str]) -> None:
    with pytest.raises(UserError, match="grid: "):
        points(settings)


def test_a_grid_runs_what_is_missing(tmp_path: Path) -> None:
    root = repository(tmp_path, "a: 1\nb: 1\n")
    assert "tv" in run(*GRID, "tv=1", cwd=root, fails=True)
    assert "2 points, 0 of them done" in run(*GRID, "a=1,2", cwd=root)
    said = run(*GRID, "a=2,3", "b=1,4", "--jobs", "2", cwd=root)
    assert "4 points, 0 of them done" in said
    assert "2 points, 2 of them done" in run(*GRID, "a=1,2", cwd=root)
    run(sys.executable, "-m", "dvc", "exp", "apply", "a=3,b=4", cwd=root)
    assert (root / "seen.yaml").read_text() == "a: 3\nb: 4\n"
    assert "differs from the commit" in run(*GRID, "a=1,2", cwd=root, fails=True)
