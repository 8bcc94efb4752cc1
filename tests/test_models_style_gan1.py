"""The first StyleGAN from self-made files in both forms: against the published programs written out, the interface, faults."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.methods.gan import model as gans
from relume.methods.gan.config import StyleGan1
from relume.methods.gan.generator import Generator
from relume.methods.gan.samples import mixed
from relume.methods.gan.style_gan1_files import load, read_style_gan1
from tests.gan_files import dice
from tests.style_gan1_files import BLUR, blocks, saved, steps

WIDTHS = [6, 5, 4, 3]  # steps at 4, 8, 16 and 32 px; the last is not used
LARGE = [3, 3, 2, 2, 2, 2]  # blocks up to 128 px, where doubling is another


def read(path: Path, size: int) -> Generator:
    architecture, tensors = read_style_gan1(path, size)
    made = gans.generator(architecture, size)
    own = {name: value for name, value in made.state_dict().items() if name.endswith("noise") or name == "running_mean"}
    made.load_state_dict({**tensors, **own})
    return made.eval()


@pytest.fixture
def stepped(tmp_path: Path) -> Generator:
    return read(saved(tmp_path / "steps.model", {"g_running": steps(WIDTHS, fused=2), "g_optimizer": {"lr": 1e-3}}), 16)


def adain(x: Tensor, style: Tensor) -> Tensor:
    """By hand: every channel's own mean and deviation taken out, the style's put in."""
    mean, deviation = x.mean((2, 3), keepdim=True), (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    scale, shift = style[..., None, None].chunk(2, 1)
    return scale * (x - mean) / deviation + shift


def equal(x: Tensor, weight: Tensor, bias: Tensor, gain: float = 2**0.5) -> Tensor:
    return F.linear(x, weight * gain / weight.shape[1] ** 0.5, bias)


def convolved(x: Tensor, weight: Tensor, gain: float = 2**0.5) -> Tensor:
    return F.conv2d(x, weight * gain / weight[0].numel() ** 0.5, padding=weight.shape[-1] // 2)


def transposed(x: Tensor, weight: Tensor) -> Tensor:
    """weight (I, O, 3, 3), which is added to itself at four places."""
    w = F.pad(weight * (2 / (9 * weight.shape[0])) ** 0.5, (1, 1, 1, 1))
    w = w[:, :, 1:, 1:] + w[:, :, :-1, 1:] + w[:, :, 1:, :-1] + w[:, :, :-1, :-1]
    return F.conv_transpose2d(x, w, stride=2, padding=1)


def blurred(x: Tensor) -> Tensor:
    return F.conv2d(x, BLUR.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


def coloured(x: Tensor) -> Tensor:
    return ((x + 1) / 2).clamp(0, 1)


def stepped_by_hand(held: dict[str, Tensor], z: Tensor, noise: list[Tensor], fused: int) -> Tensor:
    """style-based-gan-pytorch, written out."""
    w = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for number in (1, 3, 5):
        w = F.leaky_relu(equal(w, held[f"style.{number}.linear.weight_orig"], held[f"style.{number}.linear.bias"]), 0.2)
    for step in range(len(noise) // 2):
        own = {name.split(f".{step}.", 1)[1]: value for name, value in held.items() if f"progression.{step}." in name}
        if step == 0:
            x = own["conv1.input"].repeat(len(z), 1, 1, 1)
        elif step < fused:
            x = convolved(x.repeat_interleave(2, 2).repeat_interleave(2, 3), own["conv1.1.conv.weight_orig"])
            x = blurred(x + own["conv1.1.conv.bias"][:, None, None])
        else:
            x = blurred(transposed(x, own["conv1.0.weight"]) / 4 + own["conv1.0.bias"][:, None, None])
        for which in (1, 2):
            if which == 2:
                x = convolved(x, own["conv2.conv.weight_orig"]) + own["conv2.conv.bias"][:, None, None]
            strength = own[f"noise{which}.weight_orig"] * (2 / x.shape[1]) ** 0.5
            x = F.leaky_relu(x + strength * noise[2 * step + which - 1], 0.2)
            x = adain(x, equal(w, own[f"adain{which}.style.linear.weight_orig"], own[f"adain{which}.style.linear.bias"]))
    at = f"generator.to_rgb.{len(noise) // 2 - 1}.conv"
    return coloured(convolved(x, held[f"{at}.weight_orig"]) + held[f"{at}.bias"][:, None, None])


def blocked_by_hand(held: dict[str, Tensor], z: Tensor, noise: list[Tensor]) -> Tensor:
    """The published network, written out."""
    w = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for number in range(3):
        at = f"g_mapping.dense{number}"
        w = F.leaky_relu(equal(w, 0.01 * held[f"{at}.weight"], 0.01 * held[f"{at}.bias"]), 0.2)
    for step in range(len(noise) // 2):
        side = 4 * 2**step
        own = {name.split(f"{side}x{side}.", 1)[1]: value for name, value in held.items() if f".{side}x{side}." in name}
        if step == 0:
            x = (own["const"] + own["bias"][:, None, None]).repeat(len(z), 1, 1, 1)
        elif side < 128:
            x = blurred(convolved(x.repeat_interleave(2, 2).repeat_interleave(2, 3), own["conv0_up.weight"]))
        else:
            x = blurred(transposed(x, own["conv0_up.weight"].transpose(0, 1)))
        x = x + own["conv0_up.bias"][:, None, None] if step else x
        for which in (1, 2):
            if which == 2:
                name = "conv1" if step else "conv"
                x = convolved(x, own[f"{name}.weight"]) + own[f"{name}.bias"][:, None, None]
            x = F.leaky_relu(x + own[f"epi{which}.top_epi.noise.weight"][:, None, None] * noise[2 * step + which - 1], 0.2)
            style = equal(w, own[f"epi{which}.style_mod.lin.weight"], own[f"epi{which}.style_mod.lin.bias"], 1.0)
            x = adain(x, torch.cat([1 + style[:, : x.shape[1]], style[:, x.shape[1] :]], 1))
    return coloured(convolved(x, held["g_synthesis.torgb.weight"], 1.0) + held["g_synthesis.torgb.bias"][:, None, None])


@pytest.mark.parametrize("fused", [2, 4])
def test_steps_give_the_pictures_of_the_program_they_come_from(tmp_path: Path, fused: int) -> None:
    """With a transposed convolution at 16 px, and with none."""
    held = steps(WIDTHS, fused=fused)
    made = read(saved(tmp_path / "steps.model", {"g_running": held, "generator": {}}), 16)
    assert (made.layers, made.sides) == (6, (4, 4, 8, 8, 16, 16))
    z, noise = made.draw(dice(0, 1)), made.draw_noise(dice(2, 3))
    pictures = made(z, noise)
    assert float(pictures.detach().std()) > 0.1, "they are not all black or white"
    assert torch.allclose(pictures, stepped_by_hand(held, z, noise, fused), atol=1e-5)


def test_blocks_give_the_published_pictures(tmp_path: Path) -> None:
    held = blocks(LARGE)
    made = read(saved(tmp_path / "published.pt", held), 128)
    z, noise = made.draw(dice(0, 1)), made.draw_noise(dice(2, 3))
    pictures = made(z, noise)
    assert float(pictures.detach().std()) > 0.1
    assert torch.allclose(pictures, blocked_by_hand(held, z, noise), atol=1e-4)


def test_numbers_are_read_off_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "steps.model", {f"module.{name}": value for name, value in steps(WIDTHS, fused=3).items()})
    wanted = {"kind": "stylegan", "latent": 6, "style": 6, "mapping": 3, "bias_last": False}
    assert read_style_gan1(path, 16)[0] == StyleGan1(**wanted, widths=(6, 5, 4), fused=32)  # type: ignore[arg-type]
    assert read_style_gan1(path, 32)[0] == StyleGan1(**wanted, widths=(6, 5, 4, 3), fused=32)  # type: ignore[arg-type]


def test_mixed_layers_come_from_where_they_should(stepped: Generator) -> None:
    coarse, fine = stepped.map(stepped.draw(dice(0, 1))), stepped.map(stepped.draw(dice(2, 3)))
    for crossover in range(7):
        both = mixed(stepped, coarse, fine, crossover)
        assert both.shape == (2, 6, 6)
        assert torch.equal(both[:, :crossover], stepped.spread(coarse)[:, :crossover])
        assert torch.equal(both[:, crossover:], stepped.spread(fine)[:, crossover:])
    assert torch.equal(mixed(stepped, both, fine, 3), mixed(stepped, coarse, fine, 3)), "w+ is taken, too"
    for crossover in (-1, 7):
        with pytest.raises(ValueError, match="crossover"):
            mixed(stepped, coarse, fine, crossover)


FAULTS: dict[str, Callable[[dict[str, Tensor]], object]] = {
    r"progression\.1\.noise2\.weight_orig is missing": lambda t: t.pop("generator.progression.1.noise2.weight_orig"),
    r"style\.3\.linear\.bias is missing": lambda t: t.pop("style.3.linear.bias"),
    r"conv3\.bias": lambda t: t.update({"generator.progression.1.conv3.bias": t["style.1.linear.bias"]}),
    r"linear\.bias": lambda t: t.update({"linear.bias": t["style.1.linear.bias"]}),
    r"\(4, 5, 3, 3\)": lambda t: t.update({"generator.progression.2.conv2.conv.weight_orig": torch.zeros(4, 5, 3, 3)}),
    r"\(12, 7\)": lambda t: t.update({"generator.progression.0.adain1.style.linear.weight_orig": torch.zeros(12, 7)}),
    r"conv1\.2\.weight": lambda t: t["generator.progression.1.conv1.2.weight"].mul_(2),
    r"progression\.2\..* is missing": lambda t: [t.pop(name) for name in list(t) if "progression.2." in name],
}


@pytest.mark.parametrize("told", FAULTS)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, told: str) -> None:
    held = steps(WIDTHS, fused=2)
    FAULTS[told](held)
    with pytest.raises(UserError, match=rf"steps\.model: .*{told}"):
        read_style_gan1(saved(tmp_path / "steps.model", held), 16)


class Trap:
    """What runs when a pickle with it is opened without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_file_runs_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "trap.pt", {"g_running": steps(WIDTHS, fused=2), "more": Trap(tmp_path / "sprung")})
    with pytest.raises(UserError, match=r"trap\.pt: cannot be read as weights"):
        load(path)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists(), "it would have been"


@pytest.mark.parametrize(
    "held", [b"", b"no weights at all", [1, 2], {}, {"g_running": {"a": 1}}, {"features.0.weight": torch.zeros(1)}]
)
def test_other_files_are_refused(tmp_path: Path, held: object) -> None:
    path = tmp_path / "other.pt"
    if isinstance(held, bytes):
        path.write_bytes(held)
    else:
        saved(path, held)
    with pytest.raises(UserError, match=r"other\.pt"):
        read_style_gan1(path, 16)


def test_at_1024_px_it_has_the_published_number_of_weights() -> None:
    """26,219,627, of which ours lacks the ways to colours of smaller sides and the first bias; four kernels are 4x4, not 3x3."""
    widths = (512, 512, 512, 512, 256, 128, 64, 32, 16)
    config = StyleGan1(kind="stylegan", latent=512, style=512, mapping=8, widths=widths, fused=128, bias_last=True)
    with torch.device("meta"):
        made = gans.generator(config, 1024)
    colours = sum(3 * width + 3 for width in widths[:-1])
    wider = 7 * sum(inputs * outputs for inputs, outputs in zip(widths[4:], widths[5:], strict=False))
    assert sum(weights.numel() for weights in made.parameters()) == 26_219_627 - colours - 512 + wider
    assert (made.layers, made.sides[-2:]) == (18, (1024, 1024))
