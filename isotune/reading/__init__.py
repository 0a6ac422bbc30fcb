"""The gate: every file that somebody else may have written is read through here.

Regular files only, of a size that its kind may have, nested and numbered within bounds; whatever else a file holds is a
`UsageError` of one line. Sizes that a file declares are held against the file before anything is allocated.

- `regular`, `opened`, `content`, `text`: files as such
- `json`, `json_text`, `toml`: documents; `line_of`: where something stands in TOML
- `isotune.reading.arrays`: NumPy's files and archives; `isotune.reading.images`: images, by decoders that are named

A test (tests/reading/test_gate.py) knows the few places that open files otherwise, and why.
"""

from __future__ import annotations

from isotune.reading._documents import check_plain, json, json_text, toml
from isotune.reading._files import GIB, KIB, MIB, content, gunzipped, opened, regular, text, zipped
from isotune.reading._lines import line_of

__all__ = [
    "GIB", "KIB", "MIB", "check_plain", "content", "gunzipped", "json", "json_text", "line_of", "opened", "regular",
    "text", "toml", "zipped",
]  # fmt: skip
