"""Wrong input from Python: a UsageError of one line that names the argument, or what would be right; nothing ran."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import isotune
from isotune import protocols
from isotune.errors import UsageError

pytestmark = pytest.mark.usefixtures("house")

MODEL = "example:random-features"
KEPT = Path(__file__).parents[1] / "runs/earlier/version_2/benchmark.json"
IMAGES, LABELS = np.zeros((8, 8, 8, 3), np.uint8), np.arange(8) % 2


def made_here():
    """A function that a worker could find, in a file that imports no library."""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"models": 3}, "models: takes a name such as"),
        ({"models": []}, "models: there is none; give at least one"),
        ({"models": [MODEL, None]}, "models: takes a name .*, not NoneType"),
        ({"models": "exampel:random-features"}, "did you mean 'example'"),
        ({"models": Path("nowhere.py")}, "models: nowhere.py: No such file"),
        ({"models": Path("notes.txt")}, "models: notes.txt is no Python file"),
        ({"models": made_here}, "imports no library that isotune knows"),
        ({"models": lambda: None}, "models: the function .* stands in no file|imports no library"),
        ({"datasets": 3}, "datasets: takes a name such as 'digits'.*not int"),
        ({"datasets": "digit"}, "did you mean 'digits'"),
        ({"datasets": IMAGES}, "datasets: takes .*not ndarray"),
        ({"datasets": [IMAGES, LABELS, LABELS]}, "datasets: takes .*not ndarray"),
        ({"datasets": (IMAGES / 255, LABELS)}, "the images are float64; they must be uint8"),
        ({"datasets": (IMAGES, LABELS[:3])}, "there are 8 images and 3 labels"),
        ({"datasets": (IMAGES, LABELS / 2)}, "the labels must be"),
        ({"datasets": (IMAGES, LABELS - 1)}, "the least is -1"),
        ({"datasets": {"x_train": IMAGES}}, "y_train is missing; it holds x_train"),
        ({"datasets": {"train": (IMAGES, LABELS), "tset": (IMAGES, LABELS)}}, "did you mean 'test'"),
        ({"datasets": {"a b": (IMAGES, LABELS)}}, "data set a b: a name is letters"),
        ({"datasets": Path("nowhere")}, "there is no such folder"),
        ({"datasets": "array:0123"}, "data set array:0123 is not in the cache"),
        ({"protocols": 3}, "protocols: takes a name such as 'quick'"),
        ({"protocols": "quik"}, "did you mean 'quick'"),
        ({"protocols": Path("nowhere.toml")}, "protocol file nowhere.toml: No such file"),
        ({"protocols": {"name": "x"}}, "protocol x: .*is missing"),
        ({"protocols": {"nmae": "x"}}, "nmae: unknown key; did you mean 'name'"),
        ({"seeds": None}, "seeds None: give how many"),
        ({"seeds": 1.5}, "seeds 1.5: give how many"),
        ({"conventions": 3}, "conventions: takes 'identical'"),
        ({"conventions": "natve"}, "did you mean 'native'"),
        ({"conventions": {"native": "resize"}}, "conventions: takes 'identical'"),
        ({"conventions": {"native": {"reszie": "plain"}}}, "did you mean 'resize'"),
        ({"checkpoint": 3}, "checkpoint: takes a name such as 'pretrained'"),
        ({"checkpoint": Path("nowhere.pt")}, "there is no file nowhere.pt"),
        ({"numeric_mode": 32}, "numeric_mode: takes float32, tf32"),
        ({"numeric_mode": "float33"}, "did you mean 'float32'"),
        ({"layout": 3}, "layout: takes 'contiguous' or 'channels_last', not int"),
        ({"layout": "channel_last"}, "did you mean 'channels_last'"),
        (
            {"models": "keras:MobileNetV2", "layout": "contiguous"},
            "keras on tensorflow has no layout 'contiguous'; it has channels_last only",
        ),
        ({"layout": "channels_last"}, "example on numpy has no layout 'channels_last'; leave it out"),
        ({"store": 3}, "store: takes a path, not int"),
        ({"jobs": 0}, "jobs: takes a whole number from 1"),
        ({"jobs": "two"}, "jobs: takes a whole number"),
        ({"pythons": "keras=python"}, "pythons: takes interpreters by adapter"),
        ({"pythons": {"keras": "nowhere"}}, "keras=nowhere: there is no such interpreter"),
        ({"compiled": "no"}, "compiled: takes True or False, not str"),
        ({"fresh": "no"}, "fresh: takes True or False, not str"),
        ({"verify": None}, "verify: takes True or False, not NoneType"),
        ({"skip_unreadable": 1}, "skip_unreadable: takes True or False, not int"),
        ({"workers": "two"}, r"workers: takes isotune\.workers\.process\.Workers, not str"),
        ({"protocols": isotune.Protocol}, "protocols: takes .*, not the class Protocol"),
        ({"progress": "yes"}, "progress: takes True, False or a function"),
    ],
)
def test_run_refuses(given, said):
    with pytest.raises(UsageError, match=said) as refused:
        isotune.run(**{"models": MODEL, "checkpoint": "random:0", "store": "records", "progress": False} | given)
    assert len(str(refused.value).splitlines()) == 1
    assert not Path("records").exists()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: isotune.load_runs(".", store=3), "store: takes a path, not int"),
        (lambda: isotune.prepare("digits", skip_unreadable="no"), "skip_unreadable: takes True or False"),
        (lambda: isotune.transfer(MODEL, None, "w.safetensors", classifier="no"), "classifier: takes True or False"),
        (lambda: isotune.study_variance(MODEL, planned="no"), "planned: takes True or False"),
        (lambda: isotune.protocols.load(3), "protocol: takes a name such as 'quick'.*, not int"),
        (lambda: isotune.Proofs(()).write(3), "folder: takes a path, not int"),
        (lambda: isotune.Leaderboard(isotune.load_runs(KEPT)).write(None), "folder: takes a path, not NoneType"),
        (lambda: isotune.load_runs(KEPT).leaderboard().write(""), "folder: takes a path, not ''"),
        (lambda: isotune.load_runs(KEPT).leaderboard(command=3), "command: takes a text, not int"),
        (lambda: isotune.load_runs(KEPT).predictions(3), "record: takes one of these records, not int"),
        (lambda: isotune.Runs([]).where("digits"), "choose: takes a function of a record, not str"),
        (lambda: isotune.load_runs(3), "source: takes a path, not int"),
        (lambda: isotune.load_runs("nowhere"), "there is no nowhere; give a folder of records"),
        (lambda: isotune.load_runs("."), "holds no records; 'isotune run' makes some"),
        (lambda: isotune.Runs([]).leaderboard(), "there is nothing to report"),
        (lambda: isotune.models(3), "pattern: takes text, not int"),
        (lambda: isotune.models("none-such", adapters="example"), "random-features"),
        (lambda: isotune.models(adapters="exampel"), "^adapter 'exampel' is unknown; did you mean 'example'"),
        (lambda: isotune.models(adapters=3), "adapters: takes a name"),
        (isotune.prepare, "nothing to prepare"),
        (lambda: isotune.prepare(datasets="cifar11"), "did you mean 'cifar1"),
        (lambda: isotune.prepare(models=MODEL, checkpoint="drwan"), "did you mean 'drawn'"),
        (lambda: isotune.transfer(3, None, "w.safetensors"), "source: takes a name"),
        (lambda: isotune.transfer(MODEL, None, 3), "path: takes a path"),
        (lambda: isotune.transfer(MODEL, None, "w.pt"), r"the canonical form is written as \.safetensors"),
        (lambda: isotune.transfer(MODEL, None, "w.safetensors", size="big"), "size 'big': give pixels"),
        (lambda: isotune.transfer(MODEL, None, "w.safetensors", size=(1, 2, 3)), "size: takes a side"),
        (lambda: isotune.study_variance(MODEL, levels="many"), "levels: takes a whole number"),
        (lambda: isotune.study_variance(MODEL, levels=1), "give at least 2 levels"),
        (lambda: isotune.study_variance(MODEL, protocol="quick-fine-tun"), "did you mean 'quick-fine-tune'"),
        (lambda: isotune.Protocol(titel="x"), "Protocol: titel: unknown key; did you mean 'title'"),
        (lambda: isotune.Protocol(name="x", title="x", source="x"), "Protocol: give either"),
        (lambda: protocols.SGD(momentum=2), "SGD: momentum: .*less than 1"),
        (lambda: protocols.Stage(epochs=1, steps=1, batch_size=2, optimizer=protocols.Adam(),
                                 schedule=protocols.Schedule(learning_rate=1)), "Stage: give either epochs or steps"),
    ],
)  # fmt: skip
def test_other_calls_refuse(call, said):
    with pytest.raises(UsageError, match=said) as refused:
        call()
    assert len(str(refused.value).splitlines()) == 1
