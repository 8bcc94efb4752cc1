"""Energy Transformer (Hoover et al., arXiv 2302.07253): tokens descend an energy. Letters as in the paper: N images, B tokens,
D channels per token, H heads, Y channels per key, M memories, T steps.

    g = gamma (x - mean) / sqrt(var + eps) + delta                   the energy LayerNorm; g = dL/dx
    E_att = -1/beta sum_h sum_q log sum_k exp(beta K_hk . Q_hq)      K = Wk g, Q = Wq g
    E_hn = -1/2 sum relu(g Xi)^2
    x <- x - alpha dE/dg                                             T times, with the same weights

-dE/dg is explicit: with A = softmax_k(beta Q.K), -dE/dQ = A K and -dE/dK = A^T Q (timed in `benchmarks/energy.py`).
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.masked.base import MaskedModel, Prediction, log_error, normalise, over_hidden, patches, picture_of, unpatch
from relume.methods.masked.config import EnergyTransformerConfig

EPS = 1e-5

Slope = Callable[[Tensor, Tensor, float, bool], tuple[Tensor, Tensor]]


class EnergyLayerNorm(nn.Module):
    """A scalar gamma and a vector delta: it is the gradient of a convex function, so the energy does not increase."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(()))
        self.delta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, B, D) -> g, (N, B, D)."""
        return self.gamma * F.layer_norm(x, x.shape[-1:], eps=EPS) + self.delta


def plain_slope(q: Tensor, k: Tensor, beta: float, own_key: bool) -> tuple[Tensor, Tensor]:
    """A K and A^T Q from A: (N, H, B, Y) each."""
    a = _scores(q, k, beta, own_key).softmax(-1)  # (N, H, B queries, B keys)
    return a @ k, a.mT @ q


def fused_slope(q: Tensor, k: Tensor, beta: float, own_key: bool) -> tuple[Tensor, Tensor]:
    """The same by three fused attentions, exact and differentiable, without A in memory.

    A K is attention of queries to keys with the keys as values. A^T Q is attention of keys to queries, but normalised by
    l_q = log sum_k exp(beta q.k). One further key of weight exp(c), the only one with a value other than 0, gives the sum: if
    its share is w, the other keys weigh exp(c) (1 - w) / w. c = beta q.(A K)_q is below l_q by at most log B, so w is not small.
    """
    mask = None if own_key else ~torch.eye(q.shape[-2], dtype=torch.bool, device=q.device)
    padded_mask = None if mask is None else F.pad(mask, (0, 1), value=True)
    ak = F.scaled_dot_product_attention(q, k, k, attn_mask=mask, scale=beta)
    c = beta * (q * ak).sum(-1, keepdim=True)
    further = F.pad(torch.zeros_like(k[..., :1, :]), (0, 1), value=1.0)  # (N, H, 1, Y + 1)
    keys = torch.cat([F.pad(k, (0, 1)), further], dim=-2)
    share = torch.cat([torch.zeros_like(keys[..., 1:, :]), further], dim=-2)
    w = F.scaled_dot_product_attention(torch.cat([q, c / beta], dim=-1), keys, share, attn_mask=padded_mask, scale=beta)[..., -1:]
    log_sum = c + ((1 - w) / w).log()  # (N, H, B, 1)
    queries = F.pad(torch.cat([q, -log_sum / beta], dim=-1), (0, 0, 0, 1))  # and one of weight exp(0)
    values = torch.cat([F.pad(q, (0, 1)), further], dim=-2)
    out = F.scaled_dot_product_attention(F.pad(k, (0, 1), value=1.0), queries, values, attn_mask=padded_mask, scale=beta)
    return ak, out[..., :-1] / out[..., -1:]


SLOPES: dict[str, Slope] = {"plain": plain_slope, "fused": fused_slope}


def _scores(q: Tensor, k: Tensor, beta: float, own_key: bool) -> Tensor:
    """beta Q.K: (N, H, B, B)."""
    scores = (beta * q) @ k.mT
    if own_key:
        return scores
    return scores.masked_fill(torch.eye(q.shape[-2], dtype=torch.bool, device=q.device), -math.inf)


class EnergyAttention(nn.Module):
    """Keys and queries; no values and no output projection."""

    def __init__(self, config: EnergyTransformerConfig) -> None:
        super().__init__()
        self.heads, self.beta, self.own_key = config.heads, config.beta, config.own_key
        self.gradient = SLOPES[config.attention]
        self.wq = nn.Parameter(config.init * torch.randn(config.heads * config.key, config.width))
        self.wk = nn.Parameter(config.init * torch.randn(config.heads * config.key, config.width))

    def _project(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """(N, B, D) -> queries and keys, (N, H, B, Y) each."""
        q, k = (F.linear(g, weight).unflatten(-1, (self.heads, -1)).transpose(1, 2) for weight in (self.wq, self.wk))
        return q.contiguous(), k.contiguous()  # once, not in every product

    def energy(self, g: Tensor) -> Tensor:
        """(N, B, D) -> (N,)."""
        q, k = self._project(g)
        return -_scores(q, k, self.beta, self.own_key).logsumexp(-1).sum((1, 2)) / self.beta

    def pull(self, g: Tensor) -> Tensor:
        """-dE/dg: (N, B, D)."""
        q, k = self._project(g)
        ak, aq = (part.transpose(1, 2).flatten(2) for part in self.gradient(q, k, self.beta, self.own_key))  # (N, B, H Y)
        return ak @ self.wq + aq @ self.wk


class Memories(nn.Module):
    """A Hopfield network with rectified, squared energy; Xi is (M, D)."""

    def __init__(self, config: EnergyTransformerConfig) -> None:
        super().__init__()
        self.xi = nn.Parameter(config.memory_init * torch.randn(config.memories, config.width))

    def energy(self, g: Tensor) -> Tensor:
        """(N, B, D) -> (N,)."""
        return -0.5 * F.linear(g, self.xi).relu().square().sum((1, 2))

    def pull(self, g: Tensor) -> Tensor:
        """-dE/dg: (N, B, D)."""
        return F.linear(g, self.xi).relu_() @ self.xi


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

    def pull(self, g: Tensor) -> Tensor:
        """-dE/dg: (N, B, D)."""
        return self.attention.pull(g) + self.memories.pull(g)

    def path(self, x: Tensor, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        """x before the first step and after each of the T: T + 1 times (N, B, D). With a generator, steps are noisy."""
        yield x
        own = None
        if generator is not None and self.noise:  # noise is drawn on the device
            own = torch.Generator(x.device).manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for _ in range(self.steps):
            x = torch.add(x, self.pull(self.norm(x)), alpha=self.alpha)
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
