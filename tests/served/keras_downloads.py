"""FOLDER: what keras.applications and TensorFlow Datasets fetch, from a server on the loopback address: whole, cut off,
of another content, missing, stalled, by two at once; and what is in their caches afterwards."""

import hashlib
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from serving import Served, serving

from isotune import downloads
from isotune.adapters.keras import KerasAdapter
from isotune.errors import NotCached

folder = Path(sys.argv[1])
for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
    os.environ.pop(variable, None)
os.environ["TFDS_DATA_DIR"] = str(folder / "tfds")
adapter = KerasAdapter()
adapter.environment()
import h5py  # noqa: E402
import keras  # noqa: E402
import tensorflow_datasets as tfds  # noqa: E402
from keras.src.applications import mobilenet  # noqa: E402
from keras.src.legacy.saving import legacy_h5_format  # noqa: E402
from keras.src.utils import file_utils  # noqa: E402

from isotune.adapters._keras.datasets import _fetching  # noqa: E402
from isotune.adapters._keras.fetching import recorded  # noqa: E402

FAILING = {
    "cut": "got only",
    "missing": "the server answers 404 Not Found",
    "busy": "the server answers 503",
    "stalled": "no answer within 0.3 seconds",
}


def files(place):
    return sorted(path.name for path in place.rglob("*") if path.is_file() and not path.name.endswith(".lock"))


def refused(call, said):
    with pytest.raises(NotCached) as caught:
        call()
    assert said in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


def keras_applications(server):
    """MobileNet, whose release tells no digest, and a file that tells one."""
    name = "mobilenet_2_5_224_tf_no_top.h5"
    net = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None)
    with h5py.File(folder / "whole.h5", "w") as file:  # as the releases are
        legacy_h5_format.save_weights_to_hdf5_group(file, net)
    whole = (folder / "whole.h5").read_bytes()
    served = server.files[f"/{name}"] = Served(whole)
    cache = folder / "keras" / "models"

    def build():
        return adapter.build(
            "MobileNet", classes=2, checkpoint="imagenet", image_size=(32, 32), options={"alpha": "0.25"},
            conventions=adapter.native_conventions("MobileNet"),
        )  # fmt: skip

    with mock.patch.object(mobilenet, "BASE_WEIGHT_PATH", f"{server.url}/"):
        for how, said in FAILING.items():
            served.how = how
            refused(build, said)
            assert files(cache) == [], how
        served.how, served.content = "whole", whole[:5000]  # cut, and said to be whole
        refused(build, "no whole file of Keras's")
        assert files(cache) == []
        served.content = whole
        asked = len(served.asked)
        build()
        build()
        assert len(served.asked) == asked + 1
        assert files(cache) == [name]
        assert (cache / name).read_bytes() == whole

    def get(file="w.h5"):
        return file_utils.get_file(
            file, f"{server.url}/{name}", cache_subdir="models", file_hash=hashlib.md5(whole).hexdigest()
        )

    with recorded("Any", "imagenet") as asked:
        served.content = whole[::-1]
        refused(get, "does not match")
        assert files(cache) == [name]
        (cache / "w.h5").write_bytes(b"of a process that was killed")
        served.content = whole
        assert Path(get()).read_bytes() == whole
        assert asked == [cache / "w.h5"] * 2
        count = len(served.asked)
        both = [threading.Thread(target=get, args=("two.h5",)) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert len(served.asked) == count + 1
        assert (cache / "two.h5").read_bytes() == whole


def tensorflow_datasets(server):
    stream = np.random.default_rng(0)
    np.savez(folder / "tiny.npz", images=stream.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8))
    whole = (folder / "tiny.npz").read_bytes()
    served = server.files["/tiny.npz"] = Served(whole)
    url = f"{server.url}/tiny.npz"

    class TinyImages(tfds.core.GeneratorBasedBuilder):
        """Six images, of which each part has all."""

        VERSION = tfds.core.Version("1.0.0")
        url_infos = {  # noqa: RUF012 - as the package has it
            url: tfds.download.checksums.UrlInfo(len(whole), hashlib.sha256(whole).hexdigest(), "tiny.npz")
        }

        def _info(self):
            features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["a", "b"])}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            path = dl_manager.download(url)
            return {"train": self._generate_examples(path), "test": self._generate_examples(path)}

        def _generate_examples(self, path):
            with np.load(path) as arrays:
                for number, image in enumerate(arrays["images"]):
                    yield number, {"image": image, "label": number % 2}

    def fetch():
        (folder / "prepared").mkdir(exist_ok=True)
        return _fetching.fetch(
            SimpleNamespace(progress=lambda *_: None), name="tfds:tiny_images", kind="tiny_images",
            folder=str(folder / "prepared"), skip_unreadable=False,
        )  # fmt: skip

    failing = {
        "cut": "IncompleteRead",
        "missing": "HTTP code: 404",
        "stalled": "timed out",
    }
    with mock.patch.object(_fetching, "_REACHED", server.url):
        for how, said in failing.items():
            served.how = how
            refused(fetch, said)
        served.how, served.content = "whole", whole[::-1]
        refused(fetch, "checksum")
        served.content = whole
        assert fetch() == {"classes": ["a", "b"], "note": ""}
        count = len(served.asked)
        fetch()
        assert len(served.asked) == count


with (
    serving() as running,
    mock.patch.object(downloads, "PATIENCE", 0.3),
    mock.patch.object(file_utils.config, "keras_home", return_value=str(folder / "keras")),
):
    {"keras": keras_applications, "tfds": tensorflow_datasets}[sys.argv[2]](running)
