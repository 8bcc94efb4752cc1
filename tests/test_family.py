"""A new family is one folder, one line in the registry, its stages, its entries in dvc.yaml and its sections in params.yaml."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TOY = ROOT / "tests/toy_family"
STAGES = {
    "train_toy": {
        "foreach": "${train_toy.models}",
        "do": {
            "cmd": "python -m stages.train_toy --model ${key} --images data/images/${train_toy.shared.dataset}"
            " --out models/toy/${key} --timing metrics/training/${key}.csv",
            "deps": ["src", "data/images/${train_toy.shared.dataset}"],
            "params": ["train_toy.shared", "train_toy.models.${key}"],
            "outs": ["models/toy/${key}", "metrics/training/${key}.csv"],
        },
    },
    "invert_toy": {
        "foreach": "${invert_toy}",
        "do": {
            "cmd": "python -m stages.invert_toy --group ${key} --images data/images/${item.dataset} --models models/toy"
            " --out data/reconstructions/${key}",
            "deps": ["src", "data/images/${item.dataset}", "models/toy"],
            "params": ["invert_toy.${key}"],
            "outs": ["data/reconstructions/${key}", "metrics/runs/${key}"],
        },
    },
}
SECTIONS = {
    "train_toy": {"shared": {"dataset": "photos", "weight": 1.0}, "models": {"mean": {}, "grey": {"weight": 0.0}}},
    "invert_toy": {"toys": {"dataset": "photos", "split": "test", "count": None, "models": ["mean", "grey"]}},
}
SMALL = {
    "source": "photos",
    "pixels": 32,
    "seed": 0,
    "test": 12,
    "val": 6,
    "train": 8,
    "dead_leaves_train": 0,
    "dead_leaves_val": 0,
}
PRESET: dict[str, Any] = {  # nothing but toys, with the picture itself as the only network
    "only": ["train_toy", "invert_toy"],
    "prepare": {"datasets": {"photos": SMALL}},
    "weights": {"networks": ["identity"]},
    "extract": {"networks": ["identity"], "cached": None, "held_out": [], "pictures": 8},
    "dataset": "photos",
    "floors": {"blocks": [4]},
    "invert_optimise": {"network": "identity", "taps": {"pixels": 1.0}},
    "evaluate": {"metrics": ["psnr"], "paths": [], "sets": None, "reid": None, "other_taps": [], "classifier": None},
    "compare": {
        "groups": ["floors", "toys"],
        "metrics": ["psnr"],
        "questions": {"colour": {"a": "mean", "b": "grey", "metrics": ["psnr"]}},
    },
}
FIND = """
import json
from pathlib import Path
from relume.core.errors import UserError
from relume.params import check
from relume.presets import EMPTY, both
from relume.tracking.records import model_records
from relume.tracking.records import records

wanted = both(Path("."), "toys")[1]
check(wanted)
wanted["train_toy"]["models"]["mean"]["weight"] = 2.0
wanted["train_gan"]["models"]["mean"] = {}
wanted["invert_toy"]["toys"]["split"] = "train"
def faults():
    try:
        check(wanted)
    except UserError as error:
        return str(error).splitlines()
found = faults()
wanted["train_toy"]["models"]["mean"]["weight"] = 1.0
found += faults()
names = [record.name for record in [*model_records(Path(".")), *records(Path("."))]]
print(json.dumps({"empty": [EMPTY["train_toy"], EMPTY["invert_toy"]], "faults": found, "records": names}))
"""
RUN = """
import os, sys
import pytest
from pathlib import Path
from tests.preset_files import run_all, whole
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("RELUME_TRACKING", "off")
    run_all(whole("toys", Path("params.yaml")))
"""


def run(code: str, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "RELUME_"))}
    env |= {"PYTHONPATH": f"{cwd / 'src'}{os.pathsep}{cwd}", "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1"}
    env |= {"DVC_SITE_CACHE_DIR": str(cwd / ".site")}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this tree with the toy family in it."""
    tree = tmp_path_factory.mktemp("tree")
    for folder in ("src", "stages", "tests", "presets", "models/pretrained"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    folder = tree / "src/relume/methods/toy"
    folder.mkdir()
    (folder / "__init__.py").touch()
    shutil.copy(TOY / "family.py", folder)
    for name in STAGES:
        shutil.copy(TOY / f"{name}.py", tree / "stages")
    registry = tree / "src/relume/methods/registry.py"
    text = registry.read_text().replace('"diffusion")', '"diffusion", "toy")')
    assert '"toy"' in text
    registry.write_text(text)
    dvc = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    dvc["stages"] |= STAGES
    for name in ("compare", "report"):
        dvc["stages"][name]["deps"].append("models/toy")
    (tree / "dvc.yaml").write_text(yaml.safe_dump(dvc, sort_keys=False))
    (tree / "params.yaml").write_text((ROOT / "params.yaml").read_text() + yaml.safe_dump(SECTIONS))
    for kind in ("decoder", "surrogate", "masked", "gan", "mapper", "landscape", "diffusion"):
        (tree / "models" / kind).mkdir(parents=True)
    (tree / "data/samples").mkdir(parents=True)
    (tree / "presets/toys.yaml").write_text(yaml.safe_dump(PRESET))
    return tree


@pytest.mark.slow
def test_a_toy_family_is_found_everywhere(tree: Path) -> None:
    run(RUN, tree)
    found = json.loads(run(FIND, tree).splitlines()[-1])
    assert found["empty"] == [{"models": {}}, {}]
    assert any("train_toy.models.mean.weight: " in fault for fault in found["faults"])
    assert any("invert_toy.toys.split: models learn from 'train'" in fault for fault in found["faults"])
    assert any("train_toy.models.mean: the name 'mean' belongs to" in fault for fault in found["faults"])
    assert {"toy/mean", "toy/grey", "toys", "floors"} <= set(found["records"])
    board = (tree / "metrics/leaderboard.csv").read_text()
    assert "mean,toy,feature" in board
    assert "colour,mean,grey" in (tree / "metrics/comparisons.csv").read_text()
    page = (tree / "metrics/report/index.html").read_text()
    rows = page.partition("Trained models</caption>")[2].partition("</table>")[0]
    assert '<th scope="row">mean</th>' in rows
    assert '<th scope="row">grey</th>' in rows
