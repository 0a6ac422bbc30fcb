"""Figures: no label over another, honest scales, the same bytes each time."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from report_factories import FINE_TUNE, LIBRARIES, default_run, default_speeds, record

from isotune import report
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.judging import Finding, judge
from isotune.report.analysis.sections import Section, sections
from isotune.report.figures import components as _components
from isotune.report.figures import forest as _forest
from isotune.report.figures import scatter as _scatter
from isotune.report.figures import spread as _spread
from isotune.report.figures import style as _style
from isotune.report.figures.section import _speeds
from isotune.runs.records import Record
from isotune.seeds import Seeds


def section(records: list[Record]) -> Section:
    (only,) = sections(records)
    return only


def finding(records: list[Record]) -> Finding:
    return judge(section(records), Answers(None))


def forest(records: list[Record]) -> Figure:
    parts, _ = _forest.parts(finding(records))
    with _style.style():
        return _forest.figure(parts, 1)


def scatter(records: list[Record]) -> Figure:
    points, speed = _speeds(section(records))
    with _style.style():
        return _scatter.figure(points, speed, 1)


def crowd(count: int, spread: float) -> list[Record]:
    rng = np.random.default_rng(count)
    return [
        record(
            f"{('timm', 'keras', 'torchvision')[i % 3]}:a_model_with_a_name_{i}",
            round(0.8 + spread * rng.uniform(-1, 1), 3),
            architecture=f"a{i}",
            protocol=FINE_TUNE,
            timings={"training": 1.0, "training_images": int(200 * (1 + spread * rng.uniform(-1, 1)))},
        )
        for i in range(count)
    ]


def words(figure: Figure) -> dict[str, tuple[float, float, float, float]]:
    """Annotations and where their words lie, pixels."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()
    return {
        text.get_text(): Text.get_window_extent(text, renderer).extents
        for text in figure.axes[0].texts
        if isinstance(text, Annotation)
    }


@pytest.mark.parametrize(("count", "spread"), [(3, 0.0), (8, 0.02), (20, 0.01), (20, 0.15), (150, 0.15)])
def test_labels_never_overlap(count: int, spread: float) -> None:
    boxes = words(scatter(crowd(count, spread)))
    assert boxes
    for (first, a), (second, b) in combinations(boxes.items(), 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{first} lies over {second}"


def test_few_models_bear_their_names() -> None:
    records = default_run()
    assert set(words(scatter(records))) == {r.cell.model for r in records}


def test_of_many_models_only_those_that_none_beats_are_numbered() -> None:
    records = [
        record(
            f"timm:m{i}",
            0.5 + 0.01 * (i % 20),
            architecture=f"m{i}",
            protocol=FINE_TUNE,
            timings={"training": 1.0, "training_images": 100 + i},
        )
        for i in range(40)
    ]
    figure = scatter(records)
    assert list(words(figure)) == ["1"]  # m39 is both the fastest and the most accurate
    assert figure.legends[1].get_texts()[0].get_text().endswith("timm:m39")


def test_equal_accuracies_are_not_drawn_as_mountains() -> None:
    axes = scatter(crowd(3, 0.0)).axes[0]
    low, high = axes.get_ylim()
    assert high - low >= 1  # points of accuracy
    low, high = axes.get_xlim()
    assert high / low >= 1.5


def test_every_seed_is_a_dot_and_nothing_is_a_bar() -> None:
    records = default_run()
    with _style.style():
        axes = _spread.figure(section(records).rows, 1).axes[0]
    dots = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert sum(len(np.atleast_1d(line.get_xdata())) for line in dots) == len(records)
    assert not axes.patches
    low, high = axes.get_xlim()
    assert all(low < value < high for line in dots for value in np.atleast_1d(line.get_xdata()))


def runs(model: str, *accuracies: float, conventions: str = "identical") -> list[Record]:
    return [record(model, accuracy, seed=seed, conventions=conventions) for seed, accuracy in enumerate(accuracies)]


TORCHVISION, TIMM, KERAS = LIBRARIES


def test_the_forest_shows_every_difference_with_its_interval_and_the_margin() -> None:
    made = forest(
        runs(TIMM, 0.85, 0.86, 0.855) + runs(KERAS, 0.82, 0.835, 0.823) + runs(TORCHVISION, 0.85, 0.859, 0.855)
    )
    axes = made.axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [round(float(line.get_xdata()[0]), 1) for line in dots] == [-0.0, -2.9, -2.9]
    assert [line.get_markerfacecolor() == "white" for line in dots] == [True, False, False]
    intervals = [line for line in axes.lines if line.get_linestyle() == "-" and len(set(line.get_xdata())) == 2]
    assert len(intervals) == 3
    assert len(axes.collections) == 3, "a band of the margin behind each"
    low, high = axes.get_xlim()
    assert low < -2.9
    assert high > 1, "the margin is in view on both sides"
    edge = [text.get_text() for text in axes.texts]
    assert sum(text.endswith("n.d.") for text in edge) == 1


def test_a_wide_range_leaves_small_differences_visible() -> None:
    made = forest(runs(TIMM, 0.91, 0.9) + runs(KERAS, 0.91, 0.898) + runs(KERAS, 0.1, 0.12, conventions="native"))
    assert made.axes[0].get_xscale() == "symlog"
    assert made.axes[0].get_xlabel() == "difference, points of accuracy\n(linear to ±1, logarithmic beyond)"
    assert forest(runs(TIMM, 0.91, 0.9) + runs(KERAS, 0.9, 0.89)).axes[0].get_xscale() == "linear"


def legend(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.legends[0].get_texts()}


def test_every_line_of_a_figure_is_in_its_legend() -> None:
    records = default_run()
    libraries = {"torchvision", "timm", "Keras"}
    with _style.style():
        spread = _spread.figure(section(records).rows, 1)
    assert legend(spread) == {"identical", "native", "mean", "its 95 % interval", *libraries}
    assert legend(scatter(records)) == {"identical", "native", "intervals", "one model's set-ups", *libraries}
    drawn = {"not distinguishable", "interval", "no difference", "margin"}
    assert legend(forest(records)) == {*drawn, *libraries}
    noisy = runs(TIMM, 0.85, 0.86, 0.855) + runs(KERAS, 0.82, 0.835, 0.823)
    assert "distinguishable" in legend(forest(noisy))
    one = [record(TIMM), record(KERAS, 0.84)]
    with _style.style():
        assert legend(_spread.figure(section(one).rows, 1)) == {"identical", "mean", "timm", "Keras"}
    assert "interval" not in legend(forest(one))


def test_a_logarithmic_axis_says_so() -> None:
    slow = [record(f"timm:m{i}", architecture=f"m{i}", protocol=FINE_TUNE,
                   timings={"training": 1.0, "training_images": 10 ** (i + 1)}) for i in range(3)]  # fmt: skip
    assert scatter(slow).axes[0].get_xlabel() == "training speed (logarithmic)"
    assert "logarithmic" not in scatter(default_run()).axes[0].get_xlabel()


def test_a_forest_has_room_for_so_many_lines() -> None:
    crowd = [made for i in range(20) for model in LIBRARIES
             for made in (record(f"{model}:alpha={i}", 0.8, architecture=f"a{i}"),)]  # fmt: skip
    parts, left_out = _forest.parts(finding(crowd))
    assert sum(len(part.lines) for part in parts) == _forest.MOST
    assert left_out == 20


def test_each_source_of_variance_is_a_dot_with_its_interval() -> None:
    crossed = []
    for head in range(3):
        for order in range(3):
            one = record(TIMM, 0.9 + 0.02 * head + 0.001 * order**2, protocol=FINE_TUNE)
            cell = one.cell.model_copy(update={"seeds": Seeds(head=head, order=order, augmentation=0)})
            crossed.append(one.model_copy(update={"cell": cell.model_validate(cell.model_dump())}))
    spreads = finding(crossed).spreads
    assert [_components.told(spread) for spread in spreads] == [True]
    with _style.style():
        axes = _components.figure(spreads, 1).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["all seeds", "head", "order", "head x order"]
    assert sum(line.get_linestyle() == "None" for line in axes.lines) == 4
    assert sum(line.get_linestyle() == "-" for line in axes.lines) == 3
    assert legend(axes.figure) == {"all seeds", "seed streams", "95 % interval"}
    assert not axes.patches
    assert not any(_components.told(spread) for spread in finding(default_run()).spreads), (
        "nothing known, nothing drawn"
    )


def test_a_users_own_matplotlibrc_changes_no_byte_and_stays(tmp_path: Path) -> None:
    report.write(default_run(), tmp_path / "a", speeds=default_speeds())
    with mpl.rc_context({"axes.linewidth": 9, "svg.fonttype": "none", "font.size": 30}):
        report.write(default_run(), tmp_path / "b", speeds=default_speeds())
        assert mpl.rcParams["font.size"] == 30
    for path in (tmp_path / "a" / "figures").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "figures" / path.name).read_bytes()


def test_files_are_small_undated_and_without_foreign_fonts(tmp_path: Path) -> None:
    report.write(default_run(), tmp_path, speeds=default_speeds())
    for path in (tmp_path / "figures").iterdir():
        text = path.read_text()
        assert len(text) < 100_000
        assert "<dc:date>" not in text
        assert "<text" not in text


@pytest.mark.parametrize("library", ["torchvision", "timm", "keras", "third-party"])
def test_an_engine_shares_its_librarys_colour(library: str) -> None:
    assert _style.colour(library) == _style.colour(f"{library}@jax")
