"""The stage `invert_decoder` on toy files: a group of one method per decoder, images as decoded, faults."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from relume.core.errors import UserError
from relume.core.files import read_csv
from relume.core.images import to_uint8
from relume.core.results import Row, read_group
from relume.data.store import Dataset
from relume.methods.decoder.config import InvertDecoder
from relume.methods.decoder.infer import decode
from relume.methods.decoder.model import TrainedDecoder, read_decoder
from relume.networks import network as networks
from relume.networks.taps import collect
from relume.training.loop import train
from relume.training.models import write_model
from stages import invert_decoder
from tests.decoder_files import CPU, toy, training
from tests.stage_files import IMAGES, project, succeed

DECODERS = {
    "both": {"taps": ["conv5", "conv2"]},
    "published": {"taps": ["conv2"], "architecture": {"kind": "per_layer"}},
    "vector": {"taps": ["pool"]},
}
GROUP = {"dataset": "toy", "split": "test", "count": None, "decoders": list(DECODERS)}
OPTIONS = {"group": "decoders", "weights": "models/weights", "models": "models", "out": "out"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    project(tmp_path, monkeypatch, {"invert_decoder": {"decoders": GROUP}})
    return Dataset.open(Path(IMAGES))


def write(data: Dataset, *names: str) -> None:
    for name in names:
        trainer = toy(data, training=training(steps=1), **DECODERS[name])
        write_model(Path("models", name), train(trainer), {**trainer.card(), "name": name}, trainer.samples())


def test_a_group_of_one_method_per_decoder(data: Dataset) -> None:
    write(data, *DECODERS)
    succeed(invert_decoder, **OPTIONS)
    group = read_group(Path("out"))
    assert [row["method"] for row in group.index] == [name for name in DECODERS for _ in range(4)]
    assert [row["id"] for row in group.index[:4]] == ["test0", "test1", "test2", "test3"]
    assert {(row["family"], row["task"], row["oracle"], row["objective"]) for row in group.index} == {
        ("decoder", "feature", "false", "")
    }
    assert {row["tap"] for row in group.index} == {"conv5+conv2", "conv2", "pool"}
    assert [row["method"] for row in read_csv(group.folder / "timing.csv")] == list(DECODERS)
    assert read_csv(group.folder / "trace.csv") == []
    decoder = read_decoder(Path("models/both"), CPU)
    with torch.no_grad(), collect(networks.random("alexnet_conv"), decoder.taps) as tapped:
        wanted = to_uint8(decoder.module(tapped(data.pixels(data.select("test")))))
    assert np.abs(group.images[:4].astype(int) - wanted.astype(int)).max() <= 1


def test_pictures_and_features_must_be_those_of_the_training(data: Dataset) -> None:
    write(data, "vector")
    decoder, nets = read_decoder(Path("models/vector"), CPU), {"alexnet_conv": networks.random("alexnet_conv")}
    config = InvertDecoder(dataset="toy", split="test", count=2, decoders=("vector",))

    def rows(one: TrainedDecoder, config: InvertDecoder) -> list[Row]:
        return decode([one], data, config, networks=nets, device=CPU, micro_batch=8)[1]

    assert [row.id for row in rows(decoder, config)] == ["test0", "test1"]
    for wrong, message in (({"size": 32}, "32 px"), ({"shapes": {"pool": (9,)}}, "was trained on")):
        with pytest.raises(UserError, match=message):
            rows(replace(decoder, card={**decoder.card, **wrong}), config)
    with pytest.raises(UserError, match="photos.*toy"):
        rows(decoder, replace(config, dataset="photos"))
