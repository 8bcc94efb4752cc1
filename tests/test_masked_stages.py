"""Masked models from training to a group on toy files: they learn, masks are everybody's, equal bytes, a kill, faults by name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from relume.core.config import merge
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.images import to_uint8
from relume.core.results import read_descent, read_masked_group
from relume.core.runtime import generator
from relume.data.masks import in_pixels, masks_of
from relume.data.masks_config import Masks
from relume.data.store import Dataset
from relume.methods.masked.config import masked_model, masked_models
from relume.methods.masked.mixed_ae import MixedAe
from relume.methods.masked.train import MaskedLesson, loss, masked_lesson, validate
from relume.methods.masked.trained import read_masked
from relume.training.loop import LOSS, Course, train
from relume.training.models import read_model
from stages import reconstruct_masked, train_masked
from tests.decoder_files import CPU, RUN, together, training
from tests.evaluation_files import write_dataset

SIZE = 16
STACK = {"width": 16, "depth": 1, "heads": 2}
TOKENS = {"kind": "tokenizer", "width": 8, "levels": [5, 5]}
ENERGY = {"kind": "energy_transformer", "width": 16, "heads": 2, "key": 8, "memories": 32, "steps": 2, "alpha": 0.5, "beta": 0.3}
MIXED = {"kind": "mixed_ae", "encoder": STACK, "decoder": STACK, "recognition": 0.1, "temperature": 0.25, "projection": 8}
MODELS: dict[str, dict[str, Any]] = {
    "codes": {"architecture": TOKENS, "tokenizer": "data/images/toy"},
    "et": {"architecture": ENERGY, "tokenizer": "data/images/toy"},
    "mae": {"architecture": {"kind": "mae", "encoder": STACK, "decoder": STACK, "norm_pix": True}},
    "mixed": {"architecture": MIXED},
    "beit": {
        "architecture": {"kind": "beit", "encoder": STACK, "tokenizer": TOKENS},
        "tokenizer": "models/masked/codes",
        "masks": {"pattern": "block", "ratio": 0.4},
    },
}
SHARED: dict[str, Any] = {
    "dataset": "toy",
    "masks": {"pattern": "random", "ratio": 0.75, "cell": 4},
    "augment": {"flip": True, "crop": 0.2, "colour": 0.0},
    "training": training(),
    "validation": None,
}
GROUP = {
    "dataset": "toy",
    "split": "test",
    "count": 3,
    "pattern": "random",
    "ratios": [0.5, 0.75],
    "cell": 4,
    "models": ["et", "beit"],
}
FILES = ("model.safetensors", "last.safetensors", "model.json", "history.csv", "samples.png", "progress.jpg")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a dataset and parameters."""
    write_dataset(tmp_path / "data/images/toy", size=SIZE)
    params = {
        "run": {"seed": 0, "device": "cpu", "precision": "float32", "micro_batch": 3},
        "train_masked": {"shared": SHARED, "models": MODELS},
        "reconstruct_masked": {"masked": GROUP},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    stages = {"stages": dict.fromkeys(("train_masked", "reconstruct_masked"), {"deps": []})}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(stages))
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "RELUME_SCRATCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("relume.params.check", lambda whole: None)
    return tmp_path


def trained(name: str, out: Path = Path("models/masked")) -> Result:
    options = {"--model": name, "--images": "data/images/toy", "--out": str(out / name), "--timing": f"metrics/{name}.csv"}
    options["--tokenizer"] = MODELS.get(name, {}).get("tokenizer", "data/images/toy")
    return CliRunner().invoke(train_masked.main, [part for pair in options.items() for part in pair])


def filled(out: str = "data/reconstructions/masked") -> Result:
    options = {"--group": "masked", "--images": "data/images/toy", "--models": "models/masked", "--out": out}
    return CliRunner().invoke(reconstruct_masked.main, [part for pair in options.items() for part in pair])


def lesson(data: Dataset, name: str = "et", **differences: Any) -> MaskedLesson:
    config = masked_model(SHARED, merge(MODELS[name], differences), "toy")
    return masked_lesson(name=name, config=config, run=RUN, dataset=data, device=CPU)


def test_from_training_to_a_group(project: Path) -> None:
    for name in MODELS:
        result = trained(name)
        assert result.exit_code == 0, result.output
        assert f"{name}: " in result.output
        assert ("where it is hidden; the mean of the visible" in result.output) == (name != "codes")
        assert ("with nothing hidden from it" in result.output) == (name == "codes")
        assert {path.name for path in (project / "models/masked" / name).iterdir()} == set(FILES)
    card = read_json(project / "models/masked/beit/model.json")
    assert {"code", "params", "sha256", "metrics", "parameters", "data", "size", "device"} <= set(card)
    terms = {row["term"] for row in read_csv(project / "models/masked/mixed/history.csv")}
    assert {"train/loss", "train/pixels", "train/recognition", "val/psnr_masked", "val/floor_mean_visible"} <= terms
    assert not list(project.glob(".dvc/tmp/resume/*")), "nothing is left in the scratch"

    result = filled()
    assert result.exit_code == 0, result.output
    group, masks = read_masked_group(project / "data/reconstructions/masked")
    methods = list(dict.fromkeys(row["method"] for row in group.index))
    assert methods[-2:] == ["et", "beit"]
    assert all(name.startswith("floor_") for name in methods[:-2])
    assert len(group.index) == len(methods) * 2 * 3
    assert [row["id"] for row in group.index[:3]] == ["test0", "test1", "test2"]
    assert {(row["task"], row["oracle"], row["selected"]) for row in group.index} == {("masked", "false", "true")}
    by_method = masks.reshape(len(methods), 2, 3, 4, 4)
    assert (by_method == by_method[:1]).all(), "masks are the same for all methods"
    assert [float(row["mask_ratio"]) for row in group.index] == [0.5] * 3 + [0.75] * 3 + ([0.5] * 3 + [0.75] * 3) * (
        len(methods) - 1
    )
    assert masks[:3].sum() == 3 * 8
    assert masks[3:6].sum() == 3 * 12
    assert [row["method"] for row in group.timing] == methods
    assert {row["term"] for row in read_csv(group.folder / "trace.csv")} == {"energy@0.5", "energy@0.75"}
    way = read_descent(group.folder)
    assert [(row["method"], row["id"], row["step"]) for row in way.rows[:4]] == [
        *(("et", "test0", step) for step in "012"),
        ("et", "test1", "0"),
    ]
    at = methods.index("et") * 6
    assert np.array_equal(way.images[2::3], group.images[at : at + 3]), "the last step is the prediction"
    counts = {name: read_json(project / "models/masked" / name / "model.json")["parameters"] for name in ("et", "beit")}
    assert group.method["parameters"] == counts
    assert_predicted(project, group.images.reshape(len(methods), 2, 3, SIZE, SIZE, 3)[methods.index("et"), 1], by_method[0, 1])


def assert_predicted(project: Path, pictures: np.ndarray, masks: np.ndarray) -> None:
    """The group's pictures are what the model says of pictures that are black where they are hidden."""
    data, model = Dataset.open(project / "data/images/toy"), read_masked(project / "models/masked/et", CPU)
    numbers = data.select("test", 3)
    hidden = masks_of(data.ids(numbers), 4, Masks(pattern="random", ratio=0.75, cell=4), 0)
    assert np.array_equal(hidden.numpy(), masks)
    seen = data.pixels(numbers).masked_fill(in_pixels(hidden, 4), 0)
    assert np.array_equal(pictures, to_uint8(model.predict(seen, hidden)))


def test_equal_inputs_give_equal_bytes_and_a_killed_stage_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With noise and partners, which are drawn anew at every step."""
    noisy = {**MODELS["et"], "architecture": {**ENERGY, "noise": 0.1}}
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["train_masked"]["models"] = {**MODELS, "noisy": noisy}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    for name in ("noisy", "mixed"):
        assert trained(name, Path("whole")).exit_code == 0
    monkeypatch.setattr("relume.core.checkpoint.Checkpoint.due", lambda self: True)
    advance, steps = Course.advance, []

    def killed(self: Course) -> None:
        steps.append(self.step)
        if len(steps) in (4, 12):
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Course, "advance", killed)
    for name in ("noisy", "mixed"):
        assert trained(name, Path("late")).exit_code != 0
        assert trained(name, Path("late")).exit_code == 0
        for file in FILES:
            assert (project / "whole" / name / file).read_bytes() == (project / "late" / name / file).read_bytes(), file


def test_it_learns(project: Path) -> None:
    """On noise there is nothing to learn but the training pictures themselves."""
    data = Dataset.open(project / "data/images/toy")
    steps = training(steps=80, batch=4, learning_rate=1e-2, validate_every=40, log_every=40, ema=0.0)
    toy = lesson(data, "mae", training=steps, augment={"flip": False, "crop": 0.0})
    toy = replace(toy, val=toy.train)
    first = validate(toy)
    done = train(toy.task(), toy.config.training, RUN)
    assert done.metrics[LOSS] < 0.8 * first[LOSS]
    assert done.history[-1]["step"] == 80


def test_partners_and_masks_come_from_each_rows_generator(project: Path) -> None:
    toy = lesson(Dataset.open(project / "data/images/toy"), "mixed", augment={"flip": False, "crop": 0.0})
    assert isinstance(toy.model, MixedAe)
    both = loss(toy, [0, 1], [generator(0, "a"), generator(0, "b")])
    apart = [loss(toy, [row], [generator(0, name)]) for row, name in enumerate("ab")]
    assert both[LOSS].item() == pytest.approx((apart[0][LOSS].item() + apart[1][LOSS].item()) / 2, rel=1e-5)


def test_validation_states_the_floor_beside_the_score(project: Path) -> None:
    """The mean of the visible, worked out apart."""
    data = Dataset.open(project / "data/images/toy")
    metrics = validate(lesson(data))
    numbers = data.select("val")
    hidden = in_pixels(masks_of(data.ids(numbers), 4, Masks(pattern="random", ratio=0.75, cell=4), 0), 4)
    wanted = []
    for picture, dark in zip(data.pixels(numbers), hidden[:, 0], strict=True):
        colour = picture[:, ~dark].mean(1, keepdim=True)
        wanted.append(-10 * float((picture[:, dark] - colour).square().mean().log10()))
    assert metrics["floor_mean_visible"] == pytest.approx(float(np.mean(wanted)), abs=1e-3)


def test_faults_name_themselves(project: Path) -> None:
    result = trained("nobody")
    assert result.exit_code == 1
    assert "train_masked.models.nobody: missing" in result.output
    result = filled()
    assert result.exit_code == 1
    assert "models/masked/et/model.json is missing" in result.output
    assert trained("codes").exit_code == 0
    with pytest.raises(UserError, match="it is shown what is hidden"):
        read_masked(project / "models/masked/codes", CPU)
    data = Dataset.open(project / "data/images/toy")
    other = masked_model(SHARED, merge(MODELS["beit"], {"architecture": {"tokenizer": {"levels": [3, 3]}}}), "toy")
    with pytest.raises(UserError, match="a tokenizer of"):
        masked_lesson(name="b", config=other, run=RUN, dataset=data, device=CPU, tokenizer=project / "models/masked/codes")
    with pytest.raises(UserError, match="cells of 5 px"):
        lesson(data, masks={"cell": 5})


def test_the_tokenizer_is_the_one_that_was_trained(project: Path) -> None:
    assert trained("codes").exit_code == 0
    assert trained("beit").exit_code == 0
    codes, beit = (read_model(project / "models/masked" / name)[0] for name in ("codes", "beit"))
    assert all(torch.equal(value, beit[f"tokenizer.{name}"]) for name, value in codes.items())


def test_sections_are_checked() -> None:
    section: dict[str, Any] = {"shared": SHARED, "models": MODELS}
    assert list(masked_models(section)) == list(MODELS)
    wrong = {"a": {"architecture": ENERGY, "tokenizer": "models/masked/codes"}, "b": {"architecture": {**ENERGY, "alpha": 0}}}
    with pytest.raises(UserError) as caught:
        masked_models({"shared": SHARED, "models": wrong})
    assert "train_masked.models.a.tokenizer" in str(caught.value)
    assert "train_masked.models.b.architecture.alpha" in str(caught.value)


def test_a_batch_that_cannot_be_shared_stops_it_before_the_work(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_masked, "ranks", together(3))
    monkeypatch.setattr(train_masked, "masked_lesson", lambda **_: pytest.fail("work has begun"))
    result = trained("et")
    assert result.exit_code == 1
    assert "train_masked.models.et.training.batch: 2 cannot be shared evenly by 3 processes" in result.output
