"""Decoders of random weights on disk, for tests of what is done with decoders."""

from pathlib import Path

from safetensors.torch import save_file

from relume.core.files import write_json
from relume.data.store import Dataset
from tests.decoder_files import fingerprint, toy


def write_decoder(folder: Path, data: Dataset, taps: list[str]) -> None:
    trainer = toy(data, taps=taps)
    tensors = {key: value.contiguous() for key, value in trainer.module.state_dict().items()}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    write_json(folder / "model.json", {**trainer.card(), "name": folder.name, "sha256": fingerprint(tensors)})
