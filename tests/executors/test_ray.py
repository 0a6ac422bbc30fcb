"""Cells on a Ray cluster: the tables are those of this machine, whatever is killed meanwhile, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

import isotune
from isotune import protocols
from isotune.executors.ray import _drafts
from isotune.runs.store import Store

pytest.importorskip("ray")
pytestmark = pytest.mark.xdist_group("ray")

RECIPE = """\
name = "tiny"
title = "Tiny"
source = "this test"
images = { train = 64, test = 50 }
input = { size = 16 }
[[stage]]
epochs = 2
batch_size = 16
head_dropout = 0.25
optimizer = { name = "sgd", momentum = 0.9 }
schedule = { learning_rate = 0.05 }
"""
LONGER = RECIPE.replace("epochs = 2", "epochs = 400")
MODELS = ["example:random-features", "faulty:works"]
SEATS = "ray::Seat"


def asked(recipe: str = RECIPE, models: list[str] = MODELS, seeds: int = 2) -> dict:
    return {
        "models": models, "datasets": "digits", "protocols": protocols.parse(recipe, "tiny.toml"), "seeds": seeds,
        "conventions": "identical", "checkpoint": "random:0", "progress": False,
    }  # fmt: skip


def table(store: str) -> dict[str, tuple]:
    """What is to be equal bit for bit."""
    kept = Store(Path(store))
    return {
        record.cell.key: (record.status, record.error, record.metrics, record.predictions_digest,
                          record.checkpoint_digest, kept.predictions(record).tobytes() if record.metrics else b"")
        for record in kept
    }  # fmt: skip


def processes(*words: str) -> list[psutil.Process]:
    """Those whose command holds all of the words."""
    alive = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if all(word in line for word in words) and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive


def gone(*words: str, within: float) -> bool:
    until = time.monotonic() + within
    while processes(*words) and time.monotonic() < until:
        time.sleep(0.2)
    return not processes(*words)


@pytest.fixture
def cluster(house, monkeypatch, tmp_path_factory):
    """A head without room for cells, and three nodes with caches of their own."""
    from ray.cluster_utils import Cluster

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})

    def add(**more):
        own = tmp_path_factory.mktemp("node")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ISOTUNE_CACHE", str(own))
            for name, value in more.items():
                patch.setenv(name, value)
            node = made.add_node(num_cpus=1, include_dashboard=False)
        node.cache = own
        return node

    made.add = add
    made.three = [add() for _ in range(3)]
    yield made
    made.shutdown()


@pytest.mark.slow
def test_a_cluster_that_is_started_for_the_run_gives_the_tables_of_this_machine_and_is_gone(house) -> None:
    here = isotune.run(**asked(models=[*MODELS, "faulty:raises", "faulty:dies"]), store="here")
    there = isotune.run(
        **asked(models=[*MODELS, "faulty:raises", "faulty:dies"]), store="there", executor="ray:local", jobs=2
    )
    assert table("here") == table("there")
    assert (len(there.done), len(there.failed)) == (len(here.done), len(here.failed)) == (4, 4)
    (dead, *_) = [record for record in there.failed if record.cell.model == "faulty:dies"]
    assert "out of luck" in (Path("there") / dead.cell.key / "log.txt").read_text()
    assert not any(record.timings.alone for record in there.done)
    assert gone(SEATS, within=10)
    assert not processes("raylet", str(os.getpid()))


@pytest.mark.slow
def test_nodes_and_actors_that_are_killed_under_load_lose_nothing(cluster, house) -> None:
    isotune.run(**asked(LONGER, seeds=12), store="here", jobs=2)
    told: list[str] = []

    def trouble(what: str, done: int, total: int) -> None:
        if done == 3 and "actor" not in told and what.startswith(tuple(MODELS)):
            told.append("actor")
            processes(SEATS)[0].kill()
        if done == 8 and "node" not in told and what.startswith(tuple(MODELS)):
            told.append("node")
            cluster.remove_node(cluster.three[0], allow_graceful=False)
        if done == 12 and "worker" not in told and what.startswith(tuple(MODELS)):
            told.append("worker")
            cluster.add()

    runs = isotune.run(
        **asked(LONGER, seeds=12) | {"progress": trouble}, store="there", executor=f"ray:{cluster.address}"
    )
    assert told == ["actor", "node", "worker"]
    assert (len(runs.done), len(runs.failed)) == (24, 0)
    assert table("here") == table("there")
    assert len(Store(Path("there")).all()) == 24, "none counted twice"
    assert not list(Path("there/.claims").glob("*"))
    assert gone(SEATS, within=10)
    assert any((node.cache / "datasets").exists() for node in cluster.three[1:]), "sent to a cache of its own"


@pytest.mark.slow
def test_a_fine_tuning_whose_worker_is_lost_goes_on_elsewhere_from_its_draft(cluster, house, monkeypatch) -> None:
    monkeypatch.setenv("ISOTUNE_DRAFTS", "0.2")
    monkeypatch.setattr(_drafts, "_LEAST", 0.2)
    long = asked(RECIPE.replace("epochs = 2", "epochs = 2000"), MODELS[:1], seeds=1)
    isotune.run(**long, store="here")
    killed = []

    def kill() -> None:
        while not list(Path("there/.drafts").glob("*.safetensors")):
            time.sleep(0.05)
        killed.extend(processes(SEATS)[:1])
        killed[0].kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    runs = isotune.run(**long, store="there", executor=f"ray:{cluster.address}")
    assert killed
    assert runs.done[0].timings.resumed
    assert table("here") == table("there")
    assert not Path("there/.drafts").exists()


@pytest.mark.slow
def test_a_fine_tuning_that_is_left_off_brings_its_draft_home(cluster, house, monkeypatch) -> None:
    monkeypatch.setenv("ISOTUNE_DRAFTS", "1")
    long = asked(RECIPE.replace("epochs = 2", "epochs = 4000"), MODELS[:1], seeds=1)
    runs = isotune.run(**long, store="there", executor=f"ray:{cluster.address}", stop_after=6)
    assert len(runs.left) == 1
    assert list(Path("there/.drafts").glob("*.safetensors"))
    runs = isotune.run(**long, store="there", executor=f"ray:{cluster.address}")
    assert runs.done[0].timings.resumed


@pytest.mark.slow
def test_a_driver_that_is_killed_is_started_again_and_goes_on(cluster, house) -> None:
    isotune.run(**asked(LONGER, seeds=6), store="here", jobs=2)
    Path("tiny.toml").write_text(LONGER)
    command = [
        sys.executable, "-m", "isotune.cli", "run", "--models", ",".join(MODELS), "--datasets", "digits",
        "--protocols", "tiny.toml", "--seeds", "6", "--conventions", "identical", "--checkpoint", "random:0",
        "--store", "there", "--executor", f"ray:{cluster.address}",
    ]  # fmt: skip
    for killer in (signal.SIGKILL, signal.SIGTERM):
        driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        before = len(list(Path("there").glob("*/record.json")))
        until = time.monotonic() + 120
        while len(list(Path("there").glob("*/record.json"))) < before + 2 and time.monotonic() < until:
            time.sleep(0.05)
        driver.send_signal(killer)
        began = time.monotonic()
        _, said = driver.communicate(timeout=60)
        if killer == signal.SIGTERM:
            assert time.monotonic() - began < 15
            assert driver.returncode == 128 + signal.SIGTERM
            assert said.strip().splitlines()[-1].startswith("isotune: interrupted; what was done is kept")
        assert gone(SEATS, within=30)
        assert gone("isotune.workers.worker", within=10)
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "12 cells done" in ended.stdout
    assert table("here") == table("there")


@pytest.mark.slow
def test_files_of_ones_own_travel_and_a_node_that_lacks_a_library_is_left_out(cluster, house) -> None:
    from isotune.weights import random_weights

    random_weights({"000.dense.kernel": (192, 256), "000.dense.bias": (256,)}, 0).write(Path("own.safetensors"))
    mine = {"checkpoint": "file:own.safetensors"}
    for node in cluster.three:
        cluster.remove_node(node)
    bare = cluster.add(PYTHONPATH="")  # where the small adapters are not installed
    told: list[str] = []
    runs = isotune.run(
        **asked(models=MODELS[:1]) | mine | {"progress": lambda what, *_: told.append(what)}, store="there",
        executor=f"ray:{cluster.address}",
    )  # fmt: skip
    assert len(runs.failed) == 2
    for record in runs.failed:
        assert "the adapter 'example' is unknown" in record.error or "adapter 'example' is unknown" in record.error
        assert "\n" not in record.error
    cluster.add()
    runs = isotune.run(
        **asked(models=MODELS[:1]) | mine, store="there", executor=f"ray:{cluster.address}", retry_failed=True
    )
    assert len(runs.done) == 2
    isotune.run(**asked(models=MODELS[:1]) | mine, store="here")
    assert table("here") == table("there")
    assert bare.cache
