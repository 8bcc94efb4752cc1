"""Functions with the same bits on every processor.

IEEE 754 rounds +, -, *, / and the square root alike everywhere. It does not say how to round sin, log, exp, powers or hypot:
their last bits depend on the C library, and in NumPy on the processor's vector instructions. `Generator.uniform` is a product and
a sum, which some compilers fuse. So what decides over pixels uses these functions instead.
"""

import decimal
from typing import Any

import numpy as np

DECIMAL = decimal.Context(prec=28)  # integer arithmetic underneath


def uniform(generator: np.random.Generator, low: float, high: float, size: int | tuple[int, ...] | None = None) -> Any:
    """The same draws as `generator.uniform`."""
    return low + (high - low) * generator.random(size)


def log(value: float) -> float:
    return float(DECIMAL.ln(decimal.Decimal(value)))


def exp(value: float) -> float:
    return float(DECIMAL.exp(decimal.Decimal(value)))


def cos_sin(angle: float) -> tuple[float, float]:
    """To about 1e-13, of at most a few turns: the series of a small part of the angle, which is then doubled six times."""
    part = angle / 64
    square = part * part
    cos = 1 - square / 2 * (1 - square / 12 * (1 - square / 30 * (1 - square / 56 * (1 - square / 90))))
    sin = part * (1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72))))
    for _ in range(6):
        cos, sin = cos * cos - sin * sin, 2 * cos * sin
    return cos, sin


def hypot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y)
