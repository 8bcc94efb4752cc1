"""Image parametrisations: the optimised tensor and its map to images. `decode(encode(x)) == x` except near 0 and 1; row n belongs
to image n."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.core.images import per_channel
from relume.core.registry import added
from relume.methods.optimise.base import Parametrisation
from relume.methods.optimise.config import Fourier, Latent, Own, Pixels, Prior
from relume.methods.optimise.prior import DeepPrior
from relume.networks.facts import IMAGENET_MEAN, IMAGENET_STD

MARGIN = 1 / 512  # half a grey level: a sigmoid never reaches 0 or 1

# Lucid's square root of the covariance of ImageNet colours (columns: decorrelated channels), scaled to largest column norm 1.
COLOUR = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLOUR = COLOUR / COLOUR.norm(dim=0).max()


Config = Pixels | Fourier | Prior | Latent | Own
Spaces = Callable[[Config], Parametrisation]  # `build`, or a builder that also has a generator


class ProjectedPixels(Parametrisation):
    """The parameters are the image, projected to [0, 1]."""

    keeps_code, bounded = False, True

    def encode(self, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        return images.clamp(0, 1).clone()

    def decode(self, code: Tensor, size: int) -> Tensor:
        return code

    def project(self, code: Tensor) -> None:
        code.clamp_(0, 1)


class SigmoidPixels(Parametrisation):
    """The parameters are the image's logits."""

    keeps_code, bounded = False, True

    def encode(self, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        return images.clamp(MARGIN, 1 - MARGIN).logit()

    def decode(self, code: Tensor, size: int) -> Tensor:
        return code.sigmoid()


class FreePixels(Parametrisation):
    """The parameters are the ImageNet-normalised image, (x - mean) / std, without bounds."""

    keeps_code, bounded = False, False

    def encode(self, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        return (images - per_channel(IMAGENET_MEAN, images)) / per_channel(IMAGENET_STD, images)

    def decode(self, code: Tensor, size: int) -> Tensor:
        return code * per_channel(IMAGENET_STD, code) + per_channel(IMAGENET_MEAN, code)


class FourierColours(Parametrisation):
    """The parameters are the scaled half spectrum of the image's logits in decorrelated colours: (N, 3, H, W // 2 + 1, 2)."""

    keeps_code, bounded = False, True

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def encode(self, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        spectrum = torch.fft.rfft2(_decorrelated(images), norm="ortho") / self._scale(images.shape[-1], images.device)
        return torch.view_as_real(spectrum).contiguous()

    def decode(self, code: Tensor, size: int) -> Tensor:
        spectrum = torch.view_as_complex(code) * self._scale(size, code.device)
        return _coloured(torch.fft.irfft2(spectrum, s=(size, size), norm="ortho"))

    def _scale(self, size: int, device: torch.device) -> Tensor:
        """1 / frequency^decay, frequency in cycles per image, at least 1: (H, W // 2 + 1)."""
        down = torch.fft.fftfreq(size, 1 / size, device=device)
        across = torch.fft.rfftfreq(size, 1 / size, device=device)
        frequency = (down[:, None].square() + across[None].square()).sqrt().clamp_min(1)
        return frequency.pow(-self.decay) * size**self.decay / 8  # 1 / 8: a step of 0.05 changes a pixel by a few grey levels


BOXES: dict[str, type[ProjectedPixels] | type[SigmoidPixels] | type[FreePixels]] = {
    "projection": ProjectedPixels,
    "sigmoid": SigmoidPixels,
    "none": FreePixels,
}


def build(config: Config) -> Parametrisation:
    match config:
        case Pixels():
            return BOXES[config.box]()
        case Fourier():
            return FourierColours(config.decay)
        case Prior():
            return DeepPrior(config.channels, config.levels)
        case Own():
            made = added("parametrisations", config.name)(**config.options)
            if not isinstance(made, Parametrisation):
                raise UserError(f"parametrisation.name: {config.name} makes no relume.methods.optimise.base.Parametrisation")
            return made
        case Latent():
            raise UserError("parametrisation: kind latent needs a generator: use section invert_latent")


def grow(images: Tensor, size: int, *, bounded: bool = True) -> Tensor:
    """Bicubic; clamped to [0, 1] if `bounded`."""
    if images.shape[-1] == size:
        return images
    grown = F.interpolate(images, size=(size, size), mode="bicubic", align_corners=False)
    return grown.clamp(0, 1) if bounded else grown


def _decorrelated(images: Tensor) -> Tensor:
    """Images in [0, 1] -> logits in decorrelated colours, of the same shape."""
    logits = images.clamp(MARGIN, 1 - MARGIN).logit()
    return torch.einsum("dc,nchw->ndhw", torch.linalg.inv(_mixing(logits)), logits)


def _coloured(plain: Tensor) -> Tensor:
    """The inverse of `_decorrelated`."""
    return torch.einsum("cd,ndhw->nchw", _mixing(plain), plain).sigmoid()


def _mixing(like: Tensor) -> Tensor:
    """The identity for images without three channels."""
    return COLOUR.to(like) if like.shape[1] == 3 else torch.eye(like.shape[1]).to(like)
