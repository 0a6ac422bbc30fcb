"""Canonical weights: files that survive or are refused, draws that depend on names alone, what is trained."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from scipy import stats

from isotune.errors import UsageError
from isotune.weights import HEAD, Layer, Weights, check_fit, head_weights, random_weights, select_trained

LAYOUT = {
    "000.conv.kernel": (3, 3, 3, 8),
    "001.norm.scale": (8,),
    "001.norm.shift": (8,),
    "001.norm.mean": (8,),
    "001.norm.variance": (8,),
    "head.kernel": (8, 10),
    "head.bias": (10,),
}
LAYERS = [
    Layer("000.conv", "conv", 0, "stem"),
    Layer("001.norm", "norm", 0, "stem_bn"),
    Layer("002.conv", "conv", 1, "block"),
    Layer("003.conv", "conv", 2, "last"),
    Layer(HEAD, "dense", -1, "fc"),
]
names = st.from_regex(r"[0-9]{3}\.(conv|norm|dense)\.(kernel|bias|scale|mean)", fullmatch=True)
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
values = st.floats(allow_nan=False, width=32)


@settings(max_examples=30)
@given(
    st.dictionaries(names, st.tuples(shapes, st.sampled_from([np.float32, np.float64]), values), max_size=5),
    st.dictionaries(st.sampled_from(["input_scaling", "gelu"]), st.text(max_size=9)),
    st.text(max_size=20),
)
def test_what_is_written_is_read_back(tmp_path_factory, made, conventions, origin) -> None:
    tensors = {name: np.full(shape, value, dtype) for name, (shape, dtype, value) in made.items()}
    weights = Weights(tensors, conventions, "mobilenet_v2", origin)
    path = tmp_path_factory.mktemp("weights") / "some.safetensors"
    weights.write(path)
    read = Weights.read(path)
    assert read.digest() == weights.digest()
    assert (dict(read.conventions), read.architecture, read.origin) == (conventions, "mobilenet_v2", origin)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_weights_that_are_views_are_written_as_they_look(tmp_path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)[::2]
    Weights({"a.kernel": array}).write(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(Weights.read(tmp_path / "w.safetensors")["a.kernel"], array)


@given(st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_off_is_refused(tmp_path_factory, share: float) -> None:
    path = tmp_path_factory.mktemp("cut") / "w.safetensors"
    random_weights(LAYOUT, 0).write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UsageError, match=r"w\.safetensors: incomplete or damaged safetensors file"):
        Weights.read(path)


def test_what_is_not_isotunes_safetensors_is_refused(tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(UsageError, match="its conventions are unknown"):
        Weights.read(path)
    for metadata in ({}, {"conventions": "{", "architecture": "", "origin": ""}, {"conventions": "3"}):
        save_file({"a": np.zeros(3)}, path, {"isotune": "1", **metadata})
        with pytest.raises(UsageError, match="metadata in the file is damaged"):
            Weights.read(path)
    path.write_bytes(b"PK\x03\x04 a zip file, perhaps a torch checkpoint")
    with pytest.raises(UsageError, match="incomplete or damaged safetensors file"):
        Weights.read(path)
    with pytest.raises(UsageError, match="incomplete or damaged safetensors file"):
        Weights.read(tmp_path / "none.safetensors")


def test_an_old_file_stays_whole_when_writing_fails(tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    random_weights(LAYOUT, 0).write(path)
    before = path.read_bytes()
    with pytest.raises(Exception, match=r"."):
        Weights({"a.kernel": np.array(["not", "numbers"])}).write(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_the_digest_sees_names_values_shapes_and_dtypes_but_not_order() -> None:
    a, b = np.arange(4, dtype=np.float32), np.ones(2, np.float32)
    first = Weights({"a.kernel": a, "b.kernel": b}).digest()
    assert Weights({"b.kernel": b, "a.kernel": a}).digest() == first
    others = [
        {"a.kernel": a, "c.kernel": b},
        {"a.kernel": a[::-1], "b.kernel": b},
        {"a.kernel": a.reshape(2, 2), "b.kernel": b},
        {"a.kernel": a.astype(np.float64), "b.kernel": b},
    ]
    assert len({first, *(Weights(other).digest() for other in others)}) == 5


def test_weights_that_do_not_fit_are_refused_with_the_tensor_and_both_shapes() -> None:
    weights = dict(random_weights(LAYOUT, 0))
    check_fit(weights, LAYOUT, "here")
    with pytest.raises(UsageError, match=r"here: tensor '001.norm.mean' of the model \(8,\) is missing"):
        check_fit({name: array for name, array in weights.items() if name != "001.norm.mean"}, LAYOUT, "here")
    with pytest.raises(UsageError, match=r"'head.kernel' is \(8, 10\) in the checkpoint and \(8, 5\) in the model"):
        check_fit(weights, LAYOUT | {"head.kernel": (8, 5)}, "here")
    with pytest.raises(UsageError, match=r"has 1 tensors that the model lacks, first '002.conv.kernel'"):
        check_fit(weights | {"002.conv.kernel": np.zeros(1)}, LAYOUT, "here")


@given(st.permutations(list(LAYOUT)), st.integers(0, 2**32))
def test_random_weights_depend_on_seed_and_name_and_not_on_the_order(order: list[str], seed: int) -> None:
    drawn = random_weights({name: LAYOUT[name] for name in order}, seed)
    assert drawn.digest() == random_weights(LAYOUT, seed).digest()
    assert drawn.digest() != random_weights(LAYOUT, seed + 1).digest()
    alone = random_weights({order[0]: LAYOUT[order[0]]}, seed)
    np.testing.assert_array_equal(alone[order[0]], drawn[order[0]])


def test_random_weights_have_the_spread_that_is_documented() -> None:
    drawn = random_weights({"a.kernel": (3, 3, 64, 128), "b.variance": (10_000,), "b.mean": (10_000,)}, 0)
    assert drawn["a.kernel"].std() == pytest.approx(np.sqrt(2 / (3 * 3 * 64)), rel=0.02)
    assert 0.5 <= drawn["b.variance"].min() < 0.51
    assert 1.49 < drawn["b.variance"].max() <= 1.5
    assert drawn["b.mean"].std() == pytest.approx(0.1, rel=0.05)
    assert {array.dtype for array in drawn.values()} == {np.dtype(np.float32)}


@given(st.integers(1, 300), st.integers(1, 50), st.integers(0, 10**6))
def test_a_new_head_stays_within_the_bounds_of_its_initialisation(features: int, classes: int, seed: int) -> None:
    bounds = {
        "uniform-fan-in": (1 / np.sqrt(features),) * 2,
        "uniform-fan-in-weight": (1 / np.sqrt(features), 0),
        "uniform-fan-out": (1 / np.sqrt(classes), 0),
        "glorot-uniform": (np.sqrt(6 / (features + classes)), 0),
        "truncated-normal(0.02)": (0.04, 0),
        "normal(0.02)": (0.15, 0),  # 7.5 of them: once in 10^13
        "zeros": (0, 0),
    }
    for initialisation, (kernel_bound, bias_bound) in bounds.items():
        head = head_weights(features, classes, initialisation, seed)
        kernel, bias = head["head.kernel"], head["head.bias"]
        assert (kernel.shape, bias.shape, kernel.dtype, bias.dtype) == ((features, classes), (classes,), "f4", "f4")
        assert np.abs(kernel).max() <= kernel_bound * (1 + 1e-6)
        assert np.abs(bias).max() <= bias_bound * (1 + 1e-6)


def test_normal_heads_have_the_moments_of_their_laws() -> None:
    plain, cut = (head_weights(1280, 100, f"{law}(0.02)", 0)["head.kernel"] for law in ("normal", "truncated-normal"))
    within = stats.truncnorm(-2, 2)
    assert plain.std() == pytest.approx(0.02, rel=5e-3)
    assert cut.std() == pytest.approx(0.02 * within.std(), rel=5e-3)
    assert np.abs(cut).max() == pytest.approx(0.04, rel=1e-2)
    assert abs(plain.mean()) < 2e-4
    assert abs(cut.mean()) < 2e-4
    assert stats.kstest(cut.ravel()[::20] / 0.02, within.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    "law", ["normal", "normal()", "normal(0)", "normal(-1)", "normal(nan)", "normal(1,2)", "Zeros"]
)
def test_a_law_that_is_none_is_refused(law: str) -> None:
    with pytest.raises(UsageError, match="head initialisation"):
        head_weights(8, 2, law, 0)


def test_a_new_head_fills_its_bounds_and_follows_its_seed() -> None:
    head = head_weights(1280, 10, "uniform-fan-in", 0)
    assert np.abs(head["head.kernel"]).max() == pytest.approx(1 / np.sqrt(1280), rel=1e-2)
    assert np.abs(head["head.bias"]).max() > 0
    assert np.abs(head_weights(1280, 10, "glorot-uniform", 0)["head.kernel"]).max() == pytest.approx(
        np.sqrt(6 / 1290), rel=1e-2
    )
    again = head_weights(1280, 10, "uniform-fan-in", 0)
    np.testing.assert_array_equal(head["head.kernel"], again["head.kernel"])
    assert (head["head.kernel"] != head_weights(1280, 10, "uniform-fan-in", 1)["head.kernel"]).any()
    with pytest.raises(UsageError, match="did you mean 'glorot-uniform'"):
        head_weights(8, 2, "glorot_uniform", 0)


@pytest.mark.parametrize(
    ("trained", "names"),
    [
        ("head", {HEAD}),
        ("all", {layer.name for layer in LAYERS}),
        ("last:1", {"003.conv", HEAD}),
        ("last:2", {"002.conv", "003.conv", HEAD}),
        ("last:3", {layer.name for layer in LAYERS}),
        ("from:001.norm", {"001.norm", "002.conv", "003.conv", HEAD}),
        ("from:head", {HEAD}),
    ],
)
def test_what_is_trained_is_what_the_word_says(trained: str, names: set[str]) -> None:
    assert select_trained(LAYERS, trained) == names


@pytest.mark.parametrize(
    ("trained", "said"),
    [
        ("last:4", "has only 3 blocks"),
        ("last:0", "is unknown; head, last:N"),
        ("last:-1", "is unknown"),
        ("from:001.conv", "no such layer; did you mean '00"),
        ("", "is unknown"),
    ],
)
def test_what_cannot_be_trained_is_refused(trained: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        select_trained(LAYERS, trained)


def test_a_head_can_be_left_out() -> None:
    weights = Weights(random_weights(LAYOUT, 0).tensors, {"gelu": "own"}, "a", "b")
    bare = weights.without_head()
    assert set(bare) == {name for name in LAYOUT if not name.startswith("head.")}
    assert (bare.conventions, bare.architecture, bare.origin) == ({"gelu": "own"}, "a", "b")
