"""How far apart two sets of embeddings are, as a training's validation asks (Binkowski et al., arXiv 1801.01401)."""

from torch import Tensor


def kid(x: Tensor, y: Tensor) -> float:
    """The unbiased squared MMD of x (N, D) and y (M, D), N, M >= 2, under k(a, b) = (a·b / D + 1)^3; about 0 where they agree."""
    x, y = x.double(), y.double()
    return float(_apart(x) + _apart(y) - 2 * _kernel(x, y).mean())


def _apart(e: Tensor) -> Tensor:
    """mean k(e_i, e_j) over i != j."""
    k = _kernel(e, e)
    return (k.sum() - k.trace()) / (len(e) * (len(e) - 1))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3
