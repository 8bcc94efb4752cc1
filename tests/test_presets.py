"""Presets and grids: valid before anything runs; DVC writes exactly the merged parameters; a grid runs what is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from relume.cli.grid import points
from relume.core.config import merge as merge_maps
from relume.core.config import read_params
from relume.core.errors import UserError
from relume.params import check
from relume.presets import EMPTY, LISTED, ONLY, arguments, check_room, command, emptied, read, spelled, written

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = read_params(ROOT / "params.yaml")
NAMES = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
STAGE = {"cmd": "cp params.yaml seen.yaml", "outs": ["seen.yaml"]}


def run(*words: str, cwd: Path, fails: bool = False) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "PYTHON"))}
    env |= {"DVC_SITE_CACHE_DIR": str(cwd / ".site"), "DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(words, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def repository(folder: Path, params: str) -> Path:
    """One trivial stage that copies its parameters, in git and DVC."""
    (folder / "params.yaml").write_text(params)
    stage = STAGE | {"params": list(yaml.safe_load(params))}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"copy": stage}}))
    (folder / ".gitignore").write_text(".site\n")
    run("git", "init", "-q", cwd=folder)
    run(sys.executable, "-m", "dvc", "init", "-q", cwd=folder)
    run("git", "config", "user.name", "t", cwd=folder)
    run("git", "config", "user.email", "t@t", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run("git", "commit", "-qm", "toy", cwd=folder)
    return folder


def seen(folder: Path) -> tuple[Any, Any]:
    """The parameters of the stage, and those in the workspace."""
    return yaml.safe_load((folder / "seen.yaml").read_text()), yaml.safe_load((folder / "params.yaml").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_preset_is_valid_and_has_only_differences(name: str) -> None:
    stated = read(ROOT, name)
    wanted = merge(DEFAULT, stated)
    check(wanted)
    written(wanted)
    assert "make exp PRESET=" + name in (ROOT / "presets" / f"{name}.yaml").read_text()
    own = read_params(ROOT / "presets" / f"{name}.yaml")
    own.pop(ONLY, None)
    assert idle(DEFAULT, own) == []


def idle(base: Any, stated: Any, path: str = "") -> list[str]:
    """Values of a preset that equal params.yaml; lists and named entries are compared as a whole."""
    if not isinstance(stated, dict) or not isinstance(base, dict) or path.split(".")[-1] in {"kind", *LISTED}:
        return [path] if base == stated and not path.endswith(".kind") else []
    return [found for key, value in stated.items() if key in base for found in idle(base[key], value, f"{path}.{key}")]


def merge(base: Any, differences: Any) -> dict[str, Any]:
    return merge_maps(base, differences, LISTED)


def test_only_empties_other_sections() -> None:
    stated = {"dataset": "cifar10", "train_gan": {"shared": {"dataset": "cifar10"}}, "losses": {"tv": 1.0}}
    found = emptied(stated, ["train_gan", "score_samples", "probe"], "mine")
    assert found.keys() == {*EMPTY, "dataset", "losses"} - {"score_samples", "probe"}
    assert {key: found[key] for key in stated} == stated
    assert found["recipes"] == {}
    assert found["train_mapper"] == {"models": {}}
    assert found["maps"] == {"decoders": []}
    assert emptied(stated, ["train_gan"], "mine")["probe"] == {"models": [], "dataset": "cifar10"}


def test_every_foreach_can_be_emptied() -> None:
    """Except datasets and groups."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    lists = [tuple(stage["foreach"][2:-1].split(".")) for stage in stages if "foreach" in stage]
    for section, *key in sorted({*lists} - {("prepare", "datasets"), ("compare", "groups")}):
        assert EMPTY[section] == ({key[0]: {}} if key else {})


def test_invalid_only(tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/bad.yaml").write_text("only: [recipe, train_gan]\nprobe: { models: [] }\n")
    with pytest.raises(UserError, match=r"bad\.only: recipe holds no things by name; did you mean 'recipes'") as caught:
        read(tmp_path, "bad")
    assert "presets: bad.probe: stated, though only does not name it" in str(caught.value)
    (tmp_path / "presets/bad.yaml").write_text("only: recipes\n")
    with pytest.raises(UserError, match="a list of sections is wanted, got 'recipes'"):
        read(tmp_path, "bad")


def test_leftover_groups_raise(tmp_path: Path) -> None:
    """DVC does not remove them, and compare would fail on them hours later."""
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data/reconstructions/floors").mkdir(parents=True)
    check_room(tmp_path, "paper_s2")
    (tmp_path / "data/reconstructions/shallow").mkdir()
    with pytest.raises(UserError, match=r"data/reconstructions/shallow from other.*rm -r data/reconstructions`"):
        check_room(tmp_path, "paper_s2")
    (tmp_path / "metrics/methods").mkdir(parents=True)
    (tmp_path / "metrics/methods/s0.csv").touch()
    with pytest.raises(UserError, match=r"1 more.*rm -r data/reconstructions metrics/methods`"):
        check_room(tmp_path, "paper_s2")


@pytest.mark.parametrize(
    ("base", "differences", "wanted"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"recipes": {"x": 1, "y": 2}}, {"recipes": {"z": 3}}, {"recipes": {"z": 3}}),
        ({"taps": {"conv3": 1.0}}, {"taps": {"pool": 1.0}}, {"taps": {"pool": 1.0}}),
        ({"p": {"kind": "fourier", "decay": 1.0}}, {"p": {"kind": "pixels"}}, {"p": {"kind": "pixels"}}),
        ({"p": {"kind": "fourier", "decay": 1.0}}, {"p": {"decay": 2.0}}, {"p": {"kind": "fourier", "decay": 2.0}}),
        ({"sizes": [[0, 32]]}, {"sizes": []}, {"sizes": []}),
        ({"a": None, "b": {"c": 1}}, {"a": {"d": 2}, "b": None}, {"a": {"d": 2}, "b": None}),
    ],
)
def test_merge(base: Any, differences: Any, wanted: Any) -> None:
    assert merge(base, differences) == wanted


@pytest.mark.parametrize("name", ["true", "a b", "1x", "x:y", "null"])
def test_invalid_names(name: str) -> None:
    with pytest.raises(UserError, match=r"recipes: the name"):
        spelled({name: 1}, "recipes")
    with pytest.raises(UserError, match="numbers, text"):
        spelled({1, 2}, "x")


@pytest.mark.parametrize("value", ["yes", "off"])
def test_invalid_values(value: object) -> None:
    """YAML 1.1 reads `yes` as true."""
    with pytest.raises(UserError, match=r"presets: a\.b: DVC would write"):
        written({"a": {"b": value, "c": 1e-5}})


def test_dvc_writes_what_was_merged(tmp_path: Path) -> None:
    base: dict[str, Any] = {"stop": {"patience": 5, "tolerance": 0.1}, "recipes": {"old": {"taps": {"conv3": 1.0}}}}
    base |= {"names": ["a"], "space": {"kind": "fourier", "decay": 1.0}, "text": "plain"}
    base |= {"none": None, "number": 1, "map": {"x": 1}, "kept": {"x": 1}}
    differences = {
        "stop": {"patience": None, "tolerance": 1.5e-5},
        "recipes": {
            "s0": {"taps": {"layer1.0": 1.0, "ViT-B-16/laion2b": 2}, "sizes": [[0, 32], [400, 64]], "start": "data/images/x"},
            "empty": {"losses": {}, "list": [], "flag": True, "scale": [0.7, 1.5], "deep": [{"kind": "affine", "p": None}]},
        },
        "names": ["alexnet_conv", "ViT-B-16/laion2b_s34b_b88k"],
        "space": {"kind": "pixels", "box": "none"},
        "text": 'it\'s "so": a, b = {c} [d] 50% #e \\ end\\',
        "none": {"now": "1.0e-3"},
        "number": {"now": 1},
        "map": None,
        "new": "null",
    }
    wanted = merge(base, differences)
    folder = repository(tmp_path, "# why\n" + yaml.safe_dump(base))
    run(sys.executable, "-m", "dvc", "exp", "run", *arguments(base, wanted), cwd=folder)
    assert seen(folder) == (wanted, wanted)
    assert (folder / "params.yaml").read_text().startswith("# why\n")


def test_preset_is_one_exp_run(tmp_path: Path) -> None:
    folder = repository(tmp_path, (ROOT / "params.yaml").read_text())
    shutil.copytree(ROOT / "presets", folder / "presets")
    (folder / "below").mkdir()
    shown = run(sys.executable, "-m", "relume.presets", "paper_s0", "--print", cwd=folder / "below")
    assert shown.startswith("dvc exp run -S ")
    assert not (folder / "seen.yaml").exists()
    run(sys.executable, "-m", "relume.presets", "paper_s0", "-S", "losses.tv=0.5", cwd=folder / "below")
    wanted = merge(merge(DEFAULT, read(ROOT, "paper_s0")), {"losses": {"tv": 0.5}})
    assert seen(folder) == (wanted, wanted)
    again = run(sys.executable, "-m", "relume.presets", "paper_s0", "-q", cwd=folder)
    assert "params.yaml differs from the commit" in again


def test_faults_before_any_run(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "bad.yaml").write_text("losses: { tvv: 1.0 }\nrun: { seed: -1 }\n")
    with pytest.raises(UserError, match=r"losses\.tvv: unknown key") as caught:
        command(tmp_path, "bad")
    assert "run.seed: " in str(caught.value)
    with pytest.raises(UserError, match="unknown preset 'badd'; did you mean 'bad'"):
        command(tmp_path, "badd")
    told = run(sys.executable, "-m", "relume.presets", "bad", cwd=tmp_path, fails=True)
    assert "params: losses.tvv: unknown key" in told
    assert "Traceback" not in told


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


@pytest.mark.slow
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
