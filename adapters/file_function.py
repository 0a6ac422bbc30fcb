"""A function in a Python file of the user's own, `PATH.py:FUNCTION`. The file is run, as the user's own code."""

from __future__ import annotations

import importlib.util
import inspect
import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from isotune import reading
from isotune.errors import Unavailable, UsageError, nearest


class FileFunction:
    """One function. UsageError: the name is no such name, the file is not there, or does not run."""

    def __init__(self, adapter: str, name: str) -> None:
        path, _, self.name = name.rpartition(":")
        if not path.endswith(".py") or not self.name:
            raise UsageError(f"{adapter}:{name} is not {adapter}:PATH.py:FUNCTION")
        self.what = f"{adapter}:{name}"
        self._path = Path(path).expanduser()
        if not self._path.exists():
            raise UsageError(f"there is no {self._path}; write {adapter}:PATH.py:FUNCTION")
        reading.regular(self._path, 4 * reading.MIB)
        self._module = self._run()

    def constant(self, name: str, otherwise: str) -> str:
        """What the file says, in capitals, of its networks."""
        return str(getattr(self._module, name, otherwise))

    def class_names(self) -> tuple[str, ...]:
        """CLASSES of the file: what the outputs of its networks are called, in their order; empty where it has none.
        UsageError: it is no list of names."""
        stated = getattr(self._module, "CLASSES", ())
        if not isinstance(stated, list | tuple) or not all(isinstance(name, str) and name for name in stated):
            raise UsageError(f'{self._path}: CLASSES must be a list of names, ["cat", "dog"]')
        return tuple(stated)

    def stated(self) -> dict[str, str]:
        """The network axes that the file states."""
        stated = getattr(self._module, "INPUT_SCALING", None)
        return {} if stated is None else {"input_scaling": str(stated)}

    def takes(self, argument: str) -> bool:
        """Whether the function has an argument of that name."""
        return argument in inspect.signature(self._function()).parameters

    def __call__(self, arguments: Mapping[str, Any]) -> Any:
        """What the function gives. UsageError: there is no such function or argument. Unavailable: it raises."""
        function = self._function()
        signature = inspect.signature(function)
        known = [key for key, each in signature.parameters.items() if each.kind is not each.VAR_KEYWORD]
        if len(known) == len(signature.parameters) and (unknown := [key for key in arguments if key not in known]):
            raise UsageError(f"{self.what} has no option {unknown[0]!r}; {nearest(unknown[0], known)}")
        try:
            signature.bind(**arguments)
        except TypeError as error:
            raise UsageError(f"{self.what}: {error}; options give arguments, {self.what}:NAME=VALUE") from None
        try:
            return function(**arguments)
        except Exception as error:  # a user's function may fail in any way
            raise Unavailable(f"{self.what}: {self.name}() fails, {self._told(error)}") from error

    def _function(self) -> Any:
        if not callable(function := getattr(self._module, self.name, None)):
            known = [key for key, each in vars(self._module).items() if callable(each) and not key.startswith("_")]
            raise UsageError(f"{self.what}: the file has no function {self.name!r}; {nearest(self.name, known)}")
        return function

    def _run(self) -> ModuleType:
        """The file, run anew."""
        spec = importlib.util.spec_from_file_location(self._path.stem, self._path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:  # a user's file may fail in any way
            raise UsageError(f"{self._path} cannot be run, {self._told(error)}") from error
        return module

    def _told(self, error: BaseException) -> str:
        """The error in one line, with the last line of the file that led to it."""
        file = str(self._path.absolute())
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        place = f"line {frames[-1].lineno}: " if frames else ""
        return f"{place}{type(error).__name__}: {one_line(error)}"


def one_line(error: BaseException) -> str:
    """An error's words, without line breaks and colours."""
    return re.sub(r"\s+|\x1b\[\d*m", " ", str(error)).strip() or type(error).__name__
