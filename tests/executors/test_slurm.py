"""The executor `slurm`: what may be asked of it, and the whole way through submitit's jobs on this machine.

benchmarks/validation/slurm runs it on a cluster.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_local import cells  # noqa: F401

from isotune.errors import UsageError
from isotune.executors import find
from isotune.executors.slurm import Slurm, _options, _queue, _submissions, _watch
from isotune.runs.driver import Driver
from isotune.runs.store import Store


class Here(Slurm):
    """Jobs are processes of this machine."""

    cluster = "local"


def driver(store: Store, **options) -> Driver:
    return Driver(store, Here(**options), note=lambda line: print(line, flush=True))


def the_job(store: Store) -> tuple[psutil.Process, psutil.Process]:
    """The process that watches the only job, whose number is the job's, and the job's own."""
    (submission,) = _submissions.read(store.folder)
    (number,) = submission.cells
    watching = psutil.Process(int(number))
    return watching, next(each for each in watching.children() if "submitit.core._submit" in each.cmdline())


def once(file: str, do: Callable[[], object]) -> None:
    """Do it when the file is there; it is removed."""

    def wait() -> None:
        while not Path(file).exists():
            time.sleep(0.05)
        do()

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize(
    ("said", "minutes"),
    [
        (90, 90), ("90", 90), ("90m", 90), ("2h", 120), ("1h30m", 90), ("1d", 1440), ("45s", 1), ("1:30", 2),
        ("1:30:00", 90), ("2-12", 3600), ("1-0:30", 1470), ("1-00:00:30", 1440), ("10 min", 10),
    ],
)  # fmt: skip
def test_times_are_slurms_and_isotunes(said, minutes) -> None:
    assert _options.minutes(said) == minutes


@given(st.integers(0, 30), st.integers(0, 23), st.integers(0, 59))
def test_a_time_is_the_same_however_it_is_written(days, hours, minutes) -> None:
    total = days * 1440 + hours * 60 + minutes
    if total:
        assert _options.minutes(f"{days}-{hours}:{minutes:02}") == total
        assert _options.minutes(f"{days * 24 + hours}:{minutes:02}:00") == total
        assert _options.minutes(f"{days}d{hours}h{minutes}m") == total


@given(st.text(max_size=30))
def test_whatever_is_said_is_taken_or_refused(text) -> None:
    for check in (_options.minutes, _options.memory, _options.further):
        with contextlib.suppress(UsageError):
            assert str(check(text)).isprintable()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("slurm,time=soon", "slurm: 'soon' is no time limit; give 90m, 2h or 1d"),
        ("slurm,time=0", "is no time limit"),
        ("slurm,memory=much", "slurm: 'much' is no size of memory; give 16G or 500M"),
        ("slurm,cpus=0", "slurm: 0 cpus: at least 1"),
        ("slurm,cpus=many", "cpus"),
        ("slurm,partitions=gpu", "has no option 'partitions'; did you mean 'partition'?"),
        ("slurm:gpu", "slurm takes nothing after a colon"),
        ("slurm,sbatch=array=0-3", "'array' is no option of sbatch that can be said here"),
        ("slurm,sbatch=mem=3G", "slurm: sbatch: mem: say it as memory"),
    ],
)
def test_wrong_options_are_refused(spec, said) -> None:
    with pytest.raises(UsageError) as refused:
        find(spec)
    assert said in str(refused.value)


@pytest.mark.parametrize("value", ["a\nrm -rf .", "", " ", "a\x00b", "a\u2028b"])
def test_what_stands_in_a_script_has_one_line(value) -> None:
    for options in ({"partition": value}, {"account": value}, {"sbatch": {"qos": value}}, {"sbatch": {value: "x"}}):
        with pytest.raises(UsageError):
            Slurm(**options)


def test_options_reach_sbatch() -> None:
    asked = find("slurm,partition=gpu,time=2h,memory=16gb,cpus=4,gpus=1,account=vision,sbatch=qos=long exclusive")
    assert asked.flags() == [
        "--partition=gpu", "--account=vision", "--time=120", "--mem=16G", "--cpus-per-task=4", "--gpus-per-node=1",
        "--qos=long", "--exclusive",
    ]  # fmt: skip
    assert not asked.shared
    assert Slurm().shared


def test_a_script_says_what_was_asked(tmp_path) -> None:
    from submitit.slurm import slurm

    asked = Slurm(partition="gpu", time="2h", memory="16G", cpus=4, parallel=8, sbatch={"qos": "long"}).parameters()
    own = {name.removeprefix("slurm_"): value for name, value in asked.items() if name.startswith("slurm_")}
    text = slurm._make_sbatch_string("true", tmp_path, time=asked["timeout_min"], map_count=20, **own)
    for line in ("--partition=gpu", "--time=120", "--mem=16G", "--array=0-19%8", "--qos=long", "--requeue"):
        assert f"#SBATCH {line}\n" in text
    assert "--cpus-per-task=4" in text.partition("# command")[2], "a step does not inherit it"


def test_states_are_read_as_slurm_says_them() -> None:
    said = "12_0|RUNNING|n1|None\n12_1|PENDING||Resources\n12_2|OUT_OF_MEMORY|n2|OutOfMemory\n13|CANCELLED||None\n"
    states = dict(_queue._queued(said))
    assert [(state.runs, state.over) for state in states.values()] == [
        (True, False), (False, False), (False, True), (False, True),
    ]  # fmt: skip
    assert str(states["12_2"]) == "ended OUT_OF_MEMORY on n2 (OutOfMemory)"
    said = "12_0|CANCELLED by 1000|None assigned|0:0\n12_1|TIMEOUT|n1|0:15\n"
    states = dict(_queue._accounted(said))
    assert str(states["12_0"]) == "ended CANCELLED"
    assert str(states["12_1"]) == "ended TIMEOUT on n1 (exit status 0:15)"


SWEEP = """
models = ["example:random-features"]
checkpoints = ["random:0"]
protocols = ["quick"]
conventions = ["identical"]
seeds = 1
store = "records"
executor = { name = "slurm", partition = "gpu", time = "2h" }
"""


def test_without_slurm_nothing_runs(here, monkeypatch, tmp_path) -> None:
    Path("sweep.toml").write_text(SWEEP)
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, errors = here("run", "sweep.toml")
    assert status == 2
    last = errors.strip().splitlines()[-1]
    assert last.startswith("isotune: slurm: there is no sbatch on this machine; start isotune where jobs are submitted")
    assert not Path("records/.slurm").exists()


def test_without_submitit_it_says_what_to_install(here, monkeypatch) -> None:
    Path("sweep.toml").write_text(SWEEP)
    monkeypatch.setitem(sys.modules, "submitit", None)
    status, _, errors = here("run", "sweep.toml")
    assert (status, errors.strip().splitlines()[-1]) == (
        2, "isotune: the package 'submitit' is not installed; run: pip install 'isotune[slurm]'",
    )  # fmt: skip


def test_a_sweep_file_is_told_the_line_of_a_wrong_option(here) -> None:
    Path("sweep.toml").write_text(SWEEP.replace("2h", "soon"))
    status, _, errors = here("run", "sweep.toml")
    assert status == 2
    assert "sweep.toml, line 8: executor: time: slurm: 'soon' is no time limit" in errors


def test_the_status_says_when_slurm_cannot_be_asked(here, monkeypatch, tmp_path) -> None:
    store = Store(Path("records"))
    store.check()
    _submissions.keep(_submissions.new_folder(store), {"12_0": ["a", "b"], "12_1": ["c"]})
    monkeypatch.setenv("PATH", str(tmp_path))
    status, said, _ = here("status", "records")
    assert status == 0
    assert "jobs of slurm: 2 of which nothing is known: Slurm cannot be asked: there is no squeue on this mach" in said


def test_what_is_left_of_jobs_is_not_believed(tmp_path) -> None:
    """A store may come from anybody, and numbers of jobs go into commands."""
    store = Store(tmp_path)
    good, bad = _submissions.new_folder(store), _submissions.new_folder(store)
    _submissions.keep(good, {"12": ["a"]})
    _submissions.keep(bad, {"--user=root": ["a"]})
    assert [each.folder for each in _submissions.read(tmp_path)] == [good]
    (good / "submitted.json").write_text((good / "submitted.json").read_text().replace('"12"', '"13"'))
    assert not _submissions.read(tmp_path)


def test_a_refusal_is_one_line(monkeypatch, tmp_path) -> None:
    """As sbatch of Slurm 24.11 words them."""
    for name in ("srun", "squeue", "scancel", "sbatch"):
        (tmp_path / name).write_text(
            "#!/bin/sh\necho 'sbatch: error: invalid partition specified: nowhere' >&2\n"
            "echo 'allocation failure: Invalid partition name specified' >&2\nexit 1\n"
        )
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError) as refused:
        _queue.check(["--partition=nowhere"])
    assert str(refused.value) == (
        "slurm: sbatch refuses such a job: invalid partition specified: nowhere; Invalid partition name specified;"
        " 'sinfo' lists partitions and limits"
    )


def test_cells_run_in_jobs_once_each(cells, house) -> None:  # noqa: F811
    store, planned = Store(house / "store"), cells("example:random-features", "faulty:raises", seeds=2)
    records = {record.cell.key: record for record in driver(store, jobs=2).run(planned)}
    assert [records[cell.key].status for cell in planned] == ["done", "failed"] * 2, [r.error for r in records.values()]
    assert "ValueError: a model that raises" in records[planned[1].key].error
    assert not records[planned[0].key].timings.alone, "who else is on a node is not known"
    assert len(list(store.folder.glob("*/record.json"))) == 4
    assert not (store.folder / _submissions.FOLDER).exists()


@pytest.mark.slow
def test_a_job_that_is_killed_is_submitted_again(cells, house) -> None:  # noqa: F811
    store = Store(house / "store")
    planned = [*cells("example:random-features", seeds=2), *cells("faulty:waits-once")]
    once("waited", lambda: the_job(store)[1].kill())  # noqa: PLW0108
    records = list(driver(store).run(planned))
    assert [record.status for record in records] == ["done"] * 3
    assert len(list(store.folder.glob("*/record.json"))) == len({record.cell.key for record in records}) == 3


@pytest.mark.slow
def test_a_cell_at_which_jobs_are_lost_fails_and_the_others_go_on(cells, house, monkeypatch) -> None:  # noqa: F811
    monkeypatch.setattr(_watch, "_ASKING", 1.0)
    store = Store(house / "store")
    (deadly,), sound = cells("faulty:waits"), cells("example:random-features", seeds=2)
    killed = []

    def kill() -> None:
        Path("waits").unlink()
        killed.append(the_job(store)[1].kill())
        if len(killed) < _watch.TRIES:
            once("waits", kill)

    once("waits", kill)
    records = {record.cell.key: record for record in driver(store).run([deadly, *sound])}
    assert len(killed) == _watch.TRIES
    assert [records[cell.key].status for cell in sound] == ["done", "done"]
    assert records[deadly.key].error.startswith("its Slurm job ")
    assert records[deadly.key].error.endswith("; 3 jobs were lost at it")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
def test_a_job_that_is_told_to_go_leaves_no_claim_and_goes_on(cells, house, number) -> None:  # noqa: F811
    """Every process of the job hears the signal, as Slurm sends it."""
    store = Store(house / "store")
    planned = [*cells("example:random-features", seeds=2), *cells("faulty:waits-once")]

    def tell() -> None:
        own = the_job(store)[1]
        for process in own.children(recursive=True):
            process.send_signal(number)
        time.sleep(0.5)  # which of them hears it first is chance
        own.send_signal(number)

    once("waited", tell)
    began = time.monotonic()
    records = list(driver(store).run(planned))
    assert [record.status for record in records] == ["done"] * 3, [record.error for record in records]
    assert time.monotonic() - began < 300, "nobody waited for it"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning")  # submitit does not wait for its own
def test_interrupted_it_leaves_no_job(cells, house) -> None:  # noqa: F811
    store = Store(house / "store")
    running = driver(store).run([*cells("example:random-features"), *cells("faulty:waits")])
    next(running)
    watching, own = the_job(store)
    processes = [watching, own, *own.children(recursive=True)]
    running.close()
    assert not psutil.wait_procs(processes, timeout=30)[1]
    assert not list((store.folder / ".claims").glob("*"))
