"""The program that decodes images by TensorFlow; run by isotune.data._views.

`tf.io.decode_image(channels=3)`: JPEG by TensorFlow's own settings of libjpeg (its default is the fast,
less exact inverse transform), no EXIF orientation, alpha dropped, the high byte of 16 bits. What comes out is
kept as PNG, without loss.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from isotune.data._dataset import FileSplit, open_split
from isotune.errors import MissingExtra, UsageError
from isotune.workers.helper_process import Progress, serve


def decode_all(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Write images.blob and offsets.npy for the images that indices.npy lists. UsageError: one cannot be decoded."""
    try:
        import tensorflow as tf
    except ImportError:
        raise MissingExtra("tensorflow", "keras") from None
    split = open_split(Path(request["dataset"]), request["split"])
    assert isinstance(split, FileSplit)
    folder = Path(request["folder"])
    indices = np.load(folder / "indices.npy", allow_pickle=False)
    offsets = [0]
    with (folder / "images.blob").open("wb") as blob:
        for done, index in enumerate(indices):
            try:
                image = tf.io.decode_image(split.encoded(int(index)), channels=3, expand_animations=False).numpy()
            except tf.errors.OpError as error:
                reason = error.message.splitlines()[0].strip()[:200]
                raise UsageError(
                    f"decode=tensorflow cannot decode {request['split']} image {index} ({reason}); use decode=pillow"
                ) from None
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "png", compress_level=1)
            blob.write(buffer.getvalue())
            offsets.append(blob.tell())
            progress(done + 1, len(indices), "decoding by TensorFlow")
    np.save(folder / "offsets.npy", np.array(offsets, np.int64), allow_pickle=False)
    return {}


if __name__ == "__main__":
    serve(decode_all)
