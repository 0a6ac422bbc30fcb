"""A network of the user's own: `torch:PATH.py:FUNCTION`, a Python file with a function that returns an `nn.Module`.

The file is run, as the user's own code. `input_scaling` of the model is the file's INPUT_SCALING where it has one, else
mean-std; everything else is read off the network. Its classifier is the last dense layer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from isotune.adapters._torch.adapter import LAYOUTS, Read, TorchAdapter
from isotune.adapters.base import Engine, ModelInfo
from isotune.adapters.file_function import FileFunction
from isotune.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

_TAKEN_FROM = ("timm", "torchvision")  # where networks come from as well; named with their versions once imported


class TorchFileAdapter(TorchAdapter):
    """Functions in files; `pretrained` is whatever weights the function's network comes with."""

    name: ClassVar[str] = "torch"
    engines: ClassVar[Mapping[str, Engine]] = {
        "torch": Engine(packages={"torch": "isotune[torch]"}, beside=_TAKEN_FROM, layouts=LAYOUTS)
    }

    own_code: ClassVar[bool] = True

    def models(self) -> Iterable[ModelInfo]:
        return ()

    def stated_conventions(self, name: str) -> dict[str, object]:
        return dict(FileFunction(self.name, name).stated())

    def class_names(self, name: str, checkpoint: str | None) -> Sequence[str]:
        return FileFunction(self.name, name).class_names()

    def environment(self) -> dict[str, str]:
        return {name: version(name) for name in _TAKEN_FROM if name in sys.modules} | super().environment()

    def _network(
        self, name: str, checkpoint: str | None, size: tuple[int, int], options: Mapping[str, Any]
    ) -> nn.Module:
        if checkpoint not in (None, "pretrained"):
            raise UsageError(
                f"torch:{name} has no checkpoint {checkpoint!r}; pretrained takes the function's own weights"
            )
        from torch import nn

        function = FileFunction(self.name, name)
        net = function(options)
        if not isinstance(net, nn.Module):
            raise UsageError(f"{function.what}: {function.name}() gives {type(net).__name__}, not a torch.nn.Module")
        return net

    def _classifier(self, net: nn.Module) -> str | None:
        from isotune.adapters._torch.layers import classifier_name

        return classifier_name(net)

    def _input_scaling(self, name: str) -> str:
        return FileFunction(self.name, name).constant("INPUT_SCALING", "mean-std")

    def _read_off(self, name: str, options: Mapping[str, str], read: Callable[[nn.Module], Read]) -> Read | None:
        """Nothing where the function fails: it may only want tensors that hold something, and else building says so."""
        try:
            return super()._read_off(name, options, read)
        except UsageError:
            return None
