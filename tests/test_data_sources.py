"""Every source on its owner's layout at toy size, and what is said when it is not whole or not here."""

import io
import os
import pickle
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.core.errors import UserError
from relume.core.unpickle import unpickle
from relume.data.sources.imagenet_val import from_text
from tests import data_files as files
from tests.data_files import column, encoded, fault, made, pixels


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return files.empty_project(tmp_path, monkeypatch)


def test_cifar10_from_the_official_archive_and_a_sample_drawn_by_the_seed(here: Path) -> None:
    files.cifar10(here)
    dataset = made(source="cifar10", seed=0, val=3, verify=False)
    assert dataset.manifest["counts"] == {"all": 24, "test": 4, "val": 3, "train": 17}
    assert dataset.manifest["classes"] == ["cat", "dog"]
    assert dataset.size == 32
    number = column(dataset, "id", "test").index("test-00001")
    row = dataset.select("test")[number]
    assert np.array_equal(dataset.images[row], files.cifar_rows(5, 4)[1].reshape(3, 32, 32).transpose(1, 2, 0))
    assert dataset.index[row]["label"] == "dog"
    train = dict(zip(column(dataset, "id", "train"), column(dataset, "label", "train"), strict=True))
    assert all(label == ("cat", "dog")[int(id[-5:]) % 2] for id, label in train.items())
    files.cifar10(here)
    section = {"source": "cifar10", "val": 2, "verify": False, "test": 3, "train": 5}
    first, second = (column(made(**section, seed=seed), "id", "train") for seed in (0, 1))
    assert len(first) == len(second) == 5
    assert first != second
    assert column(made(**section | {"train": 7}, seed=0), "id", "train")[:5] == first
    assert "train: " in fault(**section | {"train": 19}, seed=0)
    assert "val: " in fault(**section | {"val": 21}, seed=0)


def test_cifar10_as_jpeg_copies_from_a_folder_and_from_an_archive(here: Path) -> None:
    names = [f"{split}/{name}/{k:04d}.jpg" for split in ("train", "test") for name in ("cat", "dog") for k in range(3)]
    data = {name: encoded(pixels(k, 32, 32), "JPEG") for k, name in enumerate(names)}
    files.tree(here / "copies", data)
    files.tar(here / "copies.tar.xz", data, "w:xz")
    files.tar(here / "wrapped.tar", {f"./cifar/{name}": each for name, each in data.items()})
    found = [made(source="cifar10", seed=0, val=1, archive=name) for name in ("copies", "copies.tar.xz", "wrapped.tar")]
    for dataset in found:
        assert dataset.manifest["counts"] == {"all": 12, "test": 6, "val": 1, "train": 5}
        assert dataset.manifest["notes"], "they are no original pictures"
        assert np.array_equal(dataset.images, found[0].images)
    assert sorted(path.name for path in Path("data/images").iterdir()) == ["toy"]  # nothing unpacked is left


def test_a_cifar_archive_that_is_not_whole_or_not_the_owners_is_refused(here: Path) -> None:
    path = files.cifar10(here)
    message = fault(source="cifar10", seed=0, val=0)
    assert str(path) in message
    assert "md5" in message
    for data in (path.read_bytes()[:-3000], b"no archive"):
        path.write_bytes(data)
        assert f"{path} is truncated" in fault(source="cifar10", seed=0, val=0, verify=False)
    batch = files.pickled({"data": np.zeros((2, 3072), np.uint8)})
    members = {"cifar-100-python/meta": files.pickled({"fine_label_names": ["a"]}), "cifar-100-python/train": batch}
    for more, told in (({}, "cifar-100-python/test"), ({"cifar-100-python/test": batch}, "fine_labels")):
        files.tar(here / "cifar-100-python.tar.gz", members | more, "w:gz")
        assert told in fault(source="cifar100", seed=0, val=0, verify=False)


@pytest.mark.parametrize("label", [-1, 2, 99, "cat", None])
def test_a_label_of_no_class_is_named_by_file_and_record(here: Path, label: Any) -> None:
    path = files.cifar10(here, last=label)
    message = fault(source="cifar10", seed=0, val=0, verify=False)
    assert all(words in message for words in (str(path), "test_batch: record 3", repr(label), "0 to 1"))


@pytest.mark.parametrize("protocol", range(6))
def test_a_cifar_archive_that_python_3_has_pickled_again_is_read(here: Path, protocol: int) -> None:
    files.cifar10(here)
    first = made(source="cifar10", seed=0, val=0, verify=False)
    files.cifar10(here, dump=lambda value: pickle.dumps({key.decode(): each for key, each in value.items()}, protocol))
    again = made(source="cifar10", seed=0, val=0, verify=False)
    assert (again.index, again.manifest["classes"]) == (first.index, ["cat", "dog"])


def test_links_in_an_archive_are_not_followed_and_large_members_not_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.cifar100(here)
    path = here / "cifar-100-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("meta", "train", "test"):
            link = tarfile.TarInfo(f"cifar-100-python/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    assert "lacks cifar-100-python/meta" in fault(source="cifar100", seed=0, val=0, verify=False)
    files.cifar100(here)
    monkeypatch.setattr("relume.data.archives.LARGEST", 1000)
    assert f"{path}: cifar-100-python/train has " in fault(source="cifar100", seed=0, val=0, verify=False)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("broken-in",)


@pytest.mark.parametrize("data", [pickle.dumps({"data": Evil()}), b"\x80\x04no pickle", b"", pickle.dumps([1])])
def test_a_pickle_runs_nothing(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a pickle of arrays"):
        unpickle(io.BytesIO(data), encoding="bytes")
    assert not Path("broken-in").exists()


def test_pickles_of_either_numpy_and_of_cifar100_are_read(here: Path) -> None:
    value = {b"data": np.arange(6, dtype=np.uint8).reshape(2, 3), b"labels": [0, 1]}
    data = files.pickled(value)
    for module in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        loaded = unpickle(io.BytesIO(data.replace(b"numpy.core.multiarray", module)), encoding="bytes")
        assert np.array_equal(loaded["data"], value[b"data"])
        assert loaded["labels"] == [0, 1]
    files.cifar100(here)
    dataset = made(source="cifar100", seed=0, val=0, verify=False)
    assert dataset.manifest["counts"] == {"all": 10, "test": 4, "val": 0, "train": 6}
    assert dataset.manifest["classes"] == ["apple", "bee"]
    labels = dict(zip(column(dataset, "id", "test"), column(dataset, "label", "test"), strict=True))
    assert labels["test-00000"] == "bee"


def test_tiny_imagenet_takes_a_class_subset_or_is_named(here: Path) -> None:
    files.tiny_imagenet(here)
    section = {"source": "tiny_imagenet", "verify": False, "classes": 2, "val": 1}
    dataset = made(**section, seed=0)
    assert dataset.manifest["counts"] == {"all": 12, "test": 4, "val": 1, "train": 7}
    assert len(dataset.manifest["classes"]) == 2
    assert Counter(column(dataset, "label", "test")) == dict.fromkeys(dataset.manifest["classes"], 2)
    assert all(row["id"].startswith(row["label"]) for row in dataset.index if row["split"] != "test")
    subsets = {tuple(made(**section, seed=seed).manifest["classes"]) for seed in range(5)}
    assert len(subsets) > 1
    path = files.tiny_imagenet(here)
    section = {"source": "tiny_imagenet", "verify": False, "seed": 0, "val": 0}
    assert "classes: " in fault(**section, classes=4)
    path.write_bytes(path.read_bytes()[:-500])
    assert f"{path} is truncated" in fault(**section, classes=2)
    files.zipped(path, {"other/x.txt": b""})
    assert "wnids.txt" in fault(**section, classes=2)
    files.zipped(path, {"tiny-imagenet-200/wnids.txt": "n0é".encode("latin1")})
    assert f"{path}: tiny-imagenet-200/wnids.txt: " in fault(**section, classes=2)


@pytest.mark.parametrize(("val", "each"), [(4, {2}), (5, {2, 3})])
def test_tiny_imagenet_holds_out_as_many_of_every_class(here: Path, val: int, each: set[int]) -> None:
    files.tiny_imagenet(here, train=6)
    section = {"source": "tiny_imagenet", "verify": False, "classes": 2, "seed": 0}
    dataset = made(**section, val=val)
    assert set(Counter(column(dataset, "label", "val")).values()) == each
    held = set(column(dataset, "id", "val"))
    assert held > set(column(made(**section, val=val - 1), "id", "val")), "more hold out the same and others"
    assert not held & set(column(dataset, "id", "train"))


IMAGENET = {"source": "imagenet_val", "pixels": 24, "short_side": 24, "seed": 0, "test": 3, "val": 2, "verify": False}
NUMBERS = [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]


def test_imagenet_from_the_official_archive_and_devkit(here: Path) -> None:
    files.tar(here / "ILSVRC2012_img_val.tar", files.imagenet_files())
    files.devkit(here, NUMBERS)
    dataset = made(**IMAGENET)
    assert dataset.manifest["counts"] == {"all": 10, "test": 3, "val": 2, "train": 5}
    for row in dataset.index:
        assert row["label"] == f"n{NUMBERS[int(row['id'][-8:]) - 1]:08d}"
    tests = column(dataset, "id", "test")
    assert column(made(**IMAGENET | {"train": 1}), "id", "test") == tests


def test_imagenet_in_parts_as_loose_files_and_as_a_tree(here: Path) -> None:
    data = files.imagenet_files()
    whole = files.tar(here / "ILSVRC2012_img_val.tar", data).read_bytes()
    truth = "".join(f"{number}\n" for number in NUMBERS)
    (here / "truth.txt").write_text(truth)
    cut = len(whole) // 11
    chunks = [whole[start : start + cut] for start in range(0, len(whole), cut)]
    assert len(chunks) > 10  # part_10 comes after part_9
    files.tree(here / "parts", {f"part_{number}": chunk for number, chunk in enumerate(chunks)})
    files.tree(here, {f"part_{number}": chunk for number, chunk in enumerate(chunks)})
    files.tree(here / "loose", data)
    files.tree(here / "tree", {f"val/{number}/{name}": each for number, (name, each) in zip(NUMBERS, data.items(), strict=True)})
    names = ("ILSVRC2012_img_val.tar", "parts", "part_*", "loose")
    made_of = {name: made(**IMAGENET, archive=name, truth="truth.txt") for name in names}
    for dataset in made_of.values():
        assert np.array_equal(dataset.images, made_of["loose"].images)
        assert dataset.index == made_of["loose"].index
    tree = made(**IMAGENET, archive="tree", truth="none at all")
    assert tree.manifest["classes"] == ["1", "2", "3"]
    assert {row["sha1"] for row in tree.index} == {row["sha1"] for row in made_of["loose"].index}


def test_imagenet_that_is_not_whole_or_not_here_is_named(here: Path) -> None:
    message = fault(**IMAGENET)
    told = ("https://image-net.org/download.php", "29b22e2961454d5413ddabcf34fc5622", "data/sources/ILSVRC2012_img_val.tar")
    assert all(words in message for words in told)
    assert "part_*" in fault(**IMAGENET, archive="part_*")
    path = files.tar(here / "ILSVRC2012_img_val.tar", files.imagenet_files())
    assert "ILSVRC2012_devkit_t12.tar.gz" in fault(**IMAGENET), "its truth is missing"
    (here / "short.txt").write_text("1\n2\n")
    assert "ILSVRC2012_val_00000003.JPEG" in fault(**IMAGENET, truth="short.txt")
    (here / "short.txt").write_bytes(b"caf\xe9\n")
    assert "short.txt is not UTF-8" in fault(**IMAGENET, truth="short.txt")
    files.devkit(here, NUMBERS)
    whole = path.read_bytes()
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    for cut in (5000, last.offset_data + -(-last.size // 512) * 512):  # in the middle; its end mark is missing
        path.write_bytes(whole[:cut])
        assert f"{path} is truncated" in fault(**IMAGENET)
    files.tree(here, {"part_0": whole[:4000], "part_1": whole[4000:]})
    message = fault(**IMAGENET | {"verify": True}, archive="part_*")
    assert all(words in message for words in (f"{here / 'part_0'} … part_1", "29b22e2961454d5413ddabcf34fc5622", "verify: false"))


def test_kinds_of_truth() -> None:
    assert from_text("5\n7\n", "x") == {"ILSVRC2012_val_00000001": "5", "ILSVRC2012_val_00000002": "7"}
    assert from_text("ILSVRC2012_val_00000009.JPEG 65\n", "x") == {"ILSVRC2012_val_00000009": "65"}
    table = "ImageId,PredictionString\nILSVRC2012_val_00000004,n01751748 1 2 3 4\n"
    assert from_text(table, "x") == {"ILSVRC2012_val_00000004": "n01751748"}
    with pytest.raises(UserError, match="2 lines"):
        from_text("a.JPEG 1\na.JPEG 2\n", "x")
