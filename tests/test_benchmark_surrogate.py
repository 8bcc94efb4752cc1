"""The benchmark of surrogates on toy files."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from benchmarks import surrogate
from relume.core.files import read_csv, read_json
from tests.decoder_files import Store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
FOREIGN, JUDGE = "cosine_vgg16_conv_pool", "cosine_efficientnet_lite0_pool"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(20):
        small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((80, 80), Image.Resampling.BICUBIC).save(tmp_path / f"photos/{number:02}.png")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["run"].update(device="cpu", micro_batch=4)
    params["train_surrogate"]["shared"]["training"].update(steps=2, batch=4, log_every=1, validate_every=1)
    model = params["train_surrogate"]["models"]["surrogate_conv5"]
    model["target"] = {"network": "vgg16_conv", "tap": "pool", "features": "data/none"}
    params["recipes"]["deep"].update(steps=3, losses={"guide": 0.0}, init={"base": "grey"})
    params["invert_optimise"]["optimiser"].update(warmup=0)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    store = Store()
    store.tensors = cache(store.tensors)  # type: ignore[method-assign]
    monkeypatch.setattr(surrogate, "WeightStore", lambda *folders: store)
    return tmp_path


def run(*more: str) -> Result:
    given = ["--folder", "photos", "--out", "results/surrogate.csv", "--size", "64", "--judge", "efficientnet_lite0", *more]
    return CliRunner().invoke(surrogate.main, given)


def test_table(project: Path) -> None:
    done = run("--strength", "0.5", "--strength", "1e6")
    assert done.exit_code == 0, done.output
    table = read_csv(project / "results/surrogate.csv")
    asked = [(row["question"], row["a"], row["b"], row["metric"]) for row in table]
    assert ("prediction", "surrogate", "the nearest training picture's", FOREIGN) in asked
    assert ("prediction", "surrogate", "the mean embedding", FOREIGN) in asked
    assert {row[1:] for row in asked if row[0] == "inversion"} == {
        (f"surrogate x {strength}", "without", metric) for strength in ("0.5", "1e+06") for metric in (FOREIGN, JUDGE, "psnr")
    }
    assert {(row["n"], row["sources"], row["network"], row["tap"]) for row in table} == {("2", "2", "alexnet_conv", "conv5")}
    means = {row["mean_a"] for row in table if row["metric"] == "psnr"}
    assert len({row["mean_b"] for row in table if row["metric"] == "psnr"}) == 1
    assert len(means) == 2, "the strength matters"
    assert read_json(project / "results/surrogate.json")["n"] == 2


def test_predictions_are_compared_with_the_true_embedding(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The opposite of the true embedding has cosine -1."""

    def opposite(bench: surrogate.Bench, config: object) -> object:
        lesson, _ = learn(bench, config)  # type: ignore[arg-type]
        extractors = surrogate.Extractors(store=bench.store, device=bench.device, micro_batch=4)
        true = extractors.see("vgg16_conv", bench.dataset.images[bench.rows], ("pool",))["pool"]
        lesson.module.predict = lambda rows: -true  # type: ignore[method-assign]
        return lesson, 0

    learn = surrogate.learn
    monkeypatch.setattr(surrogate, "learn", opposite)
    monkeypatch.setattr(surrogate, "inversions", lambda *given: [])
    assert run().exit_code == 0
    told = read_csv(project / "results/surrogate.csv")
    assert [float(row["mean_a"]) for row in told] == pytest.approx([-1.0, -1.0], abs=1e-6)
    assert all(float(row["mean_b"]) > 0 for row in told)
