"""DCGAN (Radford et al., arXiv 1511.06434): 4x4 convolutions of stride 2, batch normalisation, ReLU, tanh. The discriminator
returns a score without activation, for least squares."""

from collections.abc import Iterator

from torch import Tensor, nn

from relume.methods.gan.config import Dcgan
from relume.methods.gan.generator import Generator, Noise, doubled_sides

SLOPE = 0.2  # of the discriminator's LeakyReLU
STD = 0.02  # of initial weights


class DcganGenerator(Generator):
    """w is z; there is one layer of w and no noise."""

    def __init__(self, config: Dcgan, size: int) -> None:
        super().__init__(latent=config.latent, width=config.latent, layers=1, size=size)
        widths = _widths(config, size)[::-1]
        self.up = nn.Sequential(
            *_up(config.latent, widths[0], stride=1, padding=0),
            *(part for i, o in zip(widths, widths[1:], strict=False) for part in _up(i, o)),
            nn.ConvTranspose2d(widths[-1], 3, 4, stride=2, padding=1, bias=False),
        )
        self.apply(_initialise)

    def map(self, z: Tensor) -> Tensor:
        return z

    def paint(self, w: Tensor, noise: Noise | None) -> Tensor:
        painted: Tensor = self.up(w[:, 0, :, None, None])
        return (painted.tanh() + 1) / 2


class DcganDiscriminator(nn.Module):
    """(N, 3, size, size) in [0, 1] -> scores (N,), high for real images."""

    def __init__(self, config: Dcgan, size: int) -> None:
        super().__init__()
        widths = _widths(config, size)
        self.down = nn.Sequential(
            nn.Conv2d(3, widths[0], 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(SLOPE),
            *(
                part
                for i, o in zip(widths, widths[1:], strict=False)
                for part in (nn.Conv2d(i, o, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU(SLOPE))
            ),
            nn.Conv2d(widths[-1], 1, 4, bias=False),
        )
        self.apply(_initialise)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.down(2 * pictures - 1).flatten()


def _widths(config: Dcgan, size: int) -> list[int]:
    """Channels at size / 2, size / 4, ... 4."""
    return [config.width * 2**i for i in range(len(doubled_sides(size)) - 1)]


def _up(inputs: int, outputs: int, stride: int = 2, padding: int = 1) -> Iterator[nn.Module]:
    yield nn.ConvTranspose2d(inputs, outputs, 4, stride=stride, padding=padding, bias=False)
    yield nn.BatchNorm2d(outputs)
    yield nn.ReLU()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, STD)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, STD)
