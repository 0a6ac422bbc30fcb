"""One model, open in its worker: what it computes comes back as arrays."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from isotune import defaults, names
from isotune.conventions import NETWORK_AXES, Conventions
from isotune.errors import UsageError
from isotune.interface import arguments, requests
from isotune.interface.arguments import Model, PathLike
from isotune.progress import Progress, reporting
from isotune.weights import Layer, Weights
from isotune.workers.process import WorkerProcess


class OpenModel:
    """A model in a worker process of its own library; a context that ends it.

    Images are uint8 [N, H, W, 3] (or [N, H, W, 1], [N, H, W]), RGB, already resized: the scaling is the model's.
    What comes back is NumPy in the model's numeric mode (bfloat16 as float32), activations NHWC.

    name: as given, in its canonical spelling. architecture: what libraries have in common, "mobilenet_v2".
    conventions: one value for each axis. layers: those that own tensors, in the order of execution. environment:
    versions, device, threads, layout. classifier: "the checkpoint's own", or that it was drawn; classes: of how many
    (None: it is no layer of its own).
    """

    def __init__(self, worker: WorkerProcess, known: Mapping[str, Any], size: int, seed: int, reporter: Any) -> None:
        self._worker, self._progress = worker, reporter
        self._scratch = tempfile.TemporaryDirectory(prefix="isotune-model-")
        self.size = size
        self.name: str = known["model"]
        self.architecture: str = known["architecture"]
        self.conventions = Conventions.model_validate(known["conventions"])
        self.layers = [
            Layer(**layer | {name: tuple(layer[name]) for name in ("inputs", "between")}) for layer in known["layers"]
        ]
        self.environment: dict[str, str] = known["environment"]
        self.classes: int | None = known["classes"]
        own = "the checkpoint's own"
        self.classifier = own if known["own_classifier"] else f"drawn for {self.classes} classes from seed {seed}"

    def __repr__(self) -> str:
        state = "" if self._worker.alive else ", closed"
        return f"<{self.name} ({self.architecture}), {len(self.layers)} layers; classifier: {self.classifier}{state}>"

    def __enter__(self) -> OpenModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        self._worker.stop()
        self._scratch.cleanup()

    def features(self, images: Any, *, batch_size: int = 64) -> np.ndarray:
        """What the classifier receives, [N, D], in inference mode."""
        return self._in_batches("features", images, batch_size)

    def logits(self, images: Any, *, batch_size: int = 64) -> np.ndarray:
        """[N, classes], in inference mode, before any softmax."""
        return self._in_batches("logits", images, batch_size)

    def network_input(self, images: Any, *, batch_size: int = 64) -> np.ndarray:
        """The images as scaled, [N, H, W, 3]: what the network proper gets."""
        return self._in_batches("network_input", images, batch_size)

    def activations(self, images: Any, *, training: bool = False) -> dict[str, np.ndarray]:
        """The output of every layer by its name, [N, H, W, C], in the order of execution; of a layer with an activation
        of its own, what it is before. All images are one batch.

        training: as in a step of training, by the statistics of the batch; the model stays as it is.
        """
        return self._ask("activations", images, training=arguments.flag(training, "training"))

    def gradients(self, images: Any, labels: Any, *, label_smoothing: float = 0.0) -> dict[str, np.ndarray]:
        """The gradient of the mean cross-entropy for every trainable tensor by name, in training mode, and the loss
        itself, nats, under "loss". All images are one batch; the model stays as it is.

        labels: integers [N] from 0 to the number of classes less one.
        """
        numbers = _array(labels, "labels")
        if self.classes and numbers.dtype.kind in "iu" and not ((numbers >= 0) & (numbers < self.classes)).all():
            raise UsageError(f"labels: takes integers from 0 to {self.classes - 1}; there is one beyond")
        return self._ask(
            "gradients", images, labels, label_smoothing=arguments.share(label_smoothing, "label_smoothing")
        )

    def weights(self) -> Weights:
        """All tensors by canonical name, float32 (float64 in that mode): a dictionary with the conventions they are
        meant for; `.write(path)` makes a file of it that `checkpoint=path` takes."""
        tensors = self._ask("weights")
        return Weights(tensors, self.conventions.model_dump(mode="json", include=set(NETWORK_AXES)), self.architecture)

    def load(self, weights: Mapping[str, np.ndarray]) -> None:
        """Set the tensors named; others stay. UsageError: an unknown name, a wrong shape."""
        if not isinstance(weights, Mapping):
            raise arguments.wrong("weights", "a dictionary of arrays by name", weights)
        with self._folder() as folder:
            file = Path(folder) / "weights.safetensors"
            Weights({str(name): np.asarray(array) for name, array in weights.items()}).write(file)
            self._worker.ask(requests.load, file=str(file))

    def _in_batches(self, what: str, images: Any, batch_size: int) -> np.ndarray:
        (array,) = self._ask(what, images, batch_size=arguments.count(batch_size, "batch_size")).values()
        return array

    def _ask(self, what: str, images: Any = None, labels: Any = None, **options: Any) -> dict[str, np.ndarray]:
        if not self._worker.alive:
            raise UsageError(f"{self.name} is closed; open it again: isotune.open_model(...)")
        with self._folder() as folder:
            place = Path(folder)
            if images is not None:
                np.save(place / "images.npy", _images(images))
            if labels is not None:
                np.save(place / "labels.npy", _labels(labels, len(images)))
            told = self._worker.ask(requests.arrays, self._progress, what=what, folder=folder, **options)
            return {name: np.load(place / f"{number}.npy") for number, name in enumerate(told)}

    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(dir=self._scratch.name)


def open_model(
    model: Model,
    *,
    checkpoint: PathLike = defaults.CHECKPOINT,
    conventions: arguments.Conventions = "identical",
    numeric_mode: str = "float32",
    layout: str | None = None,
    compiled: bool = False,
    size: int = 224,
    classes: int | None = None,
    seed: int = 0,
    python: PathLike | None = None,
    progress: bool | Progress = False,
) -> OpenModel:
    """Open one model in its library's worker: features, logits, activations, gradients, weights.

    model, checkpoint, conventions, numeric_mode, layout, compiled: as of `isotune.run`, each one. size: of the images
    that it is built for, pixels; most networks take others too. classes: outputs of a new classifier, drawn from `seed`
    as the conventions say; None keeps the checkpoint's own, and where it has none (`model.classifier` says so) one for
    ten classes is drawn. python: another environment's interpreter. progress: as of `isotune.run`.
    Errors: UsageError: a name is wrong, or the checkpoint does not fit; NotCached: it cannot be downloaded.

    >>> images = numpy.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=numpy.uint8)
    >>> with isotune.open_model("timm:mobilenetv2_100", checkpoint="offline", size=96) as model:
    ...     model.features(images).shape
    (4, 1280)
    """
    name, spec = names.parse(arguments.model(model)), arguments.spec(conventions)
    request: dict[str, Any] = {
        "model": str(name), "checkpoint": arguments.checkpoint(checkpoint), "conventions": spec,
        "mode": arguments.mode(numeric_mode, layout, compiled).settings,
        "size": arguments.count(size, "size", 8), "seed": arguments.count(seed, "seed", 0),
        "classes": None if classes is None else arguments.count(classes, "classes", 2),
    }  # fmt: skip
    interpreter = sys.executable if python is None else arguments.interpreter(python)
    library = name.adapter if name.engine is None else f"{name.adapter}@{name.engine}"
    with reporting(progress) as reporter:
        worker = WorkerProcess(library, python=interpreter)
        try:
            known = worker.ask(requests.open_model, reporter, **request)
        except BaseException:
            worker.stop()
            raise
    return OpenModel(worker, known, request["size"], request["seed"], reporter)


def _array(values: Any, argument: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:  # lists of several lengths
        raise arguments.wrong(argument, "an array", values) from None


def _images(images: Any) -> np.ndarray:
    """uint8 [N, H, W, 3]."""
    array = _array(images, "images")
    if array.dtype != np.uint8:
        raise UsageError(f"images: takes uint8, 0..255, not {array.dtype}")
    array = array[..., np.newaxis] if array.ndim == 3 and array.shape[-1] != 3 else array
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or 0 in array.shape:
        raise UsageError(f"images: takes [N, H, W, 3], [N, H, W, 1] or [N, H, W], not {list(array.shape)}")
    return np.repeat(array, 3, axis=-1) if array.shape[-1] == 1 else array


def _labels(labels: Any, count: int) -> np.ndarray:
    array = _array(labels, "labels")
    if array.dtype.kind not in "iu" or array.shape != (count,):
        raise UsageError(f"labels: takes integers [{count}], one an image, not {array.dtype} {list(array.shape)}")
    return array.astype(np.int64)
