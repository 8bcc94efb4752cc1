"""Decoders of random weights on disk, for tests of what is done with decoders."""

from pathlib import Path

from safetensors.torch import save_file

from relume.core.files import write_json
from relume.data.store import Dataset
from relume.methods.decoder.train import card
from tests.decoder_files import fingerprint, toy


def write_decoder(folder: Path, data: Dataset, taps: list[str]) -> None:
    """`folder`: models/decoder/<name>."""
    lesson = toy(data, taps=taps)
    tensors = {key: value.contiguous() for key, value in lesson.decoder.state_dict().items()}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    write_json(folder / "model.json", {**card(lesson), "name": folder.name, "sha256": fingerprint(tensors)})
