"""Structures that hypothesis makes up: whatever their shape, a reader takes them or refuses them in one line."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing.cases import REFUSED, judged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from isotune import data, protocols, reading
from isotune.errors import UsageError
from isotune.reading import arrays
from isotune.report.analysis.benchmark import read_benchmark
from isotune.weights import Weights

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted(protocols.Protocol.model_fields)
PATH = ["benchmarks", "extra_info", "isotune", "question", "records", "stats", "data"]
DESCR = ["'|u1'", "'<f8'", "'|O'", "'|S999999999'", "'<M8[s]'", "[('a', '|O')]", "'V0'", "3", "None", "'('"]
SIDES = st.integers(-(2**70), 2**70) | st.integers(0, 5)
IMAGES = of_numpy.arrays(
    st.sampled_from([np.uint8, np.float32, np.bool_]), of_numpy.array_shapes(max_dims=5, max_side=4)
)
LABELS = of_numpy.arrays(
    st.sampled_from([np.int64, np.uint64, np.float64, "<U3", np.int8]), of_numpy.array_shapes(max_dims=2, max_side=4)
)
several = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def taken(read: Any, *given_: Any) -> bool:
    """Whether it was taken; refused, that it was so in one clear line."""
    try:
        read(*given_)
    except UsageError as error:
        words = str(error)
    else:
        return True
    assert judged(words) == REFUSED, words
    return False


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), PLAIN, max_size=6))
@several
def test_protocols_of_any_values(values: dict[str, Any]) -> None:
    taken(protocols.load, values)


@given(st.integers(1, 3000), st.sampled_from(["[", '{"a":', "[{}, "]))
@several
def test_json_of_any_depth(depth: int, opening: str) -> None:
    assert not taken(reading.json_text, opening * depth, "x")


@given(st.lists(st.sampled_from(PATH), max_size=6), PLAIN)
@several
def test_benchmark_files_of_any_values(tmp_path: Path, path: list[str], inner: Any) -> None:
    content: Any = inner
    for name in reversed(path):
        content = [{name: content}] if name in ("extra_info", "stats") else {name: content}
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert not taken(read_benchmark, tmp_path / "b.json")


@given(
    st.lists(st.integers(-(2**70), 2**70) | st.integers(0, 5), max_size=4), st.sampled_from(DESCR), st.integers(0, 200)
)
@several
def test_headers_of_any_shape(tmp_path: Path, shape: list[int], descr: str, size: int) -> None:
    sides = "".join(f"{side}," for side in shape)
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': ({sides}), }}\n".encode()
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"x" * size)
    for mapped in (False, True):
        taken(lambda mapped=mapped: arrays.array(tmp_path / "a.npy", mapped=mapped))


@given(IMAGES, LABELS)
@several
def test_archives_of_any_arrays(tmp_path: Path, images: Any, labels: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
        np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
        taken(data.prepare, f"npz:{tmp_path / 'a.npz'}")
        if images.ndim in (3, 4):
            taken(data.prepare, (images, labels))


@given(PLAIN, st.binary(max_size=100))
@several
def test_safetensors_of_any_header(tmp_path: Path, header: Any, body: bytes) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    assert not taken(Weights.read, tmp_path / "a.safetensors")
