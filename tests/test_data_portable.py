"""Prepared pictures have the same bytes on every processor."""

import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from relume.data.crops import choose
from relume.data.dead_leaves import Photographs, dead_leaves, dead_leaves_float, radii
from relume.data.pictures import rng
from relume.data.portable import cos_sin, exp, hypot, log, uniform
from relume.data.sources.photos import Crop, load

SHA256 = "ae1a1609e84abf693122d868123928176bfe4e9a89fd7040da75be08151105a6"


def matter() -> Photographs:
    """Photographs of arithmetic, which no decoder and no package can change."""
    plane = np.arange(160 * 160 * 3, dtype=np.int64).reshape(160, 160, 3)
    photographs = [(plane * plane // divisor % 251).astype(np.uint8) for divisor in (1, 97, 7001)]
    return Photographs(colours=photographs, textures=photographs)


def everything() -> str:
    """A digest of all bits, those too that the rounding to bytes would hide."""
    numbers = uniform(rng(0), 0.01, 13, 2000)
    found = hashlib.sha256(np.array([[*cos_sin(each), log(each), exp(each)] for each in numbers.tolist()]).tobytes())
    found.update(hypot(numbers, numbers[::-1]).tobytes())
    found.update(radii(rng(0), 1.3, 40.0, area=1e4).tobytes())
    for number in range(8):
        found.update(dead_leaves_float(96, rng(0, number), matter()).tobytes())
    for name in ("motorcycle", "chelsea"):
        for box in choose(load(name), 8, size=32, generator=rng(0, name)):
            found.update(repr(box).encode() + Crop("", name, box).render(32, None).tobytes())
    return found.hexdigest()


def test_another_processor_gives_the_same_bits() -> None:
    """One without the vector instructions of this one, as far as the libraries can be told so."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    plain = {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F",
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),  # by numpy's own names; it ignores others with a warning only
        "OPENBLAS_CORETYPE": "Prescott",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "error::ImportWarning", "-m", "tests.test_data_portable"]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    there = subprocess.run(
        command,
        env={**os.environ, **plain, "PYTHONPATH": path},
        cwd=Path(__file__).parents[1],
        check=True,
        capture_output=True,
        text=True,
    )
    assert there.stdout.strip() == everything()


def test_dead_leaves_are_those_of_every_machine() -> None:
    assert hashlib.sha256(dead_leaves(96, rng(0), matter()).tobytes()).hexdigest() == SHA256


@pytest.mark.parametrize("value", [1e-3, 0.5, 1.0, 2.5, 14.0])
def test_functions_are_what_they_are_called(value: float) -> None:
    assert cos_sin(value) == pytest.approx((math.cos(value), math.sin(value)), abs=1e-12)
    assert log(value) == pytest.approx(math.log(value), rel=1e-15)
    assert exp(value) == pytest.approx(math.exp(value), rel=1e-15)
    assert hypot(np.array(value), np.array(2.0)) == pytest.approx(math.hypot(value, 2))
    assert np.array_equal(uniform(rng(0), -value, 7, 100), rng(0).uniform(-value, 7, 100))


if __name__ == "__main__":
    print(everything())
