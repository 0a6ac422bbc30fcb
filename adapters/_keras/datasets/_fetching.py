"""What a process of its own does to write a TensorFlow data set.

Images are copied as they were encoded, so that the `decode` axis has the original bytes. The package keeps
what it downloads in its own folder, and finds there what was prepared by other programs.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from isotune import downloads
from isotune.data.files import Item, Reader, write_both
from isotune.data.sources.download import not_cached
from isotune.data.sources.splitting import NOTE, split_by_name
from isotune.data.writing import Writer
from isotune.errors import UsageError, nearest
from isotune.workers.worker import Worker

_REACHED = "https://storage.googleapis.com"  # where the package keeps its descriptions of data sets


def fetch(worker: Worker, **request: Any) -> dict[str, Any]:
    """Write both parts into the request's folder; gives the names of the classes and the note."""
    name, kind = request["name"], request["kind"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's greetings are no part of the work
    os.environ.pop("KERAS_BACKEND", None)  # of the process that asks; this one computes nothing
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise UsageError(
            f"data set {name} needs the package 'tensorflow-datasets', which is not installed;"
            " run: pip install tensorflow-datasets 'isotune[keras]'"
        ) from None
    tfds.core.utils.gcs_utils._is_gcs_disabled = True  # without network its retries would take minutes
    try:
        builder = tfds.builder(kind)
    except tfds.core.DatasetNotFoundError:
        raise UsageError(f"data set {name} is unknown; {nearest(kind, tfds.list_builders())}") from None
    except (ValueError, TypeError) as error:
        raise UsageError(f"data set {name}: {str(error).splitlines()[0]}") from None
    if not builder.info.splits:
        _download(name, builder)
    image, label = _keys(name, tfds, builder)
    parts = ["train", next((part for part in ("test", "validation") if part in builder.info.splits), "")]
    read = {part: _read(tfds, builder, part, image, label) for part in parts if part}
    classes = builder.info.features[label].names
    notes = []
    if parts[1]:
        train, test = read["train"], read[parts[1]]
        total = sum(builder.info.splits[part].num_examples for part in parts)
    else:
        everything = list(read["train"])
        labels = np.array([number for _, _, number in everything])
        held = split_by_name(name, [key for key, _, _ in everything], labels, classes)
        train, test = (
            iter([item for item, there in zip(everything, held, strict=True) if there == part])
            for part in (False, True)
        )
        total = len(everything)
        notes.append(NOTE)
    reader = Reader(name, skip_unreadable=request["skip_unreadable"], progress=worker.progress, total=total)
    notes.append(write_both(reader, Writer(Path(request["folder"])), train, test))
    return {"classes": classes, "note": "; ".join(filter(None, notes))}


def _download(name: str, builder: Any) -> None:
    target, advice = Path(builder.data_dir), "lay the prepared data set there"
    try:
        urllib.request.urlopen(_REACHED, timeout=downloads.PATIENCE).close()
    except urllib.error.HTTPError as answer:  # an answer is an answer
        answer.close()
    except downloads.FAILURES as error:
        raise not_cached(name, builder.name, target, error, advice) from None
    try:
        with _patient_requests():
            builder.download_and_prepare()
    except Exception as error:  # the package raises almost anything when a download fails
        raise not_cached(name, builder.name, target, error, advice) from None


@contextmanager
def _patient_requests() -> Iterator[None]:
    """While inside, what requests asks for has a limit of time, which it has not by itself; the package gives none."""
    import requests

    send = requests.Session.send

    def limited(self: Any, request: Any, **asked: Any) -> Any:
        if asked.get("timeout") is None:
            asked["timeout"] = downloads.PATIENCE
        return send(self, request, **asked)

    requests.Session.send = limited  # type: ignore[method-assign]
    try:
        yield
    finally:
        requests.Session.send = send  # type: ignore[method-assign]


def _keys(name: str, tfds: Any, builder: Any) -> tuple[str, str]:
    """Names of the features that hold the image and its class."""
    keys = builder.info.supervised_keys or ("image", "label")
    features = dict(builder.info.features)
    if (
        len(keys) == 2
        and isinstance(features.get(keys[0]), tfds.features.Image)
        and isinstance(features.get(keys[1]), tfds.features.ClassLabel)
        and "train" in builder.info.splits
    ):
        return keys[0], keys[1]
    raise UsageError(f"data set {name}: it has no training part of images with a class; it is not for classification")


def _read(tfds: Any, builder: Any, part: str, image: str, label: str) -> Iterator[Item]:
    decoders = {image: tfds.decode.SkipDecoding()}
    examples = builder.as_dataset(split=part, decoders=decoders, shuffle_files=False)
    for number, example in enumerate(tfds.as_numpy(examples)):
        yield f"{part} {number}", bytes(example[image]), int(example[label])
