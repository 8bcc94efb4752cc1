"""`relume invert`: faults before work, a dry run that writes nothing, at the end original and rebuilding side by side."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from relume import api
from relume.cli import show
from relume.cli.invert import spacing
from relume.cli.main import main
from relume.networks import network as networks
from relume.networks.network import Network
from tests.evaluation_files import write_dataset

SIZE = 32


@pytest.fixture
def project(tmp_path: Path, default_params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with parameters, a tiny dataset, cards of weights, and a picture in a folder below, where the caller stands."""
    default_params["losses"] = dict.fromkeys(default_params["losses"], 0.0) | {"feature": 1.0, "guide": 1.0, "tv": 10.0}
    default_params["invert_optimise"]["dataset"] = "toy"
    default_params["invert_optimise"]["terms"]["guide"].update(pictures=4, reach=1)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(default_params))
    (tmp_path / "dvc.yaml").touch()
    write_dataset(tmp_path / "data/images/toy", size=SIZE)
    for name in ("alexnet_conv", "vgg16_conv"):
        (tmp_path / "models/weights" / name).mkdir(parents=True)
        (tmp_path / "models/weights" / name / "model.json").write_text(json.dumps({"name": name}))
    (tmp_path / "here").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
    Image.fromarray(pixels).save(tmp_path / "here" / "my.png")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(api, "load", lambda name, store, device: networks.random(name, seed=0))
    return tmp_path


def call(*words: str, network: str = "alexnet", tap: str = "conv2", steps: int = 3) -> Result:
    return CliRunner().invoke(
        main, ["invert", "my.png", "--network", network, "--tap", tap, "--size", str(SIZE), "--steps", str(steps), *words]
    )


def files(project: Path) -> set[str]:
    return {path.name for path in (project / "here").iterdir()}


def test_original_and_rebuilding_stand_side_by_side(project: Path) -> None:
    done = call()
    assert done.exit_code == 0, done.output
    assert files(project) == {"my.png", "my_alexnet_conv2.png"}
    sheet = np.asarray(Image.open("my_alexnet_conv2.png"))
    assert sheet.shape == (SIZE, 2 * SIZE + 2, 3)
    assert (sheet[:, :SIZE] == api.to_uint8(api.picture("my.png", SIZE))[0]).all()
    mse = np.square(sheet[:, :SIZE] / 255 - sheet[:, SIZE + 2 :] / 255).mean()
    told = ("alexnet_conv conv2", "alexnet_shallow", "3 steps, 1 start, 32 px", "feature x 1, ", "my_alexnet_conv2.png\n")
    assert [part for part in (*told, f"PSNR {-10 * np.log10(mse):.2f} dB") if part not in done.output] == []
    assert "interrupted" not in done.output
    assert show.UPPER not in done.output


EVERY = "--tap conv3 --recipe vgg_deep --restarts 2 --seed 7 --out sub/o.png --animation a.gif --no-picture"


def test_every_option(project: Path) -> None:
    changes = ("losses={tv: 20, guide: 0.5}", "optimiser.learning_rate=[[0, 0.1]]", "trace_every=1")
    done = call(*EVERY.split(), *(word for change in changes for word in ("--set", change)), network="alexnet_conv")
    assert done.exit_code == 0, done.output
    told = ("conv2+conv3", "vgg_deep", "3 steps, 2 starts, 32 px", "feature x 1, guide x 0.5, tv x 20", "training images of toy")
    assert [part for part in told if part not in done.output] == []
    assert files(project) == {"my.png", "a.gif", "sub"}
    with Image.open("a.gif") as moving:
        assert (moving.n_frames, moving.size) == (4, (SIZE, SIZE))  # steps 0 to 3; the last of them is what was chosen
        moving.seek(3)
        last = np.asarray(moving.convert("RGB")).astype(int)
    assert np.abs(last - np.asarray(Image.open("sub/o.png"))[:, SIZE + 2 :]).mean() < 16  # GIF has 256 colours


def test_a_seed_is_obeyed(project: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert call("--seed", seed, "--out", f"{name}.png", "--set", "init.std=0.2").exit_code == 0
    a, b, c = ((project / "here" / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_a_dry_run_writes_nothing_and_loads_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "load", lambda *_: pytest.fail("a network was loaded"))
    done = call("--dry-run", "--animation", "a.gif", network="vgg16", tap="conv4_3", steps=300)
    assert done.exit_code == 0, done.output
    assert all(part in done.output for part in ("vgg16_conv conv4_3", "vgg_deep", "300 steps"))
    assert files(project) == {"my.png"}


@pytest.mark.parametrize(
    ("words", "options", "told"),
    [
        ("", {"network": "vgg99"}, "'vgg99'"),
        ("", {"tap": "conv9"}, "no tap 'conv9'; did you mean"),
        ("", {"network": "alexnet", "tap": "fc6"}, "weights of alexnet"),
        ("", {"network": "vgg19", "tap": "conv5_1"}, "found: alexnet_conv, vgg16_conv"),
        ("--size 16", {"network": "alexnet"}, "--size"),
        ("--set losses.tvv=2", {}, "did you mean 'tv'"),
        ("--set losses.feature=0 --set losses.tv=0 --set losses.guide=0", {}, "nothing to minimise"),
        ("--set optimser.rule=sgd", {}, "did you mean 'optimiser'"),
        ("--set optimiser.rate=1", {}, "invert.optimiser.rate: unknown key"),
        ("--set taps.conv3=1", {}, "--set taps.conv3: unknown key"),
        ("--set losses.tv", {}, "key=value"),
        ("--set a..b=1", {}, "key=value"),
        ("--set sizes=[[0,16]", {}, "YAML"),
        ("--recipe vgg_depp", {}, "did you mean 'vgg_deep'"),
        ("--restarts 0", {}, "invert.restarts"),
        ("--seed -1", {}, "run.seed"),
        ("--out my.png", {}, "--out my.png"),
        ("--out o.jpg", {}, "o.jpg"),
        ("--animation o.mp4", {}, ".gif"),
    ],
)
def test_a_fault_is_told_before_any_work(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: str, options: dict[str, str], told: str
) -> None:
    monkeypatch.setattr(api, "load", lambda *_: pytest.fail("a network was loaded"))
    done = call(*words.split(), **options)  # type: ignore[arg-type]
    assert done.exit_code == 1, done.output
    assert told in done.output
    assert files(project) == {"my.png"}


def test_what_is_missing_is_named_with_the_command_that_brings_it(project: Path) -> None:
    assert "dvc repro weights prepare" in call(network="resnet18", tap="pool").output
    (project / "data/images/toy/manifest.json").unlink()
    assert "dvc repro prepare" in call("--set", "losses.guide=1").output
    for base in ("grey", "mean_image"):
        assert call("--set", "losses.guide=0", "--set", f"init.base={base}").exit_code == (base != "grey")
    (project / "here" / "my.png").write_text("not an image")
    assert "my.png: not an image" in call().output
    (project / "params.yaml").unlink()
    assert "params.yaml is missing" in call().output


@pytest.mark.parametrize(("weight", "told"), [("logits", "tap logits"), ("avg", "avg"), ("clip", "clip")])
def test_terms_that_features_cannot_serve(project: Path, default_params: dict[str, Any], weight: str, told: str) -> None:
    default_params["losses"][weight] = 1.0
    (project / "params.yaml").write_text(yaml.safe_dump(default_params))
    done = call()
    assert (done.exit_code, told in done.output) == (1, True), done.output


def struck(at: int) -> Callable[..., Network]:
    """A network whose user loses patience at its `at`-th look."""
    looks = 0

    def load(name: str, store: object, device: object) -> Network:
        network = networks.random(name, seed=0)

        def hook(*_: object) -> None:
            nonlocal looks
            looks += 1
            if looks == at:
                raise KeyboardInterrupt

        network.body.register_forward_pre_hook(hook)
        return network

    return load


def test_an_interrupt_keeps_the_best_so_far_and_a_search_at_rest_ends(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call("--set", "stop={patience: 1, tolerance: 0.9}", "--set", "trace_every=1", steps=50)
    assert done.exit_code == 0, done.output
    assert "stopped after " in done.output
    assert "interrupted" not in done.output
    monkeypatch.setattr(api, "load", struck(at=7))  # one look at the original, then five steps
    done = call(steps=50)
    assert done.exit_code == 0, done.output
    assert "interrupted after 5 of 50 steps" in done.output
    assert "my_alexnet_conv2.png" in files(project)


def test_on_a_terminal_the_picture_is_shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "can_show", lambda out: True)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "40")
    lines = [line for line in call(steps=1).output.splitlines() if show.UPPER in line]
    assert {line.count(show.UPPER) for line in lines} == {20}
    assert len(lines) == 5  # 66 x 32 pixels, 20 wide and two to a line
    assert show.UPPER not in call("--no-picture", steps=1).output


def test_frames_fall_on_steps_that_are_shown() -> None:
    assert [spacing(*case) for case in ((300, 10), (3000, 10), (3, 10), (40, 1), (400, 1))] == [10, 80, 10, 1, 10]


# --- pictures in a terminal


def test_half_blocks_by_hand() -> None:
    pixels = np.array([[[255, 0, 0], [0, 0, 0]], [[0, 255, 0], [1, 2, 3]]], np.uint8)
    upper_left, upper_right = "\x1b[38;2;255;0;0m\x1b[48;2;0;255;0m▀", "\x1b[38;2;0;0;0m\x1b[48;2;1;2;3m▀"
    assert show.half_blocks(pixels, 80) == f"{upper_left}{upper_right}\x1b[0m\n"
    mixed = show.half_blocks(np.array([[[0, 0, 0], [100, 100, 100]]] * 2, np.uint8), 1)
    assert mixed == "\x1b[38;2;50;50;50m\x1b[48;2;50;50;50m▀\x1b[0m\n"


@pytest.mark.parametrize(("columns", "lines", "wanted"), [("80", "50", (80, 20)), ("200", "12", (40, 10)), ("1", "1", (1, 1))])
def test_a_picture_fits_its_terminal(monkeypatch: pytest.MonkeyPatch, columns: str, lines: str, wanted: tuple[int, int]) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", lines)
    shown = show.fit_terminal(np.zeros((100, 200, 3), np.uint8)).splitlines()
    assert (shown[0].count(show.UPPER), len(shown)) == wanted


def test_only_a_terminal_with_colours_is_given_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    utf, latin = Terminal(io.BytesIO(), "utf-8"), Terminal(io.BytesIO(), "latin-1")
    assert [show.can_show(out) for out in (utf, latin, io.StringIO())] == [True, False, False]
    monkeypatch.setenv("TERM", "dumb")
    assert not show.can_show(utf)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not show.can_show(utf)


def test_an_animation_rests_on_its_last_frame(tmp_path: Path) -> None:
    frames = [np.full((8, 8, 3), level, np.uint8) for level in (0, 100, 200)]
    show.animation(tmp_path / "a.gif", frames)
    with Image.open(tmp_path / "a.gif") as moving:
        times = []
        for number in range(moving.n_frames):
            moving.seek(number)
            times.append(moving.info["duration"])
    assert times == [100, 100, 2000]
