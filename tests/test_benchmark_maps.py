"""The benchmark on toy files: the decoders that are there, from shallow to deep, and what is written beside the table."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from benchmarks import maps
from relume.core.files import read_csv, read_json
from tests.decoder_files import Store, dataset
from tests.maps_files import write_decoder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
DECODERS = {"a_deep": ["conv5"], "both": ["conv5", "conv2"], "vector": ["pool"], "z_shallow": ["conv2"]}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = dataset(tmp_path / "images")
    for name, taps in DECODERS.items():
        write_decoder(tmp_path / "models/decoder" / name, data, taps)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["run"].update(device="cpu", micro_batch=3)
    params["maps"].update(pictures=2, probes=1, groups=2, shown=1, metrics=["psnr"])
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(maps, "WeightStore", lambda *folders: Store())
    return tmp_path


def run(*more: str) -> Result:
    return CliRunner().invoke(maps.main, ["--folder", "photos/toy", "--work", ".", "--out", "results/maps.csv", *more])


def test_all_decoders_of_one_tap_from_shallow_to_deep(work: Path) -> None:
    done = run("--count", "3")
    assert done.exit_code == 0, done.output
    table = read_csv(work / "results/maps.csv")
    assert list(dict.fromkeys(row["decoder"] for row in table)) == ["z_shallow", "a_deep", "vector"]
    assert {(row["n"], row["sources"], row["split"]) for row in table} == {("3", "2", "test")}
    sheets = {f"maps_{name}.jpg" for name in ("z_shallow", "a_deep", "vector")}
    assert {path.name for path in (work / "results").iterdir()} == {"maps.csv", "maps.json", *sheets}
    assert read_json(work / "results/maps.json")["n"] == 3
