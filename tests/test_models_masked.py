"""All masked models: no hidden pixel leaks, independent rows, finite gradients, half precision; the mathematics of each."""

from typing import Any, get_args

import pytest
import torch
from torch.nn import functional as F

from relume.core.config import build as configured
from relume.core.images import to_uint8
from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.methods.masked.base import MaskedModel, ordered, over_hidden, take
from relume.methods.masked.beit import Beit, Tokenizer
from relume.methods.masked.config import MaskedArchitecture
from relume.methods.masked.mixed_ae import MixedAe, recognition
from relume.methods.masked.model import MASKED, build
from relume.methods.masked.vit import Attention
from tests.toy_masked import ENERGY, MIXED, STACK, TOKENS

SIZE, CELL = 16, 4
CODES = TOKENS | {"levels": [5, 3]}
MAE = {"kind": "mae", "encoder": STACK, "decoder": STACK, "norm_pix": False}
CASES: dict[str, dict[str, Any]] = {
    "energy transformer": ENERGY | {"init": 0.3},
    "energy transformer, from the linear prediction": ENERGY | {"init": 0.3, "start": "linear"},
    "unet": {"kind": "unet", "width": 4, "depth": 1},
    "energy transformer, other tokens' keys only": ENERGY | {"init": 0.3, "own_key": False},
    "mae": MAE,
    "mae, norm_pix": MAE | {"norm_pix": True},
    "mixed_ae": MIXED,
    "simmim": {"kind": "simmim", "patch": 2, "width": 8, "depths": [2, 2], "heads": [1, 2], "window": 4},
    "beit": {"kind": "beit", "encoder": STACK, "tokenizer": CODES},
    "tokenizer": CODES,
}
METHODS = [name for name in CASES if name != "tokenizer"]
IMAGES = torch.rand(3, 3, SIZE, SIZE, generator=generator(0, "images"))
INDEX = [{"id": f"i{row}", "split": "train", "label": "", "source": f"s{row}", "sha1": ""} for row in range(len(IMAGES))]
HIDDEN = torch.stack([torch.randperm(16, generator=generator(0, row)).view(4, 4) < 11 for row in range(3)])


def model(case: str) -> MaskedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = build(configured(MaskedArchitecture, CASES[case], "architecture"), SIZE, CELL)
    tokenizer = getattr(made, "tokenizer", made)
    if isinstance(tokenizer, Tokenizer):
        with torch.no_grad():
            tokenizer.inward[-1].weight.mul_(20)  # an untrained one gives all cells the same code
    if made.linear is not None:
        data = Dataset(name="toy", size=SIZE, images=to_uint8(IMAGES), index=INDEX, manifest={})
        made.linear.fit(data, range(len(IMAGES)))
    return made


def test_every_kind_is_covered() -> None:
    kinds = {get_args(cls.__dataclass_fields__["kind"].type)[0] for cls in get_args(get_args(MaskedArchitecture)[0])}
    assert kinds == set(MASKED) == {case["kind"] for case in CASES.values()}


@pytest.mark.parametrize("case", CASES)
def test_images_in_range_rows_independent_gradients_finite(case: str) -> None:
    made = model(case)
    guess = made(IMAGES, HIDDEN)
    assert guess.picture.shape == IMAGES.shape
    assert 0 <= guess.picture.min() <= guess.picture.max() <= 1
    assert guess.loss.shape == (3,)
    assert all(value.shape == (3,) for value in guess.terms.values())
    alone = made(IMAGES[1:2], HIDDEN[1:2])
    assert torch.allclose(alone.picture, guess.picture[1:2], atol=1e-5)
    assert torch.allclose(alone.loss, guess.loss[1:2], rtol=1e-4)
    guess.loss.sum().backward()
    learns = {name: weights.grad for name, weights in made.named_parameters() if weights.requires_grad}
    unused = {name for name, gradient in learns.items() if gradient is None}
    assert all(name.startswith(("project.", "segment")) for name in unused), "only weights of mixing are unused"
    assert all(bool(torch.isfinite(gradient).all()) for gradient in learns.values() if gradient is not None)
    frozen = [weights for weights in made.parameters() if not weights.requires_grad]
    assert bool(frozen) == (case == "beit"), "the tokenizer is frozen"
    assert all(weights.grad is None for weights in frozen)


@pytest.mark.parametrize("case", METHODS)
def test_hidden_pixels_do_not_leak(case: str) -> None:
    made = model(case).eval()
    dark = HIDDEN.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)[:, None]
    noise = torch.rand(IMAGES.shape, generator=generator(0, "noise"))
    seen, blind = made(IMAGES, HIDDEN), made(torch.where(dark, noise, IMAGES), HIDDEN)
    assert torch.equal(seen.picture, blind.picture)
    assert not torch.allclose(seen.loss, blind.loss), "the loss sees hidden pixels"
    shown = made(torch.where(dark, IMAGES, noise), HIDDEN)
    assert not torch.allclose(seen.picture, shown.picture), "what is visible matters"


@pytest.mark.parametrize("case", METHODS)
def test_half_precision_and_representations(case: str) -> None:
    made = model(case).eval()
    with torch.autocast("cpu", torch.bfloat16):
        guess = made(IMAGES, HIDDEN)
    assert guess.picture.dtype == guess.loss.dtype == torch.float32
    assert torch.allclose(guess.picture, made(IMAGES, HIDDEN).picture, atol=0.1)
    seen = made.represent(IMAGES)
    assert seen.ndim == 2
    assert torch.allclose(made.represent(IMAGES[1:2]), seen[1:2], atol=1e-4)
    assert not torch.allclose(seen[0], seen[1], atol=1e-4)


def test_ordered_cells() -> None:
    hidden = torch.tensor([[[True, False], [False, True]], [[False, True], [True, False]]])
    order, visible = ordered(hidden)
    assert order.tolist() == [[1, 2, 0, 3], [0, 3, 1, 2]]
    assert visible == 2
    assert take(torch.arange(8.0).view(2, 4, 1), order)[0].flatten().tolist() == [1, 2, 0, 3]
    assert over_hidden(torch.tensor([[1.0, 5, 7, 3]]), hidden[:1].flatten(1)).item() == 2
    with pytest.raises(ValueError, match="every row"):
        ordered(torch.tensor([[[True, False]], [[True, True]]]))


def test_tokenizer_codes() -> None:
    made = model("tokenizer")
    assert isinstance(made, Tokenizer)
    assert (made.kinds, made.book().shape) == (15, (15, 2))
    assert made.book().unique(dim=0).shape == (15, 2)
    assert made.book()[6].tolist() == [-0.5, 0.0], "6 = 1 + 5 * 1"
    codes = made.codes(IMAGES)
    assert len(codes.unique()) > 3
    assert torch.allclose(made.book()[codes], made.quantise(IMAGES), atol=1e-6)


def test_beit_with_certain_codes() -> None:
    made = model("beit")
    assert isinstance(made, Beit)
    sure = 1000 * F.one_hot(made.tokenizer.codes(IMAGES), 15).float()
    whole = made.tokenizer(IMAGES, HIDDEN).picture
    made.head = torch.nn.Identity()  # type: ignore[assignment]
    made.encode = lambda images, hidden: torch.cat([sure[:, :1], sure], 1)  # type: ignore[method-assign]
    guess = made(IMAGES, HIDDEN)
    assert torch.allclose(guess.picture, whole, atol=1e-5)
    assert guess.loss.abs().max() < 1e-5
    assert guess.terms["codes_right"].tolist() == [1, 1, 1]


def mixer() -> MixedAe:
    made = model("mixed_ae")
    assert isinstance(made, MixedAe)
    return made


@pytest.mark.parametrize("count", [5, 8, 11])
def test_mixed_reconstruction(count: int) -> None:
    """Hidden cells of both images do not leak; all weights get gradients."""
    made = mixer()
    hidden = torch.stack([torch.randperm(16, generator=generator(1, row)).view(4, 4) < count for row in range(3)])
    partners = IMAGES.flip(0).contiguous()
    guess = made.mixed(IMAGES, partners, hidden)
    assert set(guess.terms) == {"pixels", "recognition"}
    assert torch.allclose(guess.loss, guess.terms["pixels"] + 0.1 * guess.terms["recognition"])
    dark = hidden.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)[:, None]
    blind = made.mixed(torch.where(dark, 0.5, IMAGES), torch.where(dark, partners, 0.5), hidden)
    assert torch.equal(guess.picture, blind.picture)
    assert torch.allclose(guess.terms["recognition"], blind.terms["recognition"])
    alone = made.mixed(IMAGES[:1], partners[:1], hidden[:1])
    assert torch.allclose(alone.loss, guess.loss[:1], rtol=1e-4)
    guess.loss.sum().backward()
    assert all(weights.grad is not None and torch.isfinite(weights.grad).all() for weights in made.parameters())


def test_homologous_attention() -> None:
    """With all keys it is plain attention; with one key, that key's value."""
    torch.manual_seed(0)
    attention, x = Attention(8, 2, bias=True), torch.randn(2, 5, 8)
    q, k, v = attention.qkv(x).view(2, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
    whole = (q @ k.mT / 2).softmax(-1) @ v
    best = v.gather(2, (q @ k.mT).argmax(-1, keepdim=True).expand(-1, -1, -1, 4))
    for most, wanted in ((5, whole), (1, best)):
        assert torch.allclose(attention(x, most), attention.proj(wanted.transpose(1, 2).flatten(2)), atol=1e-6)


def test_recognition_loss() -> None:
    """Two orthogonal tokens per image: a token's partner gets e / (e + 2) of the softmax."""
    features = torch.tensor([[[1.0, 0], [2, 0], [0, 1], [0, 3]]])
    e = torch.tensor(1.0).exp()
    assert recognition(features, 2, 1.0).item() == pytest.approx(-(e / (e + 2)).log().item(), rel=1e-5)
    one = recognition(features[:, :3], 2, 1.0)  # the third has no partner and does not count
    assert one.item() == pytest.approx(-(e / (e + 1)).log().item(), rel=1e-5)
