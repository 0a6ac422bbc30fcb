"""Every kind of file that isotune reads: a small valid one, and its reader."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuzzing.cases import Kind
from isotune import data, protocols, reading
from isotune.comparison import observations, requests
from isotune.comparison.sides import Inputs, Request, Side
from isotune.conventions import Conventions
from isotune.data.dataset import open_dataset
from isotune.data.decoding import Unreadable, decode
from isotune.errors import UsageError
from isotune.interface import arguments
from isotune.investigation._dump import Dump, write_dump
from isotune.parity import Question, Result, ResultStore, Rung
from isotune.protocols import SGD, Input, Probe, Protocol, Schedule, Stage
from isotune.reading import arrays, images
from isotune.report.analysis.benchmark import read_benchmark
from isotune.runs.records import Cell, Metrics, Record, Timings, predictions_digest
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.weights import Weights

_RECIPE = Protocol(name="tiny", title="Tiny", source="-", input=Input(size=8), probe=Probe(l2=(1e-3,)))
_NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def _pixels(count: int, side: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


# -- images


def _image(kind: str, folder: Path) -> Path:
    path = folder / f"a.{kind.lower()}"
    Image.fromarray(_pixels(1, 12)[0]).save(path, kind)
    return path


def _decoded(path: Path) -> bytes:
    try:
        return decode(reading.content(path, images.LIMIT)).tobytes()
    except Unreadable as error:
        raise UsageError(f"{path}: {error}") from None


def _folder_of_images(folder: Path) -> Path:
    for name in "ab":
        (folder / "set" / name / "deeper").mkdir(parents=True)
        for number, pixels in enumerate(_pixels(4)):
            place = folder / "set" / name / ("deeper" if number == 3 else "")
            Image.fromarray(pixels).save(place / f"{number}.{('png', 'jpg')[number % 2]}")
    return folder / "set"


# -- arrays


def _npz(folder: Path) -> Path:
    classes = np.array(["one", "two", "three"])
    labels = np.arange(12) % 3
    pixels = _pixels(12)
    np.savez(folder / "a.npz", x_train=pixels, y_train=labels, x_test=pixels[:6], y_test=labels[:6], classes=classes)
    return folder / "a.npz"


def _npy(folder: Path) -> Path:
    np.save(folder / "a.npy", np.arange(12.0).reshape(3, 4))
    return folder / "a.npy"


def _prepared(folder: Path) -> Path:
    """A prepared data set as it lies in the cache."""
    source = data.prepare(f"npz:{_npz(folder)}").folder
    return Path(shutil.copytree(source, folder / source.name))


def _opened(folder: Path) -> list[Any]:
    dataset = open_dataset(folder)
    parts = (dataset.train, dataset.test)
    return [dataset.classes, *(part.labels.tolist() for part in parts), *(part.image(0).tobytes() for part in parts)]


# -- documents


def _protocol(folder: Path) -> Path:
    (folder / "a.toml").write_text(
        'name = "tiny"\ntitle = "Tiny"\nsource = "-"\n[input]\nsize = 8\n[images]\ntrain = 60\n'
        '[[stage]]\nepochs = 1\nbatch_size = 8\noptimizer = { name = "sgd", momentum = 0.9 }\n'
        "schedule = { learning_rate = 0.01 }\n"
    )
    return folder / "a.toml"


def _network(folder: Path) -> Path:
    (folder / "net.py").write_text("import torch\n\n\ndef make():\n    return torch.nn.Linear(3, 4)\n")
    return folder / "net.py"


def _record(seed: int) -> tuple[Record, np.ndarray]:
    predictions = np.arange(20) % 3
    cell = Cell(
        model="timm:resnet18", checkpoint="random:0", dataset="digits", dataset_digest="d" * 64, protocol=_RECIPE,
        seeds=Seeds.all(seed),
    )  # fmt: skip
    record = Record(
        cell=cell, status="done", architecture="resnet18", conventions=Conventions(),
        metrics=Metrics(accuracy=0.85, test_images=20, train_images=60),
        predictions_digest=predictions_digest(predictions), timings=Timings(total=3.0), environment={"numpy": "2"},
        started=_NOW, finished=_NOW,
    )  # fmt: skip
    return record, predictions


def _store(folder: Path) -> Path:
    Store(folder / "store").write(*_record(0))
    return folder / "store"


def _of_store(folder: Path) -> list[Any]:
    store = Store(folder)
    if not (records := store.all()):
        raise UsageError(next(map(str, store.damaged), "nothing is left in the store"))
    return [(record.model_dump_json(), store.predictions(record).tolist()) for record in records]


def _benchmark(folder: Path) -> Path:
    extra = {"question": "fine-tuning", "records": [_record(0)[0].model_dump(mode="json")]}
    speed = {"question": "training-step", "model": "timm:resnet18", "image_size": 32, "batch_size": 8}
    benchmarks = [
        {"name": "a", "stats": {"data": [1.0]}, "extra_info": {"isotune": extra}},
        {"name": "b", "stats": {"data": [0.5, 0.25]}, "extra_info": {"isotune": speed}},
    ]
    (folder / "a.json").write_text(json.dumps({"benchmarks": benchmarks, "version": "5"}))
    return folder / "a.json"


_QUESTION = Question(
    left="timm:resnet18", right="torchvision:resnet18", checkpoint="random:0", size=(32, 32), batch=4, seed=0,
    versions={"torch": "2"},
)  # fmt: skip


def _proof(folder: Path) -> Path:
    rungs = (Rung(name="features", error=1e-12, where="007.norm", tensors=1, bound=1e-9),)
    result = Result(question=_QUESTION, architecture="resnet18", parameters=11, stages=("inference",), rungs=rungs)
    ResultStore(folder).write(result)
    return folder / f"{_QUESTION.key}.json"


def _proved(path: Path) -> str:
    result = ResultStore(path.parent).read(_QUESTION)
    if result is None:
        raise UsageError(f"{path}: set aside, to be proved again")
    return result.model_dump_json()


# -- recordings


def _observed(folder: Path) -> Path:
    observations.write(folder / "seen", [("a", np.arange(3.0)), ("b/c", np.arange(4.0))])
    return folder / "seen"


def _seen(folder: Path) -> list[Any]:
    target = folder.with_name("copied")
    shutil.rmtree(target, ignore_errors=True)
    observations.copy(folder, target)
    return [(name, array.tolist()) for name, array in observations.Observations(target).items()]


_SIDE = Side(model="timm:resnet18", checkpoint="random:0")
_STAGE = Stage(epochs=1, batch_size=4, optimizer=SGD(name="sgd"), schedule=Schedule(learning_rate=0.01))
_INPUTS = Inputs(recipe={}, stage=_STAGE, rates=(0.01,), classes=3, size=8, seed=0)


def _dump(folder: Path) -> Path:
    dataset = data.prepare(f"npz:{_npz(folder)}")
    axes = Conventions().model_dump(mode="json")

    def ask(do: Callable[..., Any], **request: Any) -> Any:
        if do is requests.describe:
            return {"axes": axes, "architecture": "resnet18", "layers": {}, "environment": {}, "parameters": 11}
        return observations.write(Path(request["folder"]), [("a", np.arange(3.0)), ("loss", np.array(1.0))])

    return write_dump(_SIDE, _INPUTS, dataset, _RECIPE, 4, folder / "dump", ask=ask)


def _dumped(folder: Path) -> list[Any]:
    dump = Dump(folder)
    target = folder.with_name("part")
    shutil.rmtree(target, ignore_errors=True)
    request = Request(side=_SIDE, inputs=_INPUTS, part="layers", images=str(folder / "images.npy"), labels="")
    dump.ask(requests.record, request=request.model_dump(), folder=str(target))
    seen = [(name, array.tolist()) for name, array in observations.Observations(target).items()]
    return [dump.contents.model_dump_json(), seen, arrays.array(folder / "images.npy").tolist()]


# -- weights


def _tensors() -> dict[str, np.ndarray]:
    return {f"{place:03d}.dense.kernel": np.arange(12.0, dtype=np.float32).reshape(3, 4) for place in range(3)}


def _canonical(folder: Path) -> Path:
    Weights(_tensors(), {"batchnorm_epsilon": 1e-5}, "x", "here").write(folder / "a.safetensors")
    return folder / "a.safetensors"


def _of_canonical(path: Path) -> list[Any]:
    weights = Weights.read(path)
    return [weights.digest(), dict(weights.conventions), weights.architecture]


def _of_torch(suffix: str, folder: Path) -> Path:
    import torch

    from isotune.adapters._torch.files import write_state_dict

    state = {name: torch.from_numpy(array) for name, array in _tensors().items()}
    path = folder / f"a{suffix}"
    if suffix == ".old.pth":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        write_state_dict(path, state, {"batchnorm_epsilon": 1e-5})
    return path


def _state(path: Path) -> str:
    from isotune.adapters._torch.files import read_state_dict

    state = read_state_dict(path)
    return hashlib.sha256(repr([(name, each.numpy().tobytes()) for name, each in state.items()]).encode()).hexdigest()


def _of_keras(suffix: str, folder: Path) -> Path:
    """.weights.h5 as isotune writes it, .keras, and .h5 as of Keras 2."""
    import h5py

    from isotune.adapters._keras.hdf5 import sealed

    path = folder / ("a.weights.h5" if suffix == ".keras" else f"a{suffix}")
    with h5py.File(path, "w") as file:
        for place, array in enumerate(_tensors().values()):
            name = f"dense_{place}"
            if suffix == ".h5":
                file.create_group(name).attrs["weight_names"] = [f"{name}/kernel:0"]
                file.create_dataset(f"{name}/{name}/kernel:0", data=array)
            else:
                file.create_dataset(f"layers/{name}/vars/0", data=array)
                file[f"layers/{name}/vars"].attrs["name"] = name
        if suffix == ".h5":
            file.attrs["layer_names"] = [f"dense_{place}" for place in range(3)]
    if suffix == ".weights.h5":
        sealed(path, '{"batchnorm_epsilon": 0.001}')
    if suffix != ".keras":
        return path
    with zipfile.ZipFile(folder / "a.keras", "w") as archive:
        archive.writestr("model.weights.h5", path.read_bytes())
    path.unlink()
    return folder / "a.keras"


def _layers(path: Path) -> list[Any]:
    from isotune.adapters._keras.hdf5 import held

    found, axes = (content := held(path)).layers, content.conventions
    return [sorted((name, [array.tolist() for array in each]) for name, each in found.items()), axes]


def _references(folder: Path) -> Path:
    from importlib import resources

    for entry in resources.files("isotune.reference_results").iterdir():
        if entry.name.endswith((".csv", ".bib")):
            (folder / entry.name).write_bytes(entry.read_bytes())
    return folder


KINDS = (
    *(
        Kind(f"{kind} image", partial(_image, kind), _decoded, checked=kind == "PNG")
        for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
    ),
    Kind("folder of images", _folder_of_images, lambda path: data.prepare(f"imagefolder:{path}").digest),
    Kind(".npz", _npz, lambda path: data.prepare(f"npz:{path}").digest, checked=True),
    Kind(".npy", _npy, lambda path: arrays.array(path).tolist()),
    Kind("prepared data set", _prepared, _opened, checked=True),
    Kind("protocol", _protocol, lambda path: protocols.load(path).model_dump_json(), text=True),
    Kind("network's file", _network, arguments.model, text=True),
    Kind("benchmark JSON", _benchmark, read_benchmark, text=True),
    Kind("store", _store, _of_store, checked=True),
    Kind("proof", _proof, _proved, checked=True, text=True),
    Kind("observations", _observed, _seen),
    Kind("dump", _dump, _dumped, checked=True),
    Kind("canonical .safetensors", _canonical, _of_canonical, checked=True),
    Kind(".weights.h5", partial(_of_keras, ".weights.h5"), _layers, checked=True),
    Kind(".h5 of Keras 2", partial(_of_keras, ".h5"), _layers),
    Kind(".keras", partial(_of_keras, ".keras"), _layers, checked=True),
    Kind("torch's .safetensors", partial(_of_torch, ".safetensors"), _state, checked=True, framework=True),
    Kind("torch's .pth", partial(_of_torch, ".pth"), _state, checked=True, framework=True),
    Kind(".pth before torch 1.6", partial(_of_torch, ".old.pth"), _state, framework=True),
)
BY_NAME = {kind.name: kind for kind in KINDS}
