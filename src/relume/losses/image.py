"""Image priors, per sample: (N, 3, H, W) -> (N,). Means over pixels, so that weights do not depend on the size."""

from torch import Tensor


def tv(images: Tensor, exponent: float) -> Tensor:
    """Total variation: mean over pixels and channels of (dx^2 + dy^2)^(exponent / 2)."""
    dx = images[..., :-1, 1:] - images[..., :-1, :-1]
    dy = images[..., 1:, :-1] - images[..., :-1, :-1]
    squares = dx.square() + dy.square()
    if exponent == 2:
        return squares.flatten(1).mean(1)
    eps = 1e-8  # the square root has no gradient at 0
    return ((squares + eps).pow(exponent / 2) - eps ** (exponent / 2)).flatten(1).mean(1)


def tv_linear(images: Tensor) -> Tensor:
    """Total variation of the multi-objective inversion: mean |dx| + mean |dy| over pixels and channels."""
    dx = images[..., :, 1:] - images[..., :, :-1]
    dy = images[..., 1:, :] - images[..., :-1, :]
    return dx.abs().flatten(1).mean(1) + dy.abs().flatten(1).mean(1)


def tv_squared_relu(images: Tensor) -> Tensor:
    """A penalty of the multi-objective inversion on t = `tv_linear`: u + 10 u^2 with u = max(t - 0.3, 0)."""
    excess = (tv_linear(images) - 0.3).relu()
    return excess + 10 * excess.square()


def alpha_norm(images: Tensor, exponent: float) -> Tensor:
    """mean |2x - 1|^exponent: 0 at mid-grey, 1 at black and white (deep-goggle's L6 for [0, 1])."""
    return (2 * images - 1).abs().pow(exponent).flatten(1).mean(1)


def pixel(images: Tensor, originals: Tensor) -> Tensor:
    """Mean squared error to the original: an oracle in feature inversion."""
    return (images - originals).square().flatten(1).mean(1)
