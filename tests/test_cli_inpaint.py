"""`relume inpaint` and the function: holes filled by a trained masked model, and faults before anything is predicted."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import relume
from relume.cli import show
from relume.cli.main import main
from relume.core.errors import UserError
from relume.core.sheet import LINE
from relume.methods.masked.model import TrainedMasked
from tests.evaluation_files import write_dataset
from tests.test_readme import DOCS, commands
from tests.toy_masked import write_masked

SIZE = 16


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with masked models of random weights, and a picture and its mask in a folder below, where the caller stands."""
    data = write_dataset(tmp_path / "toy", size=SIZE)
    for kind in ("codes", "et", "mae"):
        write_masked(tmp_path / "models/masked", data, kind)
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "here").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (10, 16, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    Image.fromarray(pixels).save(tmp_path / "here/my.png")
    Image.fromarray(_hole()).save(tmp_path / "here/mask.png")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def _hole() -> np.ndarray:
    light = np.zeros((40, 64), np.uint8)
    light[10:20, 30:42] = 255
    light[0, 0] = 100  # dark enough to be known
    return light


def call(*words: str, model: str = "et", fails: bool = False) -> Result:
    done = CliRunner().invoke(main, ["inpaint", "my.png", "--model", model, *words])
    assert (done.exit_code != 0) == fails, done.output
    return done


def shown(path: str) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_masks_light_pixels_are_filled_and_no_other_is_touched(project: Path) -> None:
    done = call("--mask", "mask.png")
    original, filled, hidden = shown("my.png"), shown("my_filled_et.png"), _hole() == 255
    assert np.array_equal(filled[~hidden], original[~hidden])
    assert (filled[hidden] != original[hidden]).any()
    found = relume.inpaint("my.png", hidden, "et")
    assert np.array_equal(found.image, filled)
    assert all(part in done.output for part in ("24 px", "16 px", "4.7%", "my_filled_et.png\n", "my_filled_et_panels.png\n"))
    panels = shown("my_filled_et_panels.png")[LINE:]
    assert panels.shape == (80, 3 * 128 + 4, 3)
    assert (panels[20:40, 60:84] == 128).all()
    assert np.array_equal(panels[::2, 2 * 130 :: 2], filled)
    assert np.array_equal(panels[::2, 130:258:2], found.prediction)


def test_a_drawn_mask_is_scored_against_the_picture(project: Path) -> None:
    done = call("--hide", "0.5", "--pattern", "block", "--out", "o.png", model="mae")
    original, filled, panels = shown("my.png"), shown("o.png"), shown("o_panels.png")[LINE:]
    assert panels.shape == (80, 4 * 128 + 6, 3)
    assert np.array_equal(panels[::2, 3 * 130 :: 2], original)
    hidden = (panels[::2, :128:2] == 128).all(-1)
    assert hidden.sum() == 40 * 40 / 2
    truth, mean = original[hidden] / 255, original[~hidden].mean(0) / 255
    reached, floor = (-10 * np.log10(np.square(made - truth).mean()) for made in (filled[hidden] / 255, mean))
    assert (
        f"PSNR of the hidden pixels {reached:.2f} dB; baseline (mean colour of the visible pixels) {floor:.2f} dB\n"
        in done.output
    )
    call("--hide", "0.5", "--seed", "1", "--out", "p.png")
    call("--hide", "0.5", "--out", "q.png")
    assert not np.array_equal(shown("p_panels.png")[:, :128], shown("q_panels.png")[:, :128])


@pytest.mark.parametrize("film", ["my.gif", "my.webp"])
def test_a_film_shows_every_step(project: Path, film: str) -> None:
    call("--hide", "0.5", "--film", film)
    with Image.open(film) as frames:
        assert frames.n_frames == 3  # two steps, and before them
        assert frames.size == (128, 80)
        if film.endswith("webp"):
            frames.seek(2)
            assert np.array_equal(np.asarray(frames.convert("RGB"))[::2, ::2], shown("my_filled_et.png"))


def test_large_pictures_are_shown_smaller_and_small_ones_larger() -> None:
    assert show.rescale(np.zeros((1024, 2048, 3), np.uint8)).shape == (256, 512, 3)
    assert show.rescale(np.zeros((200, 300, 3), np.uint8)).shape == (200, 300, 3)
    assert show.rescale(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), smallest=5)[::3, ::3].ravel().tolist() == list(range(12))


def test_without_a_name_the_only_model_is_taken(project: Path) -> None:
    bare = ["inpaint", "my.png", "--mask", "mask.png"]
    told = CliRunner().invoke(main, bare)
    assert told.exit_code == 1
    assert "allowed: et, mae" in told.output
    (project / "models/masked/mae").rename(project / "mine")
    for done in (CliRunner().invoke(main, bare), call("--mask", "mask.png", model="../mine")):
        assert done.exit_code == 0, done.output
    (project / "models/masked/et").rename(project / "elsewhere")
    assert "dvc repro train_masked" in CliRunner().invoke(main, bare).output


EITHER = ("--mask FILE", "--hide SHARE")
FAULTS: list[tuple[str, str, tuple[str, ...]]] = [
    ("--mask mask.png", "ett", ("did you mean 'et'",)),
    ("--mask mask.png", "codes", ("codes", "tokenizer")),
    ("", "et", EITHER),
    ("--mask mask.png --hide 0.5", "et", EITHER),
    ("--mask mask.png --pattern grid", "et", ("--pattern",)),
    ("--mask mask.png --seed 0", "et", ("--seed",)),
    ("--hide 1.5", "et", ("--hide",)),
    ("--hide nan", "et", ("--hide", "nan")),
    ("--mask none.png", "et", ("none.png: ",)),
    ("--mask text.png", "et", ("text.png: not an image",)),
    ("--mask small.png", "et", ("small.png", "20 x 10", "64 x 40")),
    ("--mask black.png", "et", ("black.png",)),
    ("--mask white.png", "et", ("white.png",)),
    ("--mask mask.png --out my.png", "et", ("--out my.png",)),
    ("--mask mask.png --out mask.png", "et", ("--out mask.png",)),
    ("--mask mask.png --out o.jpg", "et", ("--out", "o.jpg")),
    ("--mask mask.png --film o.mp4", "et", ("--film", "o.mp4")),
    ("--mask mask.png --film o.gif", "mae", ("film", "mae")),
]


@pytest.mark.parametrize(("words", "model", "told"), FAULTS)
def test_a_fault_is_told_before_anything_is_predicted(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: str, model: str, told: tuple[str, ...]
) -> None:
    Path("text.png").write_text("not an image")
    for name, shape, light in (("small", (10, 20), 255), ("black", (40, 64), 0), ("white", (40, 64), 255)):
        Image.fromarray(np.full(shape, light, np.uint8)).save(f"{name}.png")
    before = {path: path.read_bytes() for path in Path().iterdir()}
    monkeypatch.setattr(TrainedMasked, "predict", lambda *_: pytest.fail("something was predicted"))
    done = call(*words.split(), model=model, fails=True)
    assert [part for part in told if part not in done.output] == []
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_a_picture_that_cannot_be_read_is_named(project: Path) -> None:
    Path("my.png").write_text("not an image")
    assert "my.png: not an image" in call("--mask", "mask.png", fails=True).output
    (project / "models/masked/et/model.json").write_text('{"kind": "decoder"}')
    assert "et: needs a model of kind 'masked'" in call("--mask", "mask.png", fails=True).output


def test_arrays_are_held_to_their_kind(project: Path) -> None:
    with pytest.raises(UserError, match="uint8"):
        relume.inpaint(np.zeros((4, 4, 3)), np.zeros((4, 4), bool), "et")
    with pytest.raises(UserError, match="bool"):
        relume.inpaint("my.png", _hole(), "et")
    with pytest.raises(UserError, match="film: .*mae"):
        relume.inpaint("my.png", _hole() == 255, "mae", film=True)


def test_on_a_terminal_the_panels_are_shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "can_show", lambda out: True)
    assert show.UPPER in call("--mask", "mask.png").output
    assert show.UPPER not in call("--mask", "mask.png", "--no-picture").output


def test_the_commands_of_the_readme_and_of_the_help_run(project: Path) -> None:
    Image.open("my.png").save("my.jpg")
    shown_in_help = re.findall(r"^ +(relume inpaint .*)$", CliRunner().invoke(main, ["inpaint", "--help"]).output, re.MULTILINE)
    lines = [*shown_in_help, *(line for page in DOCS for line in commands(page) if line.startswith("relume inpaint"))]
    assert len(lines) > len(shown_in_help) == 3
    for line in lines:
        words = line.replace("models/masked", "../models/masked").split()[1:]
        assert (done := CliRunner().invoke(main, words)).exit_code == 0, done.output
