"""Conventions: specs that parse, set-ups that resolve, input scaling as y = x * scale + offset."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.conventions import NETWORK_AXES, Conventions, affine, parse, resolve
from isotune.errors import UsageError

KERAS = Conventions(
    resize="plain", input_scaling="minus-one-to-one", batchnorm_epsilon=1e-3, momentum_form="rate-inside"
)
CHECKPOINT = {"input_scaling": "mean-std", "stride2_padding": "symmetric", "batchnorm_epsilon": 1e-5}

literals = {
    axis: [part for part in info.annotation.__args__ if part != "own"]
    for axis, info in Conventions.model_fields.items()
    if hasattr(info.annotation, "__args__") and all(isinstance(part, str) for part in info.annotation.__args__)
}
finite = st.floats(-1e3, 1e3)
positive = st.floats(1e-3, 1e3)


@given(st.dictionaries(st.sampled_from(sorted(literals)), st.integers(0, 9)), st.sampled_from(["identical", "native"]))
def test_every_value_of_every_axis_parses_back(chosen: dict[str, int], base: str) -> None:
    values = {axis: literals[axis][number % len(literals[axis])] for axis, number in chosen.items()}
    spec = ", ".join([base, *(f"{axis}={value}" for axis, value in values.items())])
    assert parse(spec) == (base, values)


def complaint(spec: str) -> str:
    try:
        parse(spec)
    except UsageError as error:
        return str(error)
    return ""


@given(st.text(max_size=40))
def test_no_spec_ends_in_anything_but_conventions_or_one_line(text: str) -> None:
    for spec in (text, f"native,{text}", f"identical,input_scaling={text}", f"native,batchnorm_epsilon={text}"):
        assert len(complaint(spec).splitlines()) <= 1


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("natve", "conventions 'natve' are unknown; did you mean 'native'?"),
        ("", "conventions '' are unknown; one of: identical, native"),
        ("native,", "convention '' is not axis=value"),
        ("native,gleu=exact", "convention 'gleu=exact' is not axis=value with a known axis; did you mean 'gelu'?"),
        ("native,gelu", "convention 'gelu' is not axis=value"),
        ("native,gelu=erf", "convention gelu='erf': Input should be 'own', 'exact' or 'tanh'"),
        ("native,gelu=exact,gelu=tanh", "convention 'gelu' is given twice"),
        (
            "native,batchnorm_epsilon=-1",
            "convention batchnorm_epsilon='-1': Input should be greater than or equal to 0",
        ),
        ("native,batchnorm_epsilon=inf", "convention batchnorm_epsilon='inf': Input should be a finite number"),
        ("native,batchnorm_momentum=1.5", "convention batchnorm_momentum='1.5': Input should be less than"),
        ("native,input_scaling=mean_std", "input scaling 'mean_std' is unknown; did you mean 'mean-std'?"),
        ("native,input_scaling=mean-std(0,0,0;1,1,0)", "input scaling"),
        ("native,input_scaling=mean-std(nan,0,0;1,1,1)", "input scaling"),
        ("native,input_scaling=mean-std(0,0;1,1)", "input scaling"),
    ],
)
def test_a_wrong_spec_is_refused_with_what_would_be_right(spec: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(spec)
    assert str(caught.value).startswith(said)


def test_a_scaling_of_its_own_may_hold_commas() -> None:
    spec = "native,input_scaling=mean-std(0.5, 0.4, 0.3; 0.2, 0.2, 0.1),gelu=tanh"
    assert parse(spec)[1] == {"input_scaling": "mean-std(0.5, 0.4, 0.3; 0.2, 0.2, 0.1)", "gelu": "tanh"}


def test_identical_is_the_protocols_recipe_on_the_checkpoints_network_and_torch_for_the_rest() -> None:
    found = resolve("identical", native=KERAS, protocol={"resize": "nearest"}, checkpoint=CHECKPOINT)
    assert found == Conventions(resize="nearest", **CHECKPOINT)


def test_native_is_the_librarys_but_for_the_checkpoints_input_scaling() -> None:
    found = resolve("native", native=KERAS, protocol={"resize": "nearest"}, checkpoint=CHECKPOINT)
    assert found == KERAS.model_copy(update={"input_scaling": "mean-std"})
    assert resolve("native", native=KERAS, protocol={}, checkpoint={}) == KERAS


def test_an_override_beats_both() -> None:
    spec = "native,input_scaling=unit,batchnorm_epsilon=own"
    found = resolve(spec, native=KERAS, protocol={}, checkpoint=CHECKPOINT)
    assert (found.input_scaling, found.batchnorm_epsilon) == ("unit", None)


@pytest.mark.parametrize("checkpoint", [{"resize": "plain"}, {"gelu": "erf"}, {"input_scaling": "imagenet"}])
def test_a_checkpoint_with_foreign_conventions_is_refused_in_one_line(checkpoint: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        resolve("identical", native=KERAS, protocol={}, checkpoint=checkpoint)


def test_network_axes_are_axes() -> None:
    assert set(NETWORK_AXES) < set(Conventions.model_fields)


@given(st.lists(finite, min_size=3, max_size=3), st.lists(positive, min_size=3, max_size=3))
def test_a_custom_scaling_subtracts_the_mean_and_divides_by_the_deviation(mean: list[float], std: list[float]) -> None:
    spelt = f"mean-std({','.join(map(repr, mean))};{','.join(map(repr, std))})"
    bgr, scale, offset = affine(spelt)
    x = np.array([[0.0, 128.0, 255.0]])
    assert not bgr
    np.testing.assert_allclose(x * scale + offset, (x / 255 - mean) / std, rtol=1e-12, atol=1e-9)


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3))
def test_the_named_scalings_are_those_of_their_libraries(pixel: list[int]) -> None:
    rgb = np.array(pixel, dtype=np.float64)
    # keras/src/applications/imagenet_utils.py: "tf", "torch", "caffe"
    expected = {
        "minus-one-to-one": rgb / 127.5 - 1,
        "mean-std": (rgb / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        "caffe": rgb[::-1] - [103.939, 116.779, 123.68],
        "unit": rgb / 255,
        "none": rgb,
    }
    for name, want in expected.items():
        bgr, scale, offset = affine(name)
        assert scale.dtype == offset.dtype == np.float64
        np.testing.assert_allclose((rgb[::-1] if bgr else rgb) * scale + offset, want, rtol=1e-12, atol=1e-12)
