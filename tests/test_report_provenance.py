"""What the page says of a group's making: its command, what it used, with hashes and times."""

from pathlib import Path

import yaml

from relume.core.config import parse
from relume.core.files import read_json, write_csv, write_json
from relume.core.results import read_group
from relume.report.config import Report
from relume.report.data import read
from relume.report.page import render
from relume.report.provenance import commands, read_models, used
from tests.contract_files import GROUPS, write
from tests.report_files import folders

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = """
stages:
  floors: {outs: [out/reconstructions/floors/images.npy, out/reconstructions/floors/index.csv]}
  fit: {foreach: "${fit.models}", do: {outs: ["models/kind/${key}", "metrics/training/${key}.csv"]}}
  score: {foreach: "${names}", do: {outs: [{"out/scores/${item}.json": {cache: false}}]}}
  absent: {foreach: "${nothing.here}", do: {outs: ["models/kind/${key}"]}}
"""


def test_commands_name_the_stage_and_its_item() -> None:
    found = commands(yaml.safe_load(PIPELINE), {"fit": {"models": {"a": {}, "b": {}}}, "names": ["c"]})
    assert found[("reconstructions", "floors")] == "dvc repro floors"
    assert [found["kind", name] for name in "ab"] == ["dvc repro fit@a", "dvc repro fit@b"]
    assert found[("scores", "c.json")] == "dvc repro score@c"


def test_every_group_of_the_default_has_its_command(default_params: dict[str, dict[str, list[str]]]) -> None:
    found = commands(parse((ROOT / "dvc.yaml").read_text()), default_params)
    assert {("reconstructions", group) for group in default_params["compare"]["groups"]} <= set(found)


def model(root: Path, kind: str, name: str, config: dict[str, object]) -> None:
    card = {"config": config, "sha256": f"{name}-weights-and-more", "code": f"{name}-code", "params": f"{name}-params"}
    write_json(root / "models" / kind / name / "model.json", card)


def project(root: Path) -> Path:
    write(root)
    model(root, "mapper", "m", {"generator": "models/gan/g"})
    model(root, "gan", "g", {})
    model(root, "gan", "other", {})
    model(root, "surrogate", "s", {"network": "x", "taps": ["t"], "target": {"network": "y", "tap": "u"}})
    about = root / "models/surrogate/s/model.json"
    scores = {"similarity": 0.5, "floor_nearest": 0.4, "floor_mean": 0.3}
    write_json(about, read_json(about) | {"name": "s", "data": {"val": 2}, "metrics": scores})
    model(root, "weights", "alexnet_conv", {})
    model(root, "weights", "lpips", {})
    write_csv(root / "metrics/training/m.csv", ("step", "seconds"), [{"step": 1, "seconds": 4}, {"step": 2, "seconds": 150}])
    path = root / "metrics/runs/deep/method.json"
    about = read_json(path)
    about["config"] |= {"start": "models/mapper/m", "terms": {"feature": {}, "surrogate": {"model": "s"}}}
    write_json(path, about)
    return root


def test_what_was_used_is_followed_to_its_sources(tmp_path: Path) -> None:
    """A term of weight 0 uses nothing: `deep` has losses feature and tv."""
    root = project(tmp_path)
    models = read_models(root / "models", root / "metrics/training")
    found = used(read_group(root / "data/reconstructions/deep"), models)
    assert [(one.kind, one.name, one.training_time) for one in found] == [
        ("gan", "g", "not trained here"),
        ("mapper", "m", "2.5 min"),
        ("weights", "alexnet_conv", "not trained here"),
    ]
    assert used(read_group(root / "data/reconstructions/floors"), models) == []


def test_the_page_says_it(tmp_path: Path) -> None:
    made = {("reconstructions", "deep"): "dvc repro some@deep", ("mapper", "m"): "dvc repro fit@m"}
    page = render(read(folders(project(tmp_path)), GROUPS), Report(pictures=1), 0.95, made)
    chapter = page.split('id="group-deep"')[1].split("</article>")[0]
    about = read_json(tmp_path / "metrics/runs/deep/method.json")
    said = [
        "dvc repro some@deep",
        "dvc repro fit@m",
        "m-code",
        "m-params",
        "m-weights-and-mo</code>",
        about["code"],
        about["params"],
    ]
    assert [text for text in [*said, about["code"], about["params"]] if text not in chapter] == []
