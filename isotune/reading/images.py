"""Images, by decoders that are named: what a file begins with chooses one of them, not its name.

Pillow has more decoders than these, and one of them (EPS) runs another program on the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image, UnidentifiedImageError

from isotune.errors import UsageError
from isotune.reading._files import GIB

DECODERS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # JPEG's takes MPO too, with its first picture
LIMIT = GIB  # bytes of a file


@contextmanager
def image(data: bytes) -> Iterator[Image.Image]:
    """An encoded image, open and not decoded yet; of a PNG, with its checksums verified.

    UsageError: none of `DECODERS` takes it, or it has more than `PIL.Image.MAX_IMAGE_PIXELS` (about 89 million).
    Damage may show only when it is decoded, and Pillow raises almost anything then.
    """
    with _opened(data) as opened:
        if Image.MAX_IMAGE_PIXELS and opened.width * opened.height > Image.MAX_IMAGE_PIXELS:
            raise UsageError(f"{opened.width} x {opened.height} pixels: possibly a decompression bomb")
        yield opened


def _opened(data: bytes) -> Any:
    try:
        opened = Image.open(io.BytesIO(data), formats=DECODERS)
        if opened.format == "PNG":  # whose pixels Pillow decodes without a look at their checksum
            opened.verify()  # can only be done first, and is the last that can be done
            opened = Image.open(io.BytesIO(data), formats=DECODERS)
    except UnidentifiedImageError:
        raise UsageError(f"not an image that can be read ({', '.join(DECODERS)})") from None
    return opened


def only_named_decoders() -> None:
    """From now on Pillow has no decoders in this process but `DECODERS`: for a library's own code that opens images."""
    Image.init()
    for name in [name for name in Image.OPEN if name not in DECODERS]:
        del Image.OPEN[name]
    Image.ID[:] = [name for name in Image.ID if name in DECODERS]
