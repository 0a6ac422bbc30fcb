"""Command lines that nobody means: one line on stderr and status 2, whatever they say; nothing runs and nothing is
written outside. No worker starts: what would start one is an error here."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isotune import cli
from isotune.workers import process

MODEL = "example:random-features"
NAMES = [command.callback.__name__ for command in cli.app.registered_commands]
WORDS = ["", " ", ",", ",,", "..", "../x", "/dev/null", "/proc/x", "-", "--", "-1", "0", "1e9", "nan", "inf", "9" * 30,
         "9" * 5000, "0-9" * 9, "5-" + "9" * 30, "x" * 5000, "a\nb", "a\x1b[2Jb", "\u202e", "\ud800", "ä", "None",
         "example:", ":", "example:a=b", "exampel:x", f"{MODEL}:widht=3", "example:*zz*", "file:", "file:x.zip",
         "random:", "random:-1", "random:" + "9" * 30, "native,", "native,x=", "identical,resize=no", "NAME=VALUE", "=",
         "imagefolder:", "imagefolder:/proc/x", "npz:.", "nowhere.toml", "."]  # fmt: skip


def _options(command: str) -> list[str]:
    """Every option of a command, but those that end it with a listing; of a command that there is not, some."""
    options = ["--nosuch", "-x"]
    callback = next((each.callback for each in cli.app.registered_commands if each.callback.__name__ == command), None)
    for name, parameter in inspect.signature(callback or (lambda: None), eval_str=True).parameters.items():
        (declared,) = getattr(parameter.annotation, "__metadata__", [None])
        if declared is None:  # the context, which no user gives
            continue
        if isinstance(declared, typer.models.OptionInfo):
            options += [each.partition("/")[0] for each in declared.param_decls or ["--" + name.replace("_", "-")]]
    return sorted(set(options) - {"--references", "--schema", "--list"})


def _lines(command: str) -> st.SearchStrategy[list[str]]:
    word = st.sampled_from(WORDS) | st.text(max_size=8)
    option = st.tuples(st.sampled_from(_options(command)), word).map(list)
    needed = {"investigate": 2, "dump": 1, "transfer": 1, "parity": 2}.get(command, 0)
    start = st.just([MODEL] * needed) | st.lists(word, max_size=3)
    end = ["-o", "out"] if command in ("dump", "transfer") else []
    return st.tuples(start, st.lists(option, min_size=1, max_size=3)).map(
        lambda drawn: [command, *drawn[0], *(word for pair in drawn[1] for word in pair), *end]
    )


@pytest.fixture
def no_worker(monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise process.UsageError("no worker starts here")

    monkeypatch.setattr(process, "WorkerProcess", refused)
    monkeypatch.setattr("isotune.models.catalogue._rows", lambda adapter: [
        {"name": "random-features", "architecture": "random_features", "checkpoints": ["drawn"], "top1": {},
         "parameters": None, "size": None}
    ])  # fmt: skip


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.sampled_from([name for name in NAMES if name != "doctor"] + ["rnu", ""]).flatmap(_lines))
def test_a_hostile_command_line_is_one_line_and_status_2(here, no_worker, house, line):
    before = sorted(house.parent.iterdir())
    status, out, said = here(*line)
    assert status in (0, 2), (status, said)
    if status == 2:
        assert len(said.strip().splitlines()) == 1, said
        assert said.startswith("isotune: ")
        assert said.strip().isprintable()
        assert len(said) < 1100
        assert "Traceback" not in out + said
    assert sorted(house.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--models", ""], "--models: is empty; give at least one"),
        (["run", "--datasets", ""], "--datasets: is empty"),
        (["run", "--protocols", ",,"], "--protocols: is empty"),
        (["run", "--protocols=,,"], "--protocols: is empty"),
        (["run", "--seeds", " "], "--seeds: is empty"),
        (["run", "--conventions", ""], "--conventions: is empty"),
        (["run", "--store", ""], "--store: is empty"),
        (["prepare", "--datasets", ""], "--datasets: is empty"),
        (["parity", "--all", "--only", ","], "--only: is empty"),
        (["parity", "--all", "--architecture", ","], "--architecture: is empty"),
        (["parity", "--architecture", "x", MODEL, MODEL], "--architecture is of --all"),
        (["models", "--adapter", ""], "--adapter: is empty"),
        (["report", "--out", ""], "--out: is empty"),
        (["run", "--python", "exampel=/bin/sh"], "there is no adapter 'exampel'; did you mean 'example'"),
        (["run", "--models", MODEL, "--python", "keras=/bin/sh"], "keras runs none of the models"),
        (["run", "--models", MODEL, "--python", "example@numpi=/bin/sh"], "there is no engine 'numpi'"),
        (["run", "--python", "example=/bin/sh", "--python", "example=/bin/ls"], "has an interpreter already"),
        (["run", "--seeds", "5-" + "9" * 30], "too many"),
        (["run", "--seeds", "9" * 30 + "," + "9" * 31], "at most 4294967295"),
        (["run", "--jobs", "1000000"], "jobs: takes a whole number from 1 to 1,000"),
        (["run", "--checkpoint", "random:" + "9" * 30], "random needs a seed"),
        (["variance", "--levels", "1000000", "--plan"], "too many; at most 10,000"),
        (["variance", "--levels", "9" * 30, "--plan"], "levels: takes a whole number"),
        (["investigate", MODEL, MODEL, "--name", "../../x"], "is no name of a file"),
        (["investigate", MODEL, MODEL, "--images", "9" * 15], "images: takes a whole number from 2 to"),
        (["investigate", MODEL, MODEL, "--out", "file"], "--out: file cannot be written (Not a directory)"),
        (["dump", MODEL, "-o", "file"], "file cannot be written"),
        (["transfer", MODEL, "-o", "nowhere/x/"], "nowhere"),
        (["run", "--models", "example:nosuch*"], "no model matches 'example:nosuch*'"),
        (["run", "--models", "example:random*"], "has the checkpoint 'offline'"),
        (["doctor", "--noise", "nan"], "--noise"),
    ],
    ids=lambda given: " ".join(given)[:60] if isinstance(given, list) else "",
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(here, no_worker, house, arguments, said):
    Path("file").write_text("something else", encoding="utf-8")
    status, out, told = here(*arguments)
    assert (status, out) == (2, "")
    assert said in told
    assert len(told.strip().splitlines()) == 1
    assert [path.name for path in house.iterdir()] == ["file"]
