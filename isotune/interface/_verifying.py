"""Verifying a claim: what was published is run again, judged, and written down for others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isotune import cache, defaults, verification
from isotune.errors import UsageError
from isotune.interface import arguments
from isotune.interface._running import run
from isotune.interface._runs import Runs
from isotune.interface.arguments import PathLike
from isotune.models import contents
from isotune.places import make_folder_of
from isotune.progress import Progress
from isotune.report import Judged
from isotune.runs.planning import parse_seeds
from isotune.workers.process import Workers

_STATUS = {"reproduced": 0, "different": 1, "inconclusive": 3}


@dataclass(frozen=True)
class Verified:
    """What became of a claim.

    outcome: reproduced, different or inconclusive; line: what was claimed, measured and concluded. judged: the verdict
    with its figures. json: all of it, with digests of what decided it, sealed with its own. runs: the records.
    """

    name: str
    judged: Judged = field(repr=False)
    json: dict[str, Any] = field(repr=False)
    runs: Runs = field(repr=False)

    @property
    def outcome(self) -> str:
        return self.judged.verdict.outcome

    @property
    def line(self) -> str:
        return str(self.json["line"])

    @property
    def status(self) -> int:
        """Of the command: 0 reproduced, 1 different, 3 inconclusive."""
        return _STATUS[self.outcome]

    def badge(self) -> str:
        """The verdict as SVG."""
        return verification.badge(self.json)

    def write(self, folder: PathLike) -> tuple[Path, Path]:
        """Write NAME.verdict.json and NAME.verdict.svg into a folder; their paths. UsageError: they cannot be."""
        import json

        place = arguments.path(folder, "folder")
        files = place / f"{self.name}.verdict.json", place / f"{self.name}.verdict.svg"
        make_folder_of(files[0])
        for file, text in zip(files, (json.dumps(self.json, indent=1) + "\n", self.badge()), strict=True):
            try:
                with cache.draft_file(file) as draft:
                    draft.write_text(text, encoding="utf-8")
            except OSError as error:
                raise UsageError(f"{file} cannot be written: {error.strerror}; name another folder") from None
        return files

    def assert_reproduced(self) -> None:
        """AssertionError with the line, where the claim is not reproduced."""
        if self.outcome != "reproduced":
            raise AssertionError(self.line)


def verify(
    claim: PathLike | Mapping[str, Any],
    *,
    store: PathLike = defaults.STORE,
    fresh: bool = False,
    pythons: Mapping[str, PathLike] | None = None,
    skip_unreadable: bool = False,
    workers: Workers | None = None,
    progress: bool | Progress = True,
) -> Verified:
    """Run what a claim is about, and say whether its number is reproduced.

    claim: a claim file, CLAIM.toml, or a dictionary of what it holds: model, checkpoint, dataset, protocol, and `claim`
        with the number in percent and its source; perhaps conventions ("identical"), mode, seeds (of a training),
        weights_digest and dataset_digest, which what is run must have. `isotune verify --help` has an example.
    store: folder of records; a run that is there is not run again, unless `fresh`. Others as of `run`.
    Errors: UsageError: the claim is wrong in something, its digests are of other files, or it cannot be run.

    >>> of = {"model": "torchvision:mobilenet_v2", "checkpoint": "offline", "dataset": "digits", "protocol": "quick"}
    >>> published = {"accuracy": "94.0", "source": "reports/leaderboard.md"}
    >>> isotune.verify({**of, "claim": published}).outcome
    'reproduced'
    """
    if isinstance(claim, Mapping):
        said = verification.from_values(claim, "claim")
    else:
        said = verification.read(arguments.path(claim, "claim"))
    weights = contents.weights_digest(said.checkpoint) if said.weights_digest else None
    if said.weights_digest not in (None, weights):
        raise UsageError(f"{said.checkpoint}: its digest is {weights}, and the claim is of {said.weights_digest}")
    if said.protocol.own_classifier is None and len(parse_seeds(said.seeds)) == 1 and not said.expected.at_least:
        raise UsageError("seeds = 1: one run says nothing about the spread over seeds; give at least 2")
    runs = run(
        said.model, said.dataset, said.protocol, said.seeds, said.conventions, checkpoint=said.checkpoint,
        numeric_mode=said.mode.numeric_mode, layout=said.mode.layout, compiled=said.mode.compiled, store=store,
        fresh=fresh, retry_failed=True, pythons=pythons, skip_unreadable=skip_unreadable, expect=said.expected,
        workers=workers, progress=progress,
    )  # fmt: skip
    judged = runs.judged()
    if not judged:
        raise UsageError(f"the claim could not be run: {runs.failed[0].error if runs.failed else 'nothing was run'}")
    records = sorted(judged[0].setup.records.values(), key=lambda record: str(record.cell.seeds))
    if said.dataset_digest not in (None, digest := records[0].cell.dataset_digest):
        raise UsageError(f"{said.dataset}: its digest is {digest}, and the claim is of {said.dataset_digest}")
    return Verified(said.name, judged[0], verification.result(said, judged[0], records), runs)
