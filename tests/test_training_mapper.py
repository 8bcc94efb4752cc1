"""Mappers and surrogates: shapes, independent rows, initial state, loss terms, baselines, cached features, training."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch.nn import functional as F

from relume.core.config import build as configured
from relume.core.config import entry
from relume.core.errors import UserError
from relume.core.files import read_json, write_json
from relume.data.store import Dataset
from relume.losses import feature, image
from relume.methods.latent.config import MapperArchitecture
from relume.methods.latent.model import MAPPERS as BUILT
from relume.methods.latent.model import build
from relume.methods.surrogate.config import SurrogateArchitecture, SurrogateConfig
from relume.methods.surrogate.model import FLAT, SurrogateMap, dropped, learned, ridge
from relume.methods.surrogate.train import FeatureReader, Pairs, floors, pairs
from relume.training.loop import LOSS, train
from relume.training.models import write_model
from tests.decoder_files import CPU, Store, extracted, training
from tests.gan_files import dice
from tests.training_files import MAPPERS, SURROGATES, mapper, surrogate
from tests.training_files import PREDICTED as OWN
from tests.training_files import surrogates as shared

LATENT = {"latent": 1.0, "pixel": 0.0, "feature": 0.0}
FEATURES = {"map": torch.randn(3, 4, 5, 5, generator=dice(0)[0]), "pool": torch.randn(3, 6, generator=dice(1)[0])}


def architecture(plain: dict[str, Any]) -> Any:
    return configured(MapperArchitecture, plain, "architecture")


def test_every_kind_is_covered() -> None:
    kinds = {get_args(cls.__dataclass_fields__["kind"].type)[0] for cls in get_args(get_args(MapperArchitecture)[0])}
    assert kinds == set(BUILT) == set(MAPPERS)


@pytest.mark.parametrize("kind", MAPPERS)
@pytest.mark.parametrize("shape", [(7,), (2, 5)])
def test_latent_shapes_and_independent_rows(kind: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    shapes = {tap: tuple(values.shape[1:]) for tap, values in FEATURES.items()}
    made = build(shapes, torch.zeros(shape), architecture(MAPPERS[kind]))
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
    centre = made.painter.centre(space)
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


SHAPES = {tap: tuple(values.shape[1:]) for tap, values in FEATURES.items()}


def surrogate_architecture(kind: str) -> Any:
    return configured(SurrogateArchitecture, SURROGATES[kind], "architecture")


def extractors(data: Dataset) -> FeatureReader:
    return FeatureReader(dataset=data, store=Store(), device=CPU, micro_batch=3)  # type: ignore[arg-type]


def test_every_kind_of_surrogate_is_covered() -> None:
    kinds = {get_args(cls.__dataclass_fields__["kind"].type)[0] for cls in get_args(get_args(SurrogateArchitecture)[0])}
    assert kinds == set(SURROGATES)


@pytest.mark.parametrize("rows", [5, 30], ids=["more numbers than rows", "more rows than numbers"])
def test_ridge_equals_least_squares(rows: int) -> None:
    """Ridge is least squares with sqrt(penalty) I below x and zeros below y."""
    x, y = torch.randn(rows, 8, generator=dice(2)[0]).double(), torch.randn(rows, 3, generator=dice(3)[0]).double()
    strength = 0.3 * x.square().sum(1).mean()
    wide = torch.cat([x, strength.sqrt() * torch.eye(8, dtype=x.dtype)])
    plain = torch.linalg.lstsq(wide, torch.cat([y, torch.zeros(8, 3, dtype=x.dtype)])).solution
    assert torch.allclose(ridge(x, y, 0.3), plain, atol=1e-9)


@pytest.mark.parametrize("kind", SURROGATES)
def test_rows_are_independent_and_every_tap_is_used(kind: str) -> None:
    torch.manual_seed(0)
    made = SurrogateMap(SHAPES, (2, 5), surrogate_architecture(kind)).eval()
    if made.missed is not None:
        torch.nn.init.normal_(made.missed.leave.weight)
    found = made(FEATURES)
    assert found.shape == (3, 2, 5)
    assert torch.allclose(made({tap: values[1:2] for tap, values in FEATURES.items()}), found[1:2], atol=1e-5)
    for tap in FEATURES:
        assert not torch.allclose(made(FEATURES | {tap: FEATURES[tap].flip(1)}), found, atol=1e-4)


def test_moments_of_constant_features() -> None:
    made = SurrogateMap({"pool": (2,)}, (1,), surrogate_architecture("linear"))
    made.set_moments(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.tensor([[0.0], [4.0]]))
    assert made.mean_in.tolist() == [2.0, 5.0]
    assert made.std_in.tolist() == pytest.approx([1.0, FLAT * 0.5**0.5])
    assert made.std_out.tolist() == [2.0]
    made.set_linear(torch.tensor([[1.0], [0.0]]))
    assert made({"pool": torch.tensor([[3.0, 9.0]])}).tolist() == [[4.0]]  # one deviation above the mean, in and out


@torch.no_grad()
def test_linear_map_is_recovered() -> None:
    x = torch.randn(200, 6, generator=dice(4)[0])
    y = x @ torch.randn(6, 9, generator=dice(5)[0])
    seen = [Pairs(inputs=x[part], outputs=y[part], shapes={"pool": (6,)}) for part in (slice(150), slice(150, 200))]
    module = SurrogateMap({"pool": (6,)}, (9,), surrogate_architecture("linear"))
    module.set_moments(seen[0].inputs, seen[0].outputs)
    module.set_linear(ridge(module.standard(x[:150]), module.standard_out(y[:150]), 1e-6))
    assert float(feature.cosine(module.predict(x[150:]), y[150:]).max()) < 1e-4
    assert float(feature.cosine(floors(module, *seen)["floor_nearest"], y[150:]).mean()) > 0.05


def test_loss_terms_and_baselines(data: Dataset) -> None:
    made = surrogate(data)
    with torch.no_grad():
        terms = made.loss([0, 2], dice(0, 1))
        predicted, true = made.module.predict(made.learned.inputs[[0, 2]]), made.learned.outputs[[0, 2]]
    apart = (predicted - true) / made.module.std_out
    assert float(terms["cosine"]) == pytest.approx(float((1 - F.cosine_similarity(predicted, true)).mean()), abs=1e-5)
    assert float(terms["mse"]) == pytest.approx(float(apart.square().mean()), rel=1e-4)
    assert float(terms[LOSS]) == pytest.approx(float(terms["cosine"] + 0.5 * terms["mse"]), rel=1e-5)
    found = made.validate()
    mean = made.learned.outputs.mean(0, keepdim=True)
    assert found["floor_mean"] == pytest.approx(float(F.cosine_similarity(mean, made.held.outputs).mean()), abs=1e-5)
    assert found["similarity"] == found["ridge"] == pytest.approx(1 - found["cosine"], abs=1e-6)


def test_worse_training_is_not_kept(data: Dataset) -> None:
    made = surrogate(data, training=training(learning_rate=10.0, ema=0.0, clip=None))
    begun = {name: value.clone() for name, value in made.module.state_dict().items()}
    done = train(made)
    assert done.best_step == 0
    assert done.metrics["similarity"] == done.metrics["ridge"]
    for found in (done.best, made.module.state_dict()):
        assert all(torch.equal(value, found[name]) for name, value in begun.items())


def test_better_training_is_kept(data: Dataset) -> None:
    made = surrogate(data, "residual", training=training(steps=20, validate_every=1, learning_rate=1e-3, ema=0.0))
    for values in (made.module.linear.weight, made.initial["linear.weight"]):  # from zero, training can only improve
        values.data.zero_()
    done = train(made)
    assert done.best_step > 0
    assert all(torch.equal(value, made.module.state_dict()[name]) for name, value in done.best.items())


def test_cached_features_equal_computed_ones(data: Dataset, tmp_path: Path) -> None:
    """Cached taps are float16; other taps are computed."""
    kept = extracted(tmp_path / "kept", data, [0, 1], budget_mb=0.02)  # room for the pooled taps alone
    stats = read_json(kept / "stats.json")
    assert (stats["taps"]["pool"]["cached"], stats["taps"]["conv5"]["cached"]) == (True, False)
    config = entry(SurrogateConfig, shared(), OWN, "toy")
    plain, read = (pairs(extractors(data), config, [5, 1, 7, 2], features=folder) for folder in (None, kept))
    assert torch.allclose(plain.inputs, read.inputs, rtol=1e-3, atol=1e-4)
    assert not torch.equal(plain.inputs, read.inputs)
    assert torch.equal(plain.outputs, read.outputs)
    write_json(kept / "stats.json", stats | {"pictures": 99})
    with pytest.raises(UserError, match="99.*run extract again"):
        pairs(extractors(data), config, [0], features=kept)


def test_dropout() -> None:
    x = torch.ones(3, 4000)
    found = dropped(x, 0.25, dice(0, 1, 0))
    assert found.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert found.mean(1).tolist() == pytest.approx([1.0] * 3, abs=0.05)
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
    assert torch.equal(dropped(x[:2], 0.25, dice(1, 0))[1], found[0]), "independent of other rows"


def test_surrogate_term(data: Dataset, tmp_path: Path) -> None:
    made = surrogate(data, training=training(steps=1))
    write_model(tmp_path, train(made), made.card(), made.samples())
    term = learned(tmp_path, CPU)
    assert (term.network, term.tap) == ("vgg16_conv", "pool")
    seen = extractors(data).see("alexnet_conv", ("conv5", "pool"), None)(made.val)
    torch.testing.assert_close(made.module.predict(made.held.inputs), term.predict(seen), rtol=1e-4, atol=1e-5)
