"""Mappers: shapes, independent rows, initial state, loss terms, training."""

from typing import Any, get_args

import pytest
import torch

from relume.core.config import build as configured
from relume.data.store import Dataset
from relume.losses import feature, image
from relume.methods.latent.config import MapperArchitecture
from relume.methods.latent.model import MAPPERS as BUILT
from relume.methods.latent.model import build
from relume.methods.latent.train import mean_latent
from relume.training.loop import LOSS, train
from tests.decoder_files import training
from tests.gan_files import dice
from tests.training_files import MAPPERS as CASES
from tests.training_files import mapper

LATENT = {"latent": 1.0, "pixel": 0.0, "feature": 0.0}
FEATURES = {"map": torch.randn(3, 4, 5, 5, generator=dice(0)[0]), "pool": torch.randn(3, 6, generator=dice(1)[0])}


def architecture(plain: dict[str, Any]) -> Any:
    return configured(MapperArchitecture, plain, "architecture")


def test_every_kind_is_covered() -> None:
    kinds = {get_args(cls.__dataclass_fields__["kind"].type)[0] for cls in get_args(get_args(MapperArchitecture)[0])}
    assert kinds == set(BUILT) == set(CASES)


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("shape", [(7,), (2, 5)])
def test_latent_shapes_and_independent_rows(kind: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    shapes = {tap: tuple(values.shape[1:]) for tap, values in FEATURES.items()}
    made = build(shapes, torch.zeros(shape), architecture(CASES[kind]))
    torch.nn.init.normal_(list(made.parameters())[-2])
    made.eval()
    found = made(FEATURES)
    assert found.shape == (3, *shape)
    assert torch.allclose(made({tap: values[1:2] for tap, values in FEATURES.items()}), found[1:2], atol=1e-5)
    for tap in FEATURES:
        other = FEATURES | {tap: FEATURES[tap].flip(1)}
        assert not torch.allclose(made(other), found, atol=1e-4), "a tap is not used"


@pytest.mark.parametrize("space", ["z", "w", "w_plus"])
def test_residual_mapper_starts_at_the_mean_latent(data: Dataset, space: str) -> None:
    made = mapper(data, space=space)
    images = made.pixels([0, 1])
    centre = mean_latent(made.painter, space)
    assert torch.equal(made.module(made.see(images)), centre.expand(2, *centre.shape))
    floors = made.validate()
    assert floors["psnr"] == pytest.approx(floors["floor_mean_latent"], rel=1e-5)


def test_loss_terms(data: Dataset) -> None:
    made = mapper(data, augment={"flip": False, "crop": 0.0, "colour": 0.0})
    torch.nn.init.normal_(list(made.module.parameters())[-2])
    with torch.no_grad():
        terms = made.loss([0, 1], dice(0, 1))
        images = made.pixels(made.train[:2])
        seen = made.see(images)
        painted = made.painter.synthesise(made.module(seen))
        far = [feature.relative_l2(made.see(painted)[tap], seen[tap]) for tap in ("conv3", "pool")]
        w = made.painter.map(made.painter.draw(dice(0, 1)))
        apart = made.module(made.see(made.painter.synthesise(w))) - w
    assert float(terms["pixel"]) == pytest.approx(float(image.pixel(painted, images).mean()), rel=1e-5)
    assert float(terms["feature"]) == pytest.approx(float(torch.stack(far).mean()), rel=1e-5)
    assert float(terms["latent"]) == pytest.approx(float(apart.square().mean()) / made.scale, rel=1e-4)
    assert float(terms[LOSS]) == pytest.approx(float(0.5 * terms["latent"] + terms["pixel"] + 0.25 * terms["feature"]), rel=1e-5)


@pytest.mark.parametrize(("kind", "made_by", "space"), [("published", "dcgan", "z"), ("residual", "style", "w")])
def test_training_lowers_the_latent_error(data: Dataset, kind: str, made_by: str, space: str) -> None:
    """On new draws, better than the mean latent, whose error is 1."""
    own = training(steps=60, batch=8, learning_rate=3e-3, weight_decay=0.0, log_every=30, validate_every=60, ema=0.0)
    made = mapper(data, kind, made_by=made_by, space=space, taps=["conv1"], losses=LATENT, training=own)
    done = train(made)
    reached = float(made.measure(torch.zeros(1), dice(*range(40, 72)))["latent"].mean().detach())
    assert reached < 0.8
    assert done.best.keys() == made.module.state_dict().keys()
