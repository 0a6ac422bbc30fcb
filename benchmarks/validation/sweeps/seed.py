"""A further seed of a probe: what its cell takes, what of that its fit, and that the fit is the solution.

Two protocols on scikit-learn's digits with a MobileNetV2 of each library, in a worker that has run the first seed:
`quick` (900 images x 1,280 features, one strength) and the six strengths of `linear-probe` at 96 pixels. A cell's time
is from the question to the record in the store. The classifier is held against scikit-learn's of the same features,
with a tolerance ten thousand times finer: the largest difference of a score on the test images.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import end_to_end
import numpy as np
from figures import figure

from isotune import data, protocols
from isotune.protocols import Probe
from isotune.runs import planning, probe, requests
from isotune.runs.planning import Matrix
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.workers.process import Workers

FEATURES, IMAGES, TESTED, CLASSES = 1280, 1000, 797, 10
FINER = 1e-9  # of scikit-learn's solution


def measure(place: Path, *, quick: bool) -> dict[str, Any]:
    seeds = range(1, 4 if quick else 12)
    digits = {"digits": data.prepare("digits")}
    recipes = {"quick": protocols.load("quick"), "six strengths": protocols.load(str(end_to_end.HERE / "probe.toml"))}
    rows, further = [], []
    for library, name in end_to_end.MODELS.items():
        for title, recipe in recipes.items():
            matrix = Matrix([f"{library}:{name}"], ["digits"], [recipe], ["native"], [0, *seeds])
            took = _cells(planning.cells(matrix, digits), place / "records")
            fits = [record.timings.training for record in took.values()][1:]
            cells = list(took)[1:]
            further.append((title, library, median(cells), median(fits)))
            rows.append(f"| {library} | {title} | {median(cells):.3f} | {median(fits):.3f} |")
    slowest = {title: max(cell for each, _, cell, _ in further if each == title) for title in recipes}
    apart = _apart()
    return {
        "title": "A further seed of a probe",
        "figures": [
            figure("a further seed of a probe, 900 x 1,280 features: the whole cell", slowest["quick"], "s", most=0.1),
            figure("the same with six strengths", slowest["six strengths"], "s"),
            figure("a score's largest distance from the exact solution", apart["ours"], ""),
            figure("the same of scikit-learn under isotune's tolerance", apart["scikit-learn"], ""),
        ],
        "lines": [
            f"Medians of {len(seeds)} seeds, seconds; the figure above is the slowest library's.", "",
            "| library | protocol | cell | its fit |", "| --- | --- | ---: | ---: |", *rows, "",
            f"Scores on random features of {CLASSES} classes, {IMAGES} x {FEATURES}, as large as"
            f" {apart['scale']:.1f}; exact: scikit-learn with a tolerance of {FINER:g}.",
        ],
    }  # fmt: skip


def _cells(cells: list[Any], store: Path) -> dict[float, Any]:
    """Records by the seconds that their cells took, one after another in one worker."""
    took = {}
    with Workers() as workers:
        worker = workers[cells[0].adapter]
        for cell in cells:
            began = time.perf_counter()
            worker.ask(requests.run, cell=cell.model_dump(mode="json"), store=str(store))
            seconds = time.perf_counter() - began
            record = Store(store).read(cell)
            assert record is not None, cell
            took[seconds] = record
    return took


def _apart() -> dict[str, float]:
    from sklearn.linear_model import LogisticRegression

    stream = np.random.default_rng(0)
    labels, tested = (stream.integers(CLASSES, size=count) for count in (IMAGES, TESTED))
    shapes = stream.normal(size=(40, FEATURES)) * np.geomspace(1, 1e-3, 40)[:, np.newaxis]
    centres = stream.normal(size=(CLASSES, 40))
    train, test = (
        np.maximum((centres[each] + stream.normal(size=(len(each), 40))) @ shapes / 6, 0).astype(np.float32)
        for each in (labels, tested)
    )
    l2 = 1e-2
    recipe = Probe(l2=(l2,), held_out=0.1, refit=False)
    rows, _ = probe._split(labels, recipe.held_out, 0)

    def scikit(tolerance: float) -> np.ndarray:
        model = LogisticRegression(C=1 / (l2 * len(rows)), max_iter=100_000, tol=tolerance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(train[rows].astype(np.float64), labels[rows])
        return _level(model.decision_function(test.astype(np.float64)))

    exact = scikit(FINER)
    ours = _level(probe.fit(recipe, train, labels, test, CLASSES, Seeds.all(0)).logits)
    scores = {"ours": ours, "scikit-learn": scikit(probe.FINAL_TOLERANCE)}
    return {
        "scale": float(np.abs(exact).max()),
        **{who: float(np.abs(each - exact).max()) for who, each in scores.items()},
    }


def _level(scores: np.ndarray) -> np.ndarray:
    level: np.ndarray = scores - scores.mean(axis=1, keepdims=True)
    return level
