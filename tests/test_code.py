"""Which code a stage runs: imports count, comments and docstrings do not."""

import re
import shutil
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import torch
import yaml
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

from relume.core.code import closure, digest_of, files_of, write_stages
from relume.core.config import read_params
from relume.core.errors import UserError
from relume.core.files import read_json
from relume.core.run import Run
from relume.core.stage import StageContext, declared
from relume.params import check

TREE = {
    "stages/__init__.py": "import sys\n",
    "stages/first.py": '"""First."""\nfrom relume.a import f\nf()\n',
    "stages/second.py": "from relume.page import draw\n",
    "src/relume/__init__.py": "",
    "src/relume/a.py": '"""A."""\nfrom relume.pack import b\n\ndef f():\n    """Say."""\n    return b.g() + 1\n',
    "src/relume/pack/__init__.py": "",
    "src/relume/pack/b.py": "import os\n\ndef g():\n    from relume import late\n    return 2  # two\n",
    "src/relume/late.py": "y = 1\n",
    "src/relume/apart.py": "x = 1\n",
    "src/relume/page.py": 'from pathlib import Path\nHERE = Path(__file__).parent / "templates"\n',
    "src/relume/templates/page.html.j2": "<p>one</p>\n",
}


def tree(folder: Path, **changes: str) -> Path:
    for name, text in {**TREE, **changes}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def digests(folder: Path, **changes: str) -> dict[str, str]:
    root = tree(folder / str(len(list(folder.iterdir()))), **changes)
    return {name: digest_of([f"stages.{name}"], root) for name in ("first", "second")}


def test_files_follow_imports(tmp_path: Path) -> None:
    root = tree(tmp_path)
    assert write_stages(tmp_path / "code", root) == ["first", "second"]
    reached = ["src/relume/a.py", "src/relume/late.py", "src/relume/pack/b.py", "stages/__init__.py", "stages/first.py"]
    assert list(read_json(tmp_path / "code/first.json")) == reached
    assert "src/relume/templates/page.html.j2" in read_json(tmp_path / "code/second.json")


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("src/relume/a.py", "A.", "Another.", set()),  # a module's docstring
        ("src/relume/a.py", "Say.", "Tell.", set()),  # a function's
        ("src/relume/pack/b.py", "two", "deux", set()),  # a comment
        ("src/relume/apart.py", "1", "2", set()),  # a module that no stage imports
        ("src/relume/pack/b.py", "return 2", "return 3", {"first"}),
        ("src/relume/late.py", "1", "2", {"first"}),  # imported inside a function
        ("src/relume/templates/page.html.j2", "one", "two", {"second"}),
        ("stages/__init__.py", "sys", "os", {"first", "second"}),
    ],
)
def test_stale_stages(tmp_path: Path, file: str, old: str, new: str, stale: set[str]) -> None:
    before, after = digests(tmp_path), digests(tmp_path, **{file: TREE[file].replace(old, new)})
    assert {name for name in before if before[name] != after[name]} == stale


def test_relative_imports_and_families(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="absolute"):
        files_of(["stages.first"], tree(tmp_path, **{"src/relume/a.py": "from . import pack\n"}))
    decoder, masked = closure(["stages.train_decoder"]), closure(["stages.train_masked"])
    assert {"relume.training.loop", "relume.methods.decoder.multi_scale"} <= decoder
    assert not any(name.startswith("relume.methods.masked") for name in decoder)
    assert not any(name.startswith(("relume.evaluation.", "relume.report.", "relume.tracking")) for name in masked)


ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return tmp_path


@pytest.mark.slow
def test_declared_parameters_are_those_dvc_tracks(project: Path) -> None:
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
        assert [{key: reduce(getitem, key.split("."), declared(whole, keys, item)) for key in files[0]}] == files, label
        assert len(files[0]) == len(keys)


def test_one_override_switches_the_dataset(project: Path) -> None:
    """What `dvc exp run -S` does, for all stages that do not name a dataset of their own."""
    mine = "{source:folder,path:mine,pixels:128,seed:0,split:every,test_every:5,val_every:10}"
    apply_overrides("params.yaml", [f"+prepare.datasets.mine={mine}", "dataset=mine"])
    whole = check(read_params(Path("params.yaml")))
    sections = ("floors", "invert_optimise", "maps", "defend")
    assert {whole[key]["dataset"] for key in sections} == {"mine"}
    assert {whole["train_decoder"]["shared"]["dataset"], whole["invert_decoder"]["decoders"]["dataset"]} == {"mine"}
    with Repo.init(".", no_scm=True) as repo:
        reads = {stage.addressing: {dep.def_path for dep in stage.deps} for stage in repo.index.stages}
    old = [name for name, paths in reads.items() if any(re.match("data/(images|features)/photos(/|$)", path) for path in paths)]
    assert old == []


def test_undeclared_parameters_and_threads(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert StageContext("floors").plain("report.pictures") == 8
    monkeypatch.setenv("DVC_STAGE", "invert_optimise@deep")
    context = StageContext("invert_optimise", "deep")
    assert context.plain("recipes.deep")["taps"] == {"conv5": 1.0}
    for key in ("recipes.shallow", "report.pictures", "evaluate"):
        with pytest.raises(UserError, match=f"params: {key}: .*invert_optimise"):
            context.plain(key)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    before = torch.get_num_threads()
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("threads: 1 ", "threads: 2 "))
    try:
        StageContext("evaluate", "deep").section(Run, "run")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
