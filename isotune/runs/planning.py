"""Planning: a matrix of names becomes cells, everything checked before anything runs."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from isotune import conventions, data, defaults, names, protocols
from isotune.errors import UsageError
from isotune.models import checkpoints, contents, layouts
from isotune.progress import Progress, untold
from isotune.protocols import Mode, form_axes
from isotune.runs import own_classifier, requests
from isotune.runs.own_classifier import classes
from isotune.runs.records import Cell
from isotune.runs.selection import checking
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.workers.process import WorkerFailure, Workers

MOST_SEEDS = 10_000
LARGEST_SEED = 2**32 - 1  # every library and NumPy take it


@dataclass(frozen=True)
class Matrix:
    """What is crossed with what; names as the user gave them."""

    models: Sequence[str] = names.DEFAULT_MODELS
    datasets: Sequence[str] = (defaults.DATASET,)
    protocols: Sequence[str | protocols.Protocol] = (defaults.PROTOCOL,)
    conventions: Sequence[str] = defaults.CONVENTIONS
    seeds: Sequence[int] = tuple(range(defaults.SEEDS))
    checkpoint: str = defaults.CHECKPOINT
    mode: Mode = field(default_factory=Mode)

    def over(self, datasets: Sequence[str]) -> Matrix:
        """The same on these data sets."""
        return replace(self, datasets=datasets)


def plan(
    matrix: Matrix, prepared: Mapping[str, data.Dataset], workers: Workers, progress: Progress = untold
) -> list[Cell]:
    """The cells of the matrix, each model built once to check it.

    prepared: data sets by name. workers: asked whether their library has the model; progress is told of each model.
    UsageError: a name is wrong, or a combination impossible.
    """
    planned = cells(matrix, prepared)
    check_cells(planned, workers, progress)
    return planned


def cells(matrix: Matrix, prepared: Mapping[str, data.Dataset]) -> list[Cell]:
    """All cells of the matrix, in turn: models change fastest, then conventions, then seeds. Of an evaluation those of
    one model follow each other, and seeds make no difference. No library is asked.

    prepared: data sets by name. UsageError: a name is wrong, or a combination impossible.
    """
    recipes = [protocols.load(name) for name in matrix.protocols]
    specs = [_canonical(spec) for spec in matrix.conventions]
    for recipe, spec in itertools.product(recipes, specs):
        base, said = conventions.parse(spec)
        if base == "identical":  # what a library does by default, its worker knows
            form_axes.under(recipe, said)
    models = list(dict.fromkeys(str(names.parse(model)) for model in matrix.models))
    checkpoints.check_name(matrix.checkpoint)
    for name, recipe in itertools.product(matrix.datasets, recipes):
        if recipe.own_classifier:
            own_classifier.check_dataset(prepared[name])
        else:
            check_images(prepared[name], recipe)
    weights, beside = contents.weights_digest(matrix.checkpoint), contents.beside_digest(matrix.checkpoint)
    of_model = {
        model: {"model": model, "network_digest": contents.network_digest(model)}
        | layouts.as_asked(matrix.mode, model.partition(":")[0]).settings
        for model in models
    }

    def cell(name: str, recipe: protocols.Protocol, seed: int, spec: str, model: str) -> Cell:
        return Cell(
            **of_model[model],
            checkpoint=matrix.checkpoint,
            weights_digest=weights,
            beside_digest=beside,
            dataset=name,
            dataset_digest=prepared[name].digest,
            protocol=recipe,
            conventions=spec,
            seeds=Seeds.all(seed),
        )

    made: list[Cell] = []
    for name, recipe in itertools.product(matrix.datasets, recipes):
        if recipe.own_classifier:
            asked = (cell(name, recipe, 0, spec, model) for model, spec in itertools.product(models, specs))
            setups = (_canonically(each) for one in asked for each in own_classifier.setups(one))
            made += {each.key: each for each in setups}.values()  # a step may be asked for as a convention too
        else:
            turns = itertools.product(matrix.seeds, specs, models)
            made += (cell(name, recipe, seed, spec, model) for seed, spec, model in turns)
    return made


def check_cells(
    planned: Iterable[Cell], workers: Workers, progress: Progress = untold
) -> dict[tuple[str, str, int], str]:
    """Build each model of these cells once, from its checkpoint: digests of what was loaded, by model, checkpoint and
    size of the input; of the checkpoint's own classifier none. UsageError: one cannot be built, or a protocol can train
    none of its models; where it can train others, the cells of one fail by themselves."""
    loaded: dict[tuple[str, str, int], str] = {}
    planned, sizes = list(planned), dict[tuple[str, bool], dict[str, int]]()
    trained: dict[str, dict[str, protocols.Protocol]] = {}
    impossible: dict[tuple[str, str], str] = {}  # (protocol, model) -> why
    for each in planned:
        if each.protocol.stage:
            trained.setdefault(each.model, {})[each.protocol.name] = each.protocol
        asked = sizes.setdefault((each.checkpoint, each.protocol.own_classifier is not None), {})
        asked[each.model] = min(each.protocol.input.size, asked.get(each.model, each.protocol.input.size))
    for (checkpoint, own), asked in sorted(sizes.items()):
        checked = check_models(
            asked, checkpoint, asked, workers, own=own, trained={} if own else trained, deadly=True, progress=progress
        )
        for model, answer in checked.items():
            impossible |= {(name, model): why for name, why in answer["impossible"].items()}
        if own:
            evaluated = (each for each in planned if each.protocol.own_classifier and each.checkpoint == checkpoint)
            _check_classes([each for each in evaluated if each.model in checked], checked)
        else:
            loaded |= {(model, checkpoint, asked[model]): each["digest"] for model, each in checked.items()}
    for (name, model), why in impossible.items():
        if all((name, other) in impossible for other, recipes in trained.items() if name in recipes):
            raise UsageError(f"{name}: {model}: {why}")
    return loaded


def _check_classes(cells: Iterable[Cell], checked: Mapping[str, Mapping[str, Any]]) -> None:
    """That the classifiers have an output for each class of their data sets. UsageError: one has none."""
    seen = set()
    for cell in cells:
        rule = cell.protocol.own_classifier
        assert rule is not None
        asked = (cell.model, cell.dataset_digest, rule.model_dump_json(include={"classes", "map", "match"}))
        if asked not in seen:
            seen.add(asked)
            dataset, about = data.load(cell.dataset, cell.dataset_digest), checked[cell.model]
            classes.columns(
                dataset.classes, about["outputs"], about["names"], rule, dataset=cell.dataset,
                who=own_classifier.who(cell.model, cell.checkpoint),
            )  # fmt: skip


def replaced(cells: Iterable[Cell], loaded: Mapping[tuple[str, str, int], str], store: Store) -> Iterator[str]:
    """A line on each checkpoint of which a library loads other weights than when a cell of these was run. Neither its
    name nor a version tells, so such a record counts. loaded: as of `check_cells`."""
    told: set[tuple[str, str, int]] = set()
    for cell in cells:
        asked = (cell.model, cell.checkpoint, cell.protocol.input.size)
        alike = cell.conventions == "identical" and cell.numeric_mode == "float32" and not cell.protocol.own_classifier
        if not alike or asked in told or asked not in loaded or (record := store.read(cell)) is None:
            continue
        told.add(asked)
        if record.checkpoint_digest not in (None, loaded[asked]):
            yield (
                f"checkpoint {cell.checkpoint!r} of {cell.model} has other weights now than on"
                f" {record.finished:%Y-%m-%d}, under the same name; those results still count: --fresh runs them again"
            )


def _canonically(cell: Cell) -> Cell:
    return cell.model_copy(update={"conventions": _canonical(cell.conventions)})


def check_models(
    models: Iterable[str],
    checkpoint: str,
    size: int | Mapping[str, int],
    workers: Workers,
    *,
    own: bool = False,
    trained: Mapping[str, Mapping[str, protocols.Protocol]] = MappingProxyType({}),
    deadly: bool = False,
    progress: Progress = untold,
) -> dict[str, dict[str, Any]]:
    """Models that can be built from the checkpoint, by their canonical spelling: {"digest", "architecture"}, and of
    their own classifier what `requests.check` says.

    size: of the input, pixels; of each model by its canonical spelling. own: with the checkpoint's own classifier.
    deadly: a model whose worker dies of it twice is left out of the answer, since its cells are to fail alone.
    Building is the check: it fetches the checkpoint, and finds a wrong name, option or file before any cell runs.
    UsageError: of a model, or its worker died twice.
    """
    checkpoints.check_name(checkpoint)
    parsed = list(dict.fromkeys(names.parse(model) for model in models))
    ready = itertools.count(1)

    def check(adapter: str) -> dict[str, dict[str, Any]]:
        checked = {}
        for name in (str(each) for each in parsed if str(each).partition(":")[0] == adapter):
            side = size if isinstance(size, int) else size[name]
            for chance in (1, 2):  # a worker that dies may have been killed from outside
                try:
                    checked[name] = workers[adapter].ask(
                        requests.check, model=name, checkpoint=checkpoint, size=side, own=own,
                        protocols=[each.model_dump(mode="json") for each in trained.get(name, {}).values()],
                    )  # fmt: skip
                    break
                except WorkerFailure as error:
                    if not error.died or (chance == 2 and not deadly):
                        raise UsageError(f"{name} cannot be built: {error}") from None
            progress(f"ready: {name}", next(ready), len(parsed))
        return checked

    adapters = list(dict.fromkeys(str(name).partition(":")[0] for name in parsed))
    if parsed:
        progress(f"starting {', '.join(adapters)}", 0, len(parsed))
    parts = workers.together(check, adapters, len(adapters))  # frameworks take seconds to import, each in its worker
    checked = {name: answer for part in parts for name, answer in part.items()}
    return {str(name): checked[str(name)] for name in parsed if str(name) in checked}


def check_images(dataset: data.Dataset, recipe: protocols.Protocol) -> None:
    """Refuse a protocol that takes fewer images than the data set has classes, or that cannot train or select on them:
    a warm-up longer than the training, a drop that is never reached, nothing to hold out."""
    taken = min(recipe.images.train or len(dataset.train), len(dataset.train))
    if len(dataset.classes) > taken:
        raise UsageError(
            f"{recipe.name}: images.train = {taken} is fewer than the {len(dataset.classes)} classes of {dataset.name};"
            f" give at least {len(dataset.classes)}"
        )
    if recipe.stage:
        labels = dataset.train.labels
        try:
            checking.check(recipe, labels[data.subset(labels, recipe.images.train)])
        except UsageError as error:
            raise UsageError(f"{recipe.name}: {error}") from None


def parse_seeds(seeds: str | int | Iterable[int]) -> list[int]:
    """`3` or `"3"` -> 0, 1, 2; `"0,4,7"` or `[0, 4, 7]` -> those; `"5-9"` -> 5 to 9."""
    ranges: list[range] = []
    if isinstance(seeds, str):
        try:
            ranges = _ranges(seeds)
        except ValueError:
            ranges = []
    elif _whole(seeds):
        ranges = [range(operator.index(seeds))]  # type: ignore[arg-type]
    elif isinstance(seeds, Iterable):
        given = list(seeds)
        ranges = [range(seed, seed + 1) for seed in given] if all(_whole(seed) and seed >= 0 for seed in given) else []
        seeds = given
    counts = [each.stop - each.start for each in ranges]  # len() takes no more than a machine's word
    if not counts or min(counts) < 1:
        raise UsageError(f"seeds {seeds!r}: give how many (3), which (0,4,7) or a range (5-9)")
    if sum(counts) > MOST_SEEDS:
        raise UsageError(f"seeds {_shown(seeds)}: that is too many; at most {MOST_SEEDS}")
    if max(each.stop for each in ranges) > LARGEST_SEED + 1:
        raise UsageError(f"seeds {_shown(seeds)}: at most {LARGEST_SEED}")
    return list(dict.fromkeys(itertools.chain(*ranges)))


def _shown(seeds: object) -> str:
    """Python writes no whole number of more than some thousand digits."""
    try:
        return repr(seeds)
    except ValueError:
        return "of thousands of digits"


def _ranges(text: str) -> list[range]:
    if "," not in text and "-" not in text:
        return [range(int(text))]
    parts = (part.partition("-") for part in text.split(",") if part)
    return [range(int(first), int(last or first) + 1) for first, _, last in parts]


def _whole(value: object) -> bool:
    """Whether it is a whole number, NumPy's too, and no truth value."""
    try:
        operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    return not isinstance(value, bool)


def _canonical(spec: str) -> str:
    """One spelling of a conventions spec."""
    return conventions.spelled(*conventions.parse(spec))
