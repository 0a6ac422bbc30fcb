"""What rows are called in a figure: short, and never two alike."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from report_factories import record

from isotune.report.analysis.answers import Answers
from isotune.report.analysis.judging import judge
from isotune.report.analysis.sections import sections
from isotune.report.figures import forest, spread
from isotune.report.figures import style as _style
from isotune.report.figures.names import MOST, distinct

SHARED = st.builds(
    lambda before, apart, after: f"timm:{before * 30}{apart}{after * 30}",
    st.sampled_from("ab"), st.text(st.sampled_from("xyz_"), max_size=3), st.sampled_from("ab"),
)  # fmt: skip


@given(st.lists(SHARED | st.text(max_size=60), max_size=12), st.integers(24, 70))
@example(["timm:" + "x" * 300, "timm:" + "x" * 300 + "y"], 44)
@example(["a" * 50, "a" * 50, "a" * 50 + " (2)"], 24)
@example(["aa", "aa", "aa (2)"], 24)
def test_labels_are_unique_and_short(names: list[str], most: int) -> None:
    shown = distinct(names, most)
    assert len(shown) == len(set(shown)) == len(names)
    assert all(len(name) <= most for name in shown)
    assert all(name.isprintable() for name in shown)


@given(st.lists(SHARED, unique=True, max_size=8))
def test_a_short_name_stays_and_a_long_one_keeps_its_beginning(names: list[str]) -> None:
    for name, shown in zip(names, distinct(names), strict=True):
        assert shown == name if len(name) <= MOST else shown.startswith(name[: MOST // 3 - 4])


def test_what_sets_two_long_names_apart_is_seen() -> None:
    first, second = (f"timm:vit_{'large_' * 8}patch{size}_{'clip_' * 8}laion" for size in (14, 16))
    assert "patch14" in distinct([first, second])[0]
    assert "patch16" in distinct([first, second])[1]


def ticks(figure: Figure) -> list[str]:
    return [tick.get_text() for tick in figure.axes[0].get_yticklabels()]


def test_rows_that_differ_in_their_checkpoint_alone_have_two_labels() -> None:
    records = [record("timm:a", accuracy, checkpoint=name, seed=seed)
               for name in ("offline", "file:other.pth") for seed, accuracy in enumerate((0.8, 0.82))]  # fmt: skip
    (section,) = sections(records)
    with _style.style():
        assert len(set(ticks(spread.figure(section.rows, 1)))) == 2


@given(st.lists(SHARED, unique=True, min_size=2, max_size=5))
def test_no_two_lines_of_a_forest_are_called_alike(models: list[str]) -> None:
    records = [
        record(model, accuracy - 0.01 * (base == "native"), conventions=base, seed=seed, architecture="a")
        for model in models for base in ("identical", "native") for seed, accuracy in enumerate((0.8, 0.82))
    ]  # fmt: skip
    (section,) = sections(records)
    parts, _ = forest.parts(judge(section, Answers(None)))
    names = distinct([line.name for part in parts for line in part.lines], 56)
    assert len(names) == len(set(names))
    assert len({line.name for part in parts for line in part.lines}) == len(names), "before they are shortened, too"
