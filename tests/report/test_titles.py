"""Sections of one name are told apart by what differs, in words."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from report_factories import FINE_TUNE, QUICK, record

from isotune.protocols import Input, Probe
from isotune.report.analysis.sections import sections
from isotune.report.analysis.titles import Recipe, titles


def named(*recipes: object, **other: object) -> list[str]:
    return sorted(section.title for section in sections([record(protocol=recipe, **other) for recipe in recipes]))


def test_a_name_alone_is_the_title() -> None:
    assert named(QUICK, FINE_TUNE) == ["fashion-mnist, fine-tune-sgd", "fashion-mnist, quick"]


def test_two_recipes_of_one_name_say_in_what_they_differ() -> None:
    small = QUICK.model_copy(update={"input": Input(size=32)})
    assert named(QUICK, small) == ["fashion-mnist, quick (input.size 32)", "fashion-mnist, quick (input.size 96)"]
    swept = QUICK.model_copy(update={"probe": Probe(l2=(1e-3, 1e-2)), "title": "Another"})
    assert named(QUICK, swept) == [
        "fashion-mnist, quick (probe.l2 [0.001, 0.01], title Another)",
        "fashion-mnist, quick (probe.l2 [0.001], title Linear probe)",
    ], "what a recipe does comes before what is said of it"


def test_other_images_under_one_name_are_told_by_their_digest() -> None:
    one, two = record(), record(accuracy=0.9)
    cell = two.cell.model_copy(update={"dataset_digest": "e" * 64})
    found = sections([one, two.model_copy(update={"cell": cell})])
    assert sorted(section.title for section in found) == [
        "fashion-mnist, quick (data dddddddd)", "fashion-mnist, quick (data eeeeeeee)",
    ]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=80), st.integers(0, 3)), unique=True, max_size=8))
@example([("a", "x" * 40 + middle + "x" * 40, 0) for middle in "yz"])
def test_titles_are_unique(recipes: list[tuple[str, str, int]]) -> None:
    import json

    made = [Recipe("set", digest * 64, "p", json.dumps({"title": title, "x": {"y": number}}))
            for digest, title, number in recipes]  # fmt: skip
    given_ = titles(made)
    assert len(set(given_.values())) == len(made)
    assert all(len(title) < 250 and title.startswith("set, p") for title in given_.values())


@pytest.mark.parametrize("title", ["a\nb", "x" * 500])
def test_a_title_is_one_short_line(title: str) -> None:
    (first, second) = named(QUICK, QUICK.model_copy(update={"title": title}))
    assert max(len(first), len(second)) < 120
    assert "\n" not in first + second
