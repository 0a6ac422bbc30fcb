"""The rungs of a stage: what two models recorded, compared with what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from isotune.comparison.batch import Batch
from isotune.comparison.bounds import BOUND, judge
from isotune.comparison.errors import Error, Size, depends, errors, largest, noises, root_mean_square, worst
from isotune.comparison.observations import Observations
from isotune.parity._proof_inputs import STAGES
from isotune.parity._results import Rung


def rungs(
    stage: str, ours: Path, theirs: Path, numeric_mode: str, repeated: Callable[[], Path], batch: Batch
) -> list[Rung]:
    """The rungs of a stage, from the folders of both models.

    repeated: the folder of the first model's second recording, which is made when it is asked for: in float64 with the
    batch permuted, for the noise; in float32 its float64 run, which is the referee. batch: as it was permuted.
    """
    judged = _by_referee if numeric_mode == "float32" else _by_noise
    return [rung for name in STAGES[stage] if (rung := judged(name, ours, theirs, repeated, batch)) is not None]


def alone(name: str, whole: Path, apart: Path, batch: Batch) -> Rung:
    """Whether each layer of a model shows the same of an image whatever the other images and their order; float64.

    whole: what it showed in inference. apart: each layer given the same again, of the images of `batch` alone."""
    listed = depends(Observations(apart), Observations(whole, "layers/"), batch.arranged)
    most = worst(listed)
    failing = next((error for error in listed if not error.relative <= BOUND), most)  # the first, which is the cause
    why = "depends on the other images or on their order" if failing.relative > BOUND else ""
    return Rung(name=name, error=most.relative, where=failing.name, tensors=len(listed), bound=BOUND, why=why)


def _by_noise(name: str, ours: Path, theirs: Path, repeated: Callable[[], Path], batch: Batch) -> Rung | None:
    """float64: the models against each other."""

    def noise() -> float:
        first, again = (Observations(folder, f"{name}/") for folder in (ours, repeated()))
        unsorted = batch.arranged if name == "layers" else None
        return worst(noises(first, again, unsorted, floored=name != "layers")).relative

    return _rung(name, _errors(name, ours, theirs, largest), noise=noise)


def _by_referee(name: str, ours: Path, theirs: Path, repeated: Callable[[], Path], batch: Batch) -> Rung | None:
    """float32: both against a float64 run of the first. Where a ReLU meets zero a rounding opens or shuts it: no
    multiple of one's own error holds of gradients."""
    if name == "gradients":
        return None
    referee = repeated()
    own, errors_of_other = (_errors(name, referee, side, root_mean_square) for side in (ours, theirs))
    return _rung(name, errors_of_other, own=own)


def _rung(
    name: str, listed: Sequence[Error], *, noise: Callable[[], float] | None = None, own: Sequence[Error] | None = None
) -> Rung | None:
    """None: neither side showed anything."""
    if not listed:
        return None
    judgement, most = judge(listed, noise=noise, own=own), worst(listed)
    return Rung(
        name=name, error=most.relative, where=most.name, tensors=sum(not error.lacking for error in listed),
        bound=judgement.bound.allowed, noise=judgement.bound.measured, why=most.why,
    )  # fmt: skip


def _errors(name: str, reference: Path, other: Path, size: Size) -> list[Error]:
    """Of layers only those that both models show are compared, each relative to itself."""
    ours, theirs = (Observations(folder, f"{name}/") for folder in (reference, other))
    layers = name == "layers"
    return errors(ours, theirs, size=size, floored=not layers, every=not layers)
