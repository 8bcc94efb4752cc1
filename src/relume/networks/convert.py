"""Converts official weight files to tensors with the names of our modules. Never runs code from a file."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.unpickle import BROKEN, unpickle
from relume.networks.builders import build
from relume.networks.catalogue import facts

META = torch.device("meta")
NESTED = ("state_dict", "model_state_dict", "model")  # keys below which training scripts keep the tensors


class InvalidWeights(Exception):
    """The file does not contain the expected weights; the message says why."""


def unpickle_arrays(path: Path) -> dict[str, Any]:
    """Nested dicts of numpy arrays."""
    with path.open("rb") as file:
        try:
            tree = unpickle(file)
        except ValueError as error:
            raise InvalidWeights(str(error)) from None
    _check_tree(tree)
    return tree


def _check_tree(tree: object) -> None:
    if isinstance(tree, dict):
        for value in tree.values():
            _check_tree(value)
    elif not isinstance(tree, np.ndarray) or tree.dtype.hasobject:
        raise InvalidWeights(f"not a pickle of arrays: contains {type(tree).__name__}")


def template(network: str) -> dict[str, Tensor]:
    """Names and shapes of a network's tensors, on the meta device."""
    with META:
        body, _ = build(facts(network))
    return dict(body.state_dict())


def tensors_of(path: Path, nested: Sequence[str] = NESTED) -> dict[str, Tensor]:
    """A state dict, from safetensors or a torch file (`weights_only`): tensors by name, and nothing else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            loaded: Any = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, *BROKEN) as error:
        raise InvalidWeights(f"cannot be read as weights: {_unreadable(error)}") from None
    for key in nested:
        loaded = loaded[key] if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping) else loaded
    if not isinstance(loaded, Mapping) or not loaded:
        raise InvalidWeights(f"not a mapping of tensors: {type(loaded).__name__}")
    for name, value in loaded.items():
        if not isinstance(value, Tensor):
            raise InvalidWeights(f"its entry {name} is {type(value).__name__}, not a tensor")
        if value.layout != torch.strided or value.is_meta or value.nbytes > value.untyped_storage().nbytes():
            raise InvalidWeights(f"its tensor {name}, of shape {tuple(value.shape)}, is not stored whole")
    return {str(name).removeprefix("module."): value.detach() for name, value in loaded.items()}


def _unreadable(error: Exception) -> str:
    """Without torch's advice to read the file by `weights_only=False`, which would run what is in it."""
    text = str(error)
    if "weights_only" not in text:
        return (text.splitlines() or [type(error).__name__])[0]
    asked = re.search(r"GLOBAL ([\w.]+)", text)
    return f"it needs {asked[1]}, and only tensors are read" if asked else "it is not a file of tensors"


def unusable(tensor: Tensor, *, floating: bool = True) -> str:
    """Why this tensor is no weight, or "". `floating`: whether floating point is needed."""
    if floating and not tensor.is_floating_point():
        return f"is {str(tensor.dtype).removeprefix('torch.')}, floating point is needed"
    finite = not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
    return "" if finite else "has values that are NaN or infinite"


def compare(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raises InvalidWeights unless the tensors are usable and have the expected names and shapes."""
    missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or unknown:
        raise InvalidWeights(f"{len(missing)} tensors are missing {missing[:3]}, {len(unknown)} are unknown {unknown[:3]}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise InvalidWeights(f"{name} has shape {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}")
        if fault := unusable(tensor, floating=expected[name].is_floating_point()):
            raise InvalidWeights(f"{name} {fault}")


def _flax(network: str, path: Path) -> dict[str, Tensor]:
    """flax's tree {net: {Conv_i: {kernel (H, W, in, out), bias}}}; our convolutions directly precede the ReLUs of the taps."""
    tree = next(iter(unpickle_arrays(path).values()))
    taps = facts(network).taps
    relus = [tap.places[0].module for name, tap in taps.items() if tap.activation and name.startswith("conv")]
    tensors = {}
    for i, relu in enumerate(relus):
        layer = f"features.{int(relu.rpartition('.')[2]) - 1}"
        try:
            kernel, bias = tree[f"Conv_{i}"]["kernel"], tree[f"Conv_{i}"]["bias"]
        except (KeyError, TypeError, IndexError):
            raise InvalidWeights(f"Conv_{i} is missing") from None
        tensors[f"{layer}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        tensors[f"{layer}.bias"] = torch.from_numpy(bias.copy())
    return tensors


def _in_order(network: str, path: Path) -> dict[str, Tensor]:
    """A port with other names; the modules have the same order."""
    loaded, names = tensors_of(path), template(network)
    if [tuple(value.shape) for value in loaded.values()] != [tuple(value.shape) for value in names.values()]:
        raise InvalidWeights(f"its {len(loaded)} tensors do not have the shapes of the {len(names)} tensors of {network}")
    return dict(zip(names, loaded.values(), strict=True))


def _script(path: Path) -> dict[str, Any]:
    """OpenAI's TorchScript archives. Their sha256 is verified before."""
    try:
        return torch.jit.load(path, map_location="cpu").state_dict()
    except RuntimeError as error:
        raise InvalidWeights(f"not a TorchScript archive: {str(error).splitlines()[0]}") from None


def _visual(loaded: Mapping[str, Any]) -> dict[str, Tensor]:
    """The image tower of a CLIP."""
    tensors = {name.removeprefix("visual."): value for name, value in loaded.items() if name.startswith("visual.")}
    if not tensors:
        raise InvalidWeights("it has no image tower `visual`")
    return tensors


# (network, file) -> tensors, as `weights.canonical` takes them
READERS: dict[str, Callable[[str, Path], dict[str, Tensor]]] = {
    "state": lambda network, path: tensors_of(path),  # with the names of our modules
    "convolutions": lambda network, path: {
        name: value for name, value in tensors_of(path).items() if name.startswith("features.")
    },  # of AlexNet or VGG
    "flax": _flax,
    # LPIPS's 1 x 1 convolutions onto one channel -> `lin<i>`: (C,)
    "heads": lambda network, path: {name.partition(".")[0]: value.flatten() for name, value in tensors_of(path).items()},
    "in_order": _in_order,
    "visual": lambda network, path: _visual(tensors_of(path)),
    "script": lambda network, path: _visual(_script(path)),
}
