"""`relume sample`: a toy generator's pictures on a sheet, truncated, crossed; faults before a picture is made."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from relume.cli.main import main
from relume.core.images import to_uint8
from relume.core.runtime import generator as dice
from relume.methods.gan.generator import Generator
from relume.methods.gan.model import read_gan
from relume.methods.gan.samples import mixed
from tests.decoder_files import CPU
from tests.gan_files import KINDS, SIZE
from tests.latent_files import write_gan

CELL = 64  # a picture of 16 px, four times as large
GAP = 2


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with two generators of random weights, and a folder below, where the caller stands."""
    for kind in KINDS:
        write_gan(tmp_path / "models/gan" / kind, kind, SIZE)
    (tmp_path / "models/gan/other").mkdir()
    (tmp_path / "models/gan/other/model.json").write_text(json.dumps({"kind": "decoder"}))
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def call(*words: str, fails: bool = False) -> Result:
    done = CliRunner().invoke(main, ["sample", *words])
    assert (done.exit_code != 0) == fails, done.output
    return done


def cell(path: str, row: int, column: int) -> np.ndarray:
    """A picture of the sheet in its own size."""
    top, left = row * (CELL + GAP), column * (CELL + GAP)
    return np.asarray(Image.open(path))[top : top + CELL : 4, left : left + CELL : 4]


def found(project: Path) -> Generator:
    return read_gan(project / "models/gan/style", CPU).generator


def test_a_sheet_of_samples(project: Path) -> None:
    done = call("style", "--rows", "2", "--columns", "3")
    assert "style_sample.png\n" in done.output
    assert np.asarray(Image.open("style_sample.png")).shape == (2 * CELL + GAP, 3 * CELL + 2 * GAP, 3)
    cells = [cell("style_sample.png", row, column).tobytes() for row in range(2) for column in range(3)]
    assert len(set(cells)) == 6
    call(str(project / "models/gan/style"), "--rows", "1", "--columns", "2", "--out", "o.png")
    assert [cell("o.png", 0, column).tobytes() for column in range(2)] == cells[:2], "a folder does; draws have numbers"
    call("style", "--rows", "1", "--columns", "2", "--seed", "1", "--out", "o.png")
    assert cell("o.png", 0, 0).tobytes() not in cells


def test_truncated_to_the_mean_all_are_the_means_picture(project: Path) -> None:
    made = found(project)
    with torch.no_grad():
        mean = to_uint8(made.synthesise(made.running_mean[None]))[0]
    call("style", "--truncation", "0", "--rows", "1", "--columns", "2", "--out", "o.png")
    assert (cell("o.png", 0, 0) == mean).all()
    assert (cell("o.png", 0, 1) == mean).all()
    call("style", "--truncation", "0", "--layers", "2", "--rows", "1", "--columns", "2", "--out", "p.png")
    assert (cell("p.png", 0, 0) != cell("p.png", 0, 1)).any(), "the fine layers are their own"


def test_crosses_are_of_the_left_and_the_top(project: Path) -> None:
    call("style", "--mix", "--rows", "2", "--columns", "2", "--crossover", "2")
    sheet = "style_mix.png"
    assert (cell(sheet, 0, 0) == 255).all()
    made = found(project)
    with torch.no_grad():
        coarse, fine = (made.map(made.draw([dice(0, purpose, number) for number in range(2)])) for purpose in ("coarse", "fine"))
        for row in range(2):
            assert (cell(sheet, row + 1, 0) == to_uint8(made.synthesise(coarse[row : row + 1]))[0]).all()
            assert (cell(sheet, 0, row + 1) == to_uint8(made.synthesise(fine[row : row + 1]))[0]).all()
            for column in range(2):
                both = mixed(made, coarse[row : row + 1], fine[column : column + 1], 2)
                assert np.abs(cell(sheet, row + 1, column + 1).astype(int) - to_uint8(made.synthesise(both))[0]).max() <= 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("styel", "did you mean 'style'? allowed: dcgan, other, style"),
        ("other", "other: needs a model of kind 'gan'"),
        ("style --out o.jpg", "o.jpg"),
        ("style --truncation 1.5", "--truncation"),
        ("style --layers 7", "--layers"),
        ("style --rows 0", "--rows"),
        ("style --crossover 2", "--crossover"),
        ("style --mix --crossover 6", "--crossover"),
        ("dcgan --mix", "--mix"),
    ],
)
def test_a_fault_is_told_before_a_picture_is_made(project: Path, monkeypatch: pytest.MonkeyPatch, words: str, told: str) -> None:
    monkeypatch.setattr(Generator, "synthesise", lambda *_: pytest.fail("a picture was made"))
    done = call(*words.split(), fails=True)
    assert told in done.output
    assert not list(Path().iterdir())


def test_the_examples_of_the_help_run(project: Path) -> None:
    lines = re.findall(r"^ +relume (sample .*)$", CliRunner().invoke(main, ["sample", "--help"]).output, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        line = line.replace("models/gan", str(project / "models/gan"))
        done = CliRunner().invoke(main, [*line.split(), "--no-picture"])
        assert done.exit_code == 0, done.output
