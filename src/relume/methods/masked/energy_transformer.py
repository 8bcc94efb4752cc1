"""Energy Transformer (Hoover et al., arXiv 2302.07253): tokens descend an energy. Letters as in the paper: N images, B tokens,
D channels per token, H heads, Y channels per key, M memories, T steps.

    g = gamma (x - mean) / sqrt(var + eps) + delta                   the energy LayerNorm; g = dL/dx
    E_att = -1/beta sum_h sum_q log sum_k exp(beta K_hk . Q_hq)      K = Wk g, Q = Wq g
    E_hn = -1/2 sum relu(g Xi)^2
    x <- x - alpha dE/dg                                             T times, with the same weights

-dE/dg is explicit: with A = softmax_k(beta Q.K), -dE/dQ = A K and -dE/dK = A^T Q (timed in `benchmarks/energy.py`). Attention is
plain: PyTorch's fused kernel is slower at these sizes, and A^T Q takes two more of it.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from relume.methods.masked.base import MaskedModel, Prediction, log_error, normalise, over_hidden, patches, picture_of, unpatch
from relume.methods.masked.config import EnergyTransformerConfig

EPS = 1e-5


class EnergyLayerNorm(nn.Module):
    """A scalar gamma and a vector delta: it is the gradient of a convex function, so the energy does not increase."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(()))
        self.delta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, B, D) -> g, (N, B, D)."""
        return F.layer_norm(x, x.shape[-1:], self.gamma.expand_as(self.delta), self.delta, EPS)


class Pull(torch.autograd.Function):
    """g -> phi(g W^T) W, which is -dE/dg for beta 1. W has the rows of Wq, Wk and Xi; phi(q, k, m) = (A k, A^T q, relu m).
    phi is a gradient, so its derivative is symmetric. The derivative by g and W is written out too."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, w: Tensor, heads: int, keys: int, own_key: bool) -> Tensor:
        """`keys`: rows of W that are queries or keys."""
        z = g @ w.T  # (N, B, rows)
        slots = _slots(z, heads, keys)
        q, k = slots.contiguous()  # once, not in every product
        a = _scores(q, k, own_key).softmax(-1, dtype=q.dtype)  # (N, H, B queries, B keys)
        slots[0], slots[1] = a @ k, a.mT @ q
        z[..., keys:].relu_()
        ctx.save_for_backward(g, w, q, k, a, z)
        ctx.keys = keys
        return z @ w

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
        g, w, q, k, a, z = ctx.saved_tensors
        d = u @ w.T  # by phi, then in its place by the arguments of phi
        slots, memories = _slots(d, q.shape[1], ctx.keys), d[..., ctx.keys :]
        by_ak, by_aq = slots.contiguous()
        s = torch._softmax_backward_data(_two_products(by_ak, k.mT, q, by_aq.mT), a, -1, a.dtype)
        slots[0], slots[1] = _two_products(s, k, a, by_aq), _two_products(s.mT, q, a.mT, by_ak)
        torch.ops.aten.threshold_backward.grad_input(memories, z[..., ctx.keys :], 0, grad_input=memories)
        dw = (u.flatten(0, 1).T @ z.flatten(0, 1)).addmm_(g.flatten(0, 1).T, d.flatten(0, 1))  # faster than its transpose
        return d @ w, dw.T, None, None, None


def _slots(values: Tensor, heads: int, keys: int) -> Tensor:
    """Queries and keys, (2, N, H, B, Y): a view."""
    return values[..., :keys].unflatten(-1, (2, heads, -1)).permute(2, 0, 3, 1, 4)


def _two_products(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """a b + c d"""
    product = a @ b
    product.flatten(0, 1).baddbmm_(c.flatten(0, 1), d.flatten(0, 1))
    return product


def _scores(q: Tensor, k: Tensor, own_key: bool) -> Tensor:
    """Q.K: (N, H, B, B)."""
    scores = q @ k.mT
    if not own_key:
        scores.diagonal(dim1=-2, dim2=-1).fill_(-math.inf)
    return scores


class EnergyAttention(nn.Module):
    """Keys and queries; no values and no output projection."""

    def __init__(self, config: EnergyTransformerConfig) -> None:
        super().__init__()
        self.heads, self.beta, self.own_key = config.heads, config.beta, config.own_key
        self.wq = nn.Parameter(config.init * torch.randn(config.heads * config.key, config.width))
        self.wk = nn.Parameter(config.init * torch.randn(config.heads * config.key, config.width))

    def energy(self, g: Tensor) -> Tensor:
        """(N, B, D) -> (N,)."""
        q, k = (F.linear(g, weight).unflatten(-1, (self.heads, -1)).transpose(1, 2) for weight in (self.wq, self.wk))
        return -_scores(self.beta * q, k, self.own_key).logsumexp(-1).sum((1, 2)) / self.beta


class Memories(nn.Module):
    """A Hopfield network with rectified, squared energy; Xi is (M, D)."""

    def __init__(self, config: EnergyTransformerConfig) -> None:
        super().__init__()
        self.xi = nn.Parameter(config.memory_init * torch.randn(config.memories, config.width))

    def energy(self, g: Tensor) -> Tensor:
        """(N, B, D) -> (N,)."""
        return -0.5 * F.linear(g, self.xi).relu().square().sum((1, 2))


class EnergyBlock(nn.Module):
    """The energy of all tokens of an image, and its descent."""

    def __init__(self, config: EnergyTransformerConfig) -> None:
        super().__init__()
        self.steps, self.alpha, self.noise = config.steps, config.alpha, config.noise
        self.norm = EnergyLayerNorm(config.width)
        self.attention = EnergyAttention(config)
        self.memories = Memories(config)

    def energy(self, x: Tensor) -> Tensor:
        """(N, B, D) -> (N,)."""
        g = self.norm(x)
        return self.attention.energy(g) + self.memories.energy(g)

    def pull(self, g: Tensor, w: Tensor) -> Tensor:
        """-beta dE/dg: (N, B, D). `w`: the weights of Pull."""
        own, kind = self.attention, g.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else g.dtype
        return Pull.apply(g.to(dtype), w.to(dtype), own.heads, 2 * len(own.wq), own.own_key).to(g.dtype)

    def path(self, x: Tensor, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        """x before the first step and after each of the T: T + 1 times (N, B, D). With a generator, steps are noisy."""
        yield x
        own = None
        if generator is not None and self.noise:  # noise is drawn on the device
            own = torch.Generator(x.device).manual_seed(int(torch.randint(2**62, (), generator=generator)))
        beta = self.attention.beta
        w = math.sqrt(beta) * torch.cat([self.attention.wq, self.attention.wk, self.memories.xi])
        for _ in range(self.steps):
            x = torch.add(x, self.pull(self.norm(x), w), alpha=self.alpha / beta)
            if own is not None:
                noise = torch.randn(x.shape, generator=own, device=x.device, dtype=x.dtype)
                x = x + math.sqrt(self.alpha) * self.noise * noise
            yield x

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The last x of the path."""
        *_, last = self.path(x, generator)
        return last


class EnergyTransformer(MaskedModel):
    """A mask token for hidden cells, a class token, learned positions, and a linear layer from tokens to cells."""

    def __init__(self, config: EnergyTransformerConfig, size: int, cell: int) -> None:
        super().__init__(size, cell, linear=config.start == "linear")
        width, values = config.width, 3 * cell**2
        self.encode = nn.Linear(values, width)
        self.summary = nn.Parameter(config.init * torch.randn(width))  # the class token
        self.unknown = nn.Parameter(config.init * torch.randn(width))  # the mask token
        self.position = nn.Parameter(config.init * torch.randn(1 + self.cells, width))
        self.block = EnergyBlock(config)
        self.decode = nn.Sequential(nn.LayerNorm(width, eps=EPS), nn.Linear(width, values))
        if self.linear is not None:
            for weights in self.decode[1].parameters():
                nn.init.zeros_(weights)

    def tokens(self, images: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The initial x, (N, 1 + cells, D), and what is added to the decoded cells, (N, cells, 3 cell cell)."""
        self.check_inputs(images, hidden)
        cells, masked = patches(self.begin(images, hidden), self.cell), hidden.flatten(1)[..., None]
        tokens = self.encode(cells)
        initial = self.unknown.to(tokens.dtype) if self.linear is None else tokens + self.unknown
        tokens = torch.where(masked, initial, tokens)
        x = torch.cat([self.summary.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], dim=1) + self.position
        return x, torch.zeros_like(cells) if self.linear is None else cells

    def forward(self, images: Tensor, hidden: Tensor, generator: torch.Generator | None = None) -> Prediction:
        """The loss is the squared error over hidden cells, in units of SPREAD; with `linear`, its logarithm."""
        x, begun = self.tokens(images, hidden)
        values = begun + self.decode(self.block(x, generator)[:, 1:]).float()
        picture = unpatch(values, self.cell)
        if self.linear is not None:
            return Prediction(picture=picture_of(picture), loss=log_error(picture, images, hidden))
        error = (values - patches(normalise(images), self.cell)).square().mean(-1)
        return Prediction(picture=picture_of(picture), loss=over_hidden(error, hidden.flatten(1)))

    def trajectory(self, images: Tensor, hidden: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The energy, (N,), and the image, (N, 3, size, size), before the first step and after each of the T steps."""
        first, begun = self.tokens(images, hidden)
        for x in self.block.path(first):
            yield self.block.energy(x), picture_of(unpatch(begun + self.decode(x[:, 1:]), self.cell))

    def represent(self, images: Tensor) -> Tensor:
        """The mean of g over the cells' tokens at the end of the path."""
        unmasked = torch.zeros(len(images), self.side, self.side, dtype=torch.bool, device=images.device)
        return self.block.norm(self.block(self.tokens(images, unmasked)[0]))[:, 1:].mean(1)
