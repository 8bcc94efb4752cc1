"""The study of masked models: what its file may say, and a tiny one from pictures to tables, killed and taken up again."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from benchmarks import masked_runs, masked_study, masked_tables
from benchmarks.masked import main
from benchmarks.masked_tables import told_colours
from benchmarks.tables import table
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.images import save_png, to_float
from relume.core.results import read_masked_group
from relume.evaluation.comparison import COMPARISONS, MASKED
from relume.evaluation.probe import PROBE
from relume.training import stage
from tests.decoder_files import training as few_steps
from tests.toy_masked import ENERGY, STACK, TOKENS

STEPS = 4


def plain() -> dict[str, Any]:
    """Two models and a tokenizer; the model that needs it stands first."""
    return {
        "pixels": 16,
        "cell": 4,
        "pattern": "random",
        "ratios": [0.5, 0.75],
        "test": 3,
        "train": 6,
        "validation": 2,
        "run": {"micro_batch": 3},
        "shared": {"masks": {"ratio": 0.75}, "augment": {"colour": 0.0}, "training": few_steps(steps=STEPS)},
        "models": {
            "beit": {
                "architecture": {"kind": "beit", "encoder": STACK, "tokenizer": TOKENS},
                "tokenizer": "codes",
                "masks": {"pattern": "block", "ratio": 0.4},
            },
            "codes": {"architecture": TOKENS},
            "et": {"architecture": ENERGY},
        },
        "floors": True,
        "metrics": ["psnr_masked", "ssim_pasted"],
        "probe": {"penalties": [0.1], "neighbours": 2},
        "sets": None,
        "questions": {
            "who": {"a": "et", "b": "beit"},
            "floor": {"a": "et", "b": "floor_mean_visible", "metrics": ["psnr_masked"]},
        },
    }


def planned(params: dict[str, Any], **changes: Any) -> masked_study.Plan:
    wanted = masked_study.build(masked_study.MaskedStudy, {**plain(), **changes}, "study")
    return masked_study.plan(wanted, params, "toy")


def test_what_the_study_says_holds_for_all_and_tokenizers_come_first(default_params: dict[str, Any]):
    found = planned(default_params)
    assert list(found.models) == ["codes", "et", "beit"]
    assert found.predictors == ("beit", "et")
    masks = {name: (config.masks.pattern, config.masks.ratio, config.masks.cell) for name, config in found.models.items()}
    assert masks == {"codes": ("random", 0.75, 4), "et": ("random", 0.75, 4), "beit": ("block", 0.4, 4)}
    assert {config.dataset for config in found.models.values()} == {"toy"}
    assert found.models["beit"].tokenizer == "models/masked/codes"
    assert (found.group.split, found.group.count, found.group.ratios) == ("test", 3, (0.5, 0.75))
    assert masked_study.chosen(found, ["beit"]) == ["codes", "beit"]
    assert masked_study.chosen(found, []) == list(found.models)


BEIT, ET = (plain()["models"][name] for name in ("beit", "et"))
SWIN = {"kind": "simmim", "patch": 3, "width": 8, "depths": [1], "heads": [1], "window": 2}
FAULTS: dict[str, dict[str, Any]] = {
    "study.colour: unknown key": {"colour": 1},
    "did you mean 'psnr_masked'": {"metrics": ["psnr_maskd"]},
    "questions.q.metrics: ": {"questions": {"q": {"a": "et", "b": "beit", "metrics": ["psnr"]}}},
    "study.cell: ": {"cell": 5},
    "trainign: unknown key": {"shared": {"trainign": {}}},
    "study.shared.masks.cell: ": {"shared": {"masks": {"cell": 2}}},
    "study.models.et.validation: ": {"models": {"et": {**ET, "validation": 1}}},
    "'et' is no tokenizer": {"models": {"et": ET, "beit": {**BEIT, "tokenizer": "et"}}},
    "study.models.beit.architecture.tokenizer: ": {"models": {"beit": BEIT, "codes": {"architecture": {**TOKENS, "width": 12}}}},
    "models.beit.tokenizer: ": {"models": {"beit": {"architecture": BEIT["architecture"]}}},
    "study.models: floor_et: ": {"models": {"floor_et": ET}},
    "study.models.swin: ": {"models": {"swin": {"architecture": SWIN}}},
    "study.models: floors: ": {"models": {"floors": ET}},
    "study.probe.neighbors: unknown key": {"probe": {"neighbors": 2}},
    "study.probe.models: ": {"probe": {"models": []}},
    "study.questions.q.b: ": {"questions": {"q": {"a": "et", "b": "mae"}}},
    "study.questions.q.a: ": {"questions": {"q": {"a": "codes", "b": "et"}}},
}


@pytest.mark.parametrize("message", FAULTS)
def test_faults_are_named_before_any_work(message: str, default_params: dict[str, Any]):
    with pytest.raises(UserError) as caught:
        planned(default_params, **{"questions": {}, **FAULTS[message]})
    assert message in str(caught.value)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the study on noise in two classes: eight pictures to learn from, four to be judged by."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        part = f"{'train' if number < 8 else 'test'}/{'ab'[number % 2]}"
        save_png(tmp_path / "toy" / part / f"{number:02}.png", pixels)
    (tmp_path / "params.yaml").symlink_to(Path(__file__).parents[1] / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    torch.set_num_threads(1)

    def invoke(document: dict[str, Any], *flags: str) -> Result:
        Path("study.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return CliRunner().invoke(main, ["toy", "--study", "study.yaml", "--work", "work", "--device", "cpu", *flags])

    return invoke


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the models whose training was begun."""
    names: list[str] = []
    train = stage.train

    def noted(trainer: Any, *given: Any, **named: Any) -> Any:
        names.append(trainer.name)
        return train(trainer, *given, **named)

    monkeypatch.setattr(stage, "train", noted)
    return names


@pytest.mark.slow
def test_a_study_from_pictures_to_tables(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    result = call(plain(), "--out", "out/toy.csv", "--pictures", "2")
    assert result.exit_code == 0, result.output
    board = read_csv(Path("out/toy.csv"))
    assert tuple(board[0]) == MASKED
    lines = {(row["method"], row["mask_ratio"]): row for row in board}
    methods = {"et", "beit", *masked_study.MASKED_FLOORS}
    assert set(lines) == {(method, ratio) for method in methods for ratio in ("0.5", "0.75")}
    assert {row["n"] for row in board} == {"3"}
    about = read_json(Path("out/toy.json"))
    told = {"command", "commit", "data", "n", "device", "seconds", "models", "psnr_of_cells_in_their_own_mean_colour"}
    assert set(about) == told
    assert about["command"] == "python -m benchmarks.masked toy --study study.yaml --work work"
    assert set(about["models"]) == {"codes", "et", "beit"}
    told = about["models"]["et"]
    assert (told["steps"], told["batch"], told["pictures_seen"], told["train"]) == (STEPS, 2, 2 * STEPS, 6)
    assert told["validation"][-1][0] == STEPS
    assert str(told["parameters"]) == lines["et", "0.5"]["parameters"]
    assert lines["floor_mean_visible", "0.5"]["parameters"] == ""
    probed = {row["method"]: row for row in read_csv(Path("out/toy_probe.csv"))}
    assert tuple(probed["et"]) == PROBE
    assert set(probed) == {"chance", "pixels", "beit", "et"}
    assert lines["et", "0.75"]["probe_top1"] == probed["et"]["probe_top1"] != ""
    assert read_json(Path("out/toy_probe.json")) == about
    assert not Path("out/toy_sets.csv").exists()
    with Image.open("out/toy.jpg") as picture:
        assert picture.height < picture.width  # two rows of visible, floor, two models, original
    _differences_are_paired(lines)
    heading, _, *rows = table("toy", ["et"], Path("out")).splitlines()
    assert [row.split(" | ")[:2] for row in rows] == [["| 50 %", "`et`"], ["| 75 %", "`et`"]]
    assert f"{float(lines['et', '0.75']['psnr_masked']):.2f} [" in rows[1]

    monkeypatch.setattr(stage, "train", lambda *given, **named: pytest.fail("nothing is to be trained anew"))
    monkeypatch.setattr(masked_tables, "reconstruct", lambda *given, **named: pytest.fail("nothing is to be filled anew"))
    monkeypatch.setattr(masked_tables, "table", lambda *given, **named: pytest.fail("nothing is to be probed anew"))
    first = Path("out/toy_comparisons.csv").read_bytes()
    assert call(plain(), "--out", "out/toy.csv").exit_code == 0
    assert Path("out/toy_comparisons.csv").read_bytes() == first


def _differences_are_paired(lines: dict[tuple[str, str], dict[str, str]]) -> None:
    rows = read_csv(Path("out/toy_comparisons.csv"))
    assert tuple(rows[0]) == COMPARISONS
    asked = {(row["question"], row["metric"]): row for row in rows}
    for ratio, told in (("0.5", "50 % hidden"), ("0.75", "75 % hidden")):
        for metric in ("psnr_masked", "ssim_pasted"):
            row = asked[f"who, {told}", metric]
            assert float(row["diff"]) == pytest.approx(
                float(lines["et", ratio][metric]) - float(lines["beit", ratio][metric]), abs=1e-5
            )
        best = max(masked_study.MASKED_FLOORS, key=lambda floor: float(lines[floor, ratio]["psnr_masked"]))
        assert asked[f"beit against the best floor, {told}", "psnr_masked"]["b"] == best
        assert asked[f"floor, {told}", "psnr_masked"]["b"] == "floor_mean_visible"
        assert (f"floor, {told}", "ssim_pasted") not in asked


@pytest.mark.slow
def test_sets_are_of_all_methods_against_the_pictures_that_they_fill(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
):
    seen: dict[str, Any] = {}

    def set_rows(group: Any, masks: Any, datasets: Any, metric_network: Any, seed: int) -> list[dict[str, object]]:
        truth = datasets["toy"].ids(datasets["toy"].select("test"))
        seen.update(methods={row["method"] for row in group.index}, rows=(len(group.images), len(masks)), truth=truth)
        return [{"name": "et@0.5", "kind": "masked", "dataset": "toy", "n": 3, "net": "eye_pool", "fd": 1 / 3, "kid": 0.0}]

    monkeypatch.setattr(masked_tables, "open_metric_network", lambda *given, **named: "a network")
    monkeypatch.setattr(masked_tables, "set_rows", set_rows)
    monkeypatch.setattr("relume.networks.weights.WeightStore.folder", lambda store, name: Path(name))
    wanted = {**plain(), "models": {"et": ET}, "questions": {}, "probe": None, "sets": {"network": "alexnet", "tap": "pool"}}
    result = call(wanted, "--out", "out/toy.csv")
    assert result.exit_code == 0, result.output
    assert seen["methods"] == {"et", *masked_study.MASKED_FLOORS}
    assert seen["rows"] == (7 * 2 * 3, 7 * 2 * 3)
    index = read_masked_group(Path("work/reconstructions/et"))[0].index
    assert sorted(seen["truth"]) == sorted({row["id"] for row in index})  # three of the four
    told = {(row["method"], row["mask_ratio"]): (row["fd_net"], row["fd"]) for row in read_csv(Path("out/toy.csv"))}
    assert told["et", "0.5"] == ("eye_pool", "0.3333333")
    assert told["et", "0.75"] == ("", "")
    assert read_csv(Path("out/toy_sets.csv"))[0]["fd"] == "0.3333333"


@pytest.mark.slow
def test_what_scores_need_is_asked_for_before_the_first_training(call: Callable[..., Result], trained: list[str]):
    refused = call({**plain(), "metrics": ["psnr_masked", "lpips_alex"]}, "--weights", "nowhere")
    assert refused.exit_code == 1
    assert "lpips_alex" in refused.output
    assert "alexnet" in call({**plain(), "sets": {"network": "alexnet", "tap": "pool"}}, "--weights", "nowhere").output
    assert not trained


@pytest.mark.slow
def test_some_models_alone_and_later_the_others(call: Callable[..., Result], trained: list[str]):
    assert call(plain(), "--only", "et").exit_code == 0
    assert trained == ["et"]
    result = call(plain(), "--only", "beit")  # and its tokenizer
    assert result.exit_code == 0, result.output
    assert trained == ["et", "codes", "beit"]
    about = read_json(Path("work/models/masked/et/model.json"))
    assert about["data"] == {"dataset": "toy", "train": 6, "val": 2}
    document = plain()
    document["models"]["codes"]["training"] = {"learning_rate": 0.01}
    assert call(document, "--only", "et", "--only", "beit").exit_code == 0
    assert trained == ["et", "codes", "beit", "codes", "beit"]  # whose tokenizer is another now
    refused = call(document, "--only", "bert")
    assert refused.exit_code == 1
    assert "--only" in refused.output


@pytest.mark.slow
def test_more_pictures_are_wanted_than_there_are(call: Callable[..., Result], trained: list[str]):
    assert "the dataset has 4" in call({**plain(), "test": 5}).output
    assert "needs 7 images" in call({**plain(), "train": 7}).output
    assert "needs 9 images" in call({**plain(), "validation": 9}).output
    assert not trained


@pytest.mark.slow
def test_times_are_told_and_nothing_is_trained(call: Callable[..., Result], trained: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masked_runs, "_seconds", lambda work, device: (work(), 0.25)[1])
    result = call(plain(), "--time", "--budget", "10")
    assert result.exit_code == 0, result.output
    lines = {line.split("\t")[0]: line.split("\t")[1:] for line in result.output.splitlines()}
    assert set(plain()["models"]) < set(lines)
    assert lines["et"][1:] == ["0.2500", "0.25", str(STEPS), "1", "40"]  # 4 steps of 0.25 s; 40 of them in 10 s
    assert not trained
    assert call(plain(), "--only", "et").exit_code == 0
    assert int(lines["et"][0]) == read_json(Path("work/models/masked/et/model.json"))["parameters"]


@pytest.mark.slow
def test_other_code_trains_anew_unless_told_otherwise(
    call: Callable[..., Result], trained: list[str], monkeypatch: pytest.MonkeyPatch
):
    assert call(plain(), "--only", "et").exit_code == 0
    monkeypatch.setattr(masked_runs, "digest_of", lambda modules: "another")
    assert call(plain(), "--only", "et", "--any-code").exit_code == 0
    assert trained == ["et"]
    assert call(plain(), "--only", "et").exit_code == 0
    assert trained == ["et", "et"]


def test_pictures_of_cells_of_one_colour_are_told_by_their_colours_and_others_are_not() -> None:
    study: Any = SimpleNamespace(test=None, cell=4)
    flat = np.repeat(np.repeat(np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1) * 60, 4, 1), 4, 2).repeat(3, 3)
    stripes = np.zeros((1, 8, 8, 3), np.uint8)
    stripes[:, ::2] = 255  # every cell is half black, half white, so half of the range off everywhere
    for images, wanted in ((flat, 100.0), (stripes, 10 * np.log10(4))):
        dataset = SimpleNamespace(select=lambda *_: [0], pixels=lambda rows, images=images: to_float(images))
        bench: Any = SimpleNamespace(dataset=dataset)
        assert told_colours(bench, study) == pytest.approx(wanted, abs=0.01)
