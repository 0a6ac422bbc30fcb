"""What became of a claim, as JSON that can stand beside a paper's code: the verdict, and digests of what decided it.

It carries the SHA-256 of itself, so that a change is noticed. That is no signature: whoever changes it on purpose can
make another digest. The digest belongs where only the author writes: in the paper, or in a commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isotune import sealing
from isotune.report import Judged, line
from isotune.runs.records import Record
from isotune.sealing import Damaged
from isotune.verification._claim_file import ClaimFile

VERSION = 1


def result(claim: ClaimFile, each: Judged, records: Sequence[Record]) -> dict[str, Any]:
    """JSON with its digest. records: of the cells that decided, one a seed."""
    verdict, cell = each.verdict, records[0].cell
    measured = None if verdict.effect is None else verdict.effect + verdict.published.mean
    draw = verdict.draw
    protocol = cell.protocol.model_dump(mode="json")
    return sealing.sealed({
        "version": VERSION,
        "outcome": verdict.outcome,
        "line": line(each),
        "claim": claim.expected.model_dump(mode="json", exclude_none=True),
        "claim_file_digest": sealing.digest_of(claim.document),
        "measured_percent": measured,
        "points": {
            "ours_minus_claimed": verdict.effect, "margin": verdict.margin, "interval90": _pair(verdict.interval90),
            "interval95": _pair(verdict.interval95), "sd_over_seeds": verdict.sd,
        },
        "test_images": {
            "ours": verdict.images, "theirs": draw.theirs if draw else None,
            "are": "the same" if draw is None else "a part of theirs" if draw.theirs is None else "others",
        },
        "paired": None if each.paired is None else asdict(each.paired.tested),
        "needed": {
            "more_seeds": verdict.seeds_needed, "images": verdict.images_needed, "images_available": each.available,
        },
        "run": {
            "model": cell.model, "network_digest": cell.network_digest, "checkpoint": cell.checkpoint,
            "weights_digest": cell.weights_digest, "checkpoint_digest": records[0].checkpoint_digest,
            "dataset": cell.dataset, "dataset_digest": cell.dataset_digest,
            "protocol": protocol, "protocol_digest": sealing.digest_of(protocol),
            "conventions": cell.conventions, "mode": cell.spelling,
        },
        "records": [
            {
                "cell": record.cell.key, "digest": record.sealed()["digest"], "seeds": str(record.cell.seeds),
                "predictions_digest": record.predictions_digest, "finished": record.finished.isoformat(),
                "accuracy": record.metrics.accuracy if record.metrics else None,
            }
            for record in records
        ],
        "environment": dict(records[0].environment),
    })  # fmt: skip


def _pair(interval: Any) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def check(path: Path) -> dict[str, Any]:
    """The content of a result that was not altered. Damaged: it was, or is none. UsageError: there is no such file."""
    try:
        content = sealing.read_json(path)
    except FileNotFoundError:
        raise Damaged(f"there is no {path}; 'isotune verify CLAIM.toml' writes one") from None
    missing = [name for name in ("version", "outcome", "line", "run", "records") if name not in content]
    if missing or content["version"] != VERSION:
        raise Damaged(f"{path} is no result of a claim of version {VERSION}")
    if content["run"]["protocol_digest"] != sealing.digest_of(content["run"]["protocol"]):
        raise Damaged(f"{path}: the protocol is not the one that its digest names")
    return content
