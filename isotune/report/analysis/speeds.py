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
from statistics import median

from isotune.protocols import Protocol
from isotune.report.analysis.benchmark import Speed, SpeedQuestion
from isotune.report.analysis.timing import Taken, Timing, timing
from isotune.runs.records import Record, Timings


@dataclass(frozen=True)
class Measured:
    """What one row costs."""

    training: Timing | None  # images/s
    inference: Timing | None  # images/s
    latency: Timing | None  # ms
    first_step: float | None  # seconds, median
    resident: int | None  # bytes, peak
    above_baseline: int | None  # bytes, peak minus what was resident before the cell
    device: int | None  # bytes, peak
    parameters: int | None  # of the model, the classifier's left out
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
        sources = (*training, *inference, *latency)
        timed = [record.timings for record in records if record.timings]
        return Measured(
            training=rate(training) if from_suite else self._cell_rate(timed),
            inference=rate(inference),
            latency=milliseconds(latency),
            first_step=_median([s.first_step for s in training] if from_suite else [t.first_step for t in timed]),
            resident=max((m.resident for m in memories if m.resident is not None), default=None),
            above_baseline=max(above, default=None),
            device=max((m.device for m in memories if m.device is not None), default=None),
            parameters=max((s.parameters for s in sources if s.parameters is not None), default=None),
            sources=sources,
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

    def _cell_rate(self, timings: Sequence[Timings]) -> Timing | None:
        pairs = [(t.features_images, t.features) if self._probe else (t.training_images, t.training) for t in timings]
        return timing(
            [
                Taken(images / seconds, of.disturbance, of.alone)
                for of, (images, seconds) in zip(timings, pairs, strict=True)
                if images and seconds
            ]
        )


def rate(speeds: Sequence[Speed]) -> Timing | None:
    """Images/s."""
    return timing([Taken(s.batch_size / seconds, seen) for s in speeds for seconds, seen in s.rounds])


def milliseconds(speeds: Sequence[Speed]) -> Timing | None:
    """Of a batch."""
    return timing([Taken(1000 * seconds, seen) for s in speeds for seconds, seen in s.rounds])


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
