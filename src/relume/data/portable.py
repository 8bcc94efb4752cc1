"""Functions with the same bits on every CPU. IEEE 754 defines the rounding of +, -, *, / and the square root. It does not define
that of sin, log, exp, powers and hypot: their last bits depend on the C library and, in NumPy, on the vector instructions of the
CPU. `Generator.uniform` is a product and a sum, which some compilers fuse. Code that determines pixels uses these functions
instead."""

import decimal
from typing import Any

import numpy as np

DECIMAL = decimal.Context(prec=28)  # uses integer arithmetic


def uniform(generator: np.random.Generator, low: float, high: float, size: int | tuple[int, ...] | None = None) -> Any:
    """The same draws as `generator.uniform`."""
    return low + (high - low) * generator.random(size)


def log(value: float) -> float:
    return float(DECIMAL.ln(decimal.Decimal(value)))


def exp(value: float) -> float:
    return float(DECIMAL.exp(decimal.Decimal(value)))


def cos_sin(angle: float) -> tuple[float, float]:
    """Accurate to about 1e-13 for a few turns at most: the series of angle / 64, then six doublings of the angle."""
    part = angle / 64
    square = part * part
    cos = 1 - square / 2 * (1 - square / 12 * (1 - square / 30 * (1 - square / 56 * (1 - square / 90))))
    sin = part * (1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72))))
    for _ in range(6):
        cos, sin = cos * cos - sin * sin, 2 * cos * sin
    return cos, sin


def hypot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y)
