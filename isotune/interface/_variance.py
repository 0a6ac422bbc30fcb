"""Which source of randomness the accuracy varies by."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune import defaults, names, variance
from isotune.interface import arguments
from isotune.interface.arguments import Conventions, Dataset, Model, PathLike, Protocol
from isotune.models import patterns
from isotune.progress import Progress, reporting
from isotune.runs.store import Store
from isotune.workers.process import Workers

if TYPE_CHECKING:
    import pandas as pd

STORE = Path(".isotune/variance")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


class VarianceStudy:
    """A crossed design over the seed streams, and what its runs say. A notebook shows the table.

    study: the design and its cells. outlook: how many runs there are, are done, and how long the rest may take.
    findings: of each model (`isotune.variance.Finding`), empty when it was only planned.
    """

    def __init__(self, study: variance.Study, outlook: variance.Outlook, findings: Iterable[variance.Finding]) -> None:
        self.study, self.outlook, self.findings = study, outlook, list(findings)

    @property
    def failed(self) -> bool:
        """Whether a run failed."""
        return any(finding.failed for finding in self.findings)

    @property
    def plan(self) -> list[str]:
        """The design in lines of text: which streams are drawn, why the others are idle, how many runs, how long."""
        return list(variance.describe(self.study, self.outlook))

    @property
    def sentences(self) -> list[str]:
        """What was found, a sentence for each model."""
        return variance.sentences(self.findings)

    def frame(self) -> pd.DataFrame:
        """A pandas table with a row for each source of each model: its standard deviation in points with a 95 %
        interval, and its share (0..1) of the variance; what is not known is missing."""
        import pandas as pd

        columns = ["model", "source", "sd", "low", "high", "share"]
        return pd.DataFrame(variance.sources(self.findings), columns=columns)

    def as_json(self) -> dict[str, Any]:
        """All of it, unrounded: what `isotune variance --json` prints."""
        return variance.as_json(self.study, self.outlook, self.findings)

    def show(self) -> None:
        """Print the table and the sentences; of a plan its lines."""
        if self.findings:
            variance.show(self.findings)
        else:
            print("\n".join(self.plan))

    def write(self, folder: PathLike, *, command: str | None = None) -> Path:
        """Write `variance.md`, whose path is given back, and its figure. command: what gave the runs, for the evidence.
        UsageError: nothing was run, or the folder cannot be written."""
        return variance.write(self.study, self.findings, arguments.path(folder, "folder"), command)

    def __repr__(self) -> str:
        return "\n".join(self.sentences or self.plan)

    def _repr_html_(self) -> str | None:
        if not self.findings:
            return None
        html: str = self.frame().to_html(index=False, na_rep="")
        return html


def study_variance(
    models: Model | Iterable[Model] = names.DEFAULT_MODELS,
    dataset: Dataset = defaults.DATASET,
    protocol: Protocol = "quick-fine-tune",
    *,
    conventions: Conventions = "identical",
    checkpoint: PathLike = defaults.CHECKPOINT,
    levels: int | None = None,
    streams: str | Iterable[str] | None = None,
    repeats: int = 2,
    planned: bool = False,
    store: PathLike = STORE,
    jobs: int = 1,
    progress: bool | Progress = True,
) -> VarianceStudy:
    """Say which source of randomness the accuracy varies by: head, order, augmentation, and what techniques draw.

    Every seed of each stream runs with every seed of the others, and the first seeds run again in fresh processes,
    which is the noise floor. What is done already is not run again.

    models, dataset, protocol, conventions, checkpoint: as of `isotune.run`, one each but for models.
    levels: seeds of each stream that is drawn; None: 10 of one stream, 4 of two, 3 of three, 2 of more. streams: those
        that get seeds of their own, of head, order, augmentation, policy, erasing, mixing, dropout and depth; None: all
        that the protocol draws from. repeats: runs of the first seeds again.
    planned: only say what would run. store: folder of records, one folder a repeat. jobs, progress: as of
        `isotune.run`.
    Errors: UsageError: a name is wrong, or the protocol draws nothing at random.

    >>> isotune.study_variance("torchvision:mobilenet_v2", planned=True).plan
    """
    given, recipe, held = arguments.dataset(dataset), arguments.recipe(protocol), arguments.checkpoint(checkpoint)
    named, lines = patterns.expanded(arguments.models(models), held)
    spec, place = arguments.spec(conventions), arguments.path(store, "store")
    levels = None if levels is None else arguments.whole(levels, "levels")
    chosen = (
        None if streams is None else arguments.several(streams, "streams", "seed streams, such as 'order'", _is_text)
    )
    wanted = variance.design(recipe, spec, levels, arguments.whole(repeats, "repeats"), chosen)
    jobs, planned = arguments.count(jobs, "jobs"), arguments.flag(planned, "planned")
    with reporting(progress) as reporter:
        for line in lines:
            reporter.note(line)
        sets = arguments.prepared([given], reporter)
        (name,) = sets
        with Workers() as workers:
            study = variance.plan(wanted, named, name, recipe, spec, held, sets, workers, reporter)
        if not planned:
            reporter.parts("runs", wanted.runs * len(study.firsts))
            for _ in variance.run(study, place, jobs=jobs, progress=reporter, note=reporter.note, ended=reporter.ended):
                pass  # every record is in the store, where it is judged from
    ahead = variance.outlook(study, place, [Store(defaults.STORE)])
    return VarianceStudy(study, ahead, [] if planned else variance.judge(study, place))
