"""What several tests share: a cache of their own, the small adapters installed as packages, warm workers; and how the
suite runs: which tests stay together, and that none is skipped where ISOTUNE_NO_SKIPS is set."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings
from packages import PLANTED, install
from warm_workers import LIBRARIES, WarmWorkers

from isotune.workers import process
from isotune.workers.threads import settle_threads

if os.environ.pop("PYTEST_XDIST_WORKER", None):  # a pytest that a test starts is no worker, and may measure
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each process of the run has a core
settle_threads()  # before a test imports torch; workers inherit it
settings.register_profile("isotune", deadline=None)  # a busy machine is no failure
settings.load_profile("isotune")
HERE = Path(__file__).parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return _not_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return _not_skipped((yield))


def _not_skipped(report):
    """Under ISOTUNE_NO_SKIPS, as in CI, a skipped test is one that fails: there all that tests need is installed."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("ISOTUNE_NO_SKIPS"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {why}; no test may be skipped here"
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file's tests share what its fixtures make, so one process has them all; files of one xdist_group share more,
    such as a process of Keras; tests of the group `apart` share nothing. `--dist loadgroup` does not do it:
    pytest-xdist 3.8 names groups in ids that pytest 9.2 computes anew, and every test would be a group of its own."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            group = _group(nodeid.partition("::")[0])
            return nodeid if group == "apart" else group

    return ByFile(config, log)


@functools.cache
def _group(file: str) -> str:
    """The group that a test file names, or the file."""
    named = re.search(r'xdist_group\("(\w+)"\)', (HERE.parent / file).read_text(encoding="utf-8"))
    return named[1] if named else file


@pytest.fixture(scope="session")
def of_the_run(request, tmp_path_factory) -> Path:
    """The temporary folder of the whole run, which all its processes see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def packages(of_the_run) -> Path:
    """A folder in which the adapters of the tests are installed, as pip does it; for PYTHONPATH."""
    adapters = (HERE / "adapters" / "example_adapter", HERE / "workers" / "faulty_adapter", PLANTED)
    place = of_the_run / "packages"
    with FileLock(of_the_run / "packages.lock"):
        if not place.exists():
            place.mkdir()
            install(adapters, place)
    return place / "site"


@pytest.fixture(scope="session")
def shared_cache(of_the_run) -> Path:
    """One cache for all tests that only need prepared things to be there."""
    place = of_the_run / "cache"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture
def house(packages, shared_cache, monkeypatch, tmp_path) -> Path:
    """A working folder in which isotune runs with the small adapters and a cache of the tests' own."""
    monkeypatch.setenv("PYTHONPATH", str(packages))
    monkeypatch.setenv("ISOTUNE_CACHE", str(shared_cache))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def warm_workers():
    running = WarmWorkers((*LIBRARIES, "example"))
    yield running
    running.stop()


@pytest.fixture
def warm(warm_workers, monkeypatch):
    """Workers that are running already, for tests that need no fresh ones."""
    monkeypatch.setattr(process, "WorkerProcess", warm_workers.start)


@pytest.fixture
def isotune(house):
    """Runs the command line in a process of its own: isotune("run", "--seeds", "1")."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "isotune.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=house,
            env=os.environ | environment,
        )

    return run


@pytest.fixture
def here(house, monkeypatch, capsys):
    """Runs the command line in this process: (status, stdout, stderr)."""

    from isotune import cli

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["isotune", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run
