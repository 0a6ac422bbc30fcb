"""The command line: what is wrong is one line on stderr and status 2."""

from __future__ import annotations

import json

import pytest

from isotune import conventions

pytestmark = pytest.mark.usefixtures("warm")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "run"),
        (["run", "--sedes", "3"], "--seeds"),
        (["run", "--jobs", "0"], "jobs: takes a whole number from 1 to 1,000, not 0"),  # as in Python
        (["run", "--jobs", "two"], "--jobs: takes a whole number; --help"),
        (["investigate", "a", "b", "--images", "1"], "images: takes a whole number from 2 to 100,000, not 1"),
        (["models", "--adapter", "exampel"], "isotune: adapter 'exampel' is unknown; did you mean 'example'"),
        (["run", "--seeds", "many"], "0,4,7"),
        (["run", "--datasets", "digit"], "did you mean 'digits'"),
        (["run", "--protocols", "quik"], "did you mean 'quick'"),
        (["run", "--protocols", "nowhere.toml"], "No such file"),
        (["run", "--models", "tim:resnet18"], "did you mean 'timm'"),
        (["run", "--models", "resnet18"], "adapter"),
        (["run", "--models", "example:random-features:widht=3", "--checkpoint", "random:0"], "did you mean 'width'"),
        (["run", "--models", "example:random-features", "--checkpoint", "file:x.zip"], "there is no file"),
        (["run", "--models", "example:random-features", "--checkpoint", "drwan"], "did you mean 'drawn'"),
        (["run", "--models", "example:random-features", "--conventions", "natve"], "did you mean 'native'"),
        (["run", "--numeric-mode", "float33"], "did you mean 'float32'"),
        (["run", "--layout", "channel_last"], "did you mean 'channels_last'"),
        (["run", "--layout", "contiguous"], "keras on tensorflow has no layout 'contiguous'"),
        (["investigate", "keras:MobileNetV2", "timm:resnet18", "--layout", "contiguous"], "it has channels_last only"),
        (["run", "--python", "keras"], "ADAPTER=PATH"),
        (["run", "--datasets", "imagefolder:nowhere"], "nowhere"),
        (["report", "nowhere"], "isotune run"),
        (["report", "."], "holds no records"),
        (["models", "--adapter", "exampel"], "did you mean 'example'"),
        (["models", "nosuchmodel", "--adapter", "example"], "random-features"),
        (["models", "--architecture", "nosuch", "--adapter", "example"], "random_features"),
        (["prepare"], "nothing to prepare"),
        (["prepare", "--datasets", "cifar11"], "did you mean 'cifar1"),
        (["prepare", "--models", "example:none", "--checkpoint", "random:0"], "random-features"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(here, arguments, said):
    status, out, err = here(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("isotune: ")


def test_no_command_shows_the_help(here):
    status, out, _ = here()
    assert status == 2
    for command in (
        "run",
        "report",
        "variance",
        "investigate",
        "dump",
        "parity",
        "transfer",
        "models",
        "prepare",
        "doctor",
    ):
        assert command in out


@pytest.mark.parametrize("command", ["run", "report", "models", "prepare", "doctor"])
def test_every_command_has_a_help_that_explains_its_options(here, command):
    status, out, _ = here(command, "--help")
    assert status == 0
    assert "--" in out


def test_run_then_report_names_the_leaderboard(here, house):
    wanted = ["--models", "example:random-features", "--checkpoint", "random:0", "--protocols", "quick-fine-tune"]
    status, out, err = here("run", *wanted, "--seeds", "2", "--store", "records")
    assert status == 0, err
    assert "4 cells done, 0 failed" in out
    assert err.count("of 500") == 4
    assert "next: isotune report records\n" in out
    status, out, err = here("run", *wanted, "--seeds", "2", "--store", "records")
    assert "4 cells done, 4 of them before, 0 failed" in out
    assert err.count("done before: ") == 4
    status, out, err = here("report", "records", "--out", "board")
    assert (status, err) == (0, "")
    assert out.strip() == "board/leaderboard.md"
    assert "random-features" in (house / "board/leaderboard.md").read_text(encoding="utf-8")


def test_a_failed_cell_gives_status_1_and_leaves_the_others(here, house):
    wanted = [
        "--checkpoint",
        "random:0",
        "--protocols",
        "quick-fine-tune",
        "--seeds",
        "1",
        "--conventions",
        "identical",
    ]
    status, out, err = here("run", *wanted, "--models", "faulty:raises,faulty:works", "--store", "records")
    assert status == 1
    assert "1 cell done, 1 failed" in out
    assert "FAILED: ValueError: a model that raises" in err
    status, out, _ = here("report", "records", "--out", "board")
    assert status == 0
    assert "a model that raises" in (house / "board/leaderboard.md").read_text(encoding="utf-8")


def test_models_are_listed_as_a_table_and_as_json(here):
    status, out, _ = here("models", "--adapter", "example", "--json")
    (entry,) = json.loads(out)
    assert status == 0
    assert (entry["model"], entry["checkpoint"], entry["default"]) == ("example:random-features", "drawn", True)
    assert "1 models, 1 checkpoints" in here("models", "--adapter", "example")[1]


def test_prepare_says_what_it_prepared(here):
    status, out, _ = here(
        "prepare", "--datasets", "digits", "--models", "example:random-features", "--checkpoint", "drawn"
    )
    assert status == 0
    assert "digits: 1000 training and 797 test images, 10 classes" in out
    assert "example:random-features: checkpoint drawn" in out


def test_the_schema_of_a_record_is_printed(here):
    status, out, _ = here("report", "--schema")
    assert status == 0
    assert {"cell", "metrics", "timings", "environment"} <= set(json.loads(out)["properties"])


@pytest.mark.parametrize(
    "command", [["run"], ["investigate", "a", "b"], ["parity"], ["variance"]], ids=lambda it: it[0]
)
def test_the_axes_are_listed_with_their_values(here, command):
    status, said, _ = here(*command, "--conventions", "help")
    assert status == 0
    for name, axis in conventions.AXES.items():
        assert f"{name} ({axis.kind}): " in said
        assert all(f"    {value} " in said for value in axis.values)
