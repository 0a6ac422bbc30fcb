"""GPUs are shared out among workers, one a worker, by how CUDA names them."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from isotune.executors import devices
from isotune.executors.turns import Turns, several


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A graphics driver's program that says which GPUs there are."""

    def make(*uuids: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text("#!/bin/sh\n" + "".join(f"echo {uuid}\n" for uuid in uuids), encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.delenv(devices.VISIBLE, raising=False)
        monkeypatch.delenv("ISOTUNE_DEVICE", raising=False)

    return make


@pytest.mark.parametrize(
    ("visible", "shared"),
    [
        ("0,1", ["0", "1"]),
        ("3", []),
        ("", []),
        ("-1", []),
        ("1,0,-1,2", ["1", "0"]),
        ("2, 2", []),
        ("GPU-a,MIG-b", ["GPU-a", "MIG-b"]),
    ],
)
def test_those_that_are_to_be_seen_are_shared(visible, shared) -> None:
    assert devices.to_share({devices.VISIBLE: visible}) == shared
    assert devices.to_share({devices.VISIBLE: visible, "ISOTUNE_DEVICE": "cpu"}) == []


def test_else_those_that_are_installed(driver) -> None:
    driver("GPU-a", "GPU-b", "GPU-c")
    assert devices.to_share() == ["GPU-a", "GPU-b", "GPU-c"]
    driver("GPU-a")
    assert devices.to_share() == []
    driver()
    assert devices.to_share() == []


def test_no_device_has_two_cells_while_another_has_none() -> None:
    """Three libraries in turn on two devices, by two threads."""
    cells = [SimpleNamespace(adapter="abc"[number % 3]) for number in range(60)]
    at_work, most, lock = [0, 0], [0, 0], threading.Lock()
    made = []

    def make(device):
        made.append(device)
        return SimpleNamespace(device=device, end=int, stop=int)

    def run(cell, workers):
        device = workers.device
        with lock:
            at_work[device] += 1
            most[device] = max(most[device], at_work[device])
        threading.Event().wait(0.002)
        with lock:
            at_work[device] -= 1

    assert len(list(several(Turns(cells, make), 2, run, devices=2))) == len(cells)
    assert most == [1, 1]
    assert sorted(set(made)) == [0, 1]
