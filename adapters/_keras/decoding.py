"""Decoding by TensorFlow.

`tf.io.decode_image(channels=3)`: JPEG by TensorFlow's own settings of libjpeg (its default is the fast,
less exact inverse transform), no EXIF orientation, alpha dropped, the high byte of 16 bits. What comes out is
kept as PNG, without loss.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from isotune.data.dataset import FileSplit, SplitName, open_split
from isotune.errors import MissingExtra, UsageError
from isotune.workers import threads

if TYPE_CHECKING:
    from isotune.workers.worker import Worker


def decode(worker: Worker, dataset: str, split: SplitName, folder: str) -> None:
    """Write images.blob and offsets.npy for the images that indices.npy in the folder lists.

    dataset: folder of the prepared data set. UsageError: an image cannot be decoded.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its greetings are no part of the work
        os.environ.pop("KERAS_BACKEND", None)  # of the process that asks; this one computes nothing
    try:
        import tensorflow as tf
    except ImportError:
        raise MissingExtra("tensorflow", "isotune[keras]") from None
    images, place = open_split(Path(dataset), split), Path(folder)
    assert isinstance(images, FileSplit)
    indices = np.load(place / "indices.npy", allow_pickle=False)

    def decoded(index: int) -> bytes:
        try:
            with tf.device("CPU"):
                image = tf.io.decode_image(images.encoded(index), channels=3, expand_animations=False).numpy()
        except tf.errors.OpError as error:
            reason = error.message.splitlines()[0].strip()[:200]
            raise UsageError(
                f"decode=tensorflow cannot decode {split} image {index} ({reason}); use decode=pillow"
            ) from None
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "png", compress_level=1)
        return buffer.getvalue()

    offsets = [0]
    with (place / "images.blob").open("wb") as blob:
        for png in threads.each(decoded, indices.tolist()):
            blob.write(png)
            offsets.append(blob.tell())
            worker.progress("decoding by TensorFlow", len(offsets) - 1, len(indices))
    np.save(place / "offsets.npy", np.array(offsets, np.int64), allow_pickle=False)
