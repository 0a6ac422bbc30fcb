"""A network of the user's own: `torch:PATH.py:FUNCTION`, a Python file with a function that returns an `nn.Module`.

The file is run, as the user's own code. `input_scaling` of the model is the file's INPUT_SCALING where it has one, else
mean-std; everything else is read off the network. Its classifier is the last dense layer.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from isotune.errors import MissingExtra, UsageError, nearest

try:
    from torch import nn
except ImportError:
    raise MissingExtra("torch", "torch") from None

from ._torch_adapter import TorchAdapter
from ._torch_layers import classifier_name
from .base import ModelInfo


class TorchFileAdapter(TorchAdapter):
    """Functions in files; `pretrained` is whatever weights the function's network comes with."""

    name: ClassVar[str] = "torch"
    libraries: ClassVar[tuple[str, ...]] = ("torch",)

    def models(self) -> Iterable[ModelInfo]:
        return ()

    def _network(
        self, name: str, checkpoint: str | None, size: tuple[int, int], options: Mapping[str, Any]
    ) -> nn.Module:
        if checkpoint not in (None, "pretrained"):
            raise UsageError(
                f"torch:{name} has no checkpoint {checkpoint!r}; pretrained takes the function's own weights"
            )
        path, function = _parts(name)
        module = _module(path)
        if not callable(made := getattr(module, function, None)):
            known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise UsageError(f"torch:{name}: the file has no function {function!r}; {nearest(function, known)}")
        net = made(**options)
        if not isinstance(net, nn.Module):
            raise UsageError(f"torch:{name}: {function}() gives {type(net).__name__}, not a torch.nn.Module")
        return net

    def _classifier(self, net: nn.Module) -> str | None:
        return classifier_name(net)

    def _input_scaling(self, name: str) -> str:
        return str(getattr(_module(_parts(name)[0]), "INPUT_SCALING", "mean-std"))


def _parts(name: str) -> tuple[Path, str]:
    path, _, function = name.rpartition(":")
    if not path.endswith(".py") or not function:
        raise UsageError(f"torch:{name} is not torch:PATH.py:FUNCTION")
    return Path(path).expanduser(), function


def _module(path: Path) -> ModuleType:
    """The file, run anew. UsageError: it is not there, or does not run."""
    if not path.is_file():
        raise UsageError(f"there is no {path}; write torch:PATH.py:FUNCTION")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file may fail in any way
        raise UsageError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module
