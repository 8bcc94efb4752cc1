"""Benchmarks without a study of methods: each command writes its table; models are trained once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from benchmarks import embeddings, floors, latent, maps, surrogate
from benchmarks.trainings import trained_once
from relume.core.files import read_csv, read_json
from relume.core.images import save_png
from relume.data.store import Dataset
from relume.evaluation.comparison import COMPARISONS, LEADERBOARD
from relume.evaluation.maps_table import columns
from relume.training import stage
from tests import latent_files, stage_files
from tests.decoder_files import CPU, Store, dataset, toy, training, write_decoder
from tests.evaluation_files import row, write_dataset, write_reconstructions

KNOWN = {"count": 3, "restarts": 2, "steps": 30, "rate": 0.05, "spaces": ["w"]}
MAPPER = {"network": "alexnet_conv", "taps": ["conv3"], "architecture": {"width": 8, "depth": 1, "grid": 2}}
MAPPER |= {"training": training(steps=4, log_every=2, validate_every=2)}
STARTS = {"steps": 6, "rates": [1.0e-6, 0.05], "validation": 2, "test": 3}
STUDY = {"run": {"device": "cpu", "micro_batch": 4}, "known": KNOWN, "mapper": MAPPER, "starts": STARTS}
NETWORKS = ["--network", "alexnet_conv", "--network", "efficientnet_lite0"]
SETS = ["--group", "groups/s0", "--images", "data/images/toy"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("main", "words", "head"),
    [
        (
            floors.main,
            ["--folder", "noise", "--size", "32", "--blocks", "4", "--metrics", "psnr", "--device", "cpu"],
            LEADERBOARD,
        ),
        (embeddings.main, ["--folder", "noise", "--size", "32", "--device", "cpu", *NETWORKS, *SETS], COMPARISONS),
        (maps.main, ["--folder", "photos/toy", "--work", "."], columns(("psnr",))),
        (latent.main, ["--images", "w/toy", "--generator", "gan", "--study", "toys.yaml", "--work", "work"], COMPARISONS),
    ],
    ids=["floors", "embeddings", "maps", "latent"],
)
def test_command_writes_its_table(main: click.Command, words: list[str], head: Any, tmp_path, monkeypatch, default_params):
    stage_files.project(tmp_path, monkeypatch, {}, data=(data := dataset(tmp_path / "data/images")))
    default_params["run"].update(device="cpu", micro_batch=3)
    default_params["maps"].update(pictures=2, probes=1, groups=2, shown=1, metrics=["psnr"])
    stage_files.write_params(default_params)
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (10, 60, 50, 3), dtype=np.uint8)):
        save_png(Path(f"noise/any/{number}.png"), pixels)
    rows = [row("s0", f"test{n}", size=64, restart=k, selected=k == 0) for n in range(3) for k in range(2)]
    write_reconstructions(Path("groups/s0"), rows, np.repeat(data.images[:3], 2, 0))
    write_decoder(Path("models/decoder/deep"), dataset(Path("images")), ["conv5"])
    write_dataset(Path("w/toy"), size=latent_files.SIZE)
    latent_files.write_gan(Path("gan"))
    Path("toys.yaml").write_text(yaml.safe_dump(STUDY))
    for _ in range(2):  # the second run reuses what the first trained
        done = CliRunner().invoke(main, [*words, "--out", "out/table.csv"])
        assert done.exit_code == 0, done.output
    assert tuple(read_csv(Path("out/table.csv"))[0]) == head
    assert Path("out/table.json").exists()


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return dataset(tmp_path / "data")


@pytest.fixture
def call(tmp_path: Path, data: Dataset) -> Callable[..., tuple[dict[str, Any], bool]]:
    def call(root: str = "work", key: str = "key", **options: Any) -> tuple[dict[str, Any], bool]:
        folder = tmp_path / root / "models/toy"
        return trained_once(tmp_path / root, folder, key, lambda: toy(data), device=CPU, **options)

    return call


def test_model_is_trained_once(call: Callable[..., Any], tmp_path: Path) -> None:
    card, kept = call(more={"code": "a"})
    assert not kept
    assert {"digest", "commit", "device", "seconds", "code", "sha256"} <= set(card)
    assert call() == (card, True)
    assert call(fits=lambda card: card["code"] == "b")[1] is False
    assert call(key="another")[1] is False
    assert read_json(tmp_path / "work/models/toy/model.json")["digest"] == "another"


def test_resume(call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relume.core.checkpoint.EVERY", 0.0)
    whole, _ = call("whole")
    train, steps = stage.train, list[int]()

    def dying(trainer: Any, **options: Any) -> Any:
        def on_log(step: int, *_: Any) -> None:
            steps.append(step)
            if len(steps) == 3:
                raise KeyboardInterrupt

        return train(trainer, **options | {"on_log": on_log})

    monkeypatch.setattr(stage, "train", dying)
    with pytest.raises(KeyboardInterrupt):
        call()
    assert not (tmp_path / "work/models").exists()
    card, kept = call()
    assert (steps, kept) == ([1, 2, 3, 3, 4, 5, 6], False)
    assert card["sha256"] == whole["sha256"]
    assert not list((tmp_path / "work/scratch").iterdir())


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


@pytest.mark.slow
def test_table_of_surrogates(project: Path) -> None:
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


@pytest.mark.slow
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
