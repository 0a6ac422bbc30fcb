"""A cluster that cannot be had is said in one line within seconds; and what there is room for on one that can."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, field

import pytest

from isotune.errors import UsageError
from isotune.executors import find
from isotune.executors.ray import _cluster
from isotune.executors.ray._cluster import Needs, Node

pytest.importorskip("ray")


@dataclass
class Known:
    """A cluster of which the nodes are known."""

    rooms: list[dict[str, float]] = field(default_factory=list)
    address: str = "head:6379"

    def nodes(self):
        return [Node(str(number), f"node{number}", room) for number, room in enumerate(self.rooms)]


SMALL = {"CPU": 4.0, "memory": 8.0 * 2**30}
LARGE = {"CPU": 32.0, "GPU": 4.0, "memory": 256.0 * 2**30}


@pytest.mark.parametrize(
    ("needs", "room", "fit"),
    [
        (Needs(1, 0, 2), SMALL, 4),
        (Needs(1, 0, 3), SMALL, 2),
        (Needs(3, 0, 0), SMALL, 1),
        (Needs(1, 1, 2), SMALL, 0),
        (Needs(4, 1, 2), LARGE, 4),
        (Needs(4, 0.5, 2), LARGE, 8),
        (Needs(1, 0, 1), {}, 0),
    ],
)
def test_workers_fit_by_what_is_scarcest(needs, room, fit) -> None:
    assert needs.fitting(Node("0", "a", room)) == fit


def test_a_worker_has_a_gpu_where_there_are_any_unless_it_is_said() -> None:
    assert Needs(1, None, 1).on(Known([SMALL]), None).gpus == 0
    assert Needs(1, None, 1).on(Known([SMALL, LARGE]), None).gpus == 1
    assert Needs(1, 0, 1).on(Known([SMALL, LARGE]), None).gpus == 0


def test_what_no_node_has_room_for_is_refused_unless_more_are_waited_for() -> None:
    needs = Needs(8, 0, 2)
    with pytest.raises(
        UsageError, match="no node of the Ray cluster head:6379 has 8 CPUs, 2 GiB for a worker; its lar"
    ):
        needs.on(Known([SMALL]), None)
    with pytest.raises(UsageError, match="it has no node; ask for less"):
        needs.on(Known(), None)
    assert needs.on(Known([SMALL]), 3) == needs


@pytest.mark.parametrize("place", ["127.0.0.1:1", "127.0.0.1", "ray://127.0.0.1:1", "nowhere.invalid:6379"])
def test_where_nobody_answers_is_said_at_once(place, monkeypatch) -> None:
    monkeypatch.setattr(_cluster, "_PORT", 1)
    began = time.monotonic()
    with pytest.raises(UsageError, match=f"the Ray cluster {place} cannot be reached .*'ray status' on its head"):
        _cluster._address(place)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("place", ["head:", "head:ray", "head:70000"])
def test_what_is_no_port_is_refused(place) -> None:
    with pytest.raises(UsageError, match=r"is no port; write ray:HOST:6379"):
        _cluster._address(place)


def test_the_cluster_of_this_machine_is_taken_while_it_answers(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert _cluster._address("") == ""
    (tmp_path / "ray").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (tmp_path / "ray/ray_current_cluster").write_text(address)
        assert _cluster._address("") == _cluster._address("auto") == address
        assert _cluster._address("local") == ""
    assert _cluster._address("") == "", "it has ended, and one is started"
    with pytest.raises(UsageError, match="no Ray runs on this machine"):
        _cluster._address("auto")


def test_a_cluster_that_was_named_or_found_is_asked_for_as_that(tmp_path, monkeypatch) -> None:
    """Of one that it finds itself, Ray has the token."""
    asked: list[dict] = []
    monkeypatch.setattr("ray.init", lambda **how: asked.append(how))
    monkeypatch.setattr("ray.shutdown", lambda: None)
    monkeypatch.setattr(_cluster, "_unreachable", lambda *where: None)
    monkeypatch.setattr(_cluster, "_of_this_machine", lambda: "127.0.0.1:6379")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for place in ("", "auto", "head:6379", "local"):
        with _cluster.connected(place):
            pass
    monkeypatch.setenv("RAY_ADDRESS", "other:6379")
    with _cluster.connected(""):
        pass
    assert [how["address"] for how in asked] == ["auto", "auto", "head:6379", "local", "other:6379"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("Version mismatch: it has:\n    Ray: 2.1\n"),
            r"is of another version .*\(Ray .*\): .* it has: Ray: 2.1; in",
        ),
        (ConnectionError("Failed to connect"), "cannot be used: ConnectionError: Failed .* set RAY_AUTH_MODE=token$"),
    ],
)
def test_a_cluster_that_refuses_is_said_in_one_line(error, said, monkeypatch, capfd) -> None:
    def refused(**how):
        os.write(2, b"noise")
        raise error

    monkeypatch.setattr("ray.init", refused)
    monkeypatch.setattr(_cluster, "_unreachable", lambda *where: None)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(UsageError, match=said) as refusal, _cluster.connected("head:6379"):
        pass
    assert "\n" not in repr(str(refusal.value))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("asked", "seen", "gib"), [(None, 0, 2), (None, 2**30, 1.25), (None, 2**30 + 1, 1.5), (3, 2**40, 3)]
)
def test_a_worker_has_the_memory_that_was_seen_unless_it_is_said(asked, seen, gib) -> None:
    assert Needs.of(1, 0, asked, seen).memory == gib


def test_options_are_numbers_that_can_be() -> None:
    assert find("ray:head:6379,cpus=4,gpus=0.5,memory=8", jobs=3).jobs == 3
    for wrong in ("cpus=0", "gpus=-1", "memory=lots", "cpu=1"):
        with pytest.raises(UsageError, match=r"executor 'ray,"):
            find(f"ray,{wrong}")


def test_without_ray_it_is_said_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr("isotune.executors.ray._executor.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"the package 'ray' is not installed; run: pip install 'isotune\[ray\]'"):
        find("ray")
