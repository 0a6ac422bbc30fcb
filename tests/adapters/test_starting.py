"""What a worker need not import is not imported: it is ready sooner, and whoever asks for it later has it."""

import subprocess
import sys

import pytest

from isotune.adapters.kept_out import kept_out

TORCH = """
import sys
import numpy as np
from isotune.adapters.base import Recipe
from isotune.adapters.timm import TimmAdapter
from isotune.adapters.torchvision import TorchvisionAdapter
from isotune.conventions import Conventions
from isotune.protocols import SGD

for adapter, name in ((TorchvisionAdapter(), "mobilenet_v3_small"), (TimmAdapter(), "mobilenetv3_small_050")):
    model = adapter.build(
        name, classes=2, checkpoint=None, conventions=adapter.native_conventions(name), image_size=(32, 32)
    )
    trainer = model.trainer(Recipe(SGD(name="sgd", momentum=0.9), frozenset({"head"})))
    images = np.zeros((2, 32, 32, 3), np.uint8)
    float(trainer.step(images, np.array([0, 1]), 0.1))
    model.features(images)
    assert not [name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor"))]

import torch
from isotune.adapters._torch.compiler import without_compiler

with without_compiler():
    twice = torch.compile(lambda values: values.sum() * 2, backend="eager")
    assert twice(torch.ones(3)) == 6
assert sys.modules["torch._dynamo"].__file__
from torchvision.ops.roi_align import is_compile_supported
assert is_compile_supported("cpu") in (True, False)
float(trainer.step(images, np.array([0, 1]), 0.1))  # and what was made before goes on
"""
STAND_IN = """
import sys
import torch
from isotune.adapters._torch.compiler import without_compiler

with without_compiler():
    import torch._dynamo
    kept = torch._dynamo.disable(lambda value: value + 1)
    assert kept(1) == 2
    assert not hasattr(torch._dynamo, "__file__")
    from torch._dynamo.eval_frame import OptimizedModule
assert torch._dynamo is sys.modules["torch._dynamo"]
assert torch._dynamo.__file__
assert torch._dynamo.OptimizedModule is OptimizedModule  # there once
assert sys.modules["torch._dynamo.utils"].counters is torch._dynamo.utils.counters
assert kept(1) == 2
"""
KERAS = """
import sys
from isotune.adapters.keras import KerasAdapter
KerasAdapter().environment()
assert not {"jax", "matplotlib", "pandas", "scipy", "sklearn"} & set(sys.modules)
import keras, pandas, sklearn
assert keras.backend.backend() == "tensorflow"
assert pandas.DataFrame and sklearn.__version__
"""


def _run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_torch_libraries_build_and_train_without_the_compiler_which_is_there_when_asked_for():
    _run(TORCH)


def test_what_the_stand_in_lacks_is_taken_from_the_real_machinery():
    _run(STAND_IN)


def test_keras_imports_nothing_that_it_only_imports_where_it_is_installed():
    _run(KERAS)


def test_what_is_kept_out_can_be_imported_afterwards_and_what_is_there_stays(tmp_path, monkeypatch):
    tmp_path.joinpath("absent.py").write_text("here = True")
    monkeypatch.syspath_prepend(tmp_path)
    with kept_out("absent", "json"):
        import json  # noqa: F401  # there already

        with pytest.raises(ModuleNotFoundError), kept_out("absent"):
            import absent
    import absent

    assert absent.here
