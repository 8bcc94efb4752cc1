"""Metrics against independent implementations: LPIPS against its package, distances of sets against torchmetrics, plain loops."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data
from torch import Tensor
from torch.nn import functional as F

from relume.core.files import write_json
from relume.core.images import to_float
from relume.evaluation.perceptual import LPIPS_METRICS, Judge, feature_error, judge
from relume.evaluation.sets import frechet, gaussian, kid
from relume.evaluation.views import gallery
from relume.losses.perceptual import LPIPS_TAPS
from relume.networks import network as networks
from relume.networks.fetch import fetch_weights
from relume.networks.weights import WeightStore, canonical, digest

CPU = torch.device("cpu")


def store_of(kind: str, root: Path) -> WeightStore:
    """Random trunk, true heads: agreement needs no training of the trunk, and SqueezeNet's would be a download."""
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


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")  # the package calls torchvision in an old way
@pytest.mark.parametrize("metric", LPIPS_METRICS)
def test_lpips_agrees_with_its_package(metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    ours = judge([metric], [], store, CPU)
    found = ours.lpips(metric, ours.look(x, [network]), ours.look(y, [network]))
    with torch.no_grad():
        wanted = theirs(x, y, normalize=True).flatten()
    assert found.tolist() == pytest.approx(wanted.tolist(), rel=1e-4, abs=1e-6)
    assert found[2] == 0 < found[:2].min()


def test_set_distances_agree_with_torchmetrics() -> None:
    from torchmetrics.image.fid import _compute_fid
    from torchmetrics.image.kid import poly_mmd

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 12, generator=generator, dtype=torch.float64)
    y = 0.7 * torch.randn(60, 12, generator=generator, dtype=torch.float64) + 0.2
    theirs = _compute_fid(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T))
    assert frechet(gaussian(x), gaussian(y)) == pytest.approx(float(theirs), rel=1e-6)
    assert kid(x, y) == pytest.approx(float(poly_mmd(x, y)), rel=1e-9)


def test_feature_error_and_ranks_agree_with_plain_loops() -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.rand(7, 4, 3, 3, generator=generator), torch.rand(7, 4, 3, 3, generator=generator)
    pairs = zip(x.flatten(1).tolist(), y.flatten(1).tolist(), strict=True)
    errors = [sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / 2.5 for one, other in pairs]
    assert feature_error({"t": x}, {"t": y}, {"t": 2.5}).tolist() == pytest.approx(errors, rel=1e-5)
    mean = y.mean(0)
    cosines = [[float(F.cosine_similarity((a - mean).flatten(), (b - mean).flatten(), dim=0)) for b in y] for a in x]
    ranks = [1 + sum(value >= row[own] for at, value in enumerate(row) if at != own) for own, row in enumerate(cosines)]
    assert gallery(y, range(7)).rank(x, y, range(7)).tolist() == ranks


@pytest.mark.parametrize("bad", [1.2, -0.1, float("nan")])
def test_networks_refuse_out_of_range(bad: float) -> None:
    """Every metric of a network looks through this door."""
    look = Judge(networks={"alexnet_conv": networks.random("alexnet_conv")}, taps={"alexnet_conv": ("conv1",)}, heads={})
    x = torch.full((1, 3, 32, 32), 0.5)
    assert look.look(x, ["alexnet_conv"])["alexnet_conv"]["conv1"].isfinite().all()
    x[0, 1, 2, 3] = bad
    with pytest.raises(ValueError, match="^metrics that see through alexnet_conv: "):
        look.look(x, ["alexnet_conv"])
