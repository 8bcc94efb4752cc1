"""A toy project in which all stages that train, and those that use their models, can run; networks have random weights."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from relume.data.store import Dataset
from relume.networks.weights import WeightStore
from tests.decoder_files import Store
from tests.evaluation_files import write_dataset

RUN = {"seed": 0, "device": "cpu", "precision": "float32", "threads": 1, "micro_batch": 3}
MODEL = {"model.safetensors", "last.safetensors", "model.json", "history.csv", "samples.png", "progress.jpg"}
IMAGES, NONE = "data/images/toy", "data/none"


def project(
    root: Path, monkeypatch: pytest.MonkeyPatch, sections: dict[str, Any], size: int = 64, data: Dataset | None = None
) -> Path:
    """`root` is the working folder, with a dataset (unless `data` is there) and these sections of parameters."""
    if data is None:
        write_dataset(root / IMAGES, size=size)
    monkeypatch.chdir(root)
    write_params({"run": RUN, **sections})
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {name: {"deps": []} for name in sections}}))
    for name in ("DVC_STAGE", "RELUME_SCRATCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("relume.params.check", lambda whole: whole)
    monkeypatch.setattr(WeightStore, "tensors", lambda self, name: Store().tensors(name))
    return root


def write_params(params: dict[str, Any]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def change(path: str, value: Any) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    *parents, last = path.split(".")
    place = params
    for key in parents:
        place = place[key]
    place[last] = value
    write_params(params)


def run(stage: Any, **options: Any) -> Result:
    given = {"images": IMAGES, **options}
    return CliRunner().invoke(stage.main, [word for key, value in given.items() for word in (f"--{key}", str(value))])


def succeed(stage: Any, **options: Any) -> Result:
    result = run(stage, **options)
    assert result.exit_code == 0, result.output
    return result


def train(stage: Any, name: str, out: str = "models", **options: Any) -> Result:
    item = "decoder" if stage.__name__ == "stages.train_decoder" else "model"
    return run(stage, **{item: name, "out": f"{out}/{name}", "timing": f"{out}/{name}.csv", **options})


def read(folder: Path | str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}
