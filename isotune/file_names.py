"""Names that become names of files: what a user chooses is checked, what is made of words is safe and not too long."""

from __future__ import annotations

import hashlib
import re

from isotune.errors import UsageError
from isotune.printable import printable

_LONGEST = 120  # characters; file systems take 255 bytes, and endings such as "-attribution.svg" follow


def checked(name: str, argument: str) -> str:
    """A file's name without its ending, as the user chose it. UsageError: it leads into another folder, or no file
    system takes it."""
    if not isinstance(name, str):
        raise UsageError(f"{argument}: takes a name, not {type(name).__name__}")
    if re.search(r"[/\\]", name) or name != printable(name) or name.strip(". ") != name or not name:
        raise UsageError(
            f"{argument} {name!r} is no name of a file: no slashes, no control characters, no dot or space at an end"
        )
    if len(name.encode()) > _LONGEST:
        raise UsageError(f"{argument}: at most {_LONGEST} characters, not {len(name.encode())}")
    return name


def shortened(name: str) -> str:
    """A name that is made of words, with a digest in place of what is too much of it."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def of_words(words: str, keep: str = "") -> str:
    """Letters and digits of some words, in lower case, with dashes between. keep: other characters that may stay.

    >>> of_words("digits quick-fine-tune native,resize=plain")
    'digits-quick-fine-tune-native-resize-plain'
    """
    return shortened(re.sub(rf"[^a-z0-9{re.escape(keep)}]+", "-", words.lower()).strip("-. "))
