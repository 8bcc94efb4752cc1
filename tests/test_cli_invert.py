"""`relume invert`: faults before work, a dry run that writes nothing, at the end original and rebuilding side by side."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file

import relume
from relume.api import inversion, models
from relume.api.pictures import load
from relume.cli import show
from relume.cli.main import main
from relume.core.images import to_uint8
from relume.core.sheet import LINE
from relume.networks import network as networks
from relume.networks.network import Network
from tests.evaluation_files import write_dataset
from tests.test_api import Net

SIZE = 32


def found(name: str, store: Any, device: object) -> Network:
    return store.given.get(name) or networks.random(name, seed=0)  # type: ignore[no-any-return]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with a tiny dataset, cards of weights, and a picture in a folder below, where the caller stands."""
    (tmp_path / "dvc.yaml").touch()
    write_dataset(tmp_path / "data/images/photos", size=SIZE)
    for name in ("alexnet_conv", "vgg16_conv"):
        (tmp_path / "models/weights" / name).mkdir(parents=True)
        (tmp_path / "models/weights" / name / "model.json").write_text(json.dumps({"name": name}))
    (tmp_path / "here").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
    Image.fromarray(pixels).save(tmp_path / "here" / "my.png")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def load_named(name: str, store: Any, device: object) -> Network:
        store.folder(name)  # an error where the weights are not here
        return found(name, store, device)

    monkeypatch.setattr(models, "load_network", load_named)
    monkeypatch.setattr(inversion, "load_network", found)
    return tmp_path


def call(*words: str, fails: bool = False, **own: object) -> Result:
    plain = {"network": "alexnet_conv", "tap": "conv2", "steps": 3, "size": SIZE, **own}
    options = [f"--{key}={value}" for key, value in plain.items()]
    done = CliRunner().invoke(main, ["invert", "my.png", *options, *words])
    assert done.exit_code == int(fails), done.output
    return done


def files(project: Path) -> set[str]:
    return {path.name for path in (project / "here").iterdir()}


def test_original_and_rebuilding_stand_side_by_side_as_the_library_makes_it(project: Path) -> None:
    done = call()
    assert files(project) == {"my.png", "my_alexnet_conv_conv2.png"}
    sheet = np.asarray(Image.open("my_alexnet_conv_conv2.png"))[LINE:]
    assert sheet.shape == (SIZE, 2 * SIZE + 2, 3)
    assert (sheet[:, :SIZE] == to_uint8(load("my.png", size=SIZE, channels=3))[0]).all()
    made = relume.invert("alexnet_conv", layer="conv2", images="my.png", size=SIZE, steps=3, progress=False)
    assert (sheet[:, SIZE + 2 :] == to_uint8(made.images)[0]).all()
    mse = np.square(sheet[:, :SIZE] / 255 - to_uint8(made.images)[0] / 255).mean()
    told = ("alexnet_shallow", "3 steps, 1 start, 32 px", "feature x 1, tv x 2", "my_alexnet_conv_conv2.png\n")
    assert [part for part in told if part not in done.output] == []
    assert f"PSNR {-10 * np.log10(mse):.2f} dB" in done.output
    assert "interrupted" not in done.output
    assert show.UPPER not in done.output


def test_a_part_serves_a_network_whose_weights_are_not_here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str, *_: object, **__: object) -> None:
        raise relume.UserError(f"the weights of {name} were not found")

    monkeypatch.setattr(models, "fetch_weights", nothing)
    done = call(network="alexnet")
    assert "alexnet_conv" in done.output
    call(network="alexnet", tap="fc6", size=64, fails=True)
    assert "weights of resnet18" in call(network="resnet18", tap="pool", fails=True).output


EVERY = "--layer conv3 --recipe vgg_deep --restarts 2 --seed 7 --out sub/o.png --animation a.gif --no-picture"


def test_every_option(project: Path) -> None:
    changes = ("losses={tv: 20, guide: 0.5}", "optimiser.learning_rate=[[0, 0.1]]", "trace_every=1", "terms.guide.pictures=4")
    done = call(*EVERY.split(), *(word for change in changes for word in ("--set", change)))
    told = ("conv2+conv3", "vgg_deep", "3 steps, 2 starts, 32 px", "feature x 1, guide x 0.5, tv x 20")
    assert [part for part in told if part not in done.output] == []
    assert files(project) == {"my.png", "a.gif", "sub"}
    with Image.open("a.gif") as moving:
        assert (moving.n_frames, moving.size) == (4, (SIZE, SIZE))  # steps 0 to 3; the last of them is what was chosen
        moving.seek(3)
        last = np.asarray(moving.convert("RGB")).astype(int)
    assert np.abs(last - np.asarray(Image.open("sub/o.png"))[LINE:, SIZE + 2 :]).mean() < 16  # GIF has 256 colours


def test_a_network_of_ones_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "here/mine.py").write_text("from tests.test_api import Net\n")
    save_file(Net().state_dict(), "net.safetensors")
    call("--weights", "net.safetensors", network="mine:Net", tap="conv")
    assert np.asarray(Image.open("my_mine-Net_conv.png")).shape == (SIZE + LINE, 2 * SIZE + 2, 3)
    assert "mix" in CliRunner().invoke(main, ["list", "taps", "mine:Net", "--size", "32"]).output


def test_a_seed_is_obeyed(project: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        call("--seed", seed, "--out", f"{name}.png", "--set", "init.std=0.2")
    a, b, c = ((project / "here" / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_losses_are_weights_that_replace_the_recipes(project: Path) -> None:
    done = call("--set", "losses.pixel=0.5", "--set", "losses.tv=2", "--dry-run")
    assert "feature x 1, tv x 2, pixel x 0.5; an oracle" in done.output, done.output


@pytest.mark.parametrize(
    ("words", "options", "told"),
    [
        ("--dry-run --animation a.gif", {"network": "vgg16_conv", "tap": "conv4_3", "steps": 300}, "vgg_deep: 300 steps"),
        ("", {"network": "vgg99"}, "'vgg99'"),
        ("--set optimser.rule=sgd", {}, "did you mean 'optimiser'"),
        ("--set optimiser.rate=1", {}, "optimiser.rate: unknown key"),
        ("--set taps.conv3=1", {}, "--set taps.conv3: unknown key"),
        ("--set losses.tv", {}, "key=value"),
        ("--set a..b=1", {}, "key=value"),
        ("--set sizes=[[0,16]", {}, "YAML"),
        ("--out my.png", {}, "--out my.png"),
        ("--out o.jpg", {}, "o.jpg"),
        ("--out my.png/o.png", {}, "--out: cannot write"),
        ("--out /proc/o.png", {}, "--out: cannot write"),
        ("--set optimiser.learning_rate=-1", {}, "a list, got -1; params.yaml has [[0, "),
        ("--set optimiser.learning_rate=[[0,-1]]", {}, "optimiser.learning_rate.0.1: Input should be greater than 0"),
        ("--animation o.mp4", {}, ".gif"),
    ],
)
def test_a_fault_is_told_before_any_work(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: str, options: dict[str, Any], told: str
) -> None:
    monkeypatch.setattr(inversion, "optimise", lambda *_: pytest.fail("the work began"))
    done = call(*words.split(), **options, fails="--dry-run" not in words)
    assert told in done.output
    assert files(project) == {"my.png"}


def test_what_is_missing_is_named(project: Path) -> None:
    (project / "here" / "my.png").write_text("not an image")
    assert "my.png: not an image" in call(fails=True).output
    (project / "here" / "my.png").unlink()
    assert "my.png" in call(fails=True).output
    (project / "here" / "my.png").mkdir()
    assert "folder" in call(fails=True).output


def struck(at: int) -> Callable[..., Network]:
    """A network whose user loses patience at its `at`-th look."""
    looks = 0

    def load(name: str, store: Any, device: object) -> Network:
        if name in store.given:
            return store.given[name]  # type: ignore[no-any-return]
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
    assert "stopped after " in done.output
    assert "interrupted" not in done.output
    monkeypatch.setattr(models, "load_network", struck(at=8))  # a look at the shapes, one at the original, then five steps
    done = call(steps=50)
    assert "interrupted after 5 of 50 steps" in done.output
    assert "my_alexnet_conv_conv2.png" in files(project)


def test_on_a_terminal_the_picture_is_shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "can_show", lambda out: True)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "40")
    lines = [line for line in call(steps=1).output.splitlines() if show.UPPER in line]
    assert {line.count(show.UPPER) for line in lines} == {20}
    assert show.UPPER not in call("--no-picture", steps=1).output


def test_lists_say_what_is_at_hand(project: Path) -> None:
    def listed(*words: str) -> str:
        done = CliRunner().invoke(main, ["list", *words])
        assert done.exit_code == (words[-1] == "taps"), done.output
        return done.output

    assert "alexnet_conv" in listed("networks")
    assert "conv4_3 " in listed("taps", "vgg16")
    assert "tokens_deep" in listed("recipes")
    assert "needs a network" in listed("taps")
    assert "alexnet_conv3_128 " in listed("decoders")
    (project / "params.yaml").write_text((Path(relume.__file__).parent / "params.yaml").read_text())
    assert "dvc repro train_decoder@alexnet_conv5" in listed("decoders")
    assert [line.split()[:2] for line in listed("datasets").splitlines()] == [["photos", "here"], ["photos_32", "-"]]


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
