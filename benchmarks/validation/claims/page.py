"""README.md of the claims: what was claimed, measured and concluded, on what it rests, and why where it does not
hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gathering import HOST, sources
from reasons import Explained

from isotune.interface import Verified

_SHOWN = 16  # hexadecimal digits of a digest
_PACKAGES = ("isotune", "torch", "keras", "tensorflow", "numpy", "python", "cpu")
HEADER = """# Claims of others

Does what others published reproduce, with their weights, their test images and their protocols? {counts}.

    {command}

The claims are [files](../../benchmarks/validation/claims/published) that `isotune verify` reads. Beside this page lie
each one's result, sealed with its digest (`isotune verify --check`), and its badge. Weights and images are not in this
repository: [where they come from](#what-it-rests-on), each at a commit and with its digest.

| claim | claimed | measured | test images | verdict | |
| --- | ---: | ---: | --- | --- | --- |"""


def write(folder: Path, verified: Sequence[Verified], explained: Sequence[Explained], command: str) -> Path:
    """The page, each claim's result and badge, and the investigations; the page's path."""
    for each in verified:
        each.write(folder)
    counts = Counter(each.outcome for each in verified)
    said = ", ".join(f"{number} {outcome}" for outcome, number in counts.most_common())
    outcomes = {each.name: each.outcome for each in verified}
    path = folder / "README.md"
    lines = [
        HEADER.format(counts=f"Of {len(verified)} claims: {said}", command=command),
        *map(_row, verified),
        "",
        "## Each in a line",
        "",
        *(f"- **{each.name}**: {each.line}" for each in verified),
        "",
        "## Why not",
        "",
        *(line for each in explained for line in _why(each, outcomes, folder)),
        "## What it rests on",
        "",
        "| file | from | SHA-256 | licence |",
        "| --- | --- | --- | --- |",
        *_rests(),
        "",
        "Fashion-MNIST is that of Debian's `dataset-fashion-mnist`, checked by the digests of its four files.",
        "",
        "## Evidence",
        "",
        *_evidence(verified),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _row(each: Verified) -> str:
    json = each.json
    claimed = str(each.judged.reference.expected)
    images = f"{json['test_images']['ours']:,}, {json['test_images']['are']}"
    files = f"[JSON]({each.name}.verdict.json), [badge]({each.name}.verdict.svg)"
    return f"| {each.name} | {claimed} | {json['measured_percent']:.2f} % | {images} | **{each.outcome}** | {files} |"


def _why(each: Explained, outcomes: Mapping[str, str], folder: Path) -> Iterator[str]:
    reason = each.reason
    mended = f"**{reason.beside}** above: {outcomes[reason.beside]}"
    written = each.walk.write(folder / "investigations", reason.claim)
    yield from (f"### {reason.claim}", "", " ".join(reason.why.split()), "")
    yield from (f"Mended, it is {mended}. What each step of preprocessing would change, image by image:", "")
    yield from (*(f"- {line.strip()}" for line in each.prices), "")
    yield f"[The investigation]({written.relative_to(folder).as_posix()}) of both sides: {each.walk.verdict}"
    yield ""


def _rests() -> Iterator[str]:
    for each in sources():
        place = f"[{each.repository}]({HOST}/{each.repository}/tree/{each.commit}), {each.commit[:12]}"
        yield f"| `{each.name}` | {place}: `{each.path}` | {each.sha256[:_SHOWN]} | {each.licence} |"


def _evidence(verified: Sequence[Verified]) -> Iterator[str]:
    days = sorted({record["finished"][:10] for each in verified for record in each.json["records"]})
    yield f"- {' to '.join(dict.fromkeys([days[0], days[-1]]))}"
    environments = dict.fromkeys(
        ", ".join(f"{name} {value}" for name in _PACKAGES if (value := each.json["environment"].get(name)))
        for each in verified
    )
    yield from (f"- {each}" for each in environments)
