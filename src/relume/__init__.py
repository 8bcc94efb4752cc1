"""Inverts the features of neural networks back into images.

    import relume
    result = relume.invert(model, layer="layer2", images="my.jpg")   # any nn.Module, or a name of the catalogue
    relume.layers(model)                                             # what can be inverted, with shapes

Importing relume imports no torch: each function brings what it needs when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relume.api.decoding import Decoder
    from relume.api.inpainting import inpaint
    from relume.api.inversion import features, invert, layers
    from relume.api.results import Result
    from relume.api.scores import evaluate
    from relume.core.errors import UserError

__all__ = ["Decoder", "Result", "UserError", "evaluate", "features", "inpaint", "invert", "layers"]
HOMES = {  # by name, so that no stage depends on this file's imports
    "Decoder": "relume.api.decoding",
    "Result": "relume.api.results",
    "UserError": "relume.core.errors",
    "evaluate": "relume.api.scores",
    "features": "relume.api.inversion",
    "inpaint": "relume.api.inpainting",
    "invert": "relume.api.inversion",
    "layers": "relume.api.inversion",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("relume")
    if name not in HOMES:
        raise AttributeError(f"module 'relume' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
