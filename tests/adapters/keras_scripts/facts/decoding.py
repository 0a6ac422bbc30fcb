"""IMAGE.jpg OUT.json: how far TensorFlow's decoders are from Pillow, the greatest difference of grey levels of each."""

import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from isotune.adapters.keras import KerasAdapter

KerasAdapter("tensorflow").environment()
import tensorflow as tf  # noqa: E402

data = Path(sys.argv[1]).read_bytes()
pillow = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
kinds = {"default": tf.io.decode_image(data, channels=3)}
for method in ("INTEGER_FAST", "INTEGER_ACCURATE"):
    kinds[method] = tf.io.decode_jpeg(data, channels=3, dct_method=method)
greatest = {name: int(np.abs(image.numpy() - pillow).max()) for name, image in kinds.items()}
Path(sys.argv[2]).write_text(json.dumps(greatest))
