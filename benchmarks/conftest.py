"""Options of the suite, and the session that measures in turn.

pytest runs one test after another, but speed is only comparable when models take turns (A B C A B C), so
that a slow minute of the machine hits all of them. The first test of a group therefore has the whole
group measured, round by round, and each test then reports its own rounds to pytest-benchmark: the timer
of the suite is the worker's clock, advanced by the seconds that the worker measured.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import isotune
from isotune import conventions, data, defaults, names, protocols, sealing
from isotune.errors import UsageError
from isotune.models import checkpoints, layouts, patterns
from isotune.progress import Reporter, reporting
from isotune.protocols import Mode
from isotune.runs import requests
from isotune.runs.planning import parse_seeds
from isotune.runs.records import Record
from isotune.runs.stopwatch import PATIENCE, Measurement
from isotune.workers.process import WorkerFailure, Workers

# Every network of the checkpoint `offline`.
ALL_OFFLINE = [*names.DEFAULT_MODELS, *(f"timm:tf_efficientnet_lite{i}" for i in range(3))]
TIERS: dict[str, dict[str, Any]] = {
    "quick": {  # `make bench`
        "models": list(names.DEFAULT_MODELS),
        "protocols": ["quick", "quick-fine-tune"],
        "seeds": "3",
        "rounds": 6,
    },
    "standard": {
        "models": ALL_OFFLINE,
        "protocols": ["linear-probe", "quick-fine-tune"],
        "seeds": "5",
        "rounds": 15,
    },
    "full": {
        "models": ALL_OFFLINE,
        "protocols": ["linear-probe", "frozen-head-sgd", "fine-tune-sgd", "fine-tune-adamw", "sfda"],
        "seeds": "10",
        "rounds": 30,
    },
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("isotune", "isotune: what is measured")
    group.addoption("--models", help="comma-separated adapter[@engine]:name[:option=value]; default: the tier's")
    group.addoption("--datasets", help="comma-separated; default: digits, which comes with scikit-learn")
    group.addoption("--protocols", help="comma-separated names or TOML files; default: the tier's")
    group.addoption("--seeds", help="how many (3), which (0,4,7) or a range (5-9); default: the tier's")
    group.addoption("--tier", default="quick", help="quick, standard or full: models, protocols, seeds and rounds")
    group.addoption(
        "--conventions", action="append", help="identical, native, with overrides; repeatable; default: both"
    )
    group.addoption(
        "--checkpoint", default="offline", help="offline, pretrained, a library's own, file:PATH, random:SEED"
    )
    group.addoption(
        "--modes",
        help=f"comma-separated {defaults.NUMERIC_MODES}, each also as NAME-LAYOUT, NAME-compiled, NAME-LAYOUT-compiled;"
        " default: float32, and for speeds also in the other layouts that a library has",
    )
    group.addoption(
        "--store", default=str(defaults.STORE), help="folder of records; finished cells in it are not rerun"
    )
    group.addoption(
        "--patience", default=PATIENCE, type=float, metavar="SECONDS",
        help=f"for taking rounds again that others disturbed, of all rounds of a measurement; default: {PATIENCE:g}",
    )  # fmt: skip
    group.addoption(
        "--verify", action="store_true", help="read again all that comes from the cache, large files too; for results"
        " that are to be published",
    )  # fmt: skip
    group.addoption("--fresh", action="store_true", help="rerun cells that are already in the store")


class Choices:
    """The options, checked: what is crossed with what."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.getoption
        if (tier := option("tier")) not in TIERS:
            raise UsageError(f"--tier {tier!r} is unknown; quick, standard or full")
        chosen = TIERS[tier]
        self.checkpoint: str = option("checkpoint")
        named = _split("models", option("models")) or chosen["models"]
        self.models, _ = patterns.expanded(named, self.checkpoint)
        self.datasets = _split("datasets", option("datasets")) or ["digits"]
        self.protocols = _split("protocols", option("protocols")) or chosen["protocols"]
        self.seeds = parse_seeds(chosen["seeds"] if option("seeds") is None else option("seeds"))
        self.conventions = option("conventions") or ["identical", "native"]
        self.rounds: int = chosen["rounds"]
        self.modes = [_mode(text) for text in _split("modes", option("modes"))]
        self.store = Path(option("store"))
        self.fresh: bool = option("fresh")
        self.patience: float = option("patience")
        if not self.patience >= 0:
            raise UsageError(f"--patience {self.patience:g}: seconds, 0 or more")
        recipes = [protocols.load(recipe) for recipe in self.protocols]
        self.size = recipes[0].input.size  # of speeds, which are shown beside accuracies of their size alone
        for model in self.models:
            for mode in self.modes:
                layouts.as_asked(mode, _adapter(model))
            names.parse(model)
        for dataset in self.datasets:
            data.describe(dataset)
        for spec in self.conventions:
            conventions.parse(spec)
        checkpoints.check_name(self.checkpoint)


def _split(option: str, text: str | None) -> list[str]:
    """What an option lists; nothing where it is not given. UsageError: it is given, and lists nothing."""
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if text is not None and not parts:
        raise UsageError(f"--{option}: is empty; give at least one value, or leave it out")
    return parts


def _mode(text: str) -> Mode:
    try:
        return Mode.parse(text)
    except UsageError as error:
        raise UsageError(
            f"--modes {text!r}: {error}; {defaults.NUMERIC_MODES}, each optionally followed by -LAYOUT and -compiled"
        ) from None


def _adapter(model: str) -> str:
    return str(names.parse(model)).partition(":")[0]


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("benchmark_json", None):  # pytest-benchmark opens it at the very end, all measured
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        config.stash[CHOICES] = Choices(config)
    except UsageError as error:
        pytest.exit(str(error), returncode=2)


CHOICES: pytest.StashKey[Choices] = pytest.StashKey()


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """The file carries a digest of what is in it."""
    output_json[sealing.BENCHMARKS] = sealing.digest_of({"of": json.loads(json.dumps(output_json["benchmarks"]))})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choices = metafunc.config.stash[CHOICES]
    values: dict[str, list[str]] = {
        "dataset": choices.datasets,
        "recipe": choices.protocols,
        "conventions": choices.conventions,
    }
    for name, options in values.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, options, ids=[_identifier(option) for option in options])
    if "mode" in metafunc.fixturenames:
        pairs = list(_modes(choices, speeds="recipe" not in metafunc.fixturenames))
        metafunc.parametrize(("mode", "model"), pairs, ids=["-".join(map(_identifier, pair)) for pair in pairs])


def _modes(choices: Choices, *, speeds: bool) -> Iterator[tuple[str, str]]:
    """Every model in every mode, as words, once: a library's default layout is no further mode of it."""
    seen: set[tuple[Mode, str]] = set()
    further = [Mode(layout=layout) for layout in protocols.LAYOUTS] if speeds else []
    for mode in choices.modes or [Mode(), *further]:
        for model in choices.models:
            if not choices.modes and mode.layout and mode.layout not in layouts.others(_adapter(model)):
                continue
            own = layouts.as_asked(mode, _adapter(model))
            if (own, model) not in seen:
                seen.add((own, model))
                yield own.spelling, model


def _identifier(option: str) -> str:
    return Path(option).stem if option.endswith(".toml") else option


_worker_clock = 0.0


def worker_seconds() -> float:
    """The suite's timer: seconds that workers have measured so far."""
    return _worker_clock


class Suite:
    """Runs the cells and measurements of the selected tests, in turn, and hands out what each test is about."""

    def __init__(self, session: pytest.Session, workers: Workers, reporter: Reporter) -> None:
        self.choices = session.config.stash[CHOICES]
        self._items = [item for item in session.items if isinstance(item, pytest.Function)]
        self._workers, self._reporter = workers, reporter
        self._records: dict[tuple[Any, ...], Sequence[Record]] = {}
        self._rounds: dict[str, list[dict[str, Any]] | Exception] = {}
        self._measured_as: dict[str, Measurement] = {}
        self._noises: dict[str, dict[str, float] | None] = {}
        self._asked: set[str] = set()

    def _selected(self, function: str, **fixed: Any) -> list[dict[str, Any]]:
        """Parameters of the selected tests of one function, with the fixed ones among them."""
        parameters = [item.callspec.params for item in self._items if item.originalname == function]
        return [params for params in parameters if all(params[name] == value for name, value in fixed.items())]

    def records(self, dataset: str, recipe: str, mode: str, model: str, conventions: str) -> list[Record]:
        """One record a seed; those of the whole group (data set, protocol, mode) are run in turn at the first call."""
        group = (dataset, recipe, mode)
        if group not in self._records:
            fixed = {"dataset": dataset, "recipe": recipe, "mode": mode}
            chosen = [
                (params["model"], params["conventions"]) for params in self._selected("test_fine_tuning", **fixed)
            ]
            self._records[group] = isotune.run(
                list(dict.fromkeys(model for model, _ in chosen)),
                dataset,
                recipe,
                self.choices.seeds,
                list(dict.fromkeys(spec for _, spec in chosen)),
                checkpoint=self.choices.checkpoint,
                **Mode.parse(mode).settings,
                store=self.choices.store,
                fresh=self.choices.fresh,
                workers=self._workers,
                progress=self._reporter,
            ).records
        wanted = str(names.parse(model))
        mine = [r for r in self._records[group] if (r.cell.model, r.cell.conventions) == (wanted, conventions)]
        return sorted(mine, key=lambda record: self.choices.seeds.index(record.cell.seeds.head))

    def rounds(self, function: str, asked: Measurement) -> tuple[list[dict[str, Any]], str | None]:
        """The measurement's rounds, and the conventions of the equal network that was measured in its place;
        all of the test function are measured in turn at the first call."""
        if function not in self._asked:
            self._asked.add(function)
            group = [
                self.measurement(asked.question, asked.batch_size, **params) for params in self._selected(function)
            ]
            distinct: dict[str, Measurement] = {}
            for one in group:
                first = distinct.setdefault(self._network(one), one)
                self._measured_as[one.model_dump_json()] = first
            self._reporter.parts("rounds", len(distinct) * self.choices.rounds)
            for number, one in itertools.product(range(self.choices.rounds), distinct.values()):
                self._one_round(number, one)
            if asked.stages:
                self._take_noises([one for one in distinct.values() if one.conventions == self.choices.conventions[0]])
            for adapter in {one.model.partition(":")[0] for one in group}:
                if adapter in self._workers:
                    self._workers[adapter].ask(requests.close)
        measured = self._measured_as[asked.model_dump_json()]
        rounds = self._rounds[measured.model_dump_json()]
        if isinstance(rounds, Exception):
            pytest.fail(str(rounds), pytrace=False)
        return rounds, (None if measured == asked else measured.conventions)

    def measurement(self, question: str, batch_size: int, model: str, conventions: str, mode: str) -> Measurement:
        return Measurement(
            question=question,  # type: ignore[arg-type]
            model=model,
            checkpoint=self.choices.checkpoint,
            conventions=conventions,
            **Mode.parse(mode).settings,
            image_size=self.choices.size,
            batch_size=batch_size,
            patience=self.choices.patience,
        )

    def _network(self, one: Measurement) -> str:
        """What is measured in truth: set-ups that agree on every axis that matters are measured once."""
        try:
            axes = self._workers[one.model.partition(":")[0]].ask(
                requests.network, measurement=one.model_dump(mode="json")
            )
        except (UsageError, WorkerFailure):  # measuring it will say what is wrong
            return one.model_dump_json()
        return one.model_copy(update={"conventions": json.dumps(axes, sort_keys=True)}).model_dump_json()

    def noise(self, asked: Measurement) -> dict[str, float] | None:
        """What the numeric mode leaves of the digits, of a training step that was measured."""
        return self._noises.get(self._measured_as[asked.model_dump_json()].model_dump_json())

    def _take_noises(self, measured: list[Measurement]) -> None:
        """It takes a while, and nothing of it is timed: the libraries at the same time."""
        by_library: dict[str, list[Measurement]] = {}
        for one in measured:
            by_library.setdefault(one.model.partition(":")[0], []).append(one)

        def of_library(mine: list[Measurement]) -> dict[str, dict[str, float] | None]:
            return {one.model_dump_json(): self._noise(one) for one in mine}

        for noises in self._workers.together(of_library, list(by_library.values()), len(by_library)):
            self._noises |= noises

    def _noise(self, one: Measurement) -> dict[str, float] | None:
        if one.numeric_mode == "float64" or isinstance(self._rounds[one.model_dump_json()], Exception):
            return None
        self._reporter(f"{one.model} {one.conventions}: noise of {one.numeric_mode}", 0, 1)
        try:
            worker = self._workers[one.model.partition(":")[0]]
            return dict(worker.ask(requests.noise, measurement=one.model_dump(mode="json")))
        except (UsageError, WorkerFailure):  # float64 may not fit into memory
            return None

    def _one_round(self, number: int, one: Measurement) -> None:
        key = one.model_dump_json()
        rounds = self._rounds.setdefault(key, [])
        if isinstance(rounds, Exception):
            return
        self._reporter(f"{one.model} {one.mode} {one.conventions}: {one.question}", number + 1, self.choices.rounds)
        try:
            worker = self._workers[one.model.partition(":")[0]]
            rounds.append(worker.ask(requests.measure, measurement=one.model_dump(mode="json")))
        except (UsageError, WorkerFailure) as error:  # one that cannot be measured does not take the others along
            self._rounds[key] = error


@pytest.fixture(scope="session")
def suite(request: pytest.FixtureRequest) -> Iterator[Suite]:
    capture = request.config.pluginmanager.getplugin("capturemanager")
    visible = capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
    verified = sealing.everything() if request.config.getoption("verify") else contextlib.nullcontext()
    with visible, verified, reporting(True) as reporter, Workers() as workers:
        yield Suite(request.session, workers, reporter)


@pytest.fixture
def advance_clock() -> Any:
    """A function to benchmark: each call advances the worker's clock by the next of the seconds given."""

    def replaying(seconds: list[float]) -> Any:
        remaining = iter(seconds)

        def advance() -> None:
            global _worker_clock  # noqa: PLW0603
            _worker_clock += next(remaining)

        return advance

    return replaying


@pytest.fixture
def replay(benchmark: Any, advance_clock: Any) -> Any:
    """Reports seconds measured by a worker as rounds of pytest-benchmark, with what belongs to them."""

    def rounds(seconds: list[float], extra: dict[str, Any]) -> None:
        benchmark.extra_info["isotune"] = extra
        benchmark.pedantic(advance_clock(seconds), rounds=len(seconds), iterations=1, warmup_rounds=0)

    return rounds


@pytest.fixture
def measure(suite: Suite, replay: Any) -> Any:
    """Measures a test function's group in turn and reports this test's rounds."""

    def report(function: str, asked: Measurement) -> None:
        rounds, same_as = suite.rounds(function, asked)
        last = rounds[-1]
        extra = {
            "question": asked.question,
            "model": asked.model,
            "architecture": last["architecture"],
            "parameters": last["parameters"],
            "conventions": asked.conventions,
            "same_as": same_as,
            "mode": asked.mode,
            "image_size": asked.image_size,
            "batch_size": asked.batch_size,
            "disturbances": [one["disturbance"] for one in rounds],
            "first_step": last["first_step"],
            "resident": last["resident"],
            "device": last["device"],
            "environment": last["environment"],
            "noise": suite.noise(asked),
        }
        replay([one["seconds"] for one in rounds], extra)

    return report
