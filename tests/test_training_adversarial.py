"""A decoder's discriminator: scores row by row within bounds, losses by hand, what its opinion counts."""

import pytest
import torch
from torch import Tensor, nn

from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.losses.gan import hinge_discriminator, hinge_generator
from relume.methods.decoder.discriminator import Discriminator
from relume.methods.decoder.train import adversarial
from relume.training.adversarial import DISCRIMINATOR
from relume.training.trainer import LOSS
from tests.decoder_files import toy

SIZE = 32


def discriminator(channels: int = 5) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator([channels], SIZE, 8)


def drawn(*shape: int, name: str = "x") -> Tensor:
    return torch.rand(*shape, generator=generator(0, name))


def test_losses_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    assert hinge_discriminator(real, fake).tolist() == [0.0, 1.5, 4.0]
    assert hinge_generator(fake).tolist() == [3.0, 0.0, -1.0]


@pytest.mark.parametrize("shape", [(5, 7, 7), (5,)], ids=["map", "vector"])
def test_rows_are_judged_apart_and_slopes_are_finite(shape: tuple[int, ...]) -> None:
    extractor = discriminator().eval()
    pictures, features = drawn(3, 3, SIZE, SIZE).requires_grad_(), drawn(3, *shape, name="features")
    scores = extractor(pictures, [features])
    assert scores.shape == (3,)
    assert torch.allclose(extractor(pictures[1:2], [features[1:2]]), scores[1:2], atol=1e-5)
    assert not torch.allclose(extractor(pictures, [features.flip(1)]), scores, atol=1e-5), "what was decoded matters"
    scores.sum().backward()
    assert pictures.grad is not None
    assert bool(torch.isfinite(pictures.grad).all())
    assert float(pictures.grad.abs().sum()) > 0
    assert bool(torch.isfinite(extractor(pictures, [torch.zeros(3, *shape)])).all())


def test_every_matrix_has_spectral_norm_one() -> None:
    extractor = discriminator()
    for _ in range(50):  # a step of the power method each
        extractor(drawn(1, 3, SIZE, SIZE), [drawn(1, 5, name="features")])
    layers = [layer for layer in extractor.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    norms = [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]
    assert norms == pytest.approx([1.0] * len(layers), abs=0.02)
    assert len(layers) == 3 + 3, "from 32 to 4 px, and three that join"


def test_the_discriminators_opinion_counts_by_its_weight_and_in_training_alone(data: Dataset) -> None:
    trainer = toy(data, losses={"adversarial": 0.3}, taps=["conv3", "pool"])
    terms = trainer.loss([0, 1], [generator(0, row) for row in range(2)])
    assert set(terms) == {LOSS, "pixel", "adversarial", DISCRIMINATOR}
    assert float(terms[LOSS].detach()) == pytest.approx(float((terms["pixel"] + 0.3 * terms["adversarial"]).detach()))
    assert trainer.discriminator is not None
    rows, extractor = trainer.train[:2], trainer.discriminator.module.eval()
    images = trainer.pixels(rows)
    seen = list(trainer.truth(rows, images)["alexnet_conv"].values())
    assert torch.allclose(adversarial(extractor, images, images, seen)["adversarial"], -extractor(images, seen))
    assert trainer.validate().keys() == toy(data).validate().keys()
    assert toy(data).discriminator is None
    assert set(toy(data).loss([0], [generator(0, 0)])) == {LOSS, "pixel"}
