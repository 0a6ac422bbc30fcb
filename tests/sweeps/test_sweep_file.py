"""A sweep file is checked whole, and what is wrong is told with its line and what would be right."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune import data, reading, sweeps
from isotune.errors import UsageError
from isotune.models import patterns
from isotune.sweeps import _sweep

WHOLE = """\
# every model of two libraries
models = [
    "example:*",  # one
    "faulty:works",
]
checkpoints = ["random:0"]
protocols = ["quick"]
conventions = ["identical"]
store = "results"
jobs = 2

[[entry]]
seeds = [0, 4]

[[entry]]
conventions = ["identical", "native"]
modes = ["float32", "float64"]
seeds = "7-8"

[[exclude]]
models = ["faulty:*"]
seeds = "7-8"
"""


@pytest.fixture
def read(house):
    def make(text: str) -> sweeps.SweepFile:
        Path("sweep.toml").write_text(text, encoding="utf-8")
        return sweeps.read(Path("sweep.toml"))

    return make


def cells(file: sweeps.SweepFile) -> list[str]:
    return [str(cell) for cell in file.sweep.cells({name: data.prepare(name) for name in file.sweep.datasets})]


def test_entries_take_what_they_do_not_say_from_the_top(read) -> None:
    file = read(WHOLE)
    assert (file.store, file.jobs) == ("results", 2)
    named = cells(file)
    assert len(set(named)) == len(named)
    assert named[:4] == [
        f"{model} digits quick identical seed {seed}"
        for seed in (0, 4)
        for model in ("example:random-features", "faulty:works")
    ]
    late = [name for name in named if "seed 7" in name or "seed 8" in name]
    assert len(late) == 2 * 2 * 2, "set-ups, modes, seeds; what is excluded is not there"
    assert all(name.startswith("example:") for name in late)
    assert len([name for name in named if name.startswith("faulty:works")]) == 2


def test_what_two_entries_have_in_common_is_one_cell(read) -> None:
    text = (
        'models = ["example:random-features"]\ncheckpoints = ["random:0"]\n[[entry]]\nseeds = 2\n[[entry]]\nseeds = 3\n'
    )
    assert len(cells(read(text))) == 3 * 2


def test_models_are_found_by_their_architecture(read, monkeypatch) -> None:
    every = patterns.catalogue
    monkeypatch.setattr(patterns, "catalogue", lambda adapters=(): every(adapters or ["example", "faulty"]))
    text = 'models = ["architecture:random*"]\ncheckpoints = ["random:0"]\nseeds = 1\nconventions = ["identical"]\n'
    models = [name.partition(" ")[0] for name in cells(read(text))]
    assert models == list(dict.fromkeys(entry.model for entry in every(["example", "faulty"])))
    with pytest.raises(
        UsageError, match=r"line 1: models 1: no architecture matches 'architecture:randon.*did you mean"
    ):
        read(text.replace("random*", "randon_features"))
    with pytest.raises(UsageError, match="exclude 1: excludes all that was left"):
        cells(read(text + '[[exclude]]\nmodels = ["architecture:random_features"]\n'))


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("checkpoints =", "checkpoint ="), 6, "checkpoint: unknown key; did you mean 'checkpoints'"),
        (("seeds = [0, 4]", "seed = [0, 4]"), 13, "entry.0.seed: unknown key; did you mean 'seeds'"),
        (('"example:*"', '"example:nothing*"'), 3, "models 1: no model matches 'example:nothing*'"),
        (('"faulty:works"', '"faulty:work"'), 4, "models 2: faulty has no model 'work'; did you mean 'works'"),
        (('"faulty:works"', '"fulty:works"'), 4, "did you mean 'faulty'"),
        (('["quick"]', '["quik"]'), 7, "protocols 1: protocol 'quik' is unknown; did you mean 'quick'"),
        (('["quick"]', "[]"), 7, "protocols: is empty; give at least one"),
        (('["quick"]', '"quick"'), 7, "protocols: "),
        (('["quick"]', '["quick", ""]'), 7, "protocols 2: is empty"),
        (('["random:0"]', '["random:x"]'), 6, "checkpoints 1: checkpoint 'random:x': random needs a seed"),
        (("[0, 4]", '"4-2"'), 13, "entry 1: seeds: seeds '4-2': give how many"),
        (("[0, 4]", "[]"), 13, "entry 1: seeds"),
        (("[0, 4]", "[-1]"), 13, "entry 1: seeds"),
        (("[0, 4]", "100000000"), 13, "entry 1: seeds: seeds 100000000: that is too many"),
        (('"float64"', '"float46"'), 17, "entry 2: modes 2: "),
        (('"native"', '"natve"'), 16, "entry 2: conventions 2: "),
        (("jobs = 2", "jobs = 0"), 10, "jobs: "),
        (('models = ["faulty:*"]\n', "model = []\n"), 21, "exclude.0.model: unknown key; did you mean 'models'"),
        (('models = ["faulty:*"]\nseeds = "7-8"\n', ""), 20, "exclude 1: is empty; say what is excluded"),
        (('["faulty:*"]', '["keras:*"]'), 20, "exclude 1: excludes nothing; correct or remove it"),
        (('models = ["faulty:*"]\nseeds = "7-8"\n', 'protocols = ["*"]\n'), 20, "nothing is to be run"),
        (('conventions = ["identical"]', "seeds = 3"), 8, "seeds: every [[entry]] has seeds of its own"),
        (('["quick"]', '["quick"'), None, "not TOML"),
        (("seeds = [0, 4]", "seeds = 1\nseeds = 2"), None, "not TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(read, change, line, said) -> None:
    assert change[0] in WHOLE
    with pytest.raises(UsageError) as told:
        cells(read(WHOLE.replace(*change)))
    message = str(told.value)
    assert message.startswith("sweep.toml")
    assert said in message
    assert "\n" not in message
    if line is not None:
        assert message.startswith(f"sweep.toml, line {line}: "), message


def test_models_must_be_said(read) -> None:
    with pytest.raises(UsageError, match=r"sweep\.toml, line 1: models: is missing; give at least one, such as"):
        read("seeds = 3\n")


def test_more_cells_than_can_be_held_are_refused_before_they_are_made(read, monkeypatch) -> None:
    monkeypatch.setattr(_sweep, "MOST_CELLS", 11)
    with pytest.raises(UsageError, match=r"sweep\.toml, line 18: entry 2: seeds: 12 cells; at most 11"):
        read(WHOLE)


def test_a_file_that_is_not_there_is_one_line(house) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        sweeps.read(Path("nowhere.toml"))


HARD = (
    '''a = """
b = 1
[c]
"""
"b c" = 2; '''.rstrip("; ")
    + """
[c]
d.e = [ # [x]
  "one",
  "two", 'th"ree',
]
[[f]]
g = { h = 1 }
[[f]]
g = [[1, 2],
  [3]]
"""
)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1), (("b c",), 5), (("c", "d"), 7), (("c", "d", "e", 0), 8), (("c", "d", "e", 2), 9), (("f", 0), 11),
        (("f", 0, "g", "h"), 12), (("f", 1, "g"), 14), (("f", 1, "g", 1, 0), 14), (("f", 1, "no"), 13), (("x",), 1),
    ],
)  # fmt: skip
def test_the_line_is_that_of_the_statement_whatever_toml_allows(path, line) -> None:
    assert reading.line_of(HARD, path) == line


@given(
    st.lists(st.sampled_from(["k{} = 1", "k{} = [\n1,\n]", "# c", "", 'k{} = """\nk9 = 1\n"""', "[[t]]"]), max_size=8)
)
def test_every_key_is_found_in_the_line_that_it_begins(statements) -> None:
    source = "\n".join(text.format(number) for number, text in enumerate(statements))
    for number in range(len(statements)):
        path = next((place for place in paths(tomllib.loads(source)) if place[-1] == f"k{number}"), None)
        if path is not None:
            line = source.splitlines()[reading.line_of(source, path) - 1]
            assert re.match(rf"k{number} =", line)


def paths(values, before=()):
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*before, key))
