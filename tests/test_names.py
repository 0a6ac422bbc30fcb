"""Names of models, and the adapters that they lead to."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune import names
from isotune.adapters.base import Adapter, Engine
from isotune.errors import MissingExtra, UsageError
from isotune.names import ModelName, parse

KNOWN = ["timm", "torchvision", "keras"]
words = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,12}", fullmatch=True)
keys = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9_.=-]{0,8}", fullmatch=True)
model_names = st.builds(
    ModelName,
    st.sampled_from(KNOWN),
    st.none() | st.sampled_from(["jax", "torch"]),
    st.lists(words, min_size=1, max_size=3).map(":".join),
    st.dictionaries(keys, values, max_size=3),
)


@given(model_names)
def test_a_name_survives_its_spelling(name: ModelName) -> None:
    assert parse(str(name), KNOWN) == name
    assert hash(parse(str(name), KNOWN)) == hash(name)
    assert pickle.loads(pickle.dumps(name)) == name


@given(st.text(max_size=30))
def test_any_text_is_a_name_or_refused_in_one_line(text: str) -> None:
    for candidate in (text, f"timm:{text}", f"keras@{text}:A", f"timm:a:{text}"):
        told = complaint(candidate)
        assert "\n" not in told or "\n" in candidate


def complaint(text: str) -> str:
    try:
        assert parse(str(parse(text, KNOWN)), KNOWN) == parse(text, KNOWN)
    except UsageError as error:
        return str(error)
    return ""


def test_names_are_taken_apart() -> None:
    assert parse("timm:mobilenetv2_100", KNOWN) == ModelName("timm", None, "mobilenetv2_100")
    assert parse("keras@jax:MobileNetV2", KNOWN) == ModelName("keras", "jax", "MobileNetV2")
    assert parse("timm:hf-hub:timm/resnet18.a1_in1k", KNOWN).name == "hf-hub:timm/resnet18.a1_in1k"
    assert parse("timm:hf-hub:timm/a:img_size=64", KNOWN).options == {"img_size": "64"}
    assert str(parse(" torchvision:vgg11:b=2:a=x=y ", KNOWN)) == "torchvision:vgg11:a=x=y:b=2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mobilenet_v2", "names no adapter; write ADAPTER:mobilenet_v2, with one of: keras, timm, torchvision"),
        ("", "names no adapter"),
        ("torchvison:a", "adapter 'torchvison' is unknown; did you mean 'torchvision'?"),
        ("Keras:a", "did you mean 'keras'?"),
        ("keras@:a", "engine '' after @ is not a word; write keras@ENGINE:NAME"),
        ("keras@a@b:c", "engine 'a@b' after @"),
        ("timm:", "is not ADAPTER[@ENGINE]:NAME"),
        ("timm:a:", "is not ADAPTER[@ENGINE]:NAME"),
        ("timm:a b", "is not ADAPTER[@ENGINE]:NAME"),
        ("timm:a:x=1:x=2", "option 'x' is given twice"),
        ("timm:a:x=1:b", "option 'x=1' must stand after the name"),
        ("timm:x=1", "option 'x=1' must stand after the name"),
    ],
)
def test_what_is_no_name_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, KNOWN)
    assert said in str(caught.value)


def test_the_installed_adapters_are_listed_without_importing_them() -> None:
    before = set(sys.modules)
    assert {"keras", "timm", "torchvision"} <= set(names.adapters())
    assert not {name for name in set(sys.modules) - before if name.startswith("isotune.adapters")}


FACTS = """
import sys
from isotune import names
from isotune.data.sources.naming import kinds
from isotune.models import embedded
for adapter in names.adapters():
    known = names.adapter_class(adapter)
    print(adapter, names.title(adapter), *known.engines, *known.suffixes, known.remedy("batchnorm_epsilon", 1e-3).note)
assert {"cifar10", "tfds", "digits"} <= set(kinds())
assert embedded.held("offline")
frameworks = {"torch", "torchvision", "timm", "keras", "tensorflow", "jax", "huggingface_hub"} & set(sys.modules)
assert not frameworks, frameworks
"""


def test_what_is_known_of_a_library_is_had_without_importing_it() -> None:
    done = subprocess.run([sys.executable, "-c", FACTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "keras Keras tensorflow jax torch .h5 .keras" in done.stdout


# -- adapters of all sorts, behind entry points that lead into this module


def _methods() -> dict[str, object]:
    return {name: lambda self: None for name in Adapter.__abstractmethods__}


Single = type("Single", (Adapter,), {**_methods(), "name": "single", "engines": {"numpy": Engine({})}})
Several = type(
    "Several",
    (Adapter,),
    {
        **_methods(),
        "name": "several",
        "engines": {"numpy": Engine({}), "scipy": Engine({})},
    },
)
Unfinished = type("Unfinished", (Adapter,), {"models": lambda self: []})


class Foreign:
    pass


def __getattr__(name: str) -> object:
    if name == "Broken":
        raise RuntimeError("this module is broken\nin two lines")
    if name == "Needy":
        raise MissingExtra("tensorflow", "isotune[keras]")
    raise AttributeError(name)


@pytest.fixture
def several(monkeypatch) -> None:
    found = [
        EntryPoint(name.lower(), f"{__name__}:{name}", names.GROUP)
        for name in ("Single", "Several", "Unfinished", "Foreign", "Broken", "Needy", "Absent")
    ]
    found.append(EntryPoint("nowhere", "isotune_nowhere:Adapter", names.GROUP))
    monkeypatch.setattr(names, "entry_points", lambda group: found)


@pytest.mark.usefixtures("several")
class TestLoading:
    def test_one_broken_adapter_does_not_break_the_others(self) -> None:
        assert len(names.adapters()) == 8
        assert names.load_adapter(parse("single:a")).name == "single"

    def test_the_engine_is_handed_over_where_there_is_a_choice(self) -> None:
        assert names.load_adapter(parse("several:a")).engine == "numpy"
        assert names.load_adapter(parse("several@scipy:a")).engine == "scipy"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("single@numpy:a", "'single' runs on numpy only; leave out @numpy"),
            ("several@scipi:a", "'several' has no engine 'scipi'; did you mean 'scipy'?"),
            ("broken:a", "cannot be loaded (RuntimeError: this module is broken)"),
            ("absent:a", "cannot be loaded (AttributeError"),
            ("nowhere:a", "cannot be loaded (ModuleNotFoundError: No module named 'isotune_nowhere')"),
            ("foreign:a", "is no subclass of Adapter"),
            ("unfinished:a", "does not implement: build, environment, load_file, native_conventions"),
        ],
    )
    def test_what_cannot_be_loaded_is_named(self, text: str, said: str) -> None:
        with pytest.raises(UsageError) as caught:
            names.load_adapter(parse(text))
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_an_adapter_may_say_that_its_framework_is_missing(self) -> None:
        with pytest.raises(MissingExtra, match=r"pip install 'isotune\[keras\]'"):
            names.load_adapter(parse("needy:a"))


def test_a_name_that_two_packages_claim_is_isotunes_own(monkeypatch, caplog) -> None:
    class Dist:
        def __init__(self, name: str) -> None:
            self.name = name

    def entry(package: str, value: str) -> EntryPoint:
        made = EntryPoint("timm", value, names.GROUP)
        vars(made)["dist"] = Dist(package)
        return made

    found = [entry("another", "another:Adapter"), entry("isotune", "isotune.adapters.timm:TimmAdapter")]
    monkeypatch.setattr(names, "entry_points", lambda group: found)
    assert names.adapters()["timm"].module == "isotune.adapters.timm"
    assert "'timm' of another is hidden by that of isotune" in caplog.text
