"""What is declared of an axis fits what it is, and what is derived follows."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest

from isotune.conventions import (
    AXES,
    FORM_AXES,
    HEAD_LAWS,
    INPUT_AXES,
    NETWORK_AXES,
    PIXEL_AXES,
    RUNGS,
    Conventions,
    Feature,
    completed,
    described,
    parse,
    relevant,
    shown_at,
    upgraded,
    upgraded_spec,
    written_conventions,
)
from isotune.errors import UsageError
from isotune.weights import Weights

FEATURES = frozenset(get_args(Feature))


@pytest.mark.parametrize("name", AXES)
def test_the_values_that_an_axis_explains_are_those_that_it_takes(name):
    axis, allowed = AXES[name], get_args(Conventions.model_fields[name].annotation)
    if allowed and isinstance(allowed[0], str):
        assert tuple(axis.values) == allowed
    for value in (value.replace("STD", "0.02") for value in axis.values):
        if "R,G,B" not in value:
            assert parse(f"native,{name}={value}")[1][name] in (value, axis.default, float_or_none(value))
    assert axis.about
    assert all(axis.values.values())


def float_or_none(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@pytest.mark.parametrize("name", AXES)
def test_what_a_search_tries_is_a_value_of_the_axis_and_never_own(name):
    for value in AXES[name].candidates:
        assert value not in (None, "own")
        assert parse(f"native,{name}={value}")[1][name] == value


@pytest.mark.parametrize("name", AXES)
def test_an_axis_shows_at_rungs_of_the_ladder_in_its_order(name):
    rungs = AXES[name].rungs
    assert bool(rungs) == (name not in FORM_AXES), "both sides of a ladder are given the protocol's forms"
    assert list(rungs) == sorted(rungs, key=RUNGS.index)
    assert all(name in shown_at(rung) for rung in rungs)


def test_every_rung_has_an_axis_and_those_that_show_below_come_last():
    assert all(shown_at(rung) for rung in RUNGS)
    assert shown_at("gradients") == ("loss", "gelu")  # what gelu does shows in the layers already
    assert set(shown_at("layers")) < set(NETWORK_AXES)


def test_a_recipe_without_features_meets_the_axes_of_inference():
    inference = relevant(frozenset())
    assert {*PIXEL_AXES, *NETWORK_AXES} - inference == {"batchnorm_momentum"}
    assert inference - {*PIXEL_AXES, *NETWORK_AXES} == {"optional_tensors"}
    assert relevant(FEATURES) == set(AXES)


def test_an_axis_needs_all_of_its_features():
    assert "frozen_batchnorm" not in relevant(frozenset({"training", "frozen layers"}))
    assert "frozen_batchnorm" in relevant(frozenset({"batch statistics", "frozen layers"}))
    assert relevant(FEATURES) - relevant(FEATURES - {"clipping"}) == {"clipping"}


def test_a_checkpoint_carries_the_network_and_how_its_input_is_scaled():
    assert set(INPUT_AXES) & set(NETWORK_AXES) == {"input_scaling"}
    assert {name for name, axis in AXES.items() if axis.kind == "network"} == {*NETWORK_AXES} - {"input_scaling"}


def test_own_leaves_an_axis_of_the_network_open_and_is_a_choice_in_a_recipe():
    assert AXES["gelu"].leaves_open("own")
    assert AXES["batchnorm_epsilon"].leaves_open(None)
    assert not AXES["gelu"].leaves_open("tanh")
    assert not AXES["optional_tensors"].leaves_open("own")


def test_the_listing_names_every_axis_and_every_value():
    text = described()
    for name, axis in AXES.items():
        assert f"{name} ({axis.kind}): {axis.about}" in text
        assert all(f"    {value} " in text and meaning in text for value, meaning in axis.values.items())


@pytest.mark.parametrize(
    ("former", "today"),
    [
        ({"stride2_padding": "end"}, {"stride2_padding": "same"}),
        ({"pooling_border": "counted-when-strided"}, {"count_include_pad": "when-strided"}),
        ({"pooling_border": "own"}, {"count_include_pad": "own"}),
        ({"max_pooling_border": "zeros"}, {"max_pool_padding": "zeros"}),
        ({"batchnorm_epsilon": 1e-3, "gelu": "end"}, {"batchnorm_epsilon": 1e-3, "gelu": "end"}),
        ({"no_axis": [1]}, {"no_axis": [1]}),
    ],
)
def test_what_was_written_under_former_names_is_read_under_todays(former, today):
    assert upgraded(former) == today
    assert upgraded(today) == today


def test_a_former_name_in_a_spec_is_refused_with_todays():
    for former, today in (
        ("pooling_border=not-counted", "count_include_pad=false"),
        ("stride2_padding=end", "stride2_padding=same"),
    ):
        with pytest.raises(UsageError, match=f"convention '{former}' is written '{today}' now"):
            parse(f"native,gelu=tanh,{former}")
        assert upgraded_spec(f"native,gelu=tanh,{former}").split(",") == ["native", *sorted(["gelu=tanh", today])]
    assert upgraded_spec("native,gleu,") == "native,gleu,"


def test_a_checkpoint_file_of_former_names_is_read_under_todays(tmp_path):
    text = json.dumps({"input_scaling": "unit", "stride2_padding": "end", "pooling_border": "counted"})
    today = {"input_scaling": "unit", "stride2_padding": "same", "count_include_pad": "true"}
    assert written_conventions(text, "file.pt") == today
    Weights({"a": np.ones(2, np.float32)}, json.loads(text)).write(tmp_path / "w.safetensors")
    assert Weights.read(tmp_path / "w.safetensors").conventions == today


@pytest.mark.parametrize("text", ["[1]", "3", '{"gelu": "no"}', "{"])
def test_conventions_that_a_file_cannot_mean_are_one_line(text):
    with pytest.raises(UsageError, match="are damaged"):
        written_conventions(text, "file.pt")


def test_what_knew_fewer_axes_left_the_others_to_the_library():
    values = completed({"pooling_border": "counted", "batchnorm_epsilon": 1e-3})
    assert Conventions(**values) == Conventions(count_include_pad="true", batchnorm_epsilon=1e-3)
    assert set(values) == set(AXES)


def test_the_laws_of_a_head_are_those_that_its_axis_explains():
    assert tuple(AXES["head_initialisation"].values) == HEAD_LAWS
