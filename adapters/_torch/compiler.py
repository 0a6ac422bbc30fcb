"""torch.compile's machinery (`torch._dynamo`), which takes longer to import than torch, imported only to compile.

torch and its libraries import it where nothing is compiled: torchvision for a function of its detection operators, timm
for a decorator, torch for its optimizers and for what it computes on the device `meta`. `without_compiler` has a
stand-in in its place meanwhile, which gives what these ask for. Whatever else is asked of it, it takes from the real
machinery, and where that is imported, as a compiled model does, it stays.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch

_SHAPES = 64  # of one model: two a stage, in training and not
_MACHINERY, _UTILS = "torch._dynamo", "torch._dynamo.utils"


def load(library: str) -> ModuleType:
    """The library's module, imported without the machinery."""
    if library in sys.modules:
        return sys.modules[library]
    with without_compiler():
        return importlib.import_module(library)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function through torch.compile, for each shape of a batch by itself. Left alone, torch compiles for any size
    as soon as a second one comes, an epoch's short last batch say, and a step would depend on the shapes before it: on
    where a training went on, on what a worker did before."""
    import torch._dynamo.config as settings

    settings.recompile_limit = max(settings.recompile_limit, _SHAPES)  # beyond it torch does without, and says nothing
    return torch.compile(function, dynamic=False)


@contextmanager
def without_compiler() -> Iterator[None]:
    """While inside, nothing that only asks whether it is being compiled imports the machinery."""
    if _MACHINERY in sys.modules:  # the real one, or the stand-in of a context around this one
        yield
        return
    sys.modules |= _STAND_INS
    torch._dynamo = _STAND_INS[_MACHINERY]
    sys.meta_path.insert(0, _FINDER)
    try:
        yield
    finally:
        _leave()


class _OtherParts(MetaPathFinder, Loader):
    """Finds every other module of the machinery, in the real one."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname.startswith(f"{_MACHINERY}.") else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _real(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Done already."""


class _StandIn(ModuleType):
    """A module that holds what is asked for where nothing is compiled, and has the rest from the real one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # `inspect` asks every module for its file
            raise AttributeError(name)
        return getattr(_real(self.__name__), name)


def _leave() -> None:
    for name, module in _STAND_INS.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    if vars(torch).get("_dynamo") is _STAND_INS[_MACHINERY]:
        del torch._dynamo
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)


def _real(name: str) -> ModuleType:
    _leave()
    return importlib.import_module(name)


def _graph_break(msg: str = "") -> None:
    """A frame that is being compiled would be cut here."""


def _disable(fn: Any = None, recursive: bool = True, **how: Any) -> Any:
    """As `torch._dynamo.disable`, of which nothing is to be seen before something is compiled."""
    if fn is None:
        return functools.partial(_disable, recursive=recursive, **how)
    disabled: list[Callable[..., Any]] = []

    @functools.wraps(fn)
    def plain(*arguments: Any, **named: Any) -> Any:
        machinery: Any = sys.modules.get(_MACHINERY)
        if isinstance(machinery, _StandIn) or not hasattr(machinery, "disable"):  # not there, or about to be
            return fn(*arguments, **named)
        if not disabled:
            disabled.append(machinery.disable(fn, recursive, **how))
        return disabled[0](*arguments, **named)

    plain._torchdynamo_disable = True  # type: ignore[attr-defined]  # where it is called, a frame is cut
    return plain


def _is_compile_supported(device_type: Any) -> Any:
    return _real(_UTILS).is_compile_supported(device_type)


_STAND_INS = {name: _StandIn(name) for name in (_MACHINERY, _UTILS)}
_FINDER = _OtherParts()
vars(_STAND_INS[_MACHINERY]).update(__path__=[], disable=_disable, graph_break=_graph_break)
vars(_STAND_INS[_UTILS]).update(is_compile_supported=_is_compile_supported)
