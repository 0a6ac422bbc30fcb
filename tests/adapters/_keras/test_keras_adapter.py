"""The Keras adapter: what it lists, its checkpoint files and caches, canonical names, and what it refuses."""

import subprocess
import sys

import pytest
from keras_processes import process_of

from isotune.adapters.keras import KerasAdapter
from isotune.errors import MissingExtra, UsageError

pytestmark = pytest.mark.xdist_group("keras")


def test_files_caches_and_wrong_use(tmp_path):
    process_of("tensorflow").run("files.py", tmp_path)


def test_listing_and_native_conventions_import_no_framework():
    code = (
        "import sys; from isotune.adapters.keras import KerasAdapter; a = KerasAdapter();"
        "assert len(list(a.models())) == 40; a.native_conventions('MobileNetV2');"
        "assert not {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_models_carry_neutral_architectures():
    found = {info.name: info for info in KerasAdapter().models()}
    assert found["MobileNetV2"].architecture == "mobilenet_v2"
    assert found["MobileNetV2"].checkpoints == ("imagenet",)
    assert found["InceptionV3"].size == 299
    assert found["ResNet50"].architecture == "resnet50"  # strides elsewhere and has biases, which are conventions


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'ResNet50V2'"):
        KerasAdapter().native_conventions("ResNet50V3")
    with pytest.raises(UsageError, match="did you mean 'torch'"):
        KerasAdapter("pytorch")


@pytest.mark.parametrize(("engine", "missing", "extra"), [("jax", "jax", "jax"), ("tensorflow", "keras", "keras")])
def test_a_missing_package_names_its_extra(engine, missing, extra, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    with pytest.raises(MissingExtra, match=rf"'isotune\[{extra}\]'"):
        KerasAdapter(engine)
