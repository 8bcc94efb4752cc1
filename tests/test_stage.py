"""A stage's start: what it may read, by hand and as DVC itself says, what is refused; equal bits without a second's import."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from dvc.repo import Repo

from relume.core.config import read_params
from relume.core.errors import UserError
from relume.core.run import Run
from relume.core.stage import StageContext, declared

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return tmp_path


def test_what_is_declared_by_hand() -> None:
    whole = {"run": {"seed": 0}, "train": {"shared": {"a": 1}, "models": {"x": {"b": 2}, "y": {"b": 3}}}, "report": 5}
    keys = ["run.seed", "train.shared", "train.models.${key}"]
    assert declared(whole, keys, "y") == {"run": {"seed": 0}, "train": {"shared": {"a": 1}, "models": {"y": {"b": 3}}}}


@pytest.mark.slow
def test_what_is_declared_is_what_dvc_tracks_for_every_stage(project: Path) -> None:
    whole, stages = read_params(Path("params.yaml")), yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    with Repo.init(".", no_scm=True) as repo:
        tracked = {stage.addressing: [dep.read_params() for dep in stage.params] for stage in repo.index.stages}
    assert len(tracked) > len(stages)
    for label, files in tracked.items():
        name, _, item = label.partition("@")
        keys = stages[name].get("do", stages[name]).get("params", [])
        if not keys:
            assert not files, label
            continue
        assert [{key: at(declared(whole, keys, item), key) for key in files[0]}] == files, label
        assert len(files[0]) == len(keys)


def test_determinism_is_asked_for_without_importing_the_compiler() -> None:
    told = "torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()"
    code = "import sys, torch; from relume.core.runtime import deterministic; deterministic()"
    code += f"; print({told}, 'torch._inductor' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == ["True", "True", "False"]


def at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree


def test_what_is_not_declared_cannot_be_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert StageContext("floors").plain("report.pictures") == 8
    monkeypatch.setenv("DVC_STAGE", "invert_optimise@deep")
    context = StageContext("invert_optimise", "deep")
    assert context.plain("recipes.deep")["taps"] == {"conv5": 1.0}
    for key in ("recipes.shallow", "report.pictures", "evaluate"):
        with pytest.raises(UserError, match=f"params: {key}: .*invert_optimise"):
            context.plain(key)


def test_a_stage_computes_on_as_many_threads_as_its_parameters_say(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    before = torch.get_num_threads()
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("threads: 1 ", "threads: 2 "))
    try:
        StageContext("evaluate", "deep").section(Run, "run")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
