"""Metrics against other implementations, on identical and constant images, and out of range."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from relume.core.errors import UserError
from relume.core.files import write_json
from relume.core.images import to_float
from relume.evaluation.metrics import METRICS, circular, metric
from relume.evaluation.perceptual import LPIPS_METRICS, extractor
from relume.evaluation.pixel import PIXEL, PSNR_CAP, ms_ssim, mse, psnr, ssim
from relume.losses.perceptual import LPIPS_TAPS
from relume.networks import network as networks
from relume.networks.fetch import fetch_weights
from relume.networks.weights import WeightStore, canonical, digest

every = pytest.mark.parametrize(("name", "function"), PIXEL.items())


def pair(side: int = 96) -> tuple[Tensor, Tensor]:
    x = to_float(
        np.stack([picture[40 : 40 + side, 60 : 60 + side] for picture in (data.astronaut(), data.coffee(), data.rocket())])
    )
    noise = torch.randn(x[1].shape, generator=torch.Generator().manual_seed(0)) / 10
    return x, torch.stack([x[2], (x[1] + noise).clamp(0, 1), x[2].mean((1, 2), keepdim=True).expand_as(x[2])])


def arrays(images: Tensor) -> list[np.ndarray]:
    return [image.permute(1, 2, 0).double().numpy() for image in images]


def test_constant_images_and_small_images() -> None:
    x = torch.full((2, 3, 16, 16), 0.5)
    y = x + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    assert mse(y, x).tolist() == pytest.approx([1e-2, 1e-4], rel=1e-4)
    assert psnr(y, x).tolist() == pytest.approx([20, 40], rel=1e-4)
    assert mse(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)).item() == 1
    x, y = torch.full((1, 3, 176, 176), 0.2), torch.full((1, 3, 176, 176), 0.6)
    luminance = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(x, y).item() == pytest.approx(luminance, abs=1e-4)
    assert ms_ssim(x, y).item() == pytest.approx(luminance**0.1333, abs=1e-4)
    x = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    assert ms_ssim(x, x).isnan().all()
    assert not ms_ssim(*[torch.nn.functional.pad(x, (0, 1, 0, 1))] * 2).isnan().any()
    assert ssim(x[..., :10, :10], x[..., :10, :10]).isnan().all()
    assert not ssim(x[..., :11, :11], x[..., :11, :11]).isnan().any()


def test_metrics_equal_skimage_and_torchmetrics() -> None:
    x, y = pair()
    pictures = list(zip(arrays(x), arrays(y), strict=True))
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1, "channel_axis": -1}
    assert mse(x, y).tolist() == pytest.approx([mean_squared_error(a, b) for a, b in pictures], rel=1e-5)
    assert psnr(x, y).tolist() == pytest.approx([peak_signal_noise_ratio(a, b, data_range=1) for a, b in pictures], abs=1e-3)
    assert ssim(x, y).tolist() == pytest.approx([structural_similarity(a, b, **gaussian) for a, b in pictures], abs=5e-5)
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as their_ms_ssim
    from torchmetrics.functional.image import peak_signal_noise_ratio as their_psnr

    x, y = pair(176)
    each = {"data_range": 1.0, "reduction": "none"}
    assert psnr(x, y).tolist() == pytest.approx(their_psnr(y, x, dim=(1, 2, 3), **each).tolist(), abs=1e-3)
    grey, noisy = (images[1:2].mean(1, keepdim=True).repeat(1, 3, 1, 1) for images in (x, y))
    # they multiply scales after the mean over channels, we before it: equal for grey images only
    assert ms_ssim(grey, noisy).item() == pytest.approx(their_ms_ssim(noisy, grey, **each).item(), abs=1e-3)


@every
def test_identical_images(name: str, function: Callable[[Tensor, Tensor], Tensor]):
    x, _ = pair(176)
    best = {"mse": 0.0, "psnr": PSNR_CAP, "ssim": 1.0, "ms_ssim": 1.0}[name]
    assert function(x, x).tolist() == pytest.approx([best] * 3, abs=1e-5)
    facts = METRICS[name]
    assert best == (facts.high if facts.better == "higher" else facts.low)


@every
def test_metrics_are_per_image_symmetric_and_fall_with_noise(name: str, function: Callable[[Tensor, Tensor], Tensor]):
    x, y = pair(176)
    values, order, facts = function(x, y), [2, 0, 1], METRICS[name]
    assert values.shape == (3,)
    assert torch.allclose(function(x[order], y[order]), values[order], atol=1e-6)
    assert torch.allclose(function(y, x), values, atol=1e-6)
    assert all(facts.low <= value <= (facts.high or np.inf) for value in values.tolist())
    noise = torch.randn(x[:1].shape, generator=torch.Generator().manual_seed(1))
    ladder = [function((x[:1] + strength * noise).clamp(0, 1), x[:1]).item() for strength in (0.02, 0.05, 0.1, 0.3)]
    assert all(facts.improves(better, worse) for better, worse in zip(ladder, ladder[1:], strict=False))
    x = x[:2].clone().requires_grad_()
    function(x, y[:2]).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@every
@pytest.mark.parametrize("bad", [1.2, -0.1, float("nan")])
def test_out_of_range_raises(name: str, function: Callable[[Tensor, Tensor], Tensor], bad: float):
    x = torch.full((1, 3, 16, 16), 0.5)
    y = x.clone()
    y[0, 1, 2, 3] = bad
    with pytest.raises(ValueError, match=f"^{name}: originals"):
        function(x, y)
    with pytest.raises(ValueError, match=f"^{name}: reconstructions"):
        function(y, x)
    with pytest.raises(ValueError, match=f"^{name}: "):
        function(x, x[..., :-1])


def test_circular_and_unknown_metrics():
    inverted = {"lpips_alex": ("alexnet_conv", "alexnet"), "lpips_vgg": ("efficientnet_lite0+vgg16",)}
    assert all(circular(name, network) for name, networks in inverted.items() for network in networks)
    others = {"lpips_vgg": "alexnet", "lpips_alex": "", "psnr": "alexnet", "feature_error": ""}
    assert not any(circular(name, network) for name, network in others.items())
    with pytest.raises(UserError, match="did you mean 'psnr'"):
        metric("psnrr")


CPU = torch.device("cpu")


def store_of(kind: str, root: Path) -> WeightStore:
    """Random trunk and true heads: no download of the trunk."""
    network, name = LPIPS_TAPS[kind][0], f"lpips_{kind}"
    fetch_weights(name, root, log=lambda text: None)
    tensors = canonical(networks.random(network, seed=3).body.state_dict())
    (root / network).mkdir()
    save_file(tensors, root / network / "model.safetensors")
    write_json(root / network / "model.json", {"name": network, "sha256": digest(tensors)})
    return WeightStore(root)


def photographs() -> tuple[Tensor, Tensor]:
    x = to_float(data.astronaut()[None, 100:196, 180:276])
    y = to_float(data.coffee()[None, 100:196, 180:276])
    return torch.cat([x, x, y]), torch.cat([y, (x * 4).round() / 4, y])


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")  # the package uses a deprecated torchvision call
@pytest.mark.parametrize("metric", LPIPS_METRICS)
def test_lpips_equals_its_package(metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lpips as package

    kind = LPIPS_METRICS[metric]
    network = LPIPS_TAPS[kind][0]
    store = store_of(kind, tmp_path)
    monkeypatch.setattr("relume.networks.weights.PINS", {})
    theirs = package.LPIPS(net=kind, pnet_rand=True, verbose=False)  # its heads are in the package
    layers = {name.split(".", 1)[1]: name for name in theirs.net.state_dict()}  # slice1.0.weight is features.0.weight
    tensors = load_file(tmp_path / network / "model.safetensors")
    theirs.net.load_state_dict(
        {layers[short]: tensor for name, tensor in tensors.items() if (short := name.removeprefix("features.")) in layers}
    )
    x, y = photographs()
    ours = extractor([metric], [], store, CPU)
    found = ours.lpips(metric, ours.look(x, [network]), ours.look(y, [network]))
    with torch.no_grad():
        wanted = theirs(x, y, normalize=True).flatten()
    assert found.tolist() == pytest.approx(wanted.tolist(), rel=1e-4, abs=1e-6)
    assert found[2] == 0 < found[:2].min()
