"""What a process of its own does to write a torchvision data set.

Where the class keeps the images as files, these are copied as they are, so that the `decode` axis has the
original bytes. Otherwise what the class gives is kept as it is, without loss.
"""

from __future__ import annotations

import inspect
import io
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from isotune import cache, downloads
from isotune.adapters._torch.datasets import PACKAGES
from isotune.data.decoding import to_rgb
from isotune.data.files import Item, Reader, write_both
from isotune.data.sources.download import not_cached
from isotune.data.sources.folders import SUFFIXES
from isotune.data.sources.splitting import NOTE, split_by_name
from isotune.data.writing import Writer
from isotune.errors import MissingExtra, UsageError, nearest
from isotune.progress import Progress
from isotune.reading.images import only_named_decoders
from isotune.workers.worker import Worker

_DATA = ("root", "transform", "target_transform", "transforms", "loader", "download")  # arguments not for the user
_TICK = 20_000_000  # nanoseconds: the clock of a file system moves every 4 to 10 ms


class Sample(NamedTuple):
    """One image of a torchvision data set: its file when it has one, else where to ask for it."""

    name: str
    label: int
    file: Path | None
    dataset: Any
    number: int


def fetch(worker: Worker, **request: Any) -> dict[str, Any]:
    """Write both parts into the request's folder; gives the names of the classes and the note."""
    only_named_decoders()  # where torchvision opens images itself
    kind = _kind(request["kind"])
    _check_options(request["name"], kind, request["options"])
    root = Path(request["root"])
    cache.folder(str(root.parent.relative_to(cache.root())))
    with cache.locked(root):
        parts = request["train"], request["test"]
        train_kwargs, test_kwargs = parts if parts[0] is not None else _parts(kind, request["options"])
        made = [
            [_made(request["name"], kind, root, request["options"] | arguments) for arguments in part]
            for part in (train_kwargs, test_kwargs)
        ]
        train, test = ([sample for dataset in part for sample in _samples(request["name"], dataset)] for part in made)
        classes, notes = _classes(made[0][0], [*train, *test]), []
        if not test:
            labels = np.array([sample.label for sample in train])
            held = split_by_name(request["name"], [sample.name for sample in train], labels, classes)
            train, test = (
                [sample for sample, there in zip(train, held, strict=True) if there == part] for part in (False, True)
            )
            notes.append(NOTE)
        notes.append(_write(request, train, test, worker.progress))
    return {"classes": classes, "note": "; ".join(filter(None, notes))}


def _kind(name: str) -> Any:
    try:
        from torchvision import datasets
    except ImportError:
        raise MissingExtra("torchvision", PACKAGES["torchvision"]) from None
    names = [name for name in datasets.__all__ if inspect.isclass(getattr(datasets, name, None))]
    if name not in names:
        raise UsageError(f"data set torchvision:{name} is unknown; {nearest(name, names)}")
    return getattr(datasets, name)


def _check_options(name: str, kind: Any, options: dict[str, Any]) -> None:
    known = [option for option in inspect.signature(kind.__init__).parameters if option not in ("self", *_DATA)]
    for option in options:
        if option not in known:
            raise UsageError(f"data set {name}: {option!r} is no option of it; {nearest(option, known)}")


def _parts(kind: Any, options: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Arguments for the training and the test part, from the class's signature and what it says of a wrong split."""
    arguments = inspect.signature(kind.__init__).parameters
    if "train" in arguments:
        return [{"train": True}], [{"train": False}]
    if "split" not in arguments or "split" in options:
        return [{}], []
    source = inspect.getsource(kind)
    there = [split for split in ("trainval", "train", "test", "val", "valid") if f'"{split}"' in source]
    train = next((split for split in there if split.startswith("train")), "train")
    test = next((split for split in there if not split.startswith("train")), None)
    return [{"split": train}], [{"split": test}] if test else []


def _made(name: str, kind: Any, root: Path, arguments: dict[str, Any]) -> Any:
    """The data set, downloaded when it is not there. A download that was cut off is begun again; one that fails leaves
    what came whole before."""
    accepted = inspect.signature(kind.__init__).parameters
    marker = root.with_name(f".downloading-{root.name}")
    if marker.exists():
        shutil.rmtree(root, ignore_errors=True)
        marker.unlink()
    root.mkdir(exist_ok=True)
    arguments = ({"root": str(root)} if "root" in accepted else {}) | arguments
    if "download" not in accepted:
        return _constructed(name, kind, root, arguments)
    try:
        return kind(**arguments, download=False)
    except (RuntimeError, OSError):  # not there, or not whole
        marker.touch()
    with downloads.patient():
        made = _constructed(name, kind, root, arguments | {"download": True}, marker)
    marker.unlink(missing_ok=True)
    return made


def _constructed(name: str, kind: Any, root: Path, arguments: dict[str, Any], marker: Path | None = None) -> Any:
    try:
        return kind(**arguments)
    except (*downloads.FAILURES, RuntimeError) as error:
        if marker is not None:
            _discard_last(root, marker)
            marker.unlink(missing_ok=True)
        asked = f"torchvision.datasets.{kind.__name__}"
        raise not_cached(name, asked, root, error, f"lay its files there as {asked} expects them") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"data set {name}: {str(error).splitlines()[0]}") from None
    except ImportError as error:
        raise UsageError(f"data set {name} needs the package {error.name!r}: pip install {error.name}") from None
    except OSError as error:
        raise UsageError(f"data set {name}: {error.filename or root}: {error.strerror or error}") from None


def _discard_last(root: Path, marker: Path) -> None:
    """Remove the file that was written last since a download began: torchvision writes one after the other, each in its
    place, and checks it when it is there. The former ones are whole; this one may be what the download failed on. Files
    of one tick of the file system's clock cannot be told apart, and go together."""
    began = marker.stat().st_mtime_ns
    times = {file: file.stat().st_mtime_ns for file in root.rglob("*") if file.is_file()}
    since = max(began, max(times.values(), default=0) - _TICK)
    for file, time in times.items():
        if time >= since:
            file.unlink()


def _samples(name: str, dataset: Any) -> Iterator[Sample]:
    files = _files(dataset)
    if files is None:
        labels = _labels(dataset) or [_pair(name, dataset, index)[1] for index in range(len(dataset))]
        for index, label in enumerate(labels):
            yield Sample(str(index), label, None, dataset, index)
        return
    for index, (path, label) in enumerate(files):
        yield Sample("/".join(path.parts[-2:]), label, path, dataset, index)


def _files(dataset: Any) -> list[tuple[Path, int]] | None:
    """File and label of every image, when the data set is nothing but files; None otherwise."""
    for attribute in ("_image_files", "_images", "_samples", "samples", "imgs"):
        entries = getattr(dataset, attribute, None)
        if not isinstance(entries, list) or len(entries) != len(dataset) or not entries:
            continue
        labels = _labels(dataset)
        if isinstance(entries[0], str | Path) and labels:
            items = [(Path(path), label) for path, label in zip(entries, labels, strict=True)]
        elif isinstance(entries[0], tuple) and isinstance(entries[0][0], str | Path):
            items = [(Path(entry[0]), int(entry[1])) for entry in entries]
        else:
            continue
        if all(path.suffix.lower() in SUFFIXES for path, _ in items):
            return items
    return None


def _labels(dataset: Any) -> list[int] | None:
    for attribute in ("_labels", "targets", "labels"):
        labels = getattr(dataset, attribute, None)
        if labels is not None and len(labels) == len(dataset):
            try:
                return [int(label) for label in labels]
            except (TypeError, ValueError):
                continue
    return None


def _pair(name: str, dataset: Any, index: int) -> tuple[Image.Image, int]:
    sample = dataset[index]
    if isinstance(sample, tuple) and len(sample) == 2 and isinstance(sample[0], Image.Image):
        try:
            return sample[0], int(sample[1])
        except (TypeError, ValueError):
            pass
    raise UsageError(f"data set {name}: its samples are not an image and a class; it is not for classification")


def _classes(dataset: Any, samples: Sequence[Sample]) -> list[str]:
    highest = max((sample.label for sample in samples), default=-1)
    names = getattr(dataset, "classes", None)
    if isinstance(names, list | tuple) and len(names) > highest:
        return [", ".join(name) if isinstance(name, tuple) else str(name) for name in names]
    return [str(label) for label in range(highest + 1)]


def _write(request: dict[str, Any], train: list[Sample], test: list[Sample], progress: Progress) -> str:
    writer, name = Writer(Path(request["folder"])), request["name"]
    if all(sample.file for sample in (*train, *test)):
        skip, total = request["skip_unreadable"], len(train) + len(test)
        reader = Reader(name, skip_unreadable=skip, progress=progress, total=total)
        return write_both(reader, writer, _items(train), _items(test))
    for split, samples in (("train", train), ("test", test)):
        _write_decoded(writer, split, name, samples, progress)
    return ""


def _items(samples: list[Sample]) -> Iterator[Item]:
    return ((sample.name, sample.file, sample.label) for sample in samples if sample.file)


def _write_decoded(writer: Writer, split: str, name: str, samples: list[Sample], progress: Progress) -> None:
    """Images of one size as an array; when sizes differ, as PNG files."""
    labels = np.array([sample.label for sample in samples], np.int64)
    shape = _stored(name, samples[0]).shape if samples else (1, 1, 3)
    array = writer.stream(split, labels, shape)
    for position, sample in enumerate(samples):
        image = _stored(name, sample)
        if image.shape != shape:
            del array
            (writer.folder / f"{split}.images.npy").unlink()
            writer.files(split, _as_png(name, samples))
            return
        array[position] = image
        progress(f"writing the {split} images of {name}", position + 1, len(samples))
    array.flush()  # type: ignore[attr-defined]


def _as_png(name: str, samples: Iterable[Sample]) -> Iterator[tuple[bytes, int]]:
    for sample in samples:
        buffer = io.BytesIO()
        Image.fromarray(to_rgb(_pair(name, sample.dataset, sample.number)[0])[0]).save(buffer, "png", compress_level=1)
        yield buffer.getvalue(), sample.label


def _stored(name: str, sample: Sample) -> np.ndarray:
    image = _pair(name, sample.dataset, sample.number)[0]
    return np.asarray(image)[..., np.newaxis] if image.mode == "L" else to_rgb(image)[0]
