"""`python -m relume.networks.pin models/weights`: the lines that pin what was converted here and has no pin yet."""

import sys
from pathlib import Path

from relume.networks.catalogue import PINS
from relume.networks.tensors import digest
from relume.networks.weights import TENSORS, WeightStore


def lines(root: Path) -> list[str]:
    """Lines for `pins.PINS`, from the tensors themselves."""
    from safetensors.torch import load_file

    store = WeightStore(root)
    fresh = [name for name in store.names() if name not in PINS]
    return [f'    "{name}": "{digest(load_file(store.folder(name) / TENSORS))}",' for name in fresh]


if __name__ == "__main__":
    print("\n".join(lines(Path(sys.argv[1] if len(sys.argv) > 1 else "models/weights"))))
