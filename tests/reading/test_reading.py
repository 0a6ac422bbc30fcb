"""The gate: what it lets through, and what it says of all else."""

from __future__ import annotations

import io
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isotune import data, protocols, reading
from isotune.adapters.file_function import FileFunction
from isotune.comparison import observations
from isotune.data.decoding import Unreadable, decode
from isotune.errors import UsageError
from isotune.interface.arguments import model
from isotune.reading import arrays, images
from isotune.report.analysis.benchmark import read_benchmark


def npz(path: Path, **changes: object) -> Path:
    """A whole archive of twelve and six images, less what is None."""
    random = np.random.default_rng(0)
    content = {
        "x_train": random.integers(0, 256, (12, 4, 4, 3), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": random.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8),
        "y_test": np.arange(6) % 3,
    }
    np.savez(path, **{key: value for key, value in (content | changes).items() if value is not None})
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def linked(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


def listening(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (pipe, "a named pipe, not a file"),
        (linked, "a device, not a file"),
        (listening, "a socket, not a file"),
        (folder, "Is a directory"),
        (lambda path: path, "No such file"),
        (lambda path: path.with_name("a\0b"), "no name of a file"),
    ],
    ids=["pipe", "device", "socket", "folder", "nothing", "null"],
)
def test_only_regular_files_are_read(
    tmp_path: Path, make: Callable[[Path], Path], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "file.toml")
    for read in (reading.content, reading.text, reading.json, lambda path, _: arrays.array(path)):
        with pytest.raises(UsageError, match=words):
            read(path, 100)
    with pytest.raises(UsageError, match=words):
        arrays.archive(path, ("x",))
    with pytest.raises(UsageError, match=words):
        protocols.load(path)


def test_a_file_has_at_most_so_many_bytes_and_as_many_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert reading.content(path, 100) == b"x" * 100
    with pytest.raises(UsageError, match=r"file: has 100 bytes; at most 99 bytes are read"):
        reading.content(path, 99)
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # sparse: it takes no room
    with pytest.raises(UsageError, match=r"has 1,024 GiB; at most 64 MiB are read"):
        reading.content(path, 64 * reading.MIB)
    with pytest.raises(UsageError, match="more bytes than its size says"):
        reading.content("/proc/self/status", 100)


def test_text_is_utf_8_with_lines_of_every_system(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes("ä\r\nb\rc\n".encode())
    assert reading.text(path, 100) == "ä\nb\nc\n"
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        reading.text(path, 100)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "recursion limit"),
        ("[" * 210 + "]" * 210, "recursion limit"),
        ("9" * 5000, "out of range"),
        ("9" * 20, "more than 64 bits"),
        ("{", "EOF"),
    ],
)
def test_json_nests_and_numbers_within_bounds(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"x: not JSON .*{words}"):
        reading.json_text(text, "x")


def test_json_is_what_python_writes() -> None:
    assert reading.json_text('{"a": [1, -2.5, null, Infinity], "b": 9223372036854775807}', "x") == {
        "a": [1, -2.5, None, float("inf")],
        "b": 2**63 - 1,
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "nested more than 64 deep"),
        ("a = " + "[" * 70 + "]" * 70, "nested more than 64 deep"),
        ("a." * 100 + "b = 1", "nested more than 64 deep"),
        ("a." * 100_000 + "b = 1", "line 1 has more than 200 dots"),
        ("a = " + "1" * 4400, "not TOML: .*digits"),
        ("a = 0x" + "f" * 4400, "more than 64 bits"),
        ("a = 9223372036854775808", "more than 64 bits"),
        ("a = ", "not TOML"),
    ],
)
def test_toml_nests_and_numbers_within_bounds(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"x: .*{words}"):
        reading.toml(text, "x")


def test_a_protocol_of_values_nests_and_numbers_within_bounds() -> None:
    deep: dict[str, object] = {}
    deep["a"] = deep
    for values, words in ((deep, "nested"), ({"name": [1 << 70]}, "64 bits")):
        with pytest.raises(UsageError, match=words):
            protocols.load(values)


def header(shape: str, descr: str = "'|u1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text + b"\n"


@pytest.mark.parametrize(
    "content",
    [
        header("(1000000000000,)") + b"x" * 10,
        header("(10,)") + b"x" * 9,
        header("(10,)") + b"x" * 11,
        header("(-1, -10)") + b"x" * 10,
        header("(10,)", "'|S99999999999'") + b"x" * 10,
        header("(1,)", "'|O'") + b"x" * 8,
        header("(1,)", "[('a', '|O')]") + b"x" * 8,
        header("(" * 3000),
        b"\x93NUMPY\x03\x00",
        b"",
    ],
)
def test_an_array_is_what_its_header_declares(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    for mapped in (False, True):
        with pytest.raises(UsageError, match=r"a\.npy: ") as caught:
            arrays.array(path, mapped=mapped)
        assert len(str(caught.value)) < 600
        assert "allow_pickle" not in str(caught.value)
        assert "unsafe" not in str(caught.value)


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.empty((0, 3))])
def test_arrays_come_back(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    for mapped in (False, True):
        read = arrays.array(tmp_path / "a.npy", mapped=mapped)
        assert np.array_equal(read, array)
        assert read.dtype == array.dtype


def test_an_archive_that_would_flood_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x_train.npy", "w") as entry:
        for _ in range(100):
            entry.write(bytes(1 << 20))
    with pytest.raises(UsageError, match=r"an archive of .* that would expand to 100 MiB"):
        data.prepare(f"npz:{path}")


def test_a_flipped_bit_of_an_archive_shows_or_is_in_no_array(tmp_path: Path) -> None:
    keys = ("x_train", "y_train", "x_test", "y_test")
    whole, refused = npz(tmp_path / "a.npz").read_bytes(), 0
    as_it_was = arrays.archive(tmp_path / "a.npz", keys)
    places = range(0, len(whole), 17)
    for place in places:
        (tmp_path / "b.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            read = arrays.archive(tmp_path / "b.npz", keys)
        except UsageError:
            refused += 1
        else:
            assert all(np.array_equal(read[key], as_it_was[key]) for key in keys), place
    assert refused > 0.7 * len(places)


def test_a_label_names_no_more_classes_than_there_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    labels = np.arange(12) % 3
    labels[3] = 10**9
    with pytest.raises(UsageError, match="the highest label is 1000000000; at most 100,000 classes"):
        data.prepare(f"npz:{npz(tmp_path / 'a.npz', y_train=labels)}")
    with pytest.raises(UsageError, match="the highest label is 1000000000; at most 100,000 classes"):
        data.prepare((np.zeros((12, 4, 4, 3), np.uint8), labels))
    names = np.arange(100_001).astype(str)
    with pytest.raises(UsageError, match="more than 100,000 classes"):
        data.prepare(f"npz:{npz(tmp_path / 'b.npz', classes=names)}")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n0 0 10 10 rectfill\nshowpage\n%%EOF\n"


def test_no_program_is_started_for_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(Unreadable, match=r"not an image that can be read \(PNG, JPEG, BMP, GIF, WEBP, TIFF, PPM\)"):
        decode(EPS)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["TGA", "ICO", "SGI", "DDS", "PCX", "JPEG2000", "PDF"])
def test_no_other_decoder_is_asked(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, kind)
    with pytest.raises(Unreadable, match="not an image that can be read"):
        decode(buffer.getvalue())


@pytest.mark.parametrize("kind", [*images.DECODERS, "MPO"])
def test_each_decoder_that_is_named_decodes(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 17)).save(buffer, kind, **({"save_all": True} if kind == "MPO" else {}))
    assert decode(buffer.getvalue()).shape == (17, 16, 3)


def test_a_flipped_bit_of_a_png_shows() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(buffer, "PNG")
    whole = buffer.getvalue()
    for place in range(len(whole) - 12):  # all but the last block's: its end is the file's
        with pytest.raises(Unreadable):
            decode(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])


def test_pipes_and_devices_among_the_images_are_unreadable_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (8, 8 + number)).save(tmp_path / "set" / name / f"{number}.png")
    os.mkfifo(tmp_path / "set" / "a" / "pipe.png")
    (tmp_path / "set" / "b" / "zero.png").symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=r"2 of 12 images cannot be read: .*a device, not a file"):
        data.prepare(f"imagefolder:{tmp_path / 'set'}")
    assert (
        "a/pipe.png (a named pipe, not a file)"
        in data.prepare(f"imagefolder:{tmp_path / 'set'}", skip_unreadable=True).note
    )


def test_folders_nest_and_multiply_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    one, other = tmp_path / "set" / "a", tmp_path / "set" / "b"
    other.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(other / "1.png")
    (one / "/".join("d" * 100)).mkdir(parents=True)
    with pytest.raises(UsageError, match="folders are nested more than 32 deep"):
        data.prepare(f"imagefolder:{tmp_path / 'set'}")
    (one / "d").rename(tmp_path / "elsewhere")
    for number in range(20):  # each leads twice into the next
        place = tmp_path / "links" / str(number)
        place.mkdir(parents=True)
        for name in "xy":
            (place / name).symlink_to(tmp_path / "links" / str(number + 1))
    (one / "links").symlink_to(tmp_path / "links" / "0")
    with pytest.raises(UsageError, match="a class has more than 10,000 folders"):
        data.prepare(f"imagefolder:{tmp_path / 'set'}")


def test_a_pipe_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a named pipe, not a file"):
        model(pipe(tmp_path / "net.py"))
    with pytest.raises(UsageError, match="a named pipe, not a file"):
        FileFunction("torch", f"{tmp_path / 'net.py'}:make")
    (tmp_path / "deep.py").write_text("x = " + "(" * 5000)
    with pytest.raises(UsageError, match="is no Python"):
        model(tmp_path / "deep.py")


@pytest.mark.parametrize(
    "content", ["", "[" * 5000, '{"benchmarks": ' + "9" * 5000 + "}", "[]", '{"benchmarks": [{"extra_info": {}}]}']
)
def test_a_benchmark_file_is_json_within_bounds(tmp_path: Path, content: str) -> None:
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(UsageError, match=r"b\.json: "):
        read_benchmark(tmp_path / "b.json")


def test_a_folder_of_observations_has_its_own_files_alone(tmp_path: Path) -> None:
    observations.write(tmp_path / "seen", [("a", np.arange(3.0)), ("b", np.arange(4.0))])
    (tmp_path / "seen" / "zero").symlink_to("/dev/zero")
    observations.copy(tmp_path / "seen", tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["arrays.bin", "index.json"]
    assert observations.Observations(tmp_path / "copy")["b"].tolist() == [0, 1, 2, 3]
    for index in ('{"a": "../../0"}', '{"a": -1}', "[]", '{"a": true}', "[" * 5000):
        (tmp_path / "copy" / "index.json").write_text(index)
        with pytest.raises(UsageError, match=r"index\.json: "):
            observations.Observations(tmp_path / "copy")
    (tmp_path / "seen" / "arrays.bin").unlink()
    (tmp_path / "seen" / "arrays.bin").symlink_to("/dev/zero")
    with pytest.raises(UsageError, match="a device, not a file"):
        observations.copy(tmp_path / "seen", tmp_path / "again")
