"""Files into a folder: all of them, none over another that is there unless that is asked for."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

from isotune import file_names
from isotune.errors import UsageError, listed


def put(folder: Path, write: Callable[[Path], None], *, replace: bool) -> list[Path]:
    """What `write` writes into an empty folder, in `folder`; the paths there, in order.

    Everything is written beside it first, so that a format that fails leaves nothing. UsageError: a file of that name
    is there and `replace` is not given, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=folder) as draft:
            write(Path(draft))
            made = sorted(path.relative_to(draft) for path in Path(draft).rglob("*") if path.is_file())
            there = [str(folder / name) for name in made if os.path.lexists(folder / name)]
            if there and not replace:
                raise UsageError(
                    f"{listed(there, most=2, longest=150)} {'is' if len(there) == 1 else 'are'} there already; name"
                    " another folder with --out, or --replace"
                )
            for name in made:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(draft) / name).replace(folder / name)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror or error}); name another folder") from None
    return [folder / name for name in made]


def file_names_of(words: Iterable[str]) -> dict[str, str]:
    """A name of a file for each of these words, of letters, digits, dots and dashes; no two are one, on a disk that
    does not tell capitals apart either."""
    plain = {word: file_names.of_words(word, keep=".") or "nameless" for word in words}
    taken = Counter(plain.values())
    return {word: name if taken[name] == 1 else _apart(name, word) for word, name in plain.items()}


def _apart(name: str, word: str) -> str:
    return file_names.shortened(f"{name}-{sha256(word.encode()).hexdigest()[:8]}")
