"""TensorFlow Datasets, found by the entry point `tfds` of the group `isotune.datasets`. It imports no framework: a
process of its own writes a data set (`_fetching`).

`tfds:NAME` has the training part `train` and the test part `test`, else `validation`, else it is split 80/20.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from isotune.data.sources.source import Described, Kind, Source, Writer
from isotune.progress import Progress
from isotune.workers.process import ask_once


@dataclass
class TensorFlowDatasets(Source):
    """A data set of the package tensorflow-datasets; `kind` is its name there: "cats_vs_dogs", "imagenette/160px"."""

    name: str
    kind: str
    origin: str = field(init=False)
    offline: bool = False  # the package alone knows

    def __post_init__(self) -> None:
        self.origin = f"tensorflow-datasets' {self.kind}, in that package's own folder (TFDS_DATA_DIR)"

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        answer = ask_once(
            f"{__name__}._fetching:fetch", progress, name=self.name, kind=self.kind, folder=str(writer.folder),
            skip_unreadable=skip_unreadable,
        )  # fmt: skip
        return Described(tuple(answer["classes"]), answer["note"])


ANY = Kind(
    TensorFlowDatasets,
    completion="NAME",
    packages={"tensorflow-datasets": "tensorflow-datasets"},
    about="any image classification data set of TensorFlow Datasets",
)
