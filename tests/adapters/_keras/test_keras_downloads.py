"""What Keras and TensorFlow Datasets fetch: tests/served/keras_downloads.py, on a server of this machine."""

from importlib.util import find_spec

import pytest
from keras_processes import process_of

pytestmark = pytest.mark.xdist_group("keras")


def test_weights_come_whole_or_not_at_all(tmp_path):
    process_of("tensorflow").run("../../served/keras_downloads.py", tmp_path, "keras")


@pytest.mark.skipif(find_spec("tensorflow_datasets") is None, reason="needs: pip install tensorflow-datasets")
def test_data_sets_come_whole_or_not_at_all(tmp_path):
    process_of("tensorflow").run("../../served/keras_downloads.py", tmp_path, "tfds")
