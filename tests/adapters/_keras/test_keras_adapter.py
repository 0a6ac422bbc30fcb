"""The Keras adapter: what it lists, its checkpoint files and caches, canonical names, and what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isotune.adapters.keras import KerasAdapter
from isotune.errors import MissingExtra, UsageError

SCRIPTS = Path(__file__).parents[1] / "keras_scripts"


def test_files_caches_and_wrong_use(tmp_path):
    environment = os.environ | {"KERAS_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, SCRIPTS / "files.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]


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
