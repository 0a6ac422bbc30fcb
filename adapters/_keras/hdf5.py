"""What Keras's files hold, read in a process of its own.

HDF5's library was not made for files that somebody altered: a thousand zeroed bytes keep it busy for minutes, others
end it. So a process reads that has so much time and memory and no more, and hands over arrays and names in a file that
is known to be whole. It imports no framework, stays for the next file, and ends with the one that asks.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import json
import os
import re
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune import reading
from isotune.errors import UsageError, WorkerFailure
from isotune.weights import Weights, check_finite
from isotune.workers.process import NO_ACCELERATOR, WorkerProcess

if TYPE_CHECKING:
    from isotune.workers.worker import Worker

Array = np.ndarray
CONVENTIONS, DIGEST = "isotune.conventions", "isotune.digest"  # attributes of isotune's; Keras does not look at them
_CUT = "not a whole Keras file, perhaps cut off"
LIMIT = 64 * reading.GIB  # bytes of a file
_NOT_LAYERS = ("optimizer", "metrics", "seed_generator", "compile_metrics")  # what else Keras 3 keeps in a file
# What reading may take: of the processor's time, since other work on the machine is no fault of the file's; and of
# the clock's, for a disk that does not answer. A second of either for so many bytes beside.
_SECONDS, _PATIENCE, _BYTES = 2, 60, 20 * reading.MIB
_OUT_OF_TIME = int(getattr(signal, "SIGXCPU", 0))
_MEMORY = reading.GIB  # beside what the process has already and eight times the file


@dataclass(frozen=True)
class Content:
    """What a file holds."""

    layers: dict[str, list[Array]]  # by name, each with its arrays in Keras's order
    conventions: str | None  # isotune's text, where the file has it
    ordered: bool  # whether the layers are in the order of the network, as in Keras 1 and 2; in Keras 3 HDF5 sorts them


def held(path: Path) -> Content:
    """What a file holds.

    UsageError: it is no regular file, cut off, damaged, or not one of Keras's; an array holds NaN or infinite values.
    """
    from safetensors import safe_open

    if not path.exists():
        raise UsageError(f"{path}: there is no such file")
    size = reading.regular(path, LIMIT)
    with tempfile.TemporaryDirectory(prefix="isotune-hdf5-") as folder:
        file = Path(folder) / "arrays.safetensors"
        try:
            _process.write(path.absolute(), file, size)
        except WorkerFailure as error:
            busy = any(word in str(error) for word in (f"signal {_OUT_OF_TIME}", "signal 9", "time limit"))
            reason = "it keeps HDF5 busy without end" if busy else "HDF5 fails on it"
            raise UsageError(f"{path}: {_CUT} ({reason})") from error
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
        with safe_open(file, framework="numpy") as arrays:
            about = json.loads(arrays.metadata()["about"])
            layers = {
                name: [arrays.get_tensor(f"{place}.{number}") for number in range(count)]
                for place, (name, count) in enumerate(about["layers"])
            }
    named = {f"{name}/{i}": array for name, each in layers.items() for i, array in enumerate(each)}
    if about["digest"] and about["digest"] != digest(named, about["conventions"]):
        raise UsageError(f"{path}: not what was written: its digest is that of other content; write it again")
    check_finite(named.items(), path)
    return Content(layers, about["conventions"], about["ordered"])


def sealed(path: Path, conventions: str) -> None:
    """Write isotune's conventions, a text, and a digest of all into a file of weights."""
    import h5py

    named = {f"{name}/{i}": array for name, each in held(path).layers.items() for i, array in enumerate(each)}
    with h5py.File(path, "r+") as file:
        file.attrs[CONVENTIONS] = conventions
        file.attrs[DIGEST] = digest(named, conventions)


def digest(arrays: Mapping[str, Array], conventions: str | None) -> str:
    """SHA-256 of arrays by name, and of the conventions' text; hexadecimal."""
    return hashlib.sha256(f"{Weights(arrays).digest()} {conventions}".encode()).hexdigest()


class _Process:
    """The process that reads, started when there is something to read; another in its place where it was ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None

    def write(self, path: Path, file: Path, size: int) -> None:
        """Have it write `file` from a Keras file of `size` bytes."""
        with self._lock:
            worker = self._running()
            with worker.ended_after(_PATIENCE + size / _BYTES):
                worker.ask(read, path=str(path), file=str(file))

    def _running(self) -> WorkerProcess:
        if self._worker is None:
            atexit.register(self._stop)
        elif self._worker.alive:
            return self._worker
        self._stop()
        self._worker = WorkerProcess(None, environment=NO_ACCELERATOR)
        return self._worker

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()


_process = _Process()


# -- in the process that reads


def read(worker: Worker, path: str, file: str) -> None:
    """Write what a Keras file holds as safetensors. UsageError, without the path: it cannot be read."""
    from safetensors.numpy import save_file

    size = Path(path).stat().st_size
    _limit(size)
    try:
        layers, ordered, of_isotune = _held(Path(path))
        names = [(name, len(arrays)) for name, arrays in layers.items()]
        about = {"about": json.dumps({"layers": names, "ordered": ordered} | of_isotune)}
        tensors = {
            f"{i}.{j}": np.ascontiguousarray(a) for i, each in enumerate(layers.values()) for j, a in enumerate(each)
        }
        save_file(tensors, file, about)
    except UsageError:
        raise
    except Exception as error:  # h5py raises almost anything on damaged files
        reason = re.sub(r"\s+", " ", str(error))[:300] or type(error).__name__
        raise UsageError(f"{_CUT} ({reason})") from None
    if not layers:
        raise UsageError("holds no weights of Keras layers")


def _limit(size: int) -> None:
    """Have the system end this process when reading takes longer, and refuse it more memory."""
    try:
        import resource
    except ImportError:  # no POSIX: the clock alone decides
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + 1 + _SECONDS + size / _BYTES)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    if (sizes := Path("/proc/self/statm")).exists():
        has = int(sizes.read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (has + _MEMORY + 8 * size, hard))


def _held(path: Path) -> tuple[dict[str, list[Array]], bool, dict[str, str | None]]:
    import h5py

    with reading.opened(path, LIMIT, _CUT) as stream:
        content: Any = stream
        if path.suffix == ".keras":
            with reading.zipped(stream, _CUT) as archive:
                content = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(content, "r") as file:
            texts = {name: file.attrs.get(f"isotune.{name}") for name in ("conventions", "digest")}
            root = file.get("model_weights", file)
            legacy = "layer_names" in root.attrs or "layer_names0" in root.attrs
            layers = dict(_legacy(root) if legacy else _current(root))
            return layers, legacy, {name: text if isinstance(text, str) else None for name, text in texts.items()}


def _current(root: Any) -> Iterator[tuple[str, list[Array]]]:
    import h5py

    groups: list[tuple[str, Any]] = []

    def visit(name: str, item: Any) -> None:
        parts = name.split("/")
        if isinstance(item, h5py.Group) and parts[-1] == "vars" and len(item) and not set(parts) & set(_NOT_LAYERS):
            groups.append((name, item))

    root.visititems(visit)
    for name, group in sorted(groups, key=lambda pair: natural(pair[0])):
        arrays = [_array(group, key) for key in sorted(group, key=int)]
        yield str(group.attrs.get("name", name.split("/")[-2] if "/" in name else name)), arrays


def _legacy(root: Any) -> Iterator[tuple[str, list[Array]]]:
    for layer_name in _names(root, "layer_names"):
        group = root[layer_name]
        weight_names = _names(group, "weight_names")
        # a nested model is one entry, its weights named after its layers
        owners = [name.split("/")[-2] if "/" in name else layer_name for name in weight_names]
        is_nested = len(set(owners)) > 1
        layers: dict[str, list[Array]] = {}
        for owner, weight_name in zip(owners, weight_names, strict=True):
            layers.setdefault(owner if is_nested else layer_name, []).append(_array(group, weight_name))
        yield from layers.items()


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names; long ones are split over `NAME0`, `NAME1`, ..."""
    keys = (
        [attribute]
        if attribute in group.attrs
        else sorted((key for key in group.attrs if re.fullmatch(attribute + r"\d+", key)), key=natural)
    )
    values = [value for key in keys for value in group.attrs[key]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _array(group: Any, name: str) -> Array:
    import h5py

    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.file != group.file:
        raise ValueError(f"{name} is not an array in this file")
    if dataset.dtype.kind not in "fiub":
        raise ValueError(f"{name} is no array of numbers")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes and not stored:  # HDF5 would give zeros
        raise ValueError(f"of {name} nothing was written")
    if dataset.nbytes > 64 * reading.MIB + 50 * group.file.id.get_filesize():  # as `reading.zipped` has it
        raise ValueError(f"{name} is much larger than the file")
    return np.asarray(dataset, np.float64 if dataset.dtype == np.float64 else np.float32)


def natural(name: str) -> list[tuple[int, str, str]]:
    """Sort key under which conv2d_10 comes after conv2d_9."""
    numbers = ((digits.lstrip("0"), text) for text, digits in re.findall(r"(\D*)(\d*)", name))
    return [(len(digits), digits, text) for digits, text in numbers]
