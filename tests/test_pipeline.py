"""The whole pipeline on toy parameters in a copy of this tree: what reruns, what does not, whose sources run, equal bits."""

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from relume.core.files import read_csv, sha256
from tests.gan_files import KINDS
from tests.preset_files import JUDGES, LADDERS
from tests.stage_files import NONE
from tests.test_readme import DOCS, blocks, commands
from tests.test_readme import toy as shortened
from tests.toy_masked import ENERGY, STACK

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
DVC = [sys.executable, "-m", "dvc"]
MAE = {"kind": "mae", "encoder": STACK, "decoder": STACK, "norm_pix": False}
MEASURED = {"timing.csv"}  # times live in files of their own; of the tables only columns of cost hold them


def run(*command: str, cwd: Path, fails: bool = False, **more: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | more | {"PATH": path, "DVC_NO_ANALYTICS": "1"}
    env = {key: value for key, value in env.items() if key not in ("PYTHONPATH", "DVC_ROOT", "DVC_STAGE")}
    done = subprocess.run(command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def executed(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")}


def toy(params: dict[str, Any]) -> dict[str, Any]:
    params["run"]["micro_batch"] = 4
    for section in params.values():
        if isinstance(section, dict) and "training" in section.get("shared", {}):
            section["shared"]["training"].update(steps=4, batch=2, log_every=2, validate_every=2)
    # they are made like others; every item costs seconds of starting
    left_out = ("first", "deep", "pooled", "refined_shallow", "refined_middle")
    for recipe in left_out:
        del params["recipes"][recipe]
    del params["invert_decoder"]["pretrained"]  # decoders that ship are of 128 px
    params["recipes"]["refined_deep"]["start"] = "data/reconstructions/decoders"
    params["compare"]["groups"] = [name for name in params["compare"]["groups"] if name not in (*left_out, "pretrained")]
    questions, absent = params["compare"]["questions"], {*left_out, "alexnet_conv5_128"}
    params["compare"]["questions"] = {name: one for name, one in questions.items() if not {one["a"], one["b"]} & absent}
    params["prepare"]["datasets"]["photos"].update(pixels=64, test=4, val=2, train=6, dead_leaves_train=4, dead_leaves_val=2)
    params["prepare"]["datasets"]["photos_32"].update(test=4, val=2, train=6)
    params["extract"].update(networks=["alexnet_conv"], cached=["alexnet_conv"], held_out=[], pictures=8)
    params["invert_optimise"].update(steps=4, trace_every=2, count=3)
    for name, recipe in params["recipes"].items():
        recipe.update(network="alexnet_conv", taps={"conv2" if name == "shallow" else "conv5": 1.0}, steps=4)
    params["recipes"]["s0"]["sizes"] = [[0, 32], [2, 64]]
    params["floors"].update(count=3, blocks=[4])
    params["evaluate"].update(other_taps=[["alexnet_conv", "conv5"]])
    params["self_test"].update(count=2, exceptions=dict.fromkeys(JUDGES, LADDERS))  # of so few pictures nothing is asked
    params["compare"].update(resamples=1000)
    params["train_decoder"]["decoders"] = {"alexnet_conv5": {"network": "alexnet_conv", "taps": ["conv5"], "features": NONE}}
    params["invert_decoder"]["decoders"]["decoders"] = ["alexnet_conv5"]
    target = {"network": "vgg16_conv", "tap": "pool", "features": NONE}
    params["train_surrogate"]["models"]["surrogate_conv5"]["target"] = target
    models = {"et": ENERGY, "mae": MAE}.items()
    params["train_masked"]["models"] = {name: {"architecture": kind, "tokenizer": NONE} for name, kind in models}
    params["reconstruct_masked"]["masked"].update(models=["et", "mae"])
    params["probe"].update(models=["et"])
    metric_network = {"network": "vgg16_conv", "tap": "conv1_1"}
    params["train_gan"]["shared"].update(architecture=KINDS["style"], samples=2, metric_network=metric_network, withheld=2)
    params["train_gan"]["shared"]["objective"].update(taps=["conv1"], pixels=32, pictures=4)
    params["train_gan"]["shared"]["drawn"].update(count=4, walks=1, steps=2)
    params["score_samples"].update(count=4, withheld=2)
    params["train_mapper"]["shared"]["architecture"].update(width=8)
    params["invert_latent"]["latents"]["base"].update(steps=4, trace_every=2, count=3)
    hybrid = {"steps": 4, "switches": [[2, {"kind": "fourier", "decay": 1.0}]], "optimiser": {"learning_rate": [[0, 0.1]]}}
    params["invert_latent"]["latents"]["methods"]["latent_hybrid"].update(hybrid)
    residual = {"hidden": [8], "residual": True, "rotated": True}
    params["train_landscape"]["shared"].update(architecture=residual, replay=4, validation=2)
    params["train_landscape"]["shared"]["descents"].update(steps=2, per_batch=2)
    params["invert_landscape"]["pictures"].update(count=2, seeds=[0, 1])
    for way in params["invert_landscape"]["pictures"]["methods"].values():
        way.update(steps=2)
    params["defend"].update(count=2, noise=[1.0], bits=[1], pictures=2)
    params["maps"].update(decoders=["alexnet_conv5"], count=2, pictures=2, probes=1, groups=2, shown=1)
    return params


def copied(root: Path) -> Path:
    root.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).exists() and name not in ("dvc.lock", "metrics/summary.json"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name, follow_symlinks=not (ROOT / name).is_dir())  # a linked folder as a link
    params = toy(yaml.safe_load((ROOT / "params.yaml").read_text()))
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    run("git", "init", "-q", cwd=root)
    run("git", "config", "user.name", "t", cwd=root)
    run("git", "config", "user.email", "t@t", cwd=root)
    commit(root)
    return root


def commit(root: Path) -> None:
    run("git", "add", "-A", cwd=root)
    run("git", "commit", "-qm", "toy", cwd=root)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = copied(tmp_path_factory.mktemp("pipeline") / "tree")
    Image.fromarray(skimage.data.chelsea()).save(root / "my.jpg")
    hole = np.zeros(skimage.data.chelsea().shape[:2], np.uint8)
    hole[100:140, 200:260] = 255
    Image.fromarray(hole).save(root / "mask.png")
    first = executed(run(*DVC, "repro", cwd=root))
    assert first >= {"prepare@photos", "weights", "floors", "invert_optimise@shallow", "evaluate@floors", "compare", "report"}
    commit(root)
    return root


def outputs(root: Path) -> dict[str, str]:
    folders = ("data", "models", "metrics/methods", "metrics/sets", "metrics/paths")
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    written = ("sets.csv", "comparisons.csv", "correlations.csv", "self_test.csv", "summary.json")
    tables = [root / "metrics" / name for name in written]
    found = [path for path in [*files, *tables] if path.name not in MEASURED | {".gitignore"}]
    sums = {str(path.relative_to(root)): sha256(path) for path in found}
    costly = ("leaderboard.csv", "masked.csv")
    boards = {name: [row | {"seconds_per_image": ""} for row in read_csv(root / "metrics" / name)] for name in costly}
    return sums | {f"{name}, its cost apart": str(board) for name, board in boards.items()}


def test_a_second_repro_runs_no_stage(tree: Path) -> None:
    assert executed(run(*DVC, "repro", cwd=tree)) == set()


def test_two_runs_from_scratch_give_equal_bytes(tree: Path) -> None:
    before = outputs(tree)
    run(*DVC, "repro", "--force", "--no-run-cache", cwd=tree)
    assert outputs(tree) == before
    assert any(name.endswith("images.npy") for name in before)


def test_killed_at_random_moments_it_gives_the_same_bytes_and_leaves_nothing(tree: Path) -> None:
    from benchmarks import kills  # which imports this module

    known, draw = (outputs(tree), kills.tree(tree)), random.Random(0)
    rows = [row for _ in range(4) if (row := kills.trial(tree, known, draw))]
    assert rows
    assert {(row["code"], row["equal"], row["leftovers"], row["living"]) for row in rows} == {(0, True, 0, 0)}


WEIGHTS = [f"--weights=models/weights/{name}" for name in ("alexnet_conv", "vgg16_conv", "lpips_alex", "lpips_vgg")]
GROUP = ["--recipe=shallow", "--images=data/images/photos", *WEIGHTS, "--start=data/none", "--reference=data/none"]
GROUP += ["--surrogate=data/none"]
DECODER = ["--decoder=alexnet_conv5", "--images=data/images/photos", *WEIGHTS, "--features=data/features/photos/alexnet_conv"]
SMALL = """
mkdir small && mount -t tmpfs -o size=$1 small small || exit 77
shift
"$@" && exit 1
find small -name index.csv -o -name model.json -o -name images.npy -size -2
mount -o remount,size=64m small
"$@" && cp -r small/. "$COPY"
"""


MODEL = "models/decoder/alexnet_conv5/model.safetensors"


@pytest.mark.parametrize(
    ("size", "words", "result"),
    [
        ("220k", ["prepare", "--dataset=photos"], "data/images/photos/images.npy"),
        ("1m", ["train_decoder", *DECODER, "--timing=small/x.csv"], MODEL),
        ("60k", ["invert_optimise", *GROUP], "data/reconstructions/shallow/images.npy"),
        ("60k", ["invert_optimise", *GROUP, "--out={copy}/shallow"], "data/reconstructions/shallow/images.npy"),
    ],
    ids=["prepare", "train_decoder", "invert_optimise", "scratch"],
)  # fmt: skip
def test_a_full_disk_is_named_and_the_same_command_goes_on(
    tree: Path, tmp_path: Path, size: str, words: list[str], result: str
) -> None:
    """A small disk of its own, in a namespace where that needs no privilege: nothing there looks whole."""
    copy, same = tmp_path / "copy", tree / result
    here = "copy" in words[-1]  # then scratch is on the small disk, else the output
    words = [word.format(copy=copy) for word in words] + [f"--out=small/{same.parent.name}"] * (not here)
    namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c", SMALL, "sh", size]
    if not shutil.which("unshare") or subprocess.run([*namespace[:3], "true"], check=False).returncode:
        pytest.skip("no mount namespaces here")
    copy.mkdir()
    own = {"COPY": str(copy), "RELUME_TRACKING": "off", "RELUME_SCRATCH": "small" if here else str(tmp_path / "scratch")}
    said = run(*namespace, sys.executable, "-m", f"stages.{words[0]}", *words[1:], cwd=tree, **own)
    (tree / "small").rmdir()
    assert re.search(r"cannot write \S*small/\S*: the disk is full", said)
    assert not re.search("^small/", said, re.MULTILINE)
    assert (copy / same.parent.name / same.name).read_bytes() == same.read_bytes()


def test_a_changed_loss_weight_reruns_inversions_their_evaluation_and_the_tables(tree: Path) -> None:
    """No recipe states this weight, so all take it from `losses`."""
    changed = {
        f"{stage}@{recipe}" for stage in ("invert_optimise", "evaluate") for recipe in ("shallow", "middle", "refined_deep", "s0")
    }
    assert executed(run(*DVC, "exp", "run", "-S", "losses.alpha_norm=0.1", cwd=tree)) == {*changed, "compare", "report"}
    run(*DVC, "exp", "run", "-S", "losses.alpha_norm=0.2", cwd=tree)
    again = run(*DVC, "exp", "run", "-S", "losses.alpha_norm=0.1", cwd=tree)
    assert executed(again) == set(), "the same parameters again come from the cache"


def test_a_temporary_copy_runs_its_own_sources(tree: Path) -> None:
    """An installed relume is another tree: were it run, the edited loss would not show."""
    run("git", "checkout", "-q", "--", ".", cwd=tree)
    run(*DVC, "checkout", cwd=tree)
    before = first_tv(tree)
    loss = tree / "src/relume/losses/image.py"
    loss.write_text(loss.read_text().replace("return squares.flatten(1).mean(1)", "return 3 * squares.flatten(1).mean(1)"))
    run(*DVC, "exp", "run", "--temp", "--name", "edited", cwd=tree)
    run(*DVC, "exp", "apply", "edited", cwd=tree)
    assert first_tv(tree) == pytest.approx(3 * before, rel=1e-5)


def first_tv(root: Path) -> float:
    rows = read_csv(root / "data/reconstructions/shallow/trace.csv")
    return float(next(row["value"] for row in rows if row["term"] == "tv" and row["step"] == "0"))


PAGES = [page for page in DOCS if page.name != "share.md"]  # its commands need two clones: test_setup.py
SHOWN = dict.fromkeys(shortened(command) for page in PAGES for command in commands(page))
SCRIPTS = dict.fromkeys(shortened(script) for page in PAGES for script in blocks(page, "python"))


def test_every_command_of_the_docs_runs(tree: Path) -> None:
    run("git", "checkout", "-q", "-f", "--", ".", cwd=tree)
    run(*DVC, "checkout", cwd=tree)
    for command in filter(None, SHOWN):
        own = command.replace("relume ", "python -m relume.cli.main ", 1) if command.startswith("relume ") else command
        run("bash", "-c", f"export PYTHONPATH=$PWD/src; {own}", cwd=tree)  # not that of an installed relume
    assert "photos" in run(*DVC, "metrics", "show", cwd=tree)


@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
def test_every_script_of_the_docs_runs(tree: Path, script: str) -> None:
    run(sys.executable, "-c", f"import sys; sys.path.insert(0, 'src')\n{script}", cwd=tree)


def test_a_fault_in_the_parameters_stops_before_any_work(tree: Path) -> None:
    params = tree / "params.yaml"
    whole = params.read_text()
    try:
        params.write_text(whole.replace("max_bad: 0", "max_bad: 1").replace("conv5:", "conv55:"))
        output = run(*DVC, "repro", cwd=tree, fails=True)
    finally:
        params.write_text(whole)
    assert executed(output) == {"prepare@photos"}
    assert "recipes.refined_deep.taps" in output
    assert "conv5" in output


def test_a_decoder_is_trained_by_several_processes(tree: Path) -> None:
    """As docs/howto/gpu.md says, to its tolerance: Adam moves weights by little in so few steps, so the curves must agree too."""
    (command,) = re.findall(r"```sh\nRELUME_TRAINER=\"torchrun (.*?)\" dvc (.*?)\n```", (ROOT / "docs/howto/gpu.md").read_text())
    folder = tree / "models/decoder/alexnet_conv5"
    run(*DVC, "repro", "train_decoder", cwd=tree)
    alone, curves = load_file(folder / "model.safetensors"), history(folder)
    trainer = f"{sys.executable} -m torch.distributed.run {command[0]}"
    output = run(*DVC, *command[1].split(), "--force", cwd=tree, RELUME_TRAINER=trainer, OMP_NUM_THREADS="1")
    assert "train_decoder@alexnet_conv5" in executed(output)
    assert history(folder) == pytest.approx(curves, rel=1e-4)
    for name, value in load_file(folder / "model.safetensors").items():
        assert torch.allclose(value, alone[name], atol=2e-4), name


def history(folder: Path) -> dict[tuple[str, str], float]:
    return {(row["step"], row["term"]): float(row["value"]) for row in read_csv(folder / "history.csv")}


def test_pictures_have_the_size_that_is_asked_for(tmp_path: Path) -> None:
    """DVC's run cache would restore those of another size if it did not see the key that states it."""
    root = copied(tmp_path / "tree")
    ran = []
    for pixels in (32, 64, 32):
        size = f"prepare.datasets.photos_32.pixels={pixels}"
        ran.append("prepare@photos_32" in executed(run(*DVC, "exp", "run", "-S", size, "prepare@photos_32", cwd=root)))
        assert np.load(root / "data/images/photos_32/images.npy", mmap_mode="r").shape[1:] == (pixels, pixels, 3)
    assert ran == [True, True, False], "the first size again comes from the cache"
