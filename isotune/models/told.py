"""Names as others are told them: without the paths of this machine, of which the last part stays."""

from __future__ import annotations

from pathlib import PurePath

from isotune import names
from isotune.data.sources.naming import is_of_path
from isotune.models import contents


def model(written: str) -> str:
    """ "torch:/home/me/port.py:make" -> "torch:port.py:make"."""
    adapter, _, rest = written.partition(":")
    if not names.is_file(rest):
        return written
    path, sign, function = rest.partition(".py:")
    return f"{adapter}:{PurePath(path.removesuffix('.py')).name}.py{':' if sign else ''}{function}"


def checkpoint(written: str) -> str:
    """ "file:/home/me/a.h5::keras:MobileNetV2" -> "file:a.h5::keras:MobileNetV2"."""
    if (path := contents.weights_file(written)) is None:
        return written
    _, sign, source = written.partition("::")
    return f"file:{path.name}{sign}{source}"


def dataset(written: str) -> str:
    """ "imagefolder:/home/me/photos" -> "imagefolder:photos"."""
    kind, _, place = written.partition(":")
    return f"{kind}:{PurePath(place).name}" if place and is_of_path(written) else written
