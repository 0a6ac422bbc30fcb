"""Sealing: whatever changed since it was written is noticed, whoever changed it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune import cache, sealing
from isotune.errors import UsageError
from isotune.sealing import Damaged
from isotune.weights import Weights, kept

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ISOTUNE_VERIFY", raising=False)
    return cache.folder("things")


@given(st.dictionaries(st.text().filter(lambda name: name != "digest"), values, max_size=4))
def test_a_sealed_object_is_read_back_in_any_order(content) -> None:
    written = json.dumps(dict(reversed(sealing.sealed(content).items())))
    assert sealing.unsealed(json.loads(written), "it") == content


@given(st.dictionaries(st.text().filter(lambda name: name != "digest"), values, min_size=1, max_size=4), st.data())
def test_an_object_with_another_value_is_refused(content, data) -> None:
    sealed = sealing.sealed(content)
    name = data.draw(st.sampled_from(sorted(content)))
    sealed[name] = data.draw(values.filter(lambda other: json.dumps(other) != json.dumps(content[name])))
    with pytest.raises(Damaged, match="it is not what was written"):
        sealing.unsealed(sealed, "it")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"null", b"{}", b'{"a": 1}', b"\xff\xfe", b"\0" * 50])
def test_what_is_no_sealed_object_is_refused_in_one_line(place: Path, content: bytes) -> None:
    file = place / "file.json"
    file.write_bytes(content)
    with pytest.raises(Damaged, match=str(file)) as caught:
        sealing.read_json(file)
    assert len(str(caught.value).splitlines()) == 1


def made(place: Path, calls: list[int]) -> Path:
    """A folder of two files, which counts how often it is made."""

    def build(folder: Path) -> None:
        calls.append(1)
        np.save(folder / "array.npy", np.arange(10))
        (folder / "words.txt").write_text("some words")

    with sealing.made(place / "one", build) as folder:
        return folder


def test_every_bit_of_every_file_of_a_sealed_folder_counts(place: Path) -> None:
    calls: list[int] = []
    folder = made(place, calls)
    rng = np.random.default_rng(0)
    for name in ("array.npy", "words.txt", sealing.SEAL):
        content = (folder / name).read_bytes()
        for position, bit in zip(rng.integers(len(content), size=40), rng.integers(8, size=40), strict=True):
            if name == "array.npy" and b" " in content[position : position + 1]:
                continue  # padding of its header says nothing
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            times = (folder / name).stat()
            (folder / name).write_bytes(flipped)
            os.utime(folder / name, ns=(times.st_atime_ns, times.st_mtime_ns))
            with pytest.raises(Damaged):
                sealing.check(folder)
        (folder / name).write_bytes(content)
    sealing.check(folder)


def test_a_damaged_folder_is_named_set_aside_and_made_again(place: Path, caplog) -> None:
    calls: list[int] = []
    folder = made(place, calls)
    assert (made(place, calls), calls) == (folder, [1])
    (folder / "words.txt").write_text("other")
    assert made(place, calls) == folder
    assert calls == [1, 1]
    assert (folder / "words.txt").read_text() == "some words"
    assert (place / "one.damaged/words.txt").read_text() == "other"
    assert "one/words.txt is not what was written; set aside as one.damaged" in caplog.messages[0]


def test_a_folder_under_the_name_of_another_is_not_taken(place: Path) -> None:
    shutil.copytree(made(place, []), place / "two")
    with pytest.raises(Damaged, match="two contains what belongs into one"):
        sealing.check(place / "two")


def test_what_the_file_system_does_not_tell_is_found_when_everything_is_verified(place: Path, monkeypatch) -> None:
    folder = made(place, [])
    monkeypatch.setattr(sealing, "SMALL", 0)
    sealing.check(folder)
    stamps = sealing._stamps(folder, sealing.check(folder))
    (folder / "words.txt").write_text("same wordz")
    monkeypatch.setattr(sealing, "_stamps", lambda *_: stamps)
    sealing.check(folder)  # what the default does not promise
    monkeypatch.setattr(sealing, "_opened", {})
    monkeypatch.setenv("ISOTUNE_VERIFY", "1")
    with pytest.raises(Damaged, match=r"words\.txt"):
        sealing.check(folder)


def test_another_machine_verifies_for_itself(place: Path, monkeypatch) -> None:
    folder = made(place, [])
    monkeypatch.setattr(sealing, "SMALL", 0)
    assert sealing._remembered(folder)
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    assert not sealing._remembered(folder)


def test_canonical_weights_that_were_altered_are_refused_and_those_of_the_cache_made_again(place: Path, caplog) -> None:
    file = place / "weights.safetensors"
    weights = Weights({"000.conv.kernel": np.arange(1000, dtype=np.float32)}, architecture="one")
    weights.write(file)
    alterations = (
        lambda content: content[:-2000] + bytes(2000),
        lambda content: content.replace(b'"one"', b'"two"'),
        lambda content: content.replace(b'"digest"', b'"dogest"'),
    )
    for alter in alterations:
        content = file.read_bytes()
        altered = alter(content)
        assert altered != content
        file.write_bytes(altered)
        with pytest.raises(UsageError, match="not what was written"):
            Weights.read(file)
        assert kept(file, lambda: weights.write(file)).digest() == weights.digest()
        assert file.with_name("weights.safetensors.damaged").read_bytes() == altered
        assert "set aside as weights.safetensors.damaged" in caplog.messages[-1]
