"""Mappers: shapes and rows, where the residual one begins, terms by hand, learning, kills, faults by name."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from relume.core.checkpoint import Checkpoint
from relume.core.config import build as configured
from relume.core.errors import UserError
from relume.core.images import resize
from relume.data.store import Dataset
from relume.losses import feature, image
from relume.methods.gan.trained import TrainedGan
from relume.methods.latent.config import MapperArchitecture, MapperConfig
from relume.methods.latent.model import MAPPERS, build
from relume.methods.latent.train import MapperLesson, card, latent_error, loss, mapper_lesson, mean_latent, progress, validate
from relume.training.loop import LOSS, train
from tests.decoder_files import CPU, RUN, Store, training
from tests.evaluation_files import write_dataset
from tests.gan_files import dice, generator

SIDE = 64
CASES: dict[str, dict[str, Any]] = {
    "published": {"kind": "published", "width": 8},
    "residual": {"kind": "residual", "width": 32, "depth": 1, "grid": 4},
}
LATENT = {"latent": 1.0, "pixel": 0.0, "feature": 0.0}
FEATURES = {"map": torch.randn(3, 4, 5, 5, generator=dice(0)[0]), "pool": torch.randn(3, 6, generator=dice(1)[0])}


def architecture(plain: dict[str, Any]) -> Any:
    return configured(MapperArchitecture, plain, "architecture")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("data") / "toy", size=SIDE)


def lesson(data: Dataset, kind: str = "residual", size: int = SIDE, made_by: str = "style", **differences: Any) -> MapperLesson:
    plain = {
        "dataset": "toy",
        "generator": "models/gan/toy",
        "network": "alexnet_conv",
        "taps": ["conv3", "pool"],
        "space": "w",
        "architecture": CASES[kind],
        "losses": {"latent": 0.5, "pixel": 1.0, "feature": 0.25},
        "augment": {"flip": True, "crop": 0.0, "colour": 0.0},
        "training": training(batch=4, log_every=2, learning_rate=1e-2),
        "validation": None,
    }
    config = configured(MapperConfig, plain | differences, "train_mapper")
    painter = generator(made_by, size).requires_grad_(False).train()
    for _ in range(20 if made_by == "dcgan" else 0):  # a fresh one's batch normalisation knows nothing, and paints all alike
        painter(painter.draw(dice(*range(16))))
    painter.eval()
    painter.running_mean.copy_(painter.map(painter.draw(dice(*range(200, 264)))).mean(0))
    trained = TrainedGan(name="toy", dataset="toy", generator=painter)
    return mapper_lesson(
        name="toy",
        config=config,
        run=RUN,
        dataset=data,
        store=Store(),
        trained=trained,
        device=CPU,  # type: ignore[arg-type]
    )


def test_every_kind_of_the_parameters_is_there_and_tried() -> None:
    kinds = {get_args(cls.__dataclass_fields__["kind"].type)[0] for cls in get_args(get_args(MapperArchitecture)[0])}
    assert kinds == set(MAPPERS) == set(CASES)


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("shape", [(7,), (2, 5)])
def test_latents_have_the_shape_of_the_mean_and_rows_are_apart(kind: str, shape: tuple[int, ...]) -> None:
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
        assert not torch.allclose(made(other), found, atol=1e-4), "every tap counts"


def test_s0s_mapper_has_its_number_of_weights() -> None:
    """2048 to 2048 to 2048, two batch normalisations."""
    with torch.device("meta"):
        made = build({"pool": (2048,)}, torch.zeros(2048), architecture(CASES["published"] | {"width": 2048}))
    assert sum(weights.numel() for weights in made.parameters()) == 2 * (2048 * 2048 + 2048) + 2 * 2 * 2048


@pytest.mark.parametrize("space", ["z", "w", "w_plus"])
def test_the_residual_mapper_begins_at_the_mean_latent(data: Dataset, space: str) -> None:
    made = lesson(data, space=space)
    images = made.pictures([0, 1])
    centre = mean_latent(made.painter, space)
    assert torch.equal(made.mapper(made.see(images)), centre.expand(2, *centre.shape))
    floors = validate(made)
    assert floors["psnr"] == pytest.approx(floors["floor_mean_latent"], rel=1e-5)


def test_pictures_of_a_larger_generator_are_shown_at_the_datas_size(data: Dataset) -> None:
    made = lesson(data, size=2 * SIDE)
    w = mean_latent(made.painter, "w")[None]
    assert made.painter.synthesise(w).shape == (1, 3, 2 * SIDE, 2 * SIDE)
    assert torch.equal(made.paint(w), resize(made.painter.synthesise(w), SIDE))
    assert set(loss(made, [0, 1], dice(0, 1))) == {LOSS, "latent", "pixel", "feature"}


def test_terms_by_hand(data: Dataset) -> None:
    made = lesson(data, augment={"flip": False, "crop": 0.0, "colour": 0.0})
    torch.nn.init.normal_(list(made.mapper.parameters())[-2])
    with torch.no_grad():
        terms = loss(made, [0, 1], dice(0, 1))
        images = made.pictures(made.train[:2])
        seen = made.see(images)
        painted = made.painter.synthesise(made.mapper(seen))
        far = [feature.relative_l2(made.see(painted)[tap], seen[tap]) for tap in ("conv3", "pool")]
        w = made.painter.map(made.painter.draw(dice(0, 1)))
        apart = made.mapper(made.see(made.painter.synthesise(w))) - w
    assert float(terms["pixel"]) == pytest.approx(float(image.pixel(painted, images).mean()), rel=1e-5)
    assert float(terms["feature"]) == pytest.approx(float(torch.stack(far).mean()), rel=1e-5)
    assert float(terms["latent"]) == pytest.approx(float(apart.square().mean()) / made.scale, rel=1e-4)
    assert float(terms[LOSS]) == pytest.approx(float(0.5 * terms["latent"] + terms["pixel"] + 0.25 * terms["feature"]), rel=1e-5)


@pytest.mark.parametrize(("kind", "made_by", "space"), [("published", "dcgan", "z"), ("residual", "style", "w")])
def test_it_learns_latents_of_drawn_pictures(data: Dataset, kind: str, made_by: str, space: str) -> None:
    """Better than the mean latent, which is 1 off in units of the variance, on draws that it never saw."""
    own = training(steps=60, batch=8, learning_rate=3e-3, weight_decay=0.0, log_every=30, validate_every=60, ema=0.0)
    made = lesson(data, kind, made_by=made_by, space=space, taps=["conv1"], losses=LATENT, training=own)
    done = train(made.task(), made.config.training, RUN)
    reached = float(latent_error(made, dice(*range(40, 72))).mean().detach())
    assert reached < 0.8
    assert done.best.keys() == made.mapper.state_dict().keys()


def test_a_killed_training_goes_on_to_the_same_bits(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def learn(**options: Any) -> Any:
        made = lesson(data)
        return train(made.task(), made.config.training, RUN, **options)

    whole = learn()
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)

    def killed(step: int, values: object, sheet: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    path = tmp_path / "mapper.safetensors"
    with pytest.raises(KeyboardInterrupt):
        learn(checkpoint=Checkpoint(path, []), watch=killed)
    again = learn(checkpoint=Checkpoint(path, []))
    assert again.history == whole.history
    assert all(torch.equal(value, again.last[name]) for name, value in whole.last.items())


def test_what_is_said_and_shown_of_it(data: Dataset) -> None:
    made = lesson(data)
    assert card(made)["shapes"] == {"conv3": [384, 3, 3], "pool": [256]}
    assert progress(made).shape == (2, 4, SIDE, SIDE, 3)


def test_faults_are_named(data: Dataset) -> None:
    with pytest.raises(UserError, match="mapper toy is to learn from photos"):
        lesson(data, dataset="photos")
    with pytest.raises(UserError, match="losses.latent: this weight, pixel and feature are all 0"):
        lesson(data, losses={"latent": 0.0, "pixel": 0.0, "feature": 0.0})
    with pytest.raises(UserError, match="space: the published mapper maps to z or w"):
        lesson(data, "published", space="w_plus")
