"""The writer and its reader: rows in order, faults listed, leaks closed, and nothing half-written is ever taken for whole."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from relume.core.errors import UserError
from relume.data.pictures import Contents, File, Picture
from relume.data.store import Dataset
from relume.data.write import write
from tests.data_files import encoded, pixels, tree

ROOT = Path(__file__).resolve().parents[1]


def contents(folder: Path, splits: str, bad: tuple[int, ...] = (), same: dict[int, int] | None = None) -> Contents:
    """One picture per letter of `splits` (t, v, l for train); `same` makes one the copy of another."""
    names = {"t": "test", "v": "val", "l": "train"}
    pictures = []
    for number, letter in enumerate(splits):
        data = b"broken" if number in bad else encoded(pixels((same or {}).get(number, number)))
        file = tree(folder, {f"{number}.png": data}) / f"{number}.png"
        pictures.append(Picture(f"p{number}", names[letter], "thing", f"s{number}", File(file.name, file)))
    return Contents(pictures=pictures, classes=["thing"], licence="CC0", origin=[{"name": "toy"}])


def test_rows_stand_by_split_and_two_processes_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write(tmp_path / "toy", contents(tmp_path / "in", "llvtlt"), name="toy", size=8)
    dataset = Dataset.open(tmp_path / "toy")
    assert (dataset.name, dataset.size, len(dataset.images)) == ("toy", 8, 6)
    assert [row["id"] for row in dataset.index] == ["p3", "p5", "p2", "p0", "p1", "p4"]
    assert manifest["counts"] == {"all": 6, "test": 2, "val": 1, "train": 3}
    assert dataset.select("train") == [3, 4, 5]
    assert dataset.select("train", 2) == [3, 4]
    assert dataset.ids([3, 0]) == ["p0", "p3"]
    assert dataset.sources()["p2"] == "s2"
    x = dataset.pixels([3, 0])
    assert np.array_equal((x[0] * 255).round().byte().permute(1, 2, 0).numpy(), dataset.images[3])
    with pytest.raises(UserError, match="did you mean 'test'"):
        dataset.select("tset")
    with pytest.raises(UserError, match="train"):
        dataset.select("train", 5)
    made = contents(tmp_path / "in", "l" * 70 + "tv")
    for workers in ("1", "2"):
        monkeypatch.setenv("RELUME_WORKERS", workers)
        write(tmp_path / workers, made, name="toy", size=8)
    for file in ("images.npy", "index.csv", "manifest.json"):
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


def test_bad_pictures_stop_the_stage_by_name_and_there_must_be_some(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        write(tmp_path / "toy", contents(tmp_path / "in", "lltt", bad=(1, 2)), name="toy", size=8, max_bad=1)
    assert all(words in str(caught.value) for words in ("max_bad", "1.png: ", "2.png: "))
    assert list(tmp_path.glob("*toy*")) == []
    with pytest.raises(UserError) as caught:
        write(tmp_path / "toy", contents(tmp_path / "in", "l" * 30, bad=tuple(range(30))), name="toy", size=8)
    assert str(caught.value).count(".png: ") == 20, "of many, twenty are named"
    made = contents(tmp_path / "in", "ll")
    (tmp_path / "in" / "0.png").unlink()
    with pytest.raises(UserError, match="0.png: cannot be read .No such file"):
        write(tmp_path / "toy", made, name="toy", size=8)
    with pytest.raises(UserError, match="toy: no image"):
        write(tmp_path / "toy", Contents(pictures=[], classes=[], licence="", origin=[]), name="toy", size=8)


def test_bad_pictures_that_are_allowed_are_listed_and_a_run_that_fails_leaves_the_last_good_one(tmp_path: Path) -> None:
    manifest = write(tmp_path / "toy", contents(tmp_path / "in", "lltt", bad=(1, 2)), name="toy", size=8, max_bad=2)
    assert [entry["file"] for entry in manifest["bad"]] == ["2.png", "1.png"]
    assert manifest["counts"]["all"] == len(Dataset.open(tmp_path / "toy").images) == 2
    with pytest.raises(UserError):
        write(tmp_path / "toy", contents(tmp_path / "in", "lll", bad=(0,)), name="toy", size=8)
    assert len(Dataset.open(tmp_path / "toy").images) == 2
    write(tmp_path / "toy", contents(tmp_path / "in", "llll"), name="toy", size=8)
    assert len(Dataset.open(tmp_path / "toy").images) == 4


def test_duplicates_do_not_leak_ids_are_unique_and_sources_in_one_split(tmp_path: Path) -> None:
    made = contents(tmp_path / "in", "ltlvl", same={0: 1, 3: 1, 4: 2})
    manifest = write(tmp_path / "toy", made, name="toy", size=8)
    rows = [(row["id"], row["split"]) for row in Dataset.open(tmp_path / "toy").index]
    assert rows == [("p1", "test"), ("p2", "train"), ("p4", "train")]
    assert manifest["duplicates"] == [
        {"id": "p3", "of": "p1", "done": "left out"},
        {"id": "p0", "of": "p1", "done": "left out"},
        {"id": "p4", "of": "p2", "done": "kept"},
    ]
    made = contents(tmp_path / "in", "lt")
    twin = Picture("p0", "test", "", "s9", made.pictures[0].material)
    with pytest.raises(UserError, match="p0"):
        write(tmp_path / "toy", Contents(pictures=[*made.pictures, twin], classes=[], licence="", origin=[]), name="t", size=8)
    stray = Picture("p9", "test", "", "s0", made.pictures[0].material)
    with pytest.raises(ValueError, match="s0 is in test and in train"):
        write(tmp_path / "toy", Contents(pictures=[*made.pictures, stray], classes=[], licence="", origin=[]), name="t", size=8)


@pytest.mark.slow
def test_killed_in_the_middle_it_leaves_nothing_that_opens(tmp_path: Path) -> None:
    script = """
import os, signal
from pathlib import Path
from relume.data import write
from tests.test_data_write import contents
take = write._take
def kill(picture, result, *, rows, tally):
    if len(tally.index) == 5:
        rows.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    take(picture, result, rows=rows, tally=tally)
write._take = kill
write.write(Path("toy"), contents(Path("in"), "l" * 9), name="toy", size=8)
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "RELUME_WORKERS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "toy").exists()
    assert len(np.load(tmp_path / ".toy.part" / "images.npy")) == 0  # and what is left says that it holds nothing
    write(tmp_path / "toy", contents(tmp_path / "in", "l" * 9), name="toy", size=8)
    assert len(Dataset.open(tmp_path / "toy").images) == 9
    assert not (tmp_path / ".toy.part").exists()


def test_a_disk_without_room_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    with pytest.raises(UserError, match="toy needs 24.0 MiB"):
        write(tmp_path / "toy", contents(tmp_path / "in", "ll"), name="toy", size=2048)
