"""Which speed is shown beside an accuracy: only one measured under the same settings.

Within one section (data set and protocol) every column comes from one kind of measurement:

- training: the suite's training step at the protocol's image size, if there is any such figure; otherwise
  the cells' own clock, which for a probe is the extraction of its features;
- inference and latency: the suite's, at the protocol's image size.

Where the suite measured several batch sizes, the one measured for most models is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from isotune.protocols import Protocol
from isotune.report.analysis.benchmark import Speed, SpeedQuestion
from isotune.runs.records import Record, Timings
from isotune.statistics import Quartiles, quartiles


@dataclass(frozen=True)
class Measured:
    """What one row costs."""

    training: Quartiles | None  # images/s
    inference: Quartiles | None  # images/s
    latency: Quartiles | None  # ms
    first_step: float | None  # seconds, median
    resident: int | None  # bytes, peak
    above_baseline: int | None  # bytes, peak minus what was resident before the cell
    device: int | None  # bytes, peak
    disturbed: bool  # training was timed while other workers ran
    sources: tuple[Speed, ...]  # the suite's measurements used here


class SpeedTable:
    """The speeds of a section's models at its protocol's image size."""

    def __init__(self, speeds: Iterable[Speed], protocol: Protocol, models: Container[str]) -> None:
        self._probe = protocol.probe is not None
        self._speeds = [speed for speed in speeds if speed.image_size == protocol.input.size and speed.model in models]
        self.batch_size: dict[SpeedQuestion, int] = {}  # of each question that was measured
        measured = sorted({(s.question, s.batch_size, s.model, s.mode) for s in self._speeds})
        counts = Counter((question, batch) for question, batch, _, _ in measured)
        for (question, batch), _ in sorted(counts.items(), key=lambda item: (item[1], item[0][1])):
            self.batch_size[question] = batch  # the last stays: most models, of equals the largest batch

    @property
    def training_source(self) -> str:
        """Where the column of training speeds comes from, in words."""
        if batch := self.batch_size.get("training-step"):
            return f"full training steps at batch {batch}, timed in turn"
        return "feature extraction, timed within the cells" if self._probe else "timed within the cells"

    def measured(self, model: str, mode: str, overrides: str, records: Sequence[Record]) -> Measured:
        """What a row costs; records: its runs, one a seed."""
        training = self._find("training-step", model, mode, overrides)
        inference = self._find("inference-throughput", model, mode, overrides)
        latency = self._find("inference-latency", model, mode, overrides)
        memories = [record.memory for record in records if record.memory]
        above = [m.resident - m.baseline for m in memories if m.resident is not None and m.baseline is not None]
        from_suite = "training-step" in self.batch_size
        timed, disturbed = _undisturbed(records)
        return Measured(
            training=_rates(training) if from_suite else self._cell_rates(timed),
            inference=_rates(inference),
            latency=quartiles([1000 * s for speed in latency for s in speed.seconds]) if latency else None,
            first_step=_median([s.first_step for s in training] if from_suite else [t.first_step for t in timed]),
            resident=max((m.resident for m in memories if m.resident is not None), default=None),
            above_baseline=max(above, default=None),
            device=max((m.device for m in memories if m.device is not None), default=None),
            disturbed=disturbed and not from_suite,
            sources=(*training, *inference, *latency),
        )

    def _find(self, question: SpeedQuestion, model: str, mode: str, overrides: str) -> list[Speed]:
        """Measurements of the row; those under identical conventions where there are any."""
        for base in ("identical", "native"):
            conventions = f"{base},{overrides}" if overrides else base
            if measured := [
                speed
                for speed in self._speeds
                if (speed.question, speed.model, speed.mode) == (question, model, mode)
                and speed.batch_size == self.batch_size[question]
                and speed.conventions.replace(" ", "") == conventions.replace(" ", "")
            ]:
                return measured
        return []

    def _cell_rates(self, timings: Sequence[Timings]) -> Quartiles | None:
        pairs = [(t.features_images, t.features) if self._probe else (t.training_images, t.training) for t in timings]
        rates = [images / seconds for images, seconds in pairs if images and seconds]
        return quartiles(rates) if rates else None


def _undisturbed(records: Sequence[Record]) -> tuple[list[Timings], bool]:
    """Timings of runs that had the machine to themselves; all, and True, when none had."""
    timings = [record.timings for record in records if record.timings]
    alone = [t for t in timings if t.alone]
    return (alone, False) if alone else (timings, bool(timings))


def _rates(speeds: Sequence[Speed]) -> Quartiles | None:
    return quartiles([rate for speed in speeds for rate in speed.images_per_second]) if speeds else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return quartiles(known).median if known else None
