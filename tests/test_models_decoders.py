"""Decoders: images in range from maps and vectors, independent rows, finite gradients, the published layers."""

from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.core.config import build as configured
from relume.core.errors import UserError
from relume.core.images import resize
from relume.methods.decoder.base import Decoder, Fitted, Normalise, Normalising, Shapes
from relume.methods.decoder.config import Aligned, Architecture, ConvOnly, MultiScale, PerLayer
from relume.methods.decoder.model import DECODERS, build
from relume.methods.decoder.multi_scale import MultiScaleDecoder
from relume.networks.catalogue import facts

SIZE = 32
OURS, S2, S3 = MultiScale(kind="multi_scale", width=16, finest=None), PerLayer(kind="per_layer"), ConvOnly(kind="conv_only")
ALIGNED = Aligned(kind="aligned", width=16, blocks=2, attention=1, fine=2, ridge=0.01)
MAP, DEEP, WHOLE, VECTOR = {"conv": (6, 15, 15)}, {"deep": (9, 7, 7)}, {"first": (5, SIZE, SIZE)}, {"pool": (10,)}
COARSE_GRID = MultiScale(kind="multi_scale", width=16, finest=15)
CASES = {
    "ours, one map": (OURS, MAP),
    "ours, at full size": (OURS, WHOLE),
    "ours, larger than the picture": (OURS, {"clip": (5, 56, 56)}),
    "ours, a vector": (OURS, VECTOR),
    "ours, everything": (OURS, {**WHOLE, **VECTOR, **DEEP, **MAP}),
    "ours, up to a size": (COARSE_GRID, {**DEEP, **MAP}),
    "aligned, one map": (ALIGNED, MAP),
    "aligned, several": (ALIGNED, {**DEEP, "other": (4, 7, 7)}),
    "S2, a map": (S2, MAP),
    "S2, a map at full size": (S2, WHOLE),
    "S2, a vector": (S2, VECTOR),
    "S3, one map": (S3, MAP),
    "S3, several": (S3, {**MAP, **DEEP}),
}


def features(shapes: Shapes, count: int = 2, fill: float | None = None) -> dict[str, Tensor]:
    torch.manual_seed(0)
    draw = torch.rand if fill is None else lambda *shape: torch.full(shape, fill)
    return {tap: draw(count, *shape).requires_grad_() for tap, shape in shapes.items()}


def decoder(shapes: Shapes, architecture: Any, size: int = SIZE) -> Decoder:
    """With nonzero weights in the layers that start at 0, so that every tap matters."""
    torch.manual_seed(1)
    made = build(shapes, size, architecture)
    for layer in layers(made, nn.Linear):
        nn.init.normal_(layer.weight, std=0.01)
    return made


def test_every_architecture_of_the_parameters_is_there_and_tried() -> None:
    kinds = {get_args(cls.__dataclass_fields__["kind"].type)[0] for cls in get_args(get_args(Architecture)[0])}
    assert kinds == set(DECODERS) == {architecture.kind for architecture, _ in CASES.values()}


@pytest.mark.parametrize("case", CASES)
def test_pictures_are_in_range_rows_apart_and_slopes_finite(case: str) -> None:
    architecture, shapes = CASES[case]
    made = decoder(shapes, architecture).eval()
    values = features(shapes)
    pictures = made(values)
    assert pictures.shape == (2, 3, SIZE, SIZE)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    alone = made({tap: value[1:] for tap, value in values.items()})
    assert torch.allclose(alone, pictures[1:], atol=1e-5)
    pictures.square().sum().backward()
    assert all(value.grad is not None and torch.isfinite(value.grad).all() for value in values.values())
    assert all(bool(value.grad.abs().sum() > 0) for value in values.values() if value.grad is not None), "a tap is not used"


def test_a_finest_size_that_would_shrink_a_tap_is_refused() -> None:
    def made(finest: int, size: int = SIZE) -> Decoder:
        return build({**VECTOR, **MAP}, size, MultiScale(kind="multi_scale", width=16, finest=finest))

    assert made(10).state_dict(), "15 is close enough to 10"
    with pytest.raises(UserError, match="architecture.finest: .*conv"):
        made(9)
    assert made(8, size=12).state_dict(), "the image is smaller than the tap"


def test_moments_are_kept_with_the_weights_and_matter() -> None:
    layer = Normalise(2)
    layer.set(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 0.0]))
    assert layer(torch.tensor([[3.0, 5.0]])).tolist() == [[1.0, 0.0]], "a constant channel is ignored"
    made = decoder(MAP, OURS)
    assert isinstance(made, MultiScaleDecoder)
    values = features(MAP)
    before = made(values)
    made.set_moments({"conv": (torch.full((6,), 0.5), torch.full((6,), 0.1))})
    assert not torch.allclose(before, made(values))
    again = decoder(MAP, OURS)
    again.load_state_dict(made.state_dict())
    assert torch.equal(again(values), made(values))
    found = {one.kind for one in (OURS, S2, S3) if isinstance(decoder(MAP, one), Normalising)}
    assert found == {"multi_scale"}, "published decoders do not normalise"


@pytest.mark.parametrize("network", ["alexnet", "resnet50", "clip_vit_l_14"])
def test_taps_of_every_family_can_be_decoded_alone_and_four_together(network: str) -> None:
    """The declared shapes of the early, mid, deep and very deep tap, and of the pooled features."""
    known = facts(network)
    maps = [tap for tap, one in known.taps.items() if one.stride and not tap.endswith("_pre")]
    four = [maps[at * (len(maps) - 1) // 3] for at in range(4)]
    shapes = {tap: (known.taps[tap].channels, *[known.size // (known.taps[tap].stride or 1)] * 2) for tap in four}
    vector = {"pool": (known.taps["pool"].channels,)}
    tried = [(one, {tap: shape}) for one in (OURS, S2, S3) for tap, shape in shapes.items()]
    tried += [(OURS, shapes), (S3, shapes), (OURS, shapes | vector), (OURS, vector), (S2, vector)]
    for architecture, wanted in tried:
        with torch.device("meta"):
            made = build(wanted, 128, architecture)
            assert made({tap: torch.empty(2, *shape) for tap, shape in wanted.items()}).shape == (2, 3, 128, 128)


def layers(made: nn.Module, kind: type) -> list[Any]:
    return [module for module in made.modules() if isinstance(module, kind)]


CONV, UP, NORM = 256 * 256 * 9 + 256, 2_716_483, 2 * (256 + 128 + 64 + 32)  # a 3x3 layer; weights and biases, norms of the way up
COUNTS = {
    "conv2": ((192, 27, 27), (192 * 256 * 9 + 256) + 2 * CONV + 3 * 2 * 256 + UP + NORM),
    "conv5": ((256, 13, 13), 3 * CONV + 3 * 2 * 256 + UP + NORM),
    "fc6": ((4096,), 3 * (4096 * 4096 + 4096) + UP + NORM),
    "fc8": ((1000,), (1000 * 4096 + 4096) + 2 * (4096 * 4096 + 4096) + UP + NORM),
}


@pytest.mark.parametrize("tap", COUNTS)
def test_s2_has_all_its_layers_and_parameters_whatever_the_tap(tap: str) -> None:
    """At S2's 227 px: five 5x5 layers for each of its four taps, of which a large map needs fewer to double it."""
    assert sum(i * o * 25 + o for i, o in [(256, 256), (256, 128), (128, 64), (64, 32), (32, 3)]) == UP
    shape, wanted = COUNTS[tap]
    with torch.device("meta"):
        made = build({tap: shape}, 227, S2)
    assert sum(weights.numel() for weights in made.parameters()) == wanted
    up = layers(made, nn.ConvTranspose2d)
    assert [(layer.out_channels, layer.kernel_size) for layer in up] == [(width, (5, 5)) for width in (256, 128, 64, 32, 3)]
    assert {layer.negative_slope for layer in layers(made, nn.LeakyReLU)} == {0.2}
    doubled = {"conv2": 3, "conv5": 4, "fc6": 5, "fc8": 5}[tap]
    assert [layer.stride[0] for layer in up] == [1] * (5 - doubled) + [2] * doubled
    assert made({tap: torch.empty(2, *shape, device="meta")}).shape == (2, 3, 227, 227)


@pytest.mark.parametrize("side", [7, 14, 28, 56])
def test_s3_has_all_its_layers_whatever_the_tap(side: int) -> None:
    with torch.device("meta"):
        made = build({"layer": (16, side, side)}, 224, S3)
    widths = [16, 512, 256, 128, 64, 3]
    assert [layer.kernel_size for layer in layers(made, nn.ConvTranspose2d)] == [(4, 4)] * 5
    assert sum(weights.numel() for weights in made.parameters()) == sum(16 * i * o + o for i, o in pairwise(widths))
    assert made({"layer": torch.empty(1, 16, side, side, device="meta")}).shape == (1, 3, 224, 224)


@pytest.mark.parametrize(
    ("architecture", "shapes", "tap"),
    [
        (S2, {**MAP, **DEEP}, "deep"),
        (S3, {**MAP, **VECTOR}, "pool"),
        (OURS, {"tokens": (5, 7)}, "tokens"),
        (OURS, {"wide": (5, 7, 9)}, "wide"),
    ],
)
def test_what_cannot_be_decoded_is_named(architecture: Any, shapes: Shapes, tap: str) -> None:
    with pytest.raises(UserError, match=tap):
        build(shapes, SIZE, architecture)
    with pytest.raises(UserError, match="width"):
        configured(MultiScale, {"kind": "multi_scale", "width": 20, "finest": None}, "architecture")


def test_a_ridge_regression_comes_first_and_keeps_cells_in_their_places() -> None:
    """Features that are the picture's own cells: solved before any step; without blocks it stands alone."""
    images = resize(torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(0)), SIZE)
    cells = F.avg_pool2d(images, 4)
    made = build({"cells": (3, 8, 8)}, SIZE, Aligned(kind="aligned", width=16, blocks=0, attention=0, fine=1, ridge=1e-4))
    assert isinstance(made, Fitted)
    made.fit([({"cells": cells[:8]}, images[:8])])
    assert (made.eval()({"cells": cells[8:]}) - images[8:]).abs().mean() < 0.03
    assert sum(weights.numel() for weights in made.parameters()) == 3 * 3 * 9 + 3
    assert not decoder(MAP, ALIGNED).linear.weight.requires_grad, "training would undo it"


@pytest.mark.parametrize("shapes", [VECTOR, {**MAP, **DEEP}])
def test_aligned_decodes_maps_of_one_side(shapes: Shapes) -> None:
    with pytest.raises(UserError, match="sides"):
        build(shapes, SIZE, ALIGNED)
