"""The study of masked models: faults of its file, and a tiny study from images to tables that is not recomputed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from benchmarks import masked_runs, masked_study, masked_tables
from benchmarks.masked import main
from benchmarks.tables import table
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.evaluation.comparison import MASKED
from relume.training import stage
from tests.decoder_files import training as few_steps
from tests.study_files import study_call
from tests.toy_masked import ENERGY, STACK, TOKENS

STEPS = 4


def plain() -> dict[str, Any]:
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
        "floors": list(masked_study.MASKED_FLOORS),
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


def test_plan(default_params: dict[str, Any]):
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
    "questions.q.metrics: ": {"questions": {"q": {"a": "et", "b": "beit", "metrics": ["psnr"]}}},
    "study.cell: ": {"cell": 5},
    "study.shared.masks.cell: ": {"shared": {"masks": {"cell": 2}}},
    "study.models.et.validation: ": {"models": {"et": {**ET, "validation": 1}}},
    "'et' is no tokenizer": {"models": {"et": ET, "beit": {**BEIT, "tokenizer": "et"}}},
    "study.models.beit.architecture.tokenizer: ": {"models": {"beit": BEIT, "codes": {"architecture": {**TOKENS, "width": 12}}}},
    "models.beit.tokenizer: ": {"models": {"beit": {"architecture": BEIT["architecture"]}}},
    "study.models: floor_et: ": {"models": {"floor_et": ET}},
    "study.models.swin: ": {"models": {"swin": {"architecture": SWIN}}},
    "study.models: floors: ": {"models": {"floors": ET}},
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
    names = [f"toy/{'train' if number < 8 else 'test'}/{'ab'[number % 2]}/{number:02}.png" for number in range(12)]
    return study_call(tmp_path, monkeypatch, main, names, ["toy"])


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    train = stage.train

    def noted(trainer: Any, *given: Any, **named: Any) -> Any:
        names.append(trainer.name)
        return train(trainer, *given, **named)

    monkeypatch.setattr(stage, "train", noted)
    return names


@pytest.mark.slow
def test_study(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    result = call(plain(), "--pictures", "2")
    assert result.exit_code == 0, result.output
    board = read_csv(Path("out/toy.csv"))
    assert tuple(board[0]) == MASKED
    lines = {(row["method"], row["mask_ratio"]): row for row in board}
    methods = {"et", "beit", *masked_study.MASKED_FLOORS}
    assert set(lines) == {(method, ratio) for method in methods for ratio in ("0.5", "0.75")}
    about = read_json(Path("out/toy.json"))
    assert set(about["models"]) == {"codes", "et", "beit"}
    told = about["models"]["et"]
    assert (told["steps"], told["batch"], told["pictures_seen"], told["train"]) == (STEPS, 2, 2 * STEPS, 6)
    assert told["validation"][-1][0] == STEPS
    assert str(told["parameters"]) == lines["et", "0.5"]["parameters"]
    probed = {row["method"]: row for row in read_csv(Path("out/toy_probe.csv"))}
    assert set(probed) == {"chance", "pixels", "beit", "et"}
    assert lines["et", "0.75"]["probe_top1"] == probed["et"]["probe_top1"] != ""
    assert not Path("out/toy_sets.csv").exists()
    asked = {(row["question"], row["metric"]): row for row in read_csv(Path("out/toy_comparisons.csv"))}
    for ratio, told in (("0.5", "50 % hidden"), ("0.75", "75 % hidden")):
        means = [float(lines[name, ratio]["psnr_masked"]) for name in ("et", "beit")]
        assert float(asked[f"who, {told}", "psnr_masked"]["diff"]) == pytest.approx(means[0] - means[1], abs=1e-5)
        best = max(masked_study.MASKED_FLOORS, key=lambda floor: float(lines[floor, ratio]["psnr_masked"]))
        assert asked[f"beit against the best floor, {told}", "psnr_masked"]["b"] == best
        assert asked[f"floor, {told}", "psnr_masked"]["b"] == "floor_mean_visible"
        assert (f"floor, {told}", "ssim_pasted") not in asked
    heading, _, *rows = table("toy", ["et"], Path("out")).splitlines()
    assert [row.split(" | ")[:2] for row in rows] == [["| 50 %", "`et`"], ["| 75 %", "`et`"]]
    assert f"{float(lines['et', '0.75']['psnr_masked']):.2f} [" in rows[1]

    monkeypatch.setattr(stage, "train", lambda *given, **named: pytest.fail("nothing is to be trained anew"))
    monkeypatch.setattr(masked_tables, "reconstruct", lambda *given, **named: pytest.fail("nothing is to be filled anew"))
    monkeypatch.setattr(masked_tables, "table", lambda *given, **named: pytest.fail("nothing is to be probed anew"))
    first = Path("out/toy_comparisons.csv").read_bytes()
    assert call(plain()).exit_code == 0
    assert Path("out/toy_comparisons.csv").read_bytes() == first


@pytest.mark.slow
def test_only_some_models(call: Callable[..., Result], trained: list[str], monkeypatch: pytest.MonkeyPatch):
    assert call(plain(), "--only", "et").exit_code == 0
    assert trained == ["et"]
    assert call(plain(), "--only", "beit").exit_code == 0  # and its tokenizer
    assert trained == ["et", "codes", "beit"]
    about = read_json(Path("work/models/masked/et/model.json"))
    assert about["data"] == {"dataset": "toy", "train": 6, "val": 2}
    document = plain()
    document["models"]["codes"]["training"] = {"learning_rate": 0.01}
    assert call(document, "--only", "et", "--only", "beit").exit_code == 0
    assert trained == ["et", "codes", "beit", "codes", "beit"]  # its tokenizer has changed
    monkeypatch.setattr(masked_runs, "digest_of", lambda modules: "another")
    assert call(document, "--only", "et", "--any-code").exit_code == 0
    assert len(trained) == 5
    assert call(document, "--only", "et").exit_code == 0
    assert trained[5:] == ["et"], "other code trains anew unless told otherwise"


@pytest.mark.slow
def test_faults_before_training(call: Callable[..., Result], trained: list[str]):
    assert "--only" in call(plain(), "--only", "bert").output
    assert "7 images" in call({**plain(), "train": 7}).output
    assert "lpips_alex" in call({**plain(), "metrics": ["psnr_masked", "lpips_alex"]}, "--weights", "nowhere").output
    assert "alexnet" in call({**plain(), "sets": {"network": "alexnet", "tap": "pool"}}, "--weights", "nowhere").output
    assert not trained
