"""A generator's latent space as an image parametrisation: z, w, or a w per layer (w+), with increasing expressiveness."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from relume.core.images import resize
from relume.core.runtime import generator as seeded
from relume.losses.image import noise_reg
from relume.methods.gan.generator import Generator, Noise, maps
from relume.methods.optimise import parametrise
from relume.methods.optimise.base import Parametrisation
from relume.methods.optimise.config import Latent
from relume.methods.optimise.parametrise import Spaces

MAPPING = "mapping."  # prefix of the weights from z to w, which are not tuned


class Painter(nn.Module):
    """w, noise -> images, as the module's forward."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, w: Tensor, *noise: Tensor) -> Tensor:
        return self.generator.synthesise(w, noise or None)


class Tuned:
    """Pivotal tuning (Roich et al., arXiv 2106.05744): each row has its own differences from the synthesis weights."""

    def __init__(self, generator: Generator) -> None:
        self.painter = Painter(generator)
        named = self.painter.named_parameters()
        self.weights = {name: value for name, value in named if not name.startswith(f"generator.{MAPPING}")}

    @property
    def length(self) -> int:
        """Weights per row."""
        return sum(value.numel() for value in self.weights.values())

    def paint(self, differences: Tensor, w: Tensor, noise: Noise) -> Tensor:
        """Differences (N, length), w (N, …), noise (N, 1, h, h) each -> (N, 3, size, size), row n by its own generator."""
        return vmap(self._one)(differences, w, *noise)

    def _one(self, differences: Tensor, w: Tensor, *noise: Tensor) -> Tensor:
        parts = differences.split([value.numel() for value in self.weights.values()])
        own = {name: value + part.view_as(value) for (name, value), part in zip(self.weights.items(), parts, strict=True)}
        painted: Tensor = functional_call(self.painter, own, (w[None], *(one[None] for one in noise)))
        return painted[0]


DRAWN = 256  # latents for their std


class LatentSpace(Parametrisation):
    """Parameters (N, P): the flat latent, and if they are optimised the noise maps and each row's differences of the generator's
    weights. The generator is in eval mode. `given`: initial z (N, latent), w (N, width) or w+ (N, layers, width)."""

    keeps_code, bounded = True, True

    def __init__(self, generator: Generator, config: Latent, given: Tensor | None = None) -> None:
        if generator.training:
            raise ValueError("the generator must be in eval mode")
        if (config.start == "given") != (given is not None):
            raise ValueError(f"initial latents are {'missing' if given is None else f'given, but start is {config.start}'}")
        self.generator, self.config, self.given = generator, config, given
        self.shape = tuple(generator.centre(config.space).shape)
        self.sides = generator.sides if config.noise else ()
        self.tuned = None if config.pivotal is None else Tuned(generator)
        latent = torch.Size(self.shape).numel()
        self.lengths = [latent, sum(side * side for side in self.sides), self.tuned.length if self.tuned else 0]

    @torch.no_grad()
    def encode(self, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """The images are ignored: a generator cannot encode them."""
        initial_image = self._initial(generators)
        drawn = self.generator.draw_noise(generators) if self.sides else []
        moved = [] if self.tuned is None else [initial_image.new_zeros(len(initial_image), self.tuned.length)]
        return torch.cat([initial_image.flatten(1), *(one.flatten(1) for one in drawn), *moved], dim=1).to(images.device)

    def decode(self, code: Tensor, size: int) -> Tensor:
        latent, noise = self.parts(code)
        w = self.generator.map(latent) if self.config.space == "z" else latent
        if self.tuned is None:
            return resize(self.generator.synthesise(w, noise or None), size)
        return resize(self.tuned.paint(code[:, -self.tuned.length :], w, noise), size)

    def parts(self, code: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, P) -> the latent in its own shape, the noise maps (N, 1, h, h)."""
        latent, noise, _ = code.split(self.lengths, dim=1)
        return latent.unflatten(1, self.shape), maps(noise, self.sides)

    @torch.no_grad()
    def project(self, code: Tensor) -> None:
        """Normalises every noise map to mean 0 and std 1."""
        for noise in self.parts(code)[1]:
            noise.sub_(noise.mean((2, 3), keepdim=True))
            noise.mul_((noise.square().mean((2, 3), keepdim=True) + 1e-12).rsqrt())

    def perturbed(self, code: Tensor, progress: float, generators: Sequence[torch.Generator]) -> Tensor:
        """StyleGAN2's projector: noise of w_noise * std * (1 - progress / until)^2 on the latent. After the pivot only the
        weights have gradients, before it only latent and noise."""
        config, (latent, noise, weights) = self.config, code.split(self.lengths, dim=1)
        size = config.w_noise * max(0.0, 1 - progress / config.shake_until) ** 2
        if size > 0:
            drawn = torch.stack([torch.randn(latent.shape[1], generator=one) for one in generators]).to(code)
            latent = latent + size * self.spread * drawn
        if self.phase(progress):
            latent, noise = latent.detach(), noise.detach()
        else:
            weights = weights.detach()
        return torch.cat([latent, noise, weights], dim=1)

    def phase(self, progress: float) -> int:
        """1 after the pivot, where the generator's weights are optimised instead of latent and noise."""
        return int(self.config.pivotal is not None and progress >= self.config.pivotal)

    def costs(self, code: Tensor) -> dict[str, tuple[float, Tensor]]:
        weight, (_, noise) = self.config.noise_reg, self.parts(code)
        return {"noise_reg": (weight, noise_reg(noise))} if weight and noise else {}

    @cached_property
    @torch.no_grad()
    def spread(self) -> float:
        """The root mean square distance of latents to their mean."""
        space = "z" if self.config.space == "z" else "w"
        found = self.generator.drawn(space, [seeded(0, "spread", number) for number in range(DRAWN)])
        return float((found - self.generator.centre(space)).square().sum(1).mean().sqrt())

    def _initial(self, generators: Sequence[torch.Generator]) -> Tensor:
        if self.given is None and self.config.start == "random":
            return self.generator.drawn(self.config.space, generators)
        given = self.generator.running_mean.expand(len(generators), -1) if self.given is None else self.given
        shaped = self.generator.within(given, self.config.space)
        if shaped.shape[1:] != self.shape:
            raise ValueError(f"needs latents of shape {self.shape}, got {tuple(given.shape[1:])}")
        return shaped


def spaces(generator: Generator, given: Tensor | None = None) -> Spaces:
    """A builder of spaces that also builds this generator's latent space."""
    return lambda config: LatentSpace(generator, config, given) if isinstance(config, Latent) else parametrise.build(config)
