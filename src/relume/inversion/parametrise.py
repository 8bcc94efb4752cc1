"""Image parametrisations: what the optimiser moves, and how it becomes a picture. `decode(encode(x)) == x` up to the open box."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.inversion.config import Fourier, Pixels

MARGIN = 1 / 512  # a sigmoid never reaches 0 or 1: half a grey level is kept clear

# Lucid's square root of the covariance of ImageNet colours (columns: decorrelated channels), scaled to largest column norm 1.
COLOUR = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLOUR = COLOUR / COLOUR.norm(dim=0).max()


class Parametrisation(Protocol):
    """`encode` gives the tensor that the optimiser moves, `decode` the picture, `project` what is done after a step."""

    def encode(self, images: Tensor) -> Tensor: ...

    def decode(self, code: Tensor, size: int) -> Tensor: ...

    def project(self, code: Tensor) -> None: ...


class ProjectedPixels:
    """The code is the picture; the box is a projection."""

    def encode(self, images: Tensor) -> Tensor:
        return images.clamp(0, 1).clone()

    def decode(self, code: Tensor, size: int) -> Tensor:
        return code

    def project(self, code: Tensor) -> None:
        code.clamp_(0, 1)


class SigmoidPixels:
    """The code is the picture's logit."""

    def encode(self, images: Tensor) -> Tensor:
        return images.clamp(MARGIN, 1 - MARGIN).logit()

    def decode(self, code: Tensor, size: int) -> Tensor:
        return code.sigmoid()

    def project(self, code: Tensor) -> None:
        """The sigmoid keeps the box."""


class FourierColours:
    """The code is the scaled half spectrum of the picture's logit in decorrelated colours: (N, 3, H, W // 2 + 1, 2)."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def encode(self, images: Tensor) -> Tensor:
        logits = images.clamp(MARGIN, 1 - MARGIN).logit()
        plain = torch.einsum("dc,nchw->ndhw", torch.linalg.inv(COLOUR).to(logits), logits)
        spectrum = torch.fft.rfft2(plain, norm="ortho") / self._scale(images.shape[-1], images.device)
        return torch.view_as_real(spectrum).contiguous()

    def decode(self, code: Tensor, size: int) -> Tensor:
        spectrum = torch.view_as_complex(code) * self._scale(size, code.device)
        plain = torch.fft.irfft2(spectrum, s=(size, size), norm="ortho")
        return torch.einsum("cd,ndhw->nchw", COLOUR.to(plain), plain).sigmoid()

    def project(self, code: Tensor) -> None:
        """The sigmoid keeps the box."""

    def _scale(self, size: int, device: torch.device) -> Tensor:
        """1 / frequency^decay, frequency in cycles per picture, the mean counted as one: (H, W // 2 + 1)."""
        down = torch.fft.fftfreq(size, 1 / size, device=device)
        across = torch.fft.rfftfreq(size, 1 / size, device=device)
        frequency = (down[:, None].square() + across[None].square()).sqrt().clamp_min(1)
        return frequency.pow(-self.decay) * size**self.decay / 8  # an eighth: a step of 0.05 moves a pixel by a few grey levels


def build(config: Pixels | Fourier) -> Parametrisation:
    if isinstance(config, Fourier):
        return FourierColours(config.decay)
    return SigmoidPixels() if config.box == "sigmoid" else ProjectedPixels()


def grow(images: Tensor, size: int) -> Tensor:
    """Bicubic, back inside the box."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
