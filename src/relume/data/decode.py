"""Decodes an image file to upright 8-bit RGB, and crops it to a square. Transparent images are composited over white. 16-bit grey
is rounded to 8 bits. CMYK is converted without colour management, and embedded profiles are ignored (as in torchvision). Only the
first frame is used. EXIF rotation is applied."""

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# what Pillow raises on corrupt files
BROKEN = (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, struct.error, zlib.error)
BOMB = Image.DecompressionBombWarning  # at MAX_IMAGE_PIXELS; from twice as many on Pillow refuses
EXTENSIONS = frozenset(
    [".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)


class BadPicture(Exception):
    """The image cannot be read. The message says why, to be shown after the name of the file."""


def decode(data: bytes) -> Image.Image:
    """The bytes of an image file -> an upright RGB image."""
    if not data:
        raise BadPicture("empty file")
    try:
        with (
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(io.BytesIO(data)) as image,
        ):
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise BadPicture("not an image that Pillow can read") from None
    except (BOMB, Image.DecompressionBombError):
        raise BadPicture(f"more than {Image.MAX_IMAGE_PIXELS} pixels: make it smaller") from None
    except BROKEN as error:
        raise BadPicture(f"truncated or corrupt ({str(error) or type(error).__name__})") from None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise BadPicture("32-bit floating point samples are not supported")
    if image.mode.startswith("I"):  # 16 bits
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise BadPicture("samples outside 0 to 65535 are not supported")
        return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def square(image: Image.Image, size: int, short_side: int | None = None) -> np.ndarray:
    """uint8 (size, size, 3): resizes the short side to `short_side` (default `size`), then crops the centre. Bilinear and
    antialiased, as in the evaluation of the ImageNet networks. An image of the right size is not resampled."""
    w, h = image.size
    scale = (short_side or size) / min(w, h)
    width, height = max(size, round(w * scale)), max(size, round(h * scale))
    left, top = (width - size) // 2, (height - size) // 2
    if image.size == (width, height):
        return np.asarray(image.crop((left, top, left + size, top + size)))
    x, y = w / width, h / height
    box = (left * x, top * y, (left + size) * x, (top + size) * y)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
