"""Layers of two networks are the same one by shape and dataflow, whatever number they have."""

from __future__ import annotations

import pytest

from isotune.comparison.pairing import Place, pair
from isotune.errors import UsageError


def chain(*forms, dataflow=True):
    """Layers that each feed the next: ("conv", 3, 3, 8, 8), ("norm", 8)."""
    names = [f"{number:03d}.{kind}" for number, (kind, *_) in enumerate(forms)]
    return [
        Place(name=name, shape=tuple(shape), inputs=(before,) if before and dataflow else ())
        for name, before, (_, *shape) in zip(names, ["", *names], forms, strict=False)
    ]


def block(inputs, outputs):
    return [("conv", 3, 3, inputs, outputs), ("norm", outputs)]


NETWORK = [*block(3, 8), *block(8, 8), *block(8, 16), *block(16, 16), *block(16, 32)]


def test_networks_of_one_order_keep_their_names():
    paired = pair(chain(*NETWORK), chain(*NETWORK))
    assert not paired.shifts
    assert (paired.only_left, paired.only_right) == ((), ())


@pytest.mark.parametrize("dataflow", [True, False])
@pytest.mark.parametrize("place", range(len(NETWORK) + 1))
def test_a_layer_that_one_side_alone_has_shifts_no_other(place, dataflow):
    extra = ("scale", 5)
    more = [*NETWORK[:place], extra, *NETWORK[place:]]
    left, right = chain(*NETWORK, dataflow=dataflow), chain(*more, dataflow=dataflow)
    paired = pair(left, right)
    assert (paired.only_left, paired.only_right) == ((), (f"+{place:03d}.scale",))
    ours = [layer.name for layer in left]
    assert [name for name in paired.names.values() if not name.startswith("+")] == ours
    back = pair(right, left)
    assert (back.only_left, back.only_right) == ((f"{place:03d}.scale",), ())


def test_a_layer_of_another_shape_in_the_same_place_is_its_partner():
    other = [("conv", 5, 5, *form[3:]) if form == ("conv", 3, 3, 8, 16) else form for form in NETWORK]
    paired = pair(chain(*NETWORK), chain(*other))
    assert not paired.shifts
    assert (paired.only_left, paired.only_right) == ((), ())


def test_a_dense_layer_is_a_convolution_of_one_pixel():
    left, right = ([*block(3, 8), *block(8, 8), each] for each in (("conv", 1, 1, 8, 4), ("dense", 8, 4)))
    assert pair(chain(*left), chain(*right)).names["004.dense"] == "004.conv"


def test_two_architectures_are_refused_whatever_their_shapes():
    after = [form for _ in range(20) for form in (("conv", 1, 1, 8, 8), ("norm", 8), ("norm", 8), ("norm", 8))]
    before = [form for _ in range(40) for form in (("norm", 8), ("conv", 1, 1, 8, 8), ("conv", 1, 1, 8, 8))]
    with pytest.raises(UsageError, match="two architectures: of 80 layers on the left and 120 on the right"):
        pair(chain(*after), chain(*before))
    with pytest.raises(UsageError, match="two architectures"):
        pair(chain(*NETWORK), chain(*[("dense", 7, 7 + number) for number in range(10)]))


def test_the_same_layers_in_another_order_are_another_architecture():
    after = [*block(3, 16), ("conv", 1, 1, 16, 4), ("norm", 4), ("conv", 3, 3, 4, 4), ("norm", 4),
             ("conv", 1, 1, 4, 16), ("norm", 16)]  # fmt: skip
    before = [*block(3, 16), ("norm", 16), ("conv", 1, 1, 16, 4), ("norm", 4), ("conv", 3, 3, 4, 4), ("norm", 4),
              ("conv", 1, 1, 4, 16)]  # fmt: skip
    with pytest.raises(UsageError, match=r"two architectures: 007.norm of the left and 002.norm of"):
        pair(chain(*after), chain(*before))


def test_a_deeper_network_is_another_architecture():
    blocks = [form for _ in range(8) for form in block(8, 8)]
    with pytest.raises(UsageError, match="two architectures: of 18 layers on the left and 34 on the right 0 and 16"):
        pair(chain(*block(3, 8), *blocks), chain(*block(3, 8), *blocks, *blocks))


def test_branches_in_another_order_are_paired_by_what_they_read():
    def network(*branches):
        places, number = [Place(name="000.conv", shape=(3, 3, 3, 8))], 1
        for branch in branches:
            before = "000.conv"
            for kind, *shape in branch:
                places.append(Place(name=f"{number:03d}.{kind}", shape=tuple(shape), inputs=(before,)))
                before, number = places[-1].name, number + 1
        return places

    long, short = block(8, 8), [("conv", 1, 1, 8, 8), ("norm", 8)]
    paired = pair(network(long, short), network([*short, ("scale", 8)], long))
    assert (paired.only_left, paired.only_right) == ((), ("+003.scale",))
    assert paired.names["001.conv"] == "003.conv"
    assert paired.names["004.conv"] == "001.conv"
