"""Reading what the suite left: a pytest-benchmark JSON to records and speeds.

Each benchmark of the suite puts a dictionary under `extra_info["isotune"]`. Its `question` says which:
`fine-tuning` carries `records`, one for each round (seed); the others are speeds, and the seconds of their
rounds are pytest-benchmark's own `stats.data`.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from isotune import reading, sealing
from isotune.errors import UsageError, nearest
from isotune.runs.earlier import version_1, version_2
from isotune.runs.precision import Noise
from isotune.runs.records import Record
from isotune.workers.disturbance import Disturbance

SpeedQuestion = Literal["inference-latency", "inference-throughput", "training-step"]


class _FromOutside(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Speed(_FromOutside):
    """How long one model takes for one batch."""

    question: SpeedQuestion
    model: str = Field(description="adapter:name, canonical spelling")
    architecture: str = ""
    conventions: str = Field("identical", description="as in a cell: identical or native, then overrides")
    same_as: str | None = Field(None, description="the conventions of the equal network whose rounds these are")
    mode: str = Field("float32", description='as `Cell.mode`: "float32", "bfloat16 channels_last compiled"')
    image_size: int = Field(gt=0, description="side of the network's input, pixels")
    batch_size: int = Field(gt=0)
    seconds: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(
        min_length=1, description="one batch, each round"
    )
    disturbances: tuple[Disturbance, ...] = Field((), description="what else the machine did, each round; or nothing")
    first_step: float | None = Field(
        None,
        ge=0,
        description="seconds of the first batch, with the compilation that no earlier question of the model had done",
    )
    resident: int | None = Field(None, description="peak resident set of the worker, bytes")
    device: int | None = Field(None, description="peak allocated on an accelerator, bytes")
    environment: dict[str, str] = Field(default_factory=dict)
    parameters: int | None = Field(None, gt=0, description="that are trained, the classifier's left out")
    noise: Noise | None = Field(None, description="of a training step: how far the mode is from float64")

    @property
    def rounds(self) -> list[tuple[float, Disturbance | None]]:
        """The seconds of each round, with what else the machine did."""
        return list(zip_longest(self.seconds, self.disturbances[: len(self.seconds)]))


class _FineTuning(_FromOutside):
    question: Literal["fine-tuning"]
    records: tuple[Record, ...]


_MOST = 64 * reading.MIB  # of a file
_WORDS = {"machine_info", "commit_info", "benchmarks", "datetime", "version"}  # pytest-benchmark's
_QUESTIONS = ("fine-tuning", "inference-latency", "inference-throughput", "training-step")
_PARSER: TypeAdapter[_FineTuning | Speed] = TypeAdapter(Annotated[_FineTuning | Speed, Field(discriminator="question")])


def read_benchmark(path: str | Path) -> tuple[list[Record], list[Speed]]:
    """Records and speeds of a file that `pytest benchmarks/ --benchmark-json=FILE` wrote.

    Benchmarks of other suites in the same file are passed over.
    Errors: UsageError for a file that cannot be read, is not such a JSON, or holds no benchmark of isotune.
    """
    records: list[Record] = []
    speeds: list[Speed] = []
    any_of_isotune = False
    for number, benchmark in enumerate(_benchmarks(Path(path))):
        extra = benchmark.get("extra_info") if isinstance(benchmark, dict) else None
        if not isinstance(extra, dict) or "isotune" not in extra:
            continue
        any_of_isotune = True
        match _parse(benchmark, extra["isotune"], f"{path}: benchmark {benchmark.get('name', number)}"):
            case _FineTuning(records=more):
                records += more
            case speed:
                speeds.append(speed)
    if not any_of_isotune:
        raise UsageError(
            f"{path}: contains no isotune benchmark; write it with: pytest benchmarks/ --benchmark-json=FILE"
        )
    return records, speeds


def _benchmarks(path: Path) -> list[Any]:
    data = reading.content(path, _MOST, f"benchmark file {path}")
    if not data:
        raise UsageError(f"{path}: not JSON, since it is empty; the run that wrote it may not have finished")
    content = reading.json_text(data, str(path))
    benchmarks = content.get("benchmarks") if isinstance(content, dict) else None
    if not isinstance(benchmarks, list):
        raise UsageError(
            f"{path}: not a pytest-benchmark JSON; write it with: pytest benchmarks/ --benchmark-json=FILE"
        )
    renamed = sealing.BENCHMARKS not in content and set(content) - _WORDS  # files of before have none
    if renamed or content.get(sealing.BENCHMARKS, written := sealing.digest_of({"of": benchmarks})) != written:
        raise sealing.Damaged(f"{path}: not what was written: its digest is that of other benchmarks; run them again")
    return benchmarks


def _parse(benchmark: dict[str, Any], isotune: Any, where: str) -> _FineTuning | Speed:
    question = isotune.get("question") if isinstance(isotune, dict) else None
    if question not in _QUESTIONS:
        raise UsageError(f"{where}: question {question!r} is unknown; {nearest(str(question), _QUESTIONS)}")
    if question != "fine-tuning":
        stats = benchmark.get("stats")
        isotune = {**isotune, "seconds": stats.get("data", ()) if isinstance(stats, dict) else ()}
    try:
        return _PARSER.validate_python(version_2.upgraded_speed(version_1.upgraded_speed(isotune)))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part not in _QUESTIONS)
        raise UsageError(f"{where}: {field}: {first['msg'].removeprefix('Value error, ')}") from None
