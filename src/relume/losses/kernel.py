"""How far apart two sets of embeddings are, as a training's validation asks (Binkowski et al., arXiv 1801.01401)."""

from torch import Tensor


def kid(x: Tensor, y: Tensor) -> float:
    """The unbiased squared MMD of x (N, D) and y (M, D), N, M >= 2, under k(a, b) = (a·b / D + 1)^3; about 0 where they agree."""
    x, y = x.double(), y.double()
    return float(_apart(x) + _apart(y) - 2 * _kernel(x, y).mean())


def discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """What each row of x (N, D) adds to the squared MMD: mean k(x_i, x_j) over j != i, less 2 mean k(x_i, y_j): (N,).

    In the mean, but for y's own share; least where x is drawn like y. Here rows are compared with each other, on purpose.
    """
    own = _kernel(x, x)
    return (own.sum(1) - own.diagonal()) / (len(x) - 1) - 2 * _kernel(x, y).mean(1)


def _apart(e: Tensor) -> Tensor:
    """mean k(e_i, e_j) over i != j."""
    k = _kernel(e, e)
    return (k.sum() - k.trace()) / (len(e) * (len(e) - 1))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3
