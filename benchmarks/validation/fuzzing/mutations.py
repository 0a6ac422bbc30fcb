"""Ways to spoil a file: its bytes, its words, what it is, and what stands in its folder."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from random import Random

NUMBERS = [
    b"\x00" * 4,
    b"\xff" * 4,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80" + b"\0" * 7,
    b"\x01",
]
WORDS = [
    "1" * 4000, "1" * 5000, "-" + "9" * 30, "0x" + "f" * 5000, "1e999", "-1", "0", "NaN", "Infinity", "nan", "inf",
    "null", "true", "[]", "{}", '""', "[" * 70, "[" * 5000, "[" * 300 + "]" * 300, '{"a":' * 3000,
    '"' + "a" * 5000 + '"', "a." * 5000, "a." * 150 + "b = 1\n", "\x00", "\x1b[31m", "\n\n", '"../../../x"',
    '"/dev/zero"', '"\\ud800"', "é", "1,2,3", "'", '"""', "#",
]  # fmt: skip
_WORD = re.compile(r'"[^"\n]*"|-?\d[\d.eE+-]*|[A-Za-z_]+|[\[\]{}:,=]')


def mutated(content: bytes, random: Random, *, text: bool = False) -> bytes:
    """The content, changed in one to three places. text: also word by word."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if text and random.random() < 0.7:
            content = _reworded(content, random)
        else:
            content = random.choice(_WAYS)(content, random)
    return content


def _flip(content: bytes, random: Random) -> bytes:
    if not content:
        return b"\x01"
    at = random.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << random.randrange(8))]) + content[at + 1 :]


def _overwrite(content: bytes, random: Random) -> bytes:
    at, number = _place(content, random), random.choice(NUMBERS)
    return content[:at] + number + content[at + len(number) :]


def _zero(content: bytes, random: Random) -> bytes:
    at, count = _place(content, random), random.choice((1, 8, 100, 1000))
    return content[:at] + bytes(len(content[at : at + count])) + content[at + count :]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: _place(content, random)]


def _drop(content: bytes, random: Random) -> bytes:
    at = _place(content, random)
    return content[:at] + content[at + random.choice((1, 2, 16, 200)) :]


def _repeat(content: bytes, random: Random) -> bytes:
    at, count = _place(content, random), random.choice((1, 16, 300))
    return content[:at] + content[at : at + count] * random.choice((2, 50)) + content[at + count :]


def _insert(content: bytes, random: Random) -> bytes:
    at = _place(content, random)
    return content[:at] + random.randbytes(random.choice((1, 4, 40))) + content[at:]


def _append(content: bytes, random: Random) -> bytes:
    return content + random.choice((b"\0", content, random.randbytes(100)))


_WAYS = (_flip, _flip, _flip, _overwrite, _overwrite, _zero, _zero, _cut, _drop, _repeat, _insert, _append)


def _place(content: bytes, random: Random) -> int:
    """Anywhere, half of the time near the beginning, where headers stand."""
    return random.randrange(max(1, min(len(content), random.choice((200, len(content) or 1)))))


def _reworded(content: bytes, random: Random) -> bytes:
    source = content.decode("utf-8", errors="replace")
    words = list(_WORD.finditer(source))
    if not words:
        return _insert(content, random)
    word = random.choice(words)
    new = random.choice((random.choice(WORDS), random.choice(words)[0], word[0] * 2, ""))
    return (source[: word.start()] + new + source[word.end() :]).encode("utf-8", errors="replace")


def exchanged(path: Path, random: Random) -> None:
    """Something else in a file's place: a pipe, a folder, a link to a device or to nowhere, nothing."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    match random.choice(("pipe", "folder", "device", "circle", "nothing", "empty", "sparse")):
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "circle":
            path.symlink_to(path.name)
        case "empty":
            path.touch()
        case "sparse":
            with path.open("wb") as file:
                file.truncate(1 << 36)


def spoil(place: Path, random: Random, *, text: bool = False) -> None:
    """A file, or one in a folder, changed; one in twenty times by something else in its place."""
    path = place
    if place.is_dir():
        path = random.choice(sorted(each for each in place.rglob("*") if each.is_file()))
    if random.random() < 0.05:
        exchanged(path, random)
    else:
        content = path.read_bytes()
        path.write_bytes(mutated(content, random, text=text or path.suffix in (".json", ".csv", ".toml", ".bib")))
