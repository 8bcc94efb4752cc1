"""The store of weights: what it reads, what it refuses; pickles that hold more than arrays; pins."""

import os
import pickle

import numpy as np
import pytest
import torch

from relume.core.errors import UserError
from relume.networks import fetch
from relume.networks.convert import InvalidWeights, unpickle_arrays
from relume.networks.pins import PINS
from relume.networks.weights import WeightStore, digest


class Evil:
    def __reduce__(self):
        return os.system, ("echo never",)


@pytest.mark.parametrize(
    "content", [{"a": Evil()}, {"a": {"b": 3}}, {"a": np.array([Evil()], dtype=object)}, np.array([{}], dtype=object), "text"]
)
def test_only_numpy_arrays_are_unpickled(content, tmp_path):
    (tmp_path / "x.ckpt").write_bytes(pickle.dumps(content, protocol=3))
    with pytest.raises(InvalidWeights, match="not a pickle of arrays"):
        unpickle_arrays(tmp_path / "x.ckpt")


def test_arrays_are_unpickled_and_halves_refused(tmp_path):
    data = pickle.dumps({"a": {"b": np.arange(6.0).reshape(2, 3)}}, protocol=3)
    (tmp_path / "x.ckpt").write_bytes(data)
    assert unpickle_arrays(tmp_path / "x.ckpt")["a"]["b"].tolist() == [[0, 1, 2], [3, 4, 5]]
    (tmp_path / "x.ckpt").write_bytes(data[:-20])
    with pytest.raises(InvalidWeights):
        unpickle_arrays(tmp_path / "x.ckpt")


def test_digest_is_of_the_content():
    a, b = torch.arange(4.0), torch.ones(2, dtype=torch.int64)
    assert digest({"a": a, "b": b}) == digest({"b": b, "a": a.clone()})
    others = [{"a": a.view(2, 2), "b": b}, {"a": a, "c": b}, {"a": a, "b": b.int()}, {"a": a + 1, "b": b}]
    assert len({digest(other) for other in [{"a": a, "b": b}, *others]}) == 5
    assert digest({}) == PINS["identity"]
    assert digest({"n": torch.tensor(3.0)}) != digest({"n": torch.tensor(4.0)})


def test_the_store_takes_roots_and_single_folders_and_nothing_undeclared(tmp_path):
    for name in ("lpips_alex", "lpips_vgg"):
        fetch.fetch_weights(name, tmp_path / "root")
    assert WeightStore(tmp_path / "root").names() == ["lpips_alex", "lpips_vgg"]
    single = WeightStore(tmp_path / "root" / "lpips_vgg")
    assert single.tensors("lpips_vgg")
    with pytest.raises(UserError, match=r"no weights of lpips_alex in .*; found: lpips_vgg.*weights.networks"):
        single.tensors("lpips_alex")


def test_altered_tensors_are_refused(tmp_path):
    from safetensors.torch import save_file

    folder = fetch.fetch_weights("lpips_alex", tmp_path)
    tensors = WeightStore(tmp_path).tensors("lpips_alex")
    save_file({**tensors, "lin0": tensors["lin0"] + 1}, folder / "model.safetensors")
    with pytest.raises(UserError, match="its tensors have sha256 .* expected"):
        WeightStore(tmp_path).tensors("lpips_alex")
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match="cannot be read"):
        WeightStore(tmp_path).tensors("lpips_alex")


def test_a_conversion_that_is_cut_is_not_taken_for_whole(tmp_path, monkeypatch):
    import safetensors.torch

    fetch.fetch_weights("lpips_alex", tmp_path)

    def full(tensors):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save", full)
    with pytest.raises(UserError, match=r"cannot write .*model.safetensors: No space left"):
        fetch.fetch_weights("lpips_alex", tmp_path)
    assert WeightStore(tmp_path).names() == []
    assert not list(tmp_path.glob("**/*.part"))
