"""Source `folder` on trees, archives and single pictures; and where all sources look for their files."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from relume.data import locate
from relume.data.sources import cifar as cifar_source
from tests import data_files as files
from tests.data_files import column, encoded, fault, made, pictures, pixels

FOLDER = {"source": "folder", "pixels": 16, "seed": 0, "split": "every"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return files.empty_project(tmp_path, monkeypatch)


def test_a_folder_in_sorted_order_and_with_class_folders(here: Path) -> None:
    files.tree(here / "mine", pictures(*[f"{letter}.png" for letter in "jihgfedcba"]))
    dataset = made(**FOLDER, path="mine", val_every=4)
    assert sorted(column(dataset, "id", "test")) == ["e", "j"]
    assert sorted(column(dataset, "id", "val")) == ["d", "i"]
    assert sorted(column(dataset, "id", "train")) == list("abcfgh")
    assert dataset.manifest["classes"] == []
    data = pictures("cat/1.png", "dog/1.png", "dog/deep/2.PNG", "cat/3.png", "cat/3.bmp")
    strangers = {"cat/notes.txt": b"", "cat/._1.png": b"", ".git/x.png": b""}
    files.tree(here / "classes", data | strangers)
    dataset = made(**FOLDER, path="classes", test_every=0)
    assert dataset.manifest["classes"] == ["cat", "dog"]
    assert sorted(column(dataset, "id", "train")) == ["cat-1", "cat-3.bmp", "cat-3.png", "dog-1", "dog-deep-2"]
    assert sorted(column(dataset, "source", "train"))[-1] == "dog/deep/2.PNG"


@pytest.mark.parametrize("kind", ["pack.tar", "pack.tar.gz", "pack.tar.xz", "pack.zip", "pack"])
def test_a_folder_and_archives_of_it_give_the_same_rows(here: Path, kind: str) -> None:
    data = pictures("mine/a/1.png", "mine/a/2.png", "mine/b/1.png")
    if kind.endswith("zip"):
        files.zipped(here / kind, data)
    elif kind == "pack":
        files.tree(here / kind, data)
    else:
        files.tar(here / kind, data, {"tar": "w", "gz": "w:gz", "xz": "w:xz"}[kind.split(".")[-1]])
    dataset = made(**FOLDER, path=kind, test_every=3)
    assert {row["id"]: row["label"] for row in dataset.index} == {"a-1": "a", "a-2": "a", "b-1": "b"}
    assert column(dataset, "id", "test") == ["b-1"]


def test_a_folder_with_splits_of_its_own_and_one_picture(here: Path) -> None:
    files.tree(here / "mine", pictures("train/a/1.png", "train/b/2.png", "val/a/3.png", "test/b/4.png"))
    found = {(row["id"], row["split"], row["label"]) for row in made(**FOLDER | {"split": "folders"}, path="mine").index}
    wanted = {("train-a-1", "train", "a"), ("train-b-2", "train", "b"), ("val-a-3", "val", "a"), ("test-b-4", "test", "b")}
    assert found == wanted
    files.tree(here / "mine", pictures("extra/1.png"))
    assert "extra" in fault(**FOLDER | {"split": "folders"}, path="mine")
    files.tree(here, {"me.jpg": encoded(pixels(0), "JPEG")})
    assert column(made(**FOLDER, path="me.jpg"), "id", "test") == ["me"]
    files.tree(Path(), {"pics/mine.png": encoded(pixels(0))})
    assert made(**FOLDER, path="pics/mine.png").ids([0]) == ["mine"]  # from the project's root


def test_what_is_not_there_empty_altered_or_truncated_is_named(here: Path) -> None:
    assert "path: mine" in fault(**FOLDER, path="mine")
    (here / "mine").mkdir()
    assert "path: " in fault(**FOLDER, path="mine")
    (here / "x.txt").write_text("")
    assert "x.txt" in fault(**FOLDER, path="x.txt")
    path = files.tar(here / "pack.tar", pictures("1.png", "2.png"))
    good = hashlib.sha256(path.read_bytes()).hexdigest()
    assert made(**FOLDER, path="pack.tar", sha256=good).manifest["sources"] == [{"name": "pack.tar", "sha256": good}]
    assert "altered" in fault(**FOLDER, path="pack.tar", sha256="0" * 64)
    data = pictures(*[f"{number}.png" for number in range(20)])
    for kind, mode in (("pack.tar", "w"), ("pack.tar.xz", "w:xz"), ("pack.tar.gz", "w:gz")):
        path = files.tar(here / kind, data, mode)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert f"{path} is truncated" in fault(**FOLDER, path=kind)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [(8, 1, "password"), (10, 99, "compression"), (24, 3 << 30, "3221225472 bytes"), (24, 10, "CRC"), (16, 7, "CRC")],
)
def test_a_zip_member_that_cannot_be_read_is_told_by_file_and_fault(here: Path, at: int, value: int, words: str) -> None:
    """`at`: where in the entry of the directory: flags, method, size, checksum."""
    path = files.zipped(here / "pack.zip", pictures("a.png"))
    data = bytearray(path.read_bytes())
    width = 4 if at >= 16 else 2
    for start in [data.index(b"PK\1\2") + at, *([data.index(b"PK\3\4") + at - 2] if width == 2 else [])]:
        data[start : start + width] = value.to_bytes(width, "little")
    path.write_bytes(data)
    message = fault(**FOLDER, path="pack.zip")
    assert "  a.png: " in message
    assert words in message


def test_a_file_name_that_is_not_utf_8_is_told(here: Path) -> None:
    files.tree(here / "mine", {os.fsdecode(b"caf\xe9.png"): encoded(pixels(0))})
    assert r"b'caf\xe9.png'" in fault(**FOLDER, path="mine")


def test_relume_sources_come_first_and_what_is_nowhere_is_fetched_from_its_owner(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.tree(Path("data/sources"), {"a.tar": b"own", "b.tar": b"own"})
    files.tree(here, {"a.tar": b"shared"})
    assert locate.find_local("a.tar") == here / "a.tar"
    assert locate.find_local("b.tar") == Path("data/sources/b.tar")
    assert locate.find_local("c.tar") is None
    asked: list[Any] = []

    def fetch(url: str, path: Path, **checks: Any) -> Path:
        asked.append((url, str(path), checks["md5"]))
        return files.cifar10(path.parent)

    monkeypatch.setattr(locate, "fetch", fetch)
    assert len(made(source="cifar10", seed=0, val=0).index) == 24
    official = cifar_source.CIFAR10.official
    assert asked == [(official.url, "data/sources/cifar-10-python.tar.gz", official.md5)]
