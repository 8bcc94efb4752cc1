"""Any picture file to upright 8-bit RGB, and to a square. A fault is a BadPicture, in words that fit after a file's name.

Transparency is laid over white; 16-bit grey is rounded to 8 bits; CMYK is converted without colour management and embedded
profiles are not applied (as torchvision does it); of several frames the first counts; EXIF rotation is obeyed.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# What Pillow raises on bytes that are not what they claim to be.
BROKEN = (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, struct.error, zlib.error)
EXTENSIONS = frozenset(
    [".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)


class BadPicture(Exception):
    """It cannot be read. The message says why."""


def decode(data: bytes) -> Image.Image:
    """The bytes of a picture file as an upright RGB image."""
    if not data:
        raise BadPicture("empty file")
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise BadPicture("no picture, or of a kind that Pillow does not read") from None
    except Image.DecompressionBombError as error:
        raise BadPicture(f"too large ({error})") from None
    except BROKEN as error:
        raise BadPicture(f"truncated or corrupt ({str(error) or type(error).__name__})") from None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise BadPicture("32-bit floating point samples have no agreed range")
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise BadPicture("32-bit samples beyond 16 bits have no agreed range")
    return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")


def square(image: Image.Image, size: int, short_side: int | None = None) -> np.ndarray:
    """uint8 (size, size, 3): the short side resized to `short_side` (else `size`), then the centre cut out.

    Bilinear with a support that grows as the picture shrinks (antialiased): the filter with which the ImageNet networks
    were evaluated. A picture that has the right size already comes through untouched.
    """
    w, h = image.size
    scale = (short_side or size) / min(w, h)
    width, height = max(size, round(w * scale)), max(size, round(h * scale))
    left, top = (width - size) // 2, (height - size) // 2
    if image.size == (width, height):
        return np.asarray(image.crop((left, top, left + size, top + size)))
    x, y = w / width, h / height
    box = (left * x, top * y, (left + size) * x, (top + size) * y)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
