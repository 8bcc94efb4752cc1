"""`relume.Decoder`: features to images in one pass, by a network that learns it from pictures."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.api.models import Layers, Model, Opened, Source, weighted
from relume.api.pictures import Images, load, side_of
from relume.api.settings import PARAMS
from relume.core.config import build, entry, read_params
from relume.core.errors import UserError
from relume.core.files import find_root
from relume.core.images import to_uint8
from relume.core.run import Run
from relume.data.store import Dataset
from relume.methods.decoder import shipped
from relume.methods.decoder.config import DecoderConfig
from relume.methods.decoder.infer import apply
from relume.methods.decoder.model import TrainedDecoder, read_decoder
from relume.methods.decoder.train import DecoderTrainer
from relume.training.models import CARD, model_folder
from relume.training.stage import train_model
from relume.training.trainer import Setup

MODELS = Path("models/decoder")
DEFAULT = "alexnet_conv3_128"
HELD_OUT = 8  # of how many pictures one is for validation


class Decoder:
    """`decoder(images)` or `decoder(features)` -> float (N, 3, size, size) in [0, 1]."""

    def __init__(self, trained: TrainedDecoder, source: Source | None, folder: Path | None = None) -> None:
        self.trained, self.source, self.folder = trained, source, folder

    @classmethod
    def train(
        cls,
        model: Model,
        layer: Layers,
        images: Images,
        *,
        folder: str | Path | None = None,
        size: int | None = None,
        steps: int | None = None,
        seed: int = 0,
        micro_batch: int = 8,
        settings: Mapping[str, Any] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        weights: str | Path | None = None,
        device: str | None = None,
    ) -> "Decoder":
        """Learns from pictures, every eighth of which is held out to choose the best weights.

        images: a folder of pictures, or what `relume.invert` takes. folder: where the decoder is written, for `Decoder.load`.
        settings: keys of `train_decoder.shared` in params.yaml that differ, as {"architecture": {"width": 64}}. The other options
        are those of `relume.invert`.
        """
        source, chosen = Source(model, mean=mean, std=std, weights=weights, device=device), weighted(layer)
        if source.channels != 3:
            raise UserError(f"model: decoders make images of 3 channels, {source.facts.name} takes {source.channels}")
        side, whole = size or side_of(images) or source.default_size, read_params(PARAMS)
        dataset = _dataset(to_uint8(load(images, size=side, channels=3)))
        with source.borrow(), tempfile.TemporaryDirectory() as scratch:
            opened = source.opened(chosen, side)
            own: dict[str, Any] = {"network": opened.name, "taps": list(chosen), "dataset": dataset.name, **(settings or {})}
            shared = whole["train_decoder"]["shared"]
            if not opened.store.has("alexnet_conv"):
                shared = {**shared, "losses": {**shared["losses"], "lpips": 0.0}}
            if steps is not None:
                training = {**shared["training"], **own.get("training", {})}
                every = {key: min(training[key], steps) for key in ("warmup", "log_every", "validate_every")}
                own["training"] = {**training, "steps": steps, **every}
            config = entry(DecoderConfig, shared, own, "decoder")
            run = build(Run, {**whole["run"], "device": opened.device.type, "seed": seed, "micro_batch": micro_batch}, "run")
            name = f"{opened.name}_{'_'.join(chosen)}"
            setup = Setup(name=name, config=config, run=run, dataset=dataset, store=opened.store, device=opened.device)
            out = Path(folder).expanduser() if folder is not None else Path(scratch) / "decoder"
            train_model(DecoderTrainer(setup), out, Path(scratch) / "state.safetensors", lambda _: {"device": str(opened.device)})
            trained = read_decoder(out, opened.device)
        return cls(trained, source, None if folder is None else out)

    @classmethod
    def load(cls, name: str | Path, model: Model | None = None, **options: Any) -> "Decoder":
        """The decoder in a folder, of this name in the project's models/decoder, or one that ships. `model` and options of
        `relume.invert` are needed for images only, and where the network is not of the catalogue."""
        folder = decoder_folder(name)
        source = None if model is None else Source(model, **options)
        trained = read_decoder(folder, source.device if source else torch.device(options.get("device", "cpu")))
        if source is not None:
            return cls(trained, source, folder)
        try:
            return cls(trained, Source(trained.network, **options), folder)
        except UserError:  # a network of the user's own: features alone can be decoded
            return cls(trained, None, folder)

    @classmethod
    def pretrained(cls, name: str = DEFAULT, **options: Any) -> "Decoder":
        """One of the decoders that ship with relume, which `relume list decoders` lists."""
        return cls.load(shipped.find(name, [shipped.SHIPPED]), **options)

    def __call__(self, images: Images | None = None, *, features: Tensor | Mapping[str, Tensor] | None = None) -> Tensor:
        """Images are first given to the network. `features`: as the network returned them; of several layers a mapping."""
        if (images is None) == (features is None):
            raise UserError("images, features: one of them is needed")
        if images is not None:
            found = self.features(images)
        else:
            assert features is not None
            each = {self.trained.taps[0]: features} if isinstance(features, Tensor) else features
            if missing := [tap for tap in self.trained.taps if tap not in each]:
                raise UserError(
                    f"features: decoder {self.trained.name} needs {', '.join(self.trained.taps)}, without {missing[0]}"
                )
            found = {tap: self._as_decoded(each[tap], self.trained.shapes[tap]) for tap in self.trained.taps}
        device = next(self.trained.module.parameters()).device
        return apply(self.trained, {tap: value.to(device).float() for tap, value in found.items()}).cpu()

    def features(self, images: Images) -> dict[str, Tensor]:
        """What is decoded of images."""
        if self.source is None:
            raise UserError(f"model: decoder {self.trained.name} is of {self.trained.network}: give it to Decoder.load")
        with self.source.borrow():
            return self._opened().features(load(images, size=self.trained.size, channels=3), 8)

    def _opened(self) -> Opened:
        assert self.source is not None
        return self.source.opened(dict.fromkeys(self.trained.taps, 1.0), self.trained.size)

    @staticmethod
    def _as_decoded(value: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Maps have their channels first."""
        turned = value.movedim(-1, 1)
        return turned if tuple(turned.shape[1:]) == shape != tuple(value.shape[1:]) else value


def decoder_folder(name: str | Path) -> Path:
    """Of a trained decoder: the project's, or one that ships."""
    models = find_root(Path.cwd()) / MODELS
    if str(name) in (ships := shipped.cards()) and not (models / name / CARD).exists():
        return shipped.SHIPPED / name
    return model_folder("decoder", name, models, stages="train_decoder", more=ships)


def _dataset(pixels: np.ndarray) -> Dataset:
    if len(pixels) < 2:
        raise UserError(f"images: a decoder learns from at least 2, got {len(pixels)}")
    splits = ["val" if number % HELD_OUT == 1 else "train" for number in range(len(pixels))]
    index = [{"id": str(number), "split": split, "label": "", "source": str(number)} for number, split in enumerate(splits)]
    return Dataset(name="images", size=pixels.shape[1], images=pixels, index=index, manifest={})
