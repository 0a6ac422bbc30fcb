"""The suite itself, on the small adapters: options, turns, JSON, and the leaderboard made from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SPECS = ["identical", "identical,loss=logits", "native"]  # the second says what the first does anyhow
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


ALWAYS = [
    str(BENCHMARKS), "-p", "no:cacheprovider", "--checkpoint", "random:0",
    "--patience=0",  # other tests disturb all rounds
]  # fmt: skip
SERVED = """
import contextlib, io, json, sys
import pytest
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = pytest.main(json.loads(line))
    print(json.dumps([int(status), out.getvalue(), err.getvalue()]), flush=True)
"""


@pytest.fixture
def suite(house):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", *ALWAYS, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=house)

    return run


@pytest.fixture(scope="module")
def served(tmp_path_factory, packages, shared_cache):
    """The suite where nothing is measured, run after run in one process, which imports everything once."""
    environment = os.environ | {"PYTHONPATH": str(packages), "ISOTUNE_CACHE": str(shared_cache)}
    with subprocess.Popen(
        [sys.executable, "-c", SERVED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        cwd=tmp_path_factory.mktemp("served"),
    ) as process:  # fmt: skip

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            assert process.stdin is not None
            assert process.stdout is not None
            asked = [*ALWAYS, *arguments]
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            return subprocess.CompletedProcess(asked, *json.loads(process.stdout.readline()))

        yield run
        process.stdin.close()


def test_the_suite_gives_json_that_becomes_a_leaderboard_and_can_be_compared(suite, house, isotune):
    asked = [
        "--models",
        "example:random-features,faulty:works",
        "--datasets",
        "digits",
        "--protocols",
        "quick-fine-tune",
    ]
    asked += ["--seeds", "2", "--benchmark-json=a/new/folder/out.json"]
    asked += [f"--conventions={spec}" for spec in SPECS]
    done = suite(*asked)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    benchmarks = json.loads((house / "a/new/folder/out.json").read_text(encoding="utf-8"))["benchmarks"]
    assert len(benchmarks) == 4 * 2 * 3  # questions, models, sets of conventions
    tuning = [one for one in benchmarks if one["name"].startswith("test_fine_tuning")]
    for one in tuning:
        records = one["extra_info"]["isotune"]["records"]
        assert one["stats"]["rounds"] == len(records) == 2
        # the rounds of pytest-benchmark are the seconds that the worker measured
        assert one["stats"]["data"] == pytest.approx([record["timings"]["total"] for record in records], rel=1e-6)
    step = next(one for one in benchmarks if "training_step" in one["name"])
    assert step["stats"]["rounds"] == 6
    assert step["extra_info"]["isotune"]["question"] == "training-step"
    steps = {
        (one["params"]["model"], one["params"]["conventions"]): one for one in benchmarks if "training" in one["name"]
    }
    identical, same, native = (steps["example:random-features", spec] for spec in SPECS)
    assert [one["extra_info"]["isotune"]["same_as"] for one in (identical, same, native)] == [None, "identical", None]
    assert same["stats"]["data"] == pytest.approx(identical["stats"]["data"], rel=1e-6), "one network, measured once"
    assert native["stats"]["data"] != pytest.approx(identical["stats"]["data"], rel=1e-6)
    board = isotune("report", "a/new/folder/out.json", "--out", "board")
    assert board.returncode == 0, board.stderr
    assert (house / "board/leaderboard.md").exists()
    compared = subprocess.run(
        [str(Path(sys.executable).with_name("pytest-benchmark")), "compare", "a/new/folder/out.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=house,
    )
    assert compared.returncode == 0, compared.stderr
    assert "test_training_step" in compared.stdout

    again = suite(*asked, "-k", "fine_tuning", "--benchmark-json=again.json")
    assert again.returncode == 0, again.stdout
    second = json.loads((house / "again.json").read_text(encoding="utf-8"))["benchmarks"]
    for one in second:
        if one["name"].startswith("test_fine_tuning"):
            same = next(other for other in tuning if other["fullname"] == one["fullname"])
            assert one["extra_info"] == same["extra_info"], "what is done is read from the store"


def test_a_model_that_fails_fails_its_own_tests_only(suite, house):
    done = suite("--models", "faulty:raises,faulty:works", "--datasets", "digits", "--protocols", "quick-fine-tune",
                 "--seeds", "1", "-k", "fine_tuning or throughput", "--benchmark-json=failed.json")  # fmt: skip
    assert done.returncode == 1
    assert "a model that raises" in done.stdout
    assert "4 failed, 4 passed" in done.stdout
    records = [
        record
        for one in json.loads((house / "failed.json").read_text(encoding="utf-8"))["benchmarks"]
        if one["name"].startswith("test_fine_tuning")
        for record in one["extra_info"]["isotune"]["records"]
    ]
    assert sorted(record["status"] for record in records) == ["done", "done", "failed", "failed"]


def test_tests_can_be_chosen_by_name(served):
    done = served("--collect-only", "-q", "-k", "throughput and native and timm")
    assert "test_throughput[native-float32-timm:mobilenetv2_100]" in done.stdout.replace("mode", ""), done.stdout
    assert "keras" not in done.stdout


def test_the_standard_tier_has_every_network_of_the_offline_checkpoint(served):
    listed = served("--tier", "standard", "--collect-only", "-q", "-k", "native and fine_tuning").stdout
    for model in (
        "torchvision:mobilenet_v2",
        "keras:MobileNetV2",
        *(f"timm:tf_efficientnet_lite{i}" for i in range(3)),
    ):
        assert f"test_fine_tuning[digits-linear-probe-native-float32-{model}]" in listed


def test_speeds_are_measured_in_every_layout_that_a_library_has_and_accuracies_in_its_users(served):
    lines = served("--collect-only", "-q", "-k", "native and not overhead").stdout.splitlines()
    laid_out = sorted(line.partition("::")[2] for line in lines if "channels_last" in line)
    assert laid_out == [
        f"{test}[native-float32-channels_last-{model}]"
        for test in ("test_latency", "test_throughput", "test_training_step")
        for model in ("timm:mobilenetv2_100", "torchvision:mobilenet_v2")
    ]
    assert sum("test_fine_tuning" in line for line in lines) == 2 * 3, "protocols, models"
    assert sum("keras" in line for line in lines) == 2 + 3, "protocols, questions of speed"


def test_a_mode_that_is_a_librarys_own_is_measured_once(served):
    modes = "float32,float32-channels_last,bfloat16-channels_last-compiled"
    collected = served("--collect-only", "-q", "--modes", modes, "-k", "native and step or native and quick-native")
    chosen = [line.partition("::")[2] for line in collected.stdout.splitlines() if "::" in line]
    for test in ("test_training_step[native", "test_fine_tuning[digits-quick-native"):
        assert sorted(line for line in chosen if line.startswith(test)) == sorted([
            f"{test}-{mode}-{model}]"
            for model, own in (("keras:MobileNetV2", ("float32", "bfloat16-compiled")),
                               ("timm:mobilenetv2_100", modes.split(",")),
                               ("torchvision:mobilenet_v2", modes.split(",")))
            for mode in own
        ])  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tier", "slow"], "quick, standard or full"),
        (["--protocols", "quik"], "did you mean 'quick'"),
        (["--seeds", "x"], "0,4,7"),
        (["--modes", "float31"], "float32, tf32, bfloat16, float16 or float64"),
        (["--modes", "float31"], "did you mean 'float32'"),
        (["--models", ""], "--models: is empty"),
        (["--modes", ",,"], "--modes: is empty"),
        (["--modes", "float32,float32-channel_last"], "did you mean 'channels_last'"),
        (
            ["--modes", "float32-contiguous"],
            "keras on tensorflow has no layout 'contiguous'; it has channels_last only",
        ),
        (["--datasets", "digit"], "did you mean 'digits'"),
        (["--models", "tim:x"], "did you mean 'timm'"),
        (["--conventions", "natve"], "did you mean 'native'"),
        (["--checkpoint", "random:x"], "random needs a seed"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_collected(served, arguments, said):
    done = served(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
