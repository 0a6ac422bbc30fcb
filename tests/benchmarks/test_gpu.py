"""What `make gpu` does around its steps, and the steps on the CPU: no machine of the tests has CUDA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from gpu import __main__ as gpu
from gpu import machine, steps
from gpu import report as pages

SCRIPT = Path(gpu.__file__).parent
FINDS = """
import json, subprocess, sys, time
with open(sys.argv[-1], "a") as file:
    file.write(json.dumps({"what": "first", "holds": True, "said": ""}) + "\\n")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    file.write(json.dumps({"what": "a child", "holds": None, "said": "", "pid": child.pid}) + "\\n")
    file.write('{"what": "cut of')
"""


def step(code: str, limit: float = 30.0) -> gpu.Step:
    return gpu.Step("parity", [sys.executable, "-c", code], limit)


def gone(pid: int) -> bool:
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_a_machine_without_cuda_is_told_so_in_one_line():
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "sees no CUDA device" in done.stderr
    assert "--device cpu --quick" in done.stderr


@pytest.mark.parametrize(
    ("wrong", "said"), [(["--steps", "party"], "no step 'party'"), (["--minutes", "0"], "nothing")]
)
def test_wrong_options_are_refused(wrong, said):
    done = subprocess.run([sys.executable, str(SCRIPT), *wrong], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_step_whose_time_is_over_leaves_what_it_found_and_no_process(tmp_path):
    result = gpu.carried_out(step(FINDS + "time.sleep(60)"), 3.0, tmp_path / "parity.jsonl", dict(os.environ))
    assert (result["status"], result["said"]) == ("out of time", "ended after 3 s")
    assert [found["what"] for found in result["findings"]] == ["first", "a child"]
    assert gone(result["findings"][1]["pid"])


def test_a_step_that_fails_says_its_last_line_and_what_it_found(tmp_path):
    result = gpu.carried_out(step(FINDS + "sys.exit('no more\\n')"), 30.0, tmp_path / "parity.jsonl", dict(os.environ))
    assert (result["status"], result["said"]) == ("failed", "exit status 1: no more")
    assert len(result["findings"]) == 2
    assert gone(result["findings"][1]["pid"])


def test_a_step_for_which_no_time_is_left_is_not_begun(tmp_path):
    (tmp_path / "parity.jsonl").write_text(
        '{"what": "of an earlier run", "holds": true, "said": ""}\n', encoding="utf-8"
    )
    result = gpu.carried_out(step(FINDS), -1.0, tmp_path / "parity.jsonl", dict(os.environ))
    assert (result["status"], result["findings"]) == ("not begun", [])


def test_the_limits_make_nine_minutes():
    assert gpu.TOTAL == 9 * 60
    assert list(gpu.LIMITS) == list(steps.STEPS_BY_NAME) == list(pages.QUESTIONS)


def report(*steps):
    machine = {
        "card": "NVIDIA H100", "memory_bytes": 80 * 2**30, "cards": 1, "compute_capability": "9.0", "driver": "580",
        "cuda": "13.0", "cudnn": "9", "torch": "2.11", "python": "3.12", "commit": "abc",
    }  # fmt: skip
    return {
        "device": "cuda", "quick": False, "machine": machine, "command": "make gpu", "started": "now", "seconds": 400,
        "steps": list(steps), "holds": gpu.holds(steps),
    }  # fmt: skip


def carried(name, *findings, status="done"):
    return {"name": name, "status": status, "said": "why", "seconds": 3.0, "findings": list(findings)}


def test_the_report_names_the_card_and_what_does_not_hold(tmp_path):
    sound = carried("parity", {"what": "a = b", "holds": True, "said": "identical", "rungs": 3, "worst": None})
    differs = carried("determinism", {"what": "float32, twice", "holds": False, "said": ""})
    ended = carried("overhead", {"what": "timm, 96 px", "holds": None, "said": "below the goal of 1.0",
        "ratios": {"bare": 0.87}, "seconds": {"adapter": [0.5, 0.25, 0.125]}, "graph": "captured"},
        status="out of time")  # fmt: skip
    assert report(sound)["holds"]
    assert not report(sound, differs)["holds"]
    assert not report(sound, ended)["holds"]
    pages.write(report(sound, differs, ended), tmp_path)
    assert json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["steps"][0]["findings"][0]["rungs"] == 3
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert page.startswith("# isotune on NVIDIA H100\n\n**Does not hold: float32, twice; not ended: overhead.**\n")
    assert "0.87 of bare, adapter 250.00 ms a step, CUDA graph: captured" in page
    assert "**Out of time**: why" in page


def test_what_is_not_installed_is_skipped_and_said(monkeypatch, tmp_path):
    monkeypatch.setattr(steps, "find_spec", lambda package: None if package in ("keras", "tensorflow") else 1)
    result = SimpleNamespace(holds=True, line="identical", rungs=())
    monkeypatch.setattr(steps.isotune, "prove", lambda *_, **__: SimpleNamespace(results=(result,)))
    found = steps.Findings(tmp_path / "found.jsonl", "cuda", False, tmp_path)
    steps.parity(found)
    lines = [json.loads(line) for line in found.path.read_text(encoding="utf-8").splitlines()]
    skipped = [line["said"] for line in lines if line["holds"] is None]
    assert skipped == ["skipped: keras, tensorflow not installed", "skipped: keras not installed"]
    proved = [line["what"] for line in lines if line["holds"]]
    assert len([what for what in proved if what.endswith("float64")]) == 3
    assert [what for what in proved if what.endswith("float32")] == [proved[1]]


def test_isotune_is_lent_whole_to_a_python_that_has_it_not(tmp_path):
    site = machine.lend(tmp_path)
    code = """
import isotune, isotune.adapters.torchvision as one
from isotune import names, protocols
from isotune.workers.environment import version
print(isotune.__file__, one.__file__, version("isotune"), sorted(names.adapters()), protocols.load("quick").name)
"""
    environment = {name: value for name, value in os.environ.items() if name != "ISOTUNE_CACHE"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(site)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    core, adapter, rest = done.stdout.split(maxsplit=2)
    assert core == str(site / "isotune/__init__.py")
    assert adapter == str(site / "isotune/adapters/torchvision.py")
    assert rest.strip() == "0.1.0 ['keras', 'timm', 'torch', 'torchvision'] quick"
    assert machine.lacking(site) == []


def test_packages_that_cannot_be_had_are_named_with_what_would_help(tmp_path):
    with pytest.raises(machine.Unfit, match=r"lacks pydantic, and.*pip download.*make gpu WHEELS=wheels") as caught:
        machine.install(["pydantic"], tmp_path, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_steps_run_on_the_cpu(tmp_path):
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--quick", "--minutes", "20", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = {step["name"]: step for step in json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["steps"]}
    assert list(steps) == list(gpu.LIMITS)
    modes = {found["what"]: found for found in steps["modes"]["findings"]}
    assert "no TF32" in modes["tf32"]["said"]
    assert modes["float16"]["loss_scale"] > 0
    assert all(step["findings"] for step in steps.values())
