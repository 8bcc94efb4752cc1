"""Studies: every file is valid, faults are told before any work, and tiny studies run from pictures to tables, once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from safetensors.torch import load_file

from benchmarks import (
    decoder_runs,
    decoder_study,
    decoders,
    inversion,
    masked,
    masked_runs,
    masked_study,
    masked_tables,
    runs,
    study,
)
from benchmarks.common import Crop, Detailed
from benchmarks.tables import table
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json, write_json
from relume.core.images import save_png
from relume.core.results import read_group
from relume.data.pictures import File
from relume.evaluation.comparison import COMPARISONS, LEADERBOARD, MASKED
from relume.methods.decoder.model import read_decoder
from relume.methods.optimise import tuned
from relume.training import stage
from tests.study_files import BEIT, CONV1, DOCUMENTS, ET, STEPS, study_call
from tests.toy_masked import TOKENS

Call = Callable[..., Result]


def planned(kind: str, params: dict[str, Any], **changes: Any) -> Any:
    plain = {**DOCUMENTS[kind], **changes}
    if kind == "inversion":
        return study.jobs(study.build(study.Study, plain, "study"), params, dataset="toy", split="test")
    if kind == "decoders":
        wanted = decoder_study.build(decoder_study.DecoderStudy, plain, "study")
        return decoder_study.plan(wanted, params, dataset="toy", split="val")
    return masked_study.plan(masked_study.build(masked_study.MaskedStudy, plain, "study"), params, "toy")


NARROW: dict[str, Any] = {"refine": {}, "depths": {}}
SWIN = {"kind": "simmim", "patch": 3, "width": 8, "depths": [1], "heads": [1], "window": 2}
WIDE = {"architecture": {**TOKENS, "width": 12}}
NO_MAP = {"conv1": CONV1 | {"taps": ["pool"], "architecture": {"kind": "conv_only"}}}
FAULTS: list[tuple[str, str, dict[str, Any]]] = [
    ("inversion", "per_case.shalow: ", {"per_case": {"shalow": {}}}),
    ("inversion", "questions.q: ", {"questions": {"q": {"a": "tuned", "b": "s1"}}}),
    ("inversion", "methods.tuned.start: ", {"methods": {"tuned": {"start": "s0"}, "s0": {}}}),
    ("inversion", "study.base.count: ", {"base": {"count": 3}}),
    ("inversion", "s0 of shallow and s0 of deep", {"cases": {"shallow": {}, "deep": {}}}),
    ("decoders", "metrics: psnr", {"metrics": ["ssim"]}),
    ("decoders", "study.decoders.conv1.taps: ", {"decoders": NO_MAP, **NARROW}),
    ("decoders", "refine.refined.decoder: one of the study's", {"refine": {"refined": {"decoder": "conv3"}}}),
    ("decoders", "depths.alexnet: ", {"depths": {"alexnet": ["conv1", "conv3"]}}),
    ("decoders", "ship: ", {"ship": ["conv3"]}),
    ("decoders", "study.floors: ", {"floors": ["floor_blocks_8"]}),
    ("decoders", "study.questions.q: ", {"questions": {"q": {"a": "conv1", "b": "conv9"}}}),
    ("decoders", "study.base.count: ", {"base": {"count": 3}}),
    ("decoders", "study.refine.refined.taps: ", {"refine": {"refined": {"decoder": "conv2", "taps": {}}}}),
    ("decoders", "study.refine: ", {"refine": {"conv1": {"decoder": "conv2"}}}),
    ("masked", "questions.q.metrics: ", {"questions": {"q": {"a": "et", "b": "beit", "metrics": ["psnr"]}}}),
    ("masked", "study.cell: ", {"cell": 5}),
    ("masked", "study.shared.masks.cell: ", {"shared": {"masks": {"cell": 2}}}),
    ("masked", "study.models.et.validation: ", {"models": {"et": {**ET, "validation": 1}}}),
    ("masked", "'et' is no tokenizer", {"models": {"et": ET, "beit": {**BEIT, "tokenizer": "et"}}}),
    ("masked", "study.models.beit.architecture.tokenizer: ", {"models": {"beit": BEIT, "codes": WIDE}}),
    ("masked", "models.beit.tokenizer: ", {"models": {"beit": {"architecture": BEIT["architecture"]}}}),
    ("masked", "study.models: floor_et: ", {"models": {"floor_et": ET}}),
    ("masked", "study.models.swin: ", {"models": {"swin": {"architecture": SWIN}}}),
    ("masked", "study.models: floors: ", {"models": {"floors": ET}}),
    ("masked", "study.probe.models: ", {"probe": {"models": []}}),
    ("masked", "study.questions.q.b: ", {"questions": {"q": {"a": "et", "b": "mae"}}}),
    ("masked", "study.questions.q.a: ", {"questions": {"q": {"a": "codes", "b": "et"}}}),
]


@pytest.mark.parametrize(("kind", "message", "changes"), FAULTS)
def test_faults_are_named_before_any_work(
    kind: str, message: str, changes: dict[str, Any], default_params: dict[str, Any]
) -> None:
    with pytest.raises(UserError) as caught:
        planned(kind, default_params, **({"questions": {}} if kind == "masked" else {}) | changes)
    assert message in str(caught.value)


def test_jobs_and_shortened_schedules(default_params: dict[str, Any]) -> None:
    found = [inversion.split_of(at) for at in range(11)]
    assert [at for at, split in enumerate(found) if split == "test"] == [0, 10]
    assert [at for at, split in enumerate(found) if split == "val"] == [2, 7]
    jobs = {job.folder: job for job in planned("inversion", default_params)}
    assert list(jobs) == ["shallow_s0", "shallow_tuned", "deep_s0", "deep_tuned", "deep_once"]
    assert [jobs[name].config.steps for name in jobs] == [2, 2, 2, 4, 2]
    assert jobs["deep_once"].config.taps == {"conv1": 1.0, "conv2": 1.0}
    assert {job.config.count for job in jobs.values()} == {2}
    assert jobs["deep_tuned"].start == "s0"
    weights = {name: (job.config.losses.tv, job.config.losses.alpha_norm) for name, job in jobs.items()}
    assert (weights["deep_tuned"], weights["deep_s0"]) == ((0.1, 0.2), (0.1, 0.0))
    long = {"steps": 100, "sizes": [[0, 16], [50, 32]], "switches": [[40, {"kind": "pixels", "box": "projection"}]]}
    long |= {"optimiser": {"learning_rate": [[0, 0.3], [60, 0.1]]}}
    job = study.shortened(planned("inversion", default_params, base=long, per_case={})[0], 0.5)
    assert (job.method, job.config.steps) == ("s0_equal_seconds", 50)
    assert job.config.sizes == ((0, 16), (25, 32))
    assert [step for step, _ in job.config.switches] == [20]
    assert job.config.optimiser.learning_rate == ((0, 0.3), (30, 0.1))
    least = study.shortened(job, 0.001).config
    assert (least.steps, least.sizes, least.optimiser.learning_rate) == (1, ((0, 32),), ((0, 0.1),))


def test_equal_seconds(default_params: dict[str, Any]) -> None:
    job = planned("inversion", default_params, base={"steps": 100})[0]

    def done(seconds: float, **other: Any) -> runs.Done:
        plain = {"upstream": 0.0, "device": "cpu", "fixed": 0.0, "kept": False, **other}
        return runs.Done(job=job, digest="", steps=100, seconds=seconds, **plain)

    def fitted(a: runs.Done) -> int:
        found = runs.equal_seconds({"a": a, "b": done(6.0)}, "a", "b")
        assert found is not None
        return found.config.steps

    assert runs.equal_seconds({"a": done(5.0), "b": done(6.0)}, "a", "b") is None  # it was not slower
    assert runs.equal_seconds({"a": done(9.0)}, "a", "b") is None  # b has no such case
    assert fitted(done(8.0, upstream=2.0)) == 50  # (6 - 2) / 8
    assert fitted(done(9.0, fixed=4.0)) == 40  # (6 - 4) / (9 - 4): what comes before the first step is not shortened
    for a, told in ((done(1.0, upstream=7.0), "longer already"), (done(8.0, device="gpu"), "gpu and on cpu")):
        with pytest.raises(UserError, match=told):
            fitted(a)


def test_a_refinement_and_its_parent_differ_by_what_the_file_says(default_params: dict[str, Any]) -> None:
    found = planned("decoders", default_params)
    assert found.methods == ["conv1", "conv2", "both", "conv2_alone", "refined"]
    assert {config.dataset for config in found.decoders.values()} == {"toy"}
    alone, refined = found.jobs
    assert (alone.start, refined.start) == ("", "conv2")
    assert alone.config.steps == refined.config.steps == 3  # the parent takes as many
    assert (alone.config.split, alone.config.count) == (refined.config.split, refined.config.count) == ("val", 2)
    assert list(refined.config.taps) == ["conv2"]
    recipe = tuned.recipe(tuned.name_for("alexnet_conv", ["conv2"]))
    assert (alone.config.losses.tv, refined.config.losses.tv) == (recipe["losses"]["tv"], 0.5)
    assert refined.config.init.std == 0.0 < alone.config.init.std


def test_a_plan_of_masked_models(default_params: dict[str, Any]) -> None:
    found = planned("masked", default_params)
    assert list(found.models) == ["codes", "et", "beit"]
    assert found.predictors == ("beit", "et")
    masks = {name: (config.masks.pattern, config.masks.ratio, config.masks.cell) for name, config in found.models.items()}
    assert masks == {"codes": ("random", 0.75, 4), "et": ("random", 0.75, 4), "beit": ("block", 0.4, 4)}
    assert {config.dataset for config in found.models.values()} == {"toy"}
    assert found.models["beit"].tokenizer == "models/masked/codes"
    assert (found.group.split, found.group.count, found.group.ratios) == ("test", 3, (0.5, 0.75))
    assert masked_study.chosen(found, ["beit"]) == ["codes", "beit"]
    assert masked_study.chosen(found, []) == list(found.models)


@pytest.fixture
def call(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command of the study that a test is about, in a folder with fifteen pictures of noise."""
    if request.param == "masked":
        names = [f"toy/{'train' if number < 8 else 'test'}/{'ab'[number % 2]}/{number:02}.png" for number in range(12)]
        return study_call(tmp_path, monkeypatch, masked.main, names, ["toy"])
    write_json(tmp_path / "models/weights/alexnet_conv/model.json", {"name": "alexnet_conv"})
    times = {"s0": 1.0, "tuned": 3.0}  # independent of the machine
    if request.param == "inversion":
        monkeypatch.setattr(runs, "seconds_of", lambda folder: times.get(folder.name.split("_", 1)[1], 1.0))
    return study_call(tmp_path, monkeypatch, {"inversion": inversion, "decoders": decoders}[request.param].main)


def of(kind: str) -> Any:
    return lambda test: pytest.mark.slow(pytest.mark.parametrize("call", [kind], indirect=True)(test))


def board(columns: tuple[str, ...], path: str = "out/toy.csv") -> list[dict[str, str]]:
    found = read_csv(Path(path))
    assert tuple(found[0]) == columns
    return found


def check_a_second_run_makes_nothing(call: Call, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *work: Any) -> None:
    for module, name in work:
        monkeypatch.setattr(module, name, lambda *given, **named: pytest.fail("nothing is to be made anew"))
    first = Path("out/toy_comparisons.csv").read_bytes()
    assert call(document).exit_code == 0
    assert Path("out/toy_comparisons.csv").read_bytes() == first


@of("inversion")
def test_a_study_of_inversions(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {**DOCUMENTS["inversion"], "methods": {**DOCUMENTS["inversion"]["methods"], "tuned": {}}}
    result = call(document)  # tuned from scratch: it can then run in s0's seconds
    assert result.exit_code == 0, result.output
    rows = {(line["method"], line["tap"]) for line in board(LEADERBOARD) if line["family"] != "floor"}
    each = {(method, tap) for method in ("s0", "tuned", "tuned_equal_seconds") for tap in ("conv1", "conv2")}
    assert rows == each | {("once", "conv1+conv2")}
    comparisons = board(COMPARISONS, "out/toy_comparisons.csv")
    asked = {(line["question"], line["a"], line["b"], line["tap"], line["metric"]) for line in comparisons}
    for tap in ("conv1", "conv2"):
        assert ("better", "tuned", "s0", tap, "feature_error") in asked
        assert ("equal_seconds", "tuned_equal_seconds", "s0", tap, "psnr") in asked
    about = read_json(Path("out/toy.json"))
    assert about["runs"]["deep"]["tuned"] == {"steps": 4, "seconds": 3.0}
    assert about["runs"]["deep"]["tuned_equal_seconds"]["steps"] == 1
    assert {row["id"] for row in read_group(Path("work/reconstructions/deep_s0")).index} == {"00.png", "10.png"}
    refused = call(document, "--split", "val", "--out", "docs/results/toy.csv")
    assert "tuning" in refused.output
    check_a_second_run_makes_nothing(call, document, monkeypatch, (runs, "invert"))


@of("decoders")
def test_a_study_of_decoders(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    result = call(DOCUMENTS["decoders"])
    assert result.exit_code == 0, result.output
    own = [line for line in board(LEADERBOARD) if line["family"] != "floor"]
    rows = {(line["method"], line["family"], line["tap"]) for line in own}
    decoded = {("conv1", "decoder", "conv1"), ("conv2", "decoder", "conv2"), ("both", "decoder", "conv1+conv2")}
    assert rows == decoded | {("conv2_alone", "optimise", "conv2"), ("refined", "hybrid", "conv2")}
    assert {(line["task"], line["oracle"], line["n"]) for line in own} == {("feature", "false", "2")}
    comparisons = read_csv(Path("out/toy_comparisons.csv"))
    asked = {(line["question"], line["a"], line["b"], line["metric"]) for line in comparisons}
    assert ("depth_alexnet", "conv1", "conv2", "psnr") in asked
    assert ("against_floor_blocks_7", "both", "floor_blocks_7", "psnr") in asked
    errors = {(a, b) for _, a, b, metric in asked if metric == "feature_error"}
    assert errors == {("refined", "conv2"), ("refined", "conv2_alone")}, "errors at different taps are not comparable"
    about = read_json(Path("out/toy.json"))
    assert (about["n"], list(about["runs"]), about["runs"]["refined"]["steps"]) == (2, ["conv2_alone", "refined"], 3)
    told = about["decoders"]["conv1"]
    assert (told["steps"], told["batch"], told["train"]) == (STEPS, 2, 10)
    assert {row["id"] for row in read_group(Path("work/reconstructions/decoders_conv1")).index} == {"00.png", "10.png"}
    work = ((stage, "train"), (decoder_runs, "decode"), (runs, "invert"))
    check_a_second_run_makes_nothing(call, DOCUMENTS["decoders"], monkeypatch, *work)


@of("decoders")
def test_what_ships_is_half_precision_and_learns_from_more_pictures(call: Call) -> None:
    """But not from one that is a held-out picture at another size."""
    noise = np.random.default_rng(1).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        save_png(Path(f"more/{number}.png"), pixels)
    Image.open("noise/00.png").resize((88, 80)).save("more/copy.png")
    document = {
        **DOCUMENTS["decoders"],
        **NARROW,
        "decoders": {"conv1": CONV1},
        "questions": {},
        "ship": ["conv1"],
        "detail": 0.5,
    }
    result = call(document, "--more", "more", "--ship", "shipped")
    assert result.exit_code == 0, result.output
    sources = {row["source"] for row in read_csv(Path("work/images/noise/index.csv")) if row["split"] == "train"}
    assert {f"more/{number}.png" for number in range(12)} == {one for one in sources if one.startswith("more/")}
    assert all(value.dtype == torch.float16 for value in load_file("shipped/conv1/model.safetensors").values())
    made = read_decoder(Path("shipped/conv1"), torch.device("cpu"))
    row = next(line for line in board(LEADERBOARD) if line["method"] == "conv1")
    assert made.card["test"]["psnr"] == float(row["psnr"])
    assert f"{float(row['psnr']):.2f}" in Path("shipped/README.md").read_text()


def test_detail_of_a_photograph_leaves_the_coarse_picture(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    few = np.asarray(Image.fromarray(draws.integers(60, 196, (4, 4, 3), dtype=np.uint8)).resize((16, 16)))
    for name, pixels in (("few", few), ("photograph", draws.integers(96, 160, (64, 64, 3), dtype=np.uint8))):
        save_png(tmp_path / f"{name}.png", pixels)
    picture, photograph = File("few", tmp_path / "few.png"), Crop("p", tmp_path / "photograph.png", 1.0, (0.0, 0.0))
    plain = picture.render(64, 64).astype(float)
    sharp = Detailed("few", picture, photograph, 1.0).render(64, 64) - plain

    def blocks(pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(4, 16, 4, 16, 3).mean((1, 3))

    assert np.abs(blocks(sharp)).max() < 2 < sharp.std()
    assert np.corrcoef(sharp.ravel(), photograph.render(64, None).ravel())[0, 1] > 0.9
    assert np.abs(Detailed("few", picture, photograph, 0.0).render(64, 64) - plain).max() == 0


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    train = stage.train

    def noted(trainer: Any, *given: Any, **named: Any) -> Any:
        names.append(trainer.name)
        return train(trainer, *given, **named)

    monkeypatch.setattr(stage, "train", noted)
    return names


@of("masked")
def test_a_study_of_masked_models(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    result = call(DOCUMENTS["masked"], "--pictures", "2")
    assert result.exit_code == 0, result.output
    lines = {(row["method"], row["mask_ratio"]): row for row in board(MASKED)}
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
    _, _, *rows = table("toy", ["et"], Path("out")).splitlines()
    assert [row.split(" | ")[:2] for row in rows] == [["| 50 %", "`et`"], ["| 75 %", "`et`"]]
    assert f"{float(lines['et', '0.75']['psnr_masked']):.2f} [" in rows[1]
    work = ((stage, "train"), (masked_tables, "reconstruct"), (masked_tables, "table"))
    check_a_second_run_makes_nothing(call, DOCUMENTS["masked"], monkeypatch, *work)


@of("masked")
def test_only_some_models_and_faults_before_training(call: Call, trained: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = DOCUMENTS["masked"]
    assert "--only" in call(plain, "--only", "bert").output
    assert "7 images" in call({**plain, "train": 7}).output
    assert "lpips_alex" in call({**plain, "metrics": ["psnr_masked", "lpips_alex"]}, "--weights", "nowhere").output
    assert "alexnet" in call({**plain, "sets": {"network": "alexnet", "tap": "pool"}}, "--weights", "nowhere").output
    assert not trained
    assert call(plain, "--only", "et").exit_code == 0
    assert trained == ["et"]
    assert call(plain, "--only", "beit").exit_code == 0  # and its tokenizer
    assert trained == ["et", "codes", "beit"]
    assert read_json(Path("work/models/masked/et/model.json"))["data"] == {"dataset": "toy", "train": 6, "val": 2}
    codes = {**plain["models"]["codes"], "training": {"learning_rate": 0.01}}
    document = {**plain, "models": {**plain["models"], "codes": codes}}
    assert call(document, "--only", "et", "--only", "beit").exit_code == 0
    assert trained == ["et", "codes", "beit", "codes", "beit"]  # its tokenizer has changed
    monkeypatch.setattr(masked_runs, "digest_of", lambda modules: "another")
    assert call(document, "--only", "et", "--any-code").exit_code == 0
    assert len(trained) == 5
    assert call(document, "--only", "et").exit_code == 0
    assert trained[5:] == ["et"], "other code trains anew unless told otherwise"
