"""What a program gives as a data set: a name, a path, arrays, a table; and the source that each stands for."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from isotune.data.sources.memory import Arrays, Table, images_and_labels, numbered
from isotune.data.sources.naming import find
from isotune.data.sources.source import Source
from isotune.errors import UsageError, nearest


class Tabular(Protocol):
    """A table with columns by name, such as pandas'."""

    @property
    def columns(self) -> Any: ...
    def __getitem__(self, column: Any) -> Any: ...
    def __len__(self) -> int: ...


Given = str | os.PathLike[str] | Source | Mapping[str, Any] | Sequence[Any] | Tabular
ACCEPTED = (
    "a name such as 'digits', a folder with a folder of images for each class, an .npz file, (images, labels),"
    " ((images, labels), (images, labels)) for training and testing, a dictionary of these, or a table with a column of"
    " image files and one of labels"
)
_ARCHIVE_KEYS = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}  # as in an .npz
_FILES = ("image", "path", "file", "filename", "filepath")
_LABELS = ("label", "class", "category", "target")
_SPLITS = ("split", "subset", "part")
_TESTS = ("test", "val", "valid", "validation")


def source(dataset: Given, label: str = "") -> Source:
    """The source of one data set.

    dataset:
        - a name, as on the command line: "digits", "imagefolder:photos"
        - a path: a folder of images by class, or an .npz file
        - `(images, labels)`: uint8 [N, H, W, 3], [N, H, W, 1] or [N, H, W], and integers from 0 or words [N]; a fifth
          of every class is held out for testing
        - `((images, labels), (images, labels))`: the training and the test part
        - a dictionary: {"train": ..., "test": ..., "classes": [...]}, or x_train, y_train, x_test, y_test as in an .npz
        - a table (pandas, or any with `columns` and items by column): image files in a column `image` or `path`, labels
          in `label` or `class`, and if it has one, `split` with train and test
    label: the user's name for arrays and tables, before their digest.
    UsageError: it is none of these, or not in order.
    """
    where = f"data set {label}".strip()
    if label and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", label):
        raise UsageError(f"{where}: a name is letters, digits, dots and dashes")
    if isinstance(dataset, Source):
        return dataset
    if isinstance(dataset, str):
        return find(dataset)
    if isinstance(dataset, os.PathLike):
        return _at(Path(dataset))
    if is_table(dataset):
        return _table(dataset, where, label)
    if isinstance(dataset, Mapping):
        return _parts(dataset, where, label)
    if isinstance(dataset, tuple | list) and is_arrays(dataset):
        first, second = dataset
        parts = {"train": first, "test": second} if _is_pair(first) else {"train": (first, second)}
        return _parts(parts, where, label)
    raise UsageError(f"{where}: takes {ACCEPTED}; not {_described(dataset)}")


def is_table(value: Any) -> bool:
    """Whether it has columns by name and rows: pandas', without importing it."""
    return hasattr(value, "columns") and hasattr(value, "__getitem__") and hasattr(value, "__len__")


def is_arrays(value: Any) -> bool:
    """Whether it is a pair of arrays, or of such pairs: one data set, not several."""
    return _is_pair(value) or (isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_pair, value)))


def is_one(value: Mapping[str, Any]) -> bool:
    """Whether a dictionary is one data set by its parts, not several by their names."""
    return "train" in value or "x_train" in value


def _is_pair(value: Any) -> bool:
    """(images, labels): the first has the dimensions of images."""
    return isinstance(value, tuple | list) and len(value) == 2 and len(getattr(value[0], "shape", ())) in (3, 4)


def _at(path: Path) -> Source:
    if path.is_dir():
        return find(f"imagefolder:{path}")
    if path.suffix == ".npz":
        return find(f"npz:{path}")
    problem = "it is neither a folder nor an .npz file" if path.exists() else "there is no such folder"
    raise UsageError(f"data set {path}: {problem}")


def _parts(parts: Mapping[str, Any], where: str, label: str) -> Source:
    """From a dictionary of the parts."""
    by_split = {}
    for split, (images, labels) in _ARCHIVE_KEYS.items():
        if images in parts or labels in parts:
            if missing := [key for key in (images, labels) if key not in parts]:
                raise UsageError(f"{where}: {missing[0]} is missing; it holds {', '.join(map(str, parts))}")
            by_split[split] = (parts[images], parts[labels])
        elif split in parts:
            by_split[split] = parts[split]
    known = {*_ARCHIVE_KEYS, *(key for pair in _ARCHIVE_KEYS.values() for key in pair), "classes"}
    if stray := next((key for key in parts if key not in known), None):
        raise UsageError(f"{where}: {stray!r} is no part of a data set; {nearest(str(stray), known)}")
    if "train" not in by_split:
        raise UsageError(f"{where}: there is no training part; give 'train', or 'x_train' and 'y_train'")
    classes = [str(name) for name in parts.get("classes", ())]
    if all(map(is_table, by_split.values())):
        return _files({split: _rows(part, where) for split, part in by_split.items()}, classes, where, label)
    for split, part in by_split.items():
        if not (isinstance(part, tuple | list) and len(part) == 2):
            raise UsageError(f"{where}: {split}: takes (images, labels), not {_described(part)}")
    checked = {split: images_and_labels(*part, where=f"{where}: {split}") for split, part in by_split.items()}
    numbers, names = numbered([each for _, each in checked.values()], where, classes)
    pairs = [(images, given) for (images, _), given in zip(checked.values(), numbers, strict=True)]
    return Arrays(pairs[0], pairs[1] if len(pairs) > 1 else None, names, label)


def _table(table: Any, where: str, label: str) -> Source:
    """From one table; its column of splits, if it has one, says what is for testing."""
    paths, labels = _rows(table, where)
    column = _column(table, _SPLITS)
    if column is None:
        return _files({"train": (paths, labels)}, (), where, label)
    splits = np.array([str(word).lower() for word in table[column]])
    if stray := next((word for word in splits if word != "train" and word not in _TESTS), None):
        raise UsageError(f"{where}: column {column!r} holds {stray!r}; it takes train and test")
    parts = {
        name: ([path for path, one in zip(paths, chosen, strict=True) if one], labels[chosen])
        for name, chosen in (("train", splits == "train"), ("test", splits != "train"))
    }
    return _files(parts, (), where, label)


def _rows(table: Any, where: str) -> tuple[list[Path], np.ndarray]:
    """Files and labels of a table's rows."""
    columns = {}
    for what, names in (("image files", _FILES), ("labels", _LABELS)):
        if (column := _column(table, names)) is None:
            raise UsageError(
                f"{where}: the table has no column of {what}; name one {names[0]!r} (it has"
                f" {', '.join(map(str, table.columns))})"
            )
        columns[what] = list(table[column])
    if wrong := next((path for path in columns["image files"] if not isinstance(path, str | os.PathLike)), None):
        raise UsageError(f"{where}: the image files are paths, not {_described(wrong)}")
    return [Path(path).expanduser().absolute() for path in columns["image files"]], np.array(columns["labels"])


def _files(
    parts: Mapping[str, tuple[list[Path], np.ndarray]], classes: Sequence[str], where: str, label: str
) -> Source:
    labels, names = numbered([each for _, each in parts.values()], where, classes)
    rows = [
        list(zip(paths, map(int, given), strict=True)) for (paths, _), given in zip(parts.values(), labels, strict=True)
    ]
    return Table(rows[0], rows[1] if len(rows) > 1 else None, names, label)


def _column(table: Any, names: Sequence[str]) -> Any:
    by_name = {str(column).lower(): column for column in table.columns}
    return next((by_name[name] for name in names if name in by_name), None)


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__} {list(shape)}" if shape is not None else type(value).__name__
