"""README states what the files say: its table is `metrics/summary.json`, its targets the Makefile's, its links lead somewhere.

Its other commands are run in `test_pipeline.py`.
"""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    """Every line of every shell block, without its comment."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_the_table_is_what_was_measured() -> None:
    measured = json.loads((ROOT / "metrics/summary.json").read_text())["photos"]
    rows = re.findall(r"^\| .*? \| `(\w+)` \| (.*) \|$", README, re.MULTILINE)
    assert len(rows) == 16
    for method, cells in rows:
        shown = [cell.strip() for cell in cells.split("|")]
        scores = [measured[method].get(name) for name in ("psnr", "ssim", "lpips_vgg", "feature_error", "reid_top1")]
        for cell, score, digits in zip(shown, scores, (1, 3, 3, 3, 2), strict=True):
            wanted = "" if score is None else f"{score:.{digits}f}".removeprefix("0" if digits == 3 else "")
            assert cell == wanted, f"{method}: README says {cell!r}, summary.json {wanted!r}"


def test_the_table_of_masked_models_is_what_was_measured() -> None:
    measured = json.loads((ROOT / "metrics/summary.json").read_text())["photos_32"]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", README, re.MULTILINE)
    assert {method for method, _ in rows} == {label.split()[0] for label in measured} - {"floor_mean_patch"}
    for method, cells in rows:
        scores = [measured[f"{method} {share}%"] for share in (85, 50)]
        wanted = [text for score in scores for text in (f"{score['psnr_masked']:.1f}", f"{score['lpips_alex']:.3f}"[1:])]
        assert [cell.strip() for cell in cells.split("|")] == wanted, method


def test_the_energy_transformer_is_above_the_nearest_visible_floor() -> None:
    measured = json.loads((ROOT / "metrics/summary.json").read_text())["photos_32"]
    assert measured["et 85%"]["psnr_masked"] > measured["floor_nearest_visible 85%"]["psnr_masked"]


def test_every_decoder_of_the_default_has_learned_something() -> None:
    """The shallowest gives the picture away, and all know more than one colour for all pictures."""
    measured = json.loads((ROOT / "metrics/summary.json").read_text())["photos"]
    trained = yaml.safe_load((ROOT / "params.yaml").read_text())["train_decoder"]["decoders"]
    assert measured["alexnet_conv1"]["psnr"] > 20
    for name in trained:
        assert measured[name]["psnr"] > measured["floor_dataset_mean"]["psnr"], name


def test_targets_and_links_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = [command.split()[1] for command in commands() if command.startswith("make ")]
    assert {"repro", "test"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_command_is_known_to_some_test() -> None:
    kinds = ("make ", "dvc ", "relume ", "source .venv/bin/activate")
    assert [command for command in commands() if not command.startswith(kinds)] == []
