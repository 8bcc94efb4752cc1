"""A canonical form of weights, independent of their file, and its sha256."""

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor


def canonical(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sorted by name, contiguous, floating point as float32; without the unused counters of batch normalisations."""
    kept = sorted(name for name in tensors if not name.endswith("num_batches_tracked"))
    return {name: _plain(tensors[name].detach()) for name in kept}


def _plain(tensor: Tensor) -> Tensor:
    # a copy: safetensors cannot store tensors that share memory
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True).contiguous()


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(tensor.view(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return total.hexdigest()


def count(tensors: Mapping[str, Tensor]) -> int:
    """The number of parameters, without the running statistics of batch normalisations."""
    running = ("running_mean", "running_var")
    return sum(tensor.numel() for name, tensor in tensors.items() if not name.endswith(running))
