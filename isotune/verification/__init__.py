"""Published numbers that a user hands in: which cells they are about, and what became of them, to be shown to others.

- `resolve(expected, cells)`: the cells that a number is about; `resolve_listed`: of one that a protocol lists, which
  may be about none of them; `check_measured`: whether they measure it; `keep`, `kept`: with a store, for later reports;
- `read(path)`: a claim file, TOML: model, weights, data, protocol and claim in one; `from_values`: of a dictionary;
- `result`, `check`: what was decided, as JSON sealed with its digest; `badge`: the same as SVG.

What is decided, is decided by `isotune.report.analysis.published`, as for the numbers of the tables.
"""

from isotune.verification._badge import badge
from isotune.verification._claim_file import ClaimFile, from_values, read
from isotune.verification._keeping import keep, kept
from isotune.verification._resolving import check_measured, resolve, resolve_listed
from isotune.verification._result import check, result

__all__ = [
    "ClaimFile",
    "badge",
    "check",
    "check_measured",
    "from_values",
    "keep",
    "kept",
    "read",
    "resolve",
    "resolve_listed",
    "result",
]
