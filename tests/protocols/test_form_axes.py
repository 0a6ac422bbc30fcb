"""A protocol under conventions: every form of a technique as its axis says, and no other field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune import protocols
from isotune.conventions import AXES, FORM_AXES, PROTOCOL, Conventions
from isotune.errors import UsageError
from isotune.protocols import form_axes, forms
from isotune.protocols.schedules import learning_rates

VALUES = {axis: [value for value in AXES[axis].values if value != PROTOCOL] for axis in FORM_AXES}
TEXT = """
name = "all"
title = "Every technique whose forms are axes"
source = "this test"
augmentation = { random_erasing = {}, mixing = { mixup = 0.2 } }
average = { decay = 0.9 }
[[stage]]
epochs = 4
batch_size = 8
optimizer = { name = "sgd" }
schedule = { name = "cosine", learning_rate = 0.5, warmup_epochs = 1 }
stochastic_depth = { rate = 0.1 }
[[stage]]
steps = 3
batch_size = 8
optimizer = { name = "sgd" }
schedule = { learning_rate = 0.5 }
"""
ALL = protocols.parse(TEXT, "all.toml")
chosen = st.fixed_dictionaries({}, optional={axis: st.sampled_from(values) for axis, values in VALUES.items()})


def impossible(axes) -> bool:
    return axes.get("mixing_per") == "pair" and axes.get("mixing_partner", "reversed") != "reversed"


@given(chosen)
def test_exactly_the_fields_of_the_axes_change_and_each_is_told_by_its_field(axes) -> None:
    if impossible(axes):
        with pytest.raises(UsageError, match=r"the protocol cannot have .*mixing_per=pair.*at the other end"):
            form_axes.under(ALL, axes)
        return
    changed = form_axes.under(ALL, Conventions(**axes).model_dump())
    own = form_axes.settled(ALL, {})
    expected = {AXES[axis].field for axis, value in axes.items() if value != own[axis]}
    found = forms.differences(ALL, changed)
    assert {each.field.replace("stage.1.", "stage.") for each in found} == expected
    assert all(each.is_form and each.words("left", "right").count("(") >= 2 for each in found), "with whose each is"
    assert form_axes.settled(changed, {}) == own | axes, "each has its name back"
    assert changed.stage[1] == ALL.stage[1], "which has none of the techniques"


def test_the_protocol_itself_is_what_says_nothing_else() -> None:
    assert form_axes.under(ALL, Conventions().model_dump()) is ALL
    assert form_axes.under(ALL, form_axes.settled(ALL, {})) is ALL
    assert form_axes.settled(ALL, {"gelu": "tanh"})["gelu"] == "tanh"


@pytest.mark.parametrize(
    ("was", "then", "left"),
    [
        ("random_erasing = {}, ", "", {"erasing_fill"}),
        (", mixing = { mixup = 0.2 }", "", {"mixing_partner", "mixing_per"}),
        ("average = { decay = 0.9 }", "", {"average_start", "average_warmup", "average_statistics"}),
        ("stochastic_depth = { rate = 0.1 }", "", {"depth_per", "depth_scaling"}),
        (", warmup_epochs = 1", "", {"warmup_start", "warmup_place"}),
        ("epochs = 4", "steps = 40", {"schedule_per"}),
        ('name = "cosine", ', "", {"schedule_per", "warmup_place"}),
        ("batch_size = 8", 'batchnorm = "inference"\nbatch_size = 8', {"average_statistics"}),
    ],
)
def test_an_axis_matters_where_the_protocol_has_its_technique(was, then, left) -> None:
    """left: what does not, once the text is changed; a value of it changes nothing."""
    assert set(form_axes.relevant_forms(ALL)) == set(FORM_AXES)
    text = TEXT.replace(was, then)
    assert text != TEXT
    fewer = protocols.parse(text, "fewer.toml")
    assert set(form_axes.relevant_forms(fewer)) == set(FORM_AXES) - left
    for axis in left:
        assert all(form_axes.under(fewer, {axis: value}) is fewer for value in VALUES[axis])
        assert form_axes.settled(fewer, {axis: VALUES[axis][0]})[axis] == PROTOCOL


def test_probes_and_evaluations_have_no_technique() -> None:
    for name in ("quick", "own-classifier", "linear-probe"):
        assert form_axes.relevant_forms(protocols.load(name)) == ()


@pytest.mark.parametrize(
    ("start", "first"),
    [("one-step", 0.5 / 4), ("zero", 0.0), ("hundredth", 0.005), ("third", 0.5 / 3), ("rate-1e-5", 1e-5)],
)
def test_a_warm_up_begins_where_its_axis_says(start, first) -> None:
    (stage, _) = form_axes.under(ALL, {"warmup_start": start}).stage
    assert learning_rates(stage.schedule, 16, 4)[0] == pytest.approx(first, abs=1e-15)


def test_a_rate_that_is_no_share_of_the_peak_is_refused() -> None:
    low = protocols.parse(TEXT.replace("learning_rate = 0.5, w", "learning_rate = 1e-6, w"), "low.toml")
    with pytest.raises(UsageError, match=r"cannot have warmup_start=rate-1e-5: .*schedule\.start: .*less than 1"):
        form_axes.under(low, {"warmup_start": "rate-1e-5"})


def test_a_share_is_of_the_peak_that_a_grid_chose() -> None:
    stage = protocols.Grid(learning_rate=(0.05,), stage=1).stages(ALL.stage, {"learning_rate": 0.05})[0]
    assert form_axes.stage_under(ALL, stage, {"warmup_start": "rate-1e-5"}).schedule.start == pytest.approx(1e-5 / 0.05)


def test_a_protocol_says_its_forms_where_it_has_the_technique() -> None:
    with pytest.raises(UsageError, match=r"conventions\.average_start: .* in average\.start; write it there"):
        protocols.parse(TEXT.replace("[[stage]]", 'conventions = { average_start = "zero" }\n[[stage]]', 1), "all.toml")


def test_recipes_that_libraries_published_have_their_names() -> None:
    named = form_axes.settled(protocols.load("timm-cosine"), {})
    assert (named["warmup_start"], named["warmup_place"], named["schedule_per"]) == ("rate-1e-5", "inside", "epoch")
    assert form_axes.settled(protocols.load("torchvision-new"), {})["warmup_start"] == "hundredth"
