"""Every odd kind of picture becomes upright 8-bit RGB, or is refused in words."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relume.data.decode import BadPicture, decode, square
from tests.data_files import encoded, pixels

RGB = Image.fromarray(pixels(0))
GREY, PALETTE, BITS = RGB.convert("L"), RGB.quantize(16), RGB.convert("1")
FRAMES = [Image.new("L", (8, 8), value) for value in (200, 10)]


def read(data: bytes) -> np.ndarray:
    image = decode(data)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize(
    ("data", "wanted", "tolerance"),
    [
        (encoded(RGB, "TIFF"), pixels(0), 0),
        (encoded(RGB, "WEBP", quality=100), pixels(0), 40),
        (encoded(GREY), np.asarray(GREY)[..., None], 0),
        (encoded(BITS), np.asarray(BITS.convert("RGB")), 0),
        (encoded(PALETTE, "GIF"), np.asarray(PALETTE.convert("RGB")), 0),
        (encoded(Image.new("RGBA", (8, 8), (10, 20, 30, 0))), 255, 0),  # transparency lies over white
        (encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128))), 127, 1),
        (encoded(Image.new("LA", (8, 8), (0, 0))), 255, 0),
        (encoded(Image.new("P", (8, 8), 0), transparency=0), 255, 0),
        (encoded(Image.new("RGB", (8, 8), (1, 2, 3)), transparency=(1, 2, 3)), 255, 0),
        (encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100), [255, 0, 0], 12),
        (encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), 200, 0),  # the first frame
    ],
)
def test_every_kind_of_picture_becomes_rgb(data: bytes, wanted: Any, tolerance: int) -> None:
    assert np.abs(read(data).astype(int) - wanted).max() <= tolerance


def test_sixteen_bits_keep_their_range() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    assert np.array_equal(read(encoded(Image.fromarray(ramp)))[..., 0], np.round(ramp / 257))
    assert np.array_equal(read(png_rgb16(ramp))[..., 1], ramp >> 8)


def png_rgb16(plane: np.ndarray) -> bytes:
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in plane)
    head = struct.pack(">IIBBBBB", plane.shape[1], plane.shape[0], 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    packed = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (6, 3), (3, 2), (8, 1)])
def test_exif_rotation_is_obeyed(orientation: int, turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(read(encoded(RGB, "PNG", exif=exif)), np.rot90(pixels(0), turned))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"no picture at all", "not an image"),
        (encoded(RGB, "JPEG")[:-200], "truncated"),
        (encoded(RGB, "JPEG")[:20], "not an image|truncated"),
        (encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "floating point"),
        (encoded(Image.fromarray(np.full((4, 4), 1 << 20, np.int32)), "TIFF"), "outside 0 to 65535"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, words: str) -> None:
    with pytest.raises(BadPicture, match=words):
        decode(data)


def test_corrupt_data_within_a_png_and_a_bomb_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))))
    data[200:300] = bytes(100)
    with pytest.raises(BadPicture, match="corrupt"):
        decode(bytes(data))
    width, height = RGB.size
    for allowed in (width * height - 1, 100):  # Pillow warns, Pillow refuses
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", allowed)
        with pytest.raises(BadPicture, match=f"more than {allowed} pixels"):
            decode(encoded(RGB))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", width * height)
    assert decode(encoded(RGB)).size == RGB.size


def test_a_square_is_the_centre_antialiased_after_the_short_side() -> None:
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 255
    assert (square(Image.fromarray(wide), 8) == 255).all()
    assert (square(Image.fromarray(wide.transpose(1, 0, 2)), 8) == 255).all()
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(square(Image.fromarray(noise), 16), noise)
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    small = square(Image.fromarray(board).convert("RGB"), 8)
    assert np.abs(small.astype(int) - 127).max() <= 2
    assert square(RGB, 100).shape == (100, 100, 3)
    assert square(Image.new("RGB", (1, 500)), 8).shape == (8, 8, 3)
    framed = np.zeros((64, 64, 3), np.uint8)
    framed[8:56, 8:56] = 255
    assert square(Image.fromarray(framed), 24).min() == 0
    assert square(Image.fromarray(framed), 24, short_side=32).min() > 100
    whole = Image.fromarray(pixels(3, 40, 60))
    once = np.asarray(whole.resize((48, 32), Image.Resampling.BILINEAR))[4:28, 12:36]
    assert np.abs(square(whole, 24, short_side=32).astype(int) - once).max() <= 2
