"""Presets on toys: a project with this tree's dvc.yaml, and every stage run in it."""

import importlib
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import yaml
from click.testing import CliRunner
from dvc.repo import Repo

from relume.core.config import merge, read_params
from relume.core.files import NONE
from relume.evaluation.metrics import METRICS
from relume.methods.decoder.shipped import SHIPPED
from relume.methods.registry import FAMILIES
from relume.params import check
from relume.presets import LISTED, read
from tests import data_files as files

ROOT = Path(__file__).resolve().parents[1]
LADDERS = ["blur", "noise", "jpeg", "blocks"]
JUDGES = [*METRICS, "top1_agreement"] + [
    f"{kind}_{place}"
    for kind in ("feature_error", "reid_rank")
    for place in ("alexnet_conv5", "vgg16_conv5_3", "efficientnet_lite0_pool")
]


def whole(name: str, params: Path = ROOT / "params.yaml") -> dict[str, Any]:
    """The parameters of a preset, checked."""
    return check(merge(read_params(params), read(ROOT, name), LISTED))


@contextmanager
def toy_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project with this tree's dvc.yaml and a folder for sources and weights; both are deleted afterwards."""
    store = files.empty_project(tmp_path, monkeypatch)
    shutil.copy(ROOT / "dvc.yaml", "dvc.yaml")
    for family in FAMILIES:
        Path("models", family.kind).mkdir(parents=True, exist_ok=True)  # as in a clone
    Path("models/pretrained").symlink_to(SHIPPED)
    Path("data/samples").mkdir(parents=True)
    shutil.copytree(ROOT / NONE, NONE)
    monkeypatch.setenv("RELUME_WEIGHTS", str(store))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    for name in ("DVC_STAGE", "RELUME_SCRATCH"):
        monkeypatch.delenv(name, raising=False)
    yield store
    for folder in (store, tmp_path / "project"):
        shutil.rmtree(folder)


def run_all(params: dict[str, Any]) -> None:
    """Run every stage's command from dvc.yaml in dependency order; its declared deps and outs exist."""
    params["self_test"].update(count=2, exceptions=dict.fromkeys(JUDGES, LADDERS))  # random networks do not order degradations
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with Repo.init(".", no_scm=True) as repo:
        for stage in nx.dfs_postorder_nodes(repo.index.graph):
            absent = [dep.def_path for dep in stage.deps if dep.def_path not in ("src", "stages") and not dep.exists]
            assert absent == [], stage.name
            _, _, module, *words = shlex.split(stage.cmd)
            result = CliRunner().invoke(importlib.import_module(module).main, words)
            assert result.exit_code == 0, f"{stage.name}: {result.output}"
            assert [out.def_path for out in stage.outs if not out.exists] == [], stage.name
