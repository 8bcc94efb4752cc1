"""The owners' archives and trees at toy size, made on the spot, and odd pictures of every kind."""

import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relume.core.config import build
from relume.core.errors import UserError
from relume.data.config import Prepare, Source
from relume.data.prepare import prepare
from relume.data.store import Dataset


def source(**section: Any) -> Source:
    return build(Prepare, {"datasets": {"toy": section}}, "prepare").datasets["toy"]


def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    (tmp_path / "store").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("RELUME_SOURCES", os.pathsep.join([str(tmp_path / "nowhere"), str(tmp_path / "store")]))
    return tmp_path / "store"


def made(**section: Any) -> Dataset:
    prepare(source(**section), Path("data/images/toy"), name="toy")
    return Dataset.open(Path("data/images/toy"))


def fault(**section: Any) -> str:
    with pytest.raises(UserError) as caught:
        made(**section)
    assert str(caught.value).startswith("prepare.datasets.toy: ")
    return str(caught.value)


def column(dataset: Dataset, key: str, split: str) -> list[str]:
    return [dataset.index[row][key] for row in dataset.select(split)]


def pixels(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR))


def encoded(image: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def tree(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def pictures(*names: str) -> dict[str, bytes]:
    return {name: encoded(pixels(number)) for number, name in enumerate(names)}


def tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Text and bytes as Python 2 wrote them, which is how the owner's archives were made."""

    def save_string(self, value: str | bytes) -> None:
        data = value.encode() if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(data)) + data)

    dispatch = {**pickle._Pickler.dispatch, bytes: save_string, str: save_string}  # type: ignore[attr-defined]


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, 2).dump(value)
    return buffer.getvalue().replace(b"numpy._core.", b"numpy.core.")


def cifar_rows(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def cifar10(folder: Path, per_batch: int = 4, *, last: Any = 1, dump: Callable[[Any], bytes] = pickled) -> Path:
    """`last`: the label of the last picture."""
    files = {"batches.meta": {b"label_names": [b"cat", b"dog"]}}
    for number, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        labels = [k % 2 for k in range(per_batch)]
        files[name] = {b"data": cifar_rows(number, per_batch), b"labels": labels}
    files["test_batch"][b"labels"][-1] = last
    packed = {f"cifar-10-batches-py/{name}": dump(value) for name, value in files.items()}
    return tar(folder / "cifar-10-python.tar.gz", packed, "w:gz")


def cifar100(folder: Path) -> Path:
    files = {
        "meta": {b"fine_label_names": [b"apple", b"bee"], b"coarse_label_names": [b"things"]},
        "train": {b"data": cifar_rows(0, 6), b"fine_labels": [0, 1] * 3, b"coarse_labels": [0] * 6},
        "test": {b"data": cifar_rows(1, 4), b"fine_labels": [1, 0] * 2, b"coarse_labels": [0] * 4},
    }
    packed = {f"cifar-100-python/{name}": pickled(value) for name, value in files.items()}
    return tar(folder / "cifar-100-python.tar.gz", packed, "w:gz")


def tiny_imagenet(folder: Path, classes: int = 3, train: int = 4, val: int = 2) -> Path:
    wnids = [f"n{number:08d}" for number in range(classes)]
    files = {"wnids.txt": "\n".join(reversed(wnids)).encode(), "words.txt": b""}
    notes, seed = [], 0
    for wnid in wnids:
        for number in range(train):
            seed += 1
            files[f"train/{wnid}/images/{wnid}_{number}.JPEG"] = encoded(pixels(seed, 64, 64), "JPEG")
    for number in range(classes * val):
        seed += 1
        files[f"val/images/val_{number}.JPEG"] = encoded(pixels(seed, 64, 64), "JPEG")
        notes.append(f"val_{number}.JPEG\t{wnids[number % classes]}\t0\t0\t63\t63")
    files["val/val_annotations.txt"] = "\n".join(notes).encode()
    files["test/images/test_0.JPEG"] = encoded(pixels(0), "JPEG")
    return zipped(folder / "tiny-imagenet-200.zip", {f"tiny-imagenet-200/{name}": data for name, data in files.items()})


def imagenet_files(count: int = 10) -> dict[str, bytes]:
    return {f"ILSVRC2012_val_{k:08d}.JPEG": encoded(pixels(k), "JPEG", quality=95) for k in range(1, count + 1)}


def devkit(folder: Path, numbers: list[int]) -> Path:
    from scipy.io import savemat

    kind = [("ILSVRC2012_ID", object), ("WNID", object)]
    synsets = np.array([(k, f"n{k:08d}") for k in range(1, 4)], dtype=kind)
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    text = "".join(f"{number}\n" for number in numbers).encode()
    files = {"data/meta.mat": meta.getvalue(), "data/ILSVRC2012_validation_ground_truth.txt": text, "readme.txt": b"x"}
    packed = {f"ILSVRC2012_devkit_t12/{name}": data for name, data in files.items()}
    return tar(folder / "ILSVRC2012_devkit_t12.tar.gz", packed, "w:gz")
