"""The order of execution: read off the dataflow, the same however a library registers its layers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from isotune.adapters._torch.dataflow import Dataflow, trace
from isotune.adapters._torch.layers import canonical_layers, classifier_name
from isotune.adapters.execution_order import Node, Step, execution_order
from isotune.adapters.flattening import Flattened
from isotune.adapters.residual import branches
from isotune.errors import UsageError

IMAGE = Node()


def layer(name: str, *inputs: Node, shape: tuple[int, ...] = (3, 3, 8, 8)) -> Node:
    return Node(inputs, [name], shape)


def order(output: Node) -> list[str]:
    return [step.layer for step in execution_order(output)]


# -- graphs written by hand


@pytest.mark.parametrize("shortcut_first", [True, False])
def test_a_residual_block_comes_before_its_shortcut(shortcut_first):
    stem = layer("stem", IMAGE)
    block = layer("conv2", Node([layer("conv1", stem)]))  # an activation between them
    shortcut = layer("shortcut", stem, shape=(1, 1, 8, 8))
    merged = Node([shortcut, block] if shortcut_first else [block, shortcut])
    steps = execution_order(layer("next", merged))
    assert [step.layer for step in steps] == ["stem", "conv1", "conv2", "shortcut", "next"]
    assert steps[1:] == [
        Step("conv1", ("stem",)),
        Step("conv2", ("conv1",)),
        Step("shortcut", ("stem",)),
        Step("next", ("conv2", "shortcut")),
    ]


def test_an_identity_shortcut_feeds_what_follows():
    stem = layer("stem", IMAGE)
    steps = execution_order(layer("next", Node([stem, layer("conv", stem)])))
    assert steps == [Step("stem", ()), Step("conv", ("stem",)), Step("next", ("conv", "stem"))]


@pytest.mark.parametrize("places", list(itertools.permutations(range(4))))
def test_branches_of_a_concatenation_stand_longest_first_then_by_shape(places):
    stem = layer("stem", IMAGE)
    branches = [
        layer("long2", layer("long1", stem, shape=(1, 1, 8, 4)), shape=(3, 3, 4, 8)),
        layer("1x1", stem, shape=(1, 1, 8, 6)),
        layer("5x5", stem, shape=(5, 5, 8, 6)),
        layer("after pool", Node([stem]), shape=(1, 1, 8, 7)),
    ]
    found = order(Node([branches[place] for place in places]))
    assert found[:3] == ["stem", "long1", "long2"]
    assert found == order(Node(branches))  # whatever the order in which a library joins them
    assert set(found[3:]) == {"1x1", "5x5", "after pool"}


def test_what_precedes_tells_branches_of_one_length_and_shape_apart():
    stem = layer("stem", IMAGE)

    def branch(name: str, first: tuple[int, ...]) -> Node:
        return layer(f"{name} end", layer(f"{name} start", stem, shape=first))

    one, other = branch("wide", (1, 7, 8, 8)), branch("tall", (5, 1, 8, 8))
    assert order(Node([one, other])) == order(Node([other, one]))


def test_branches_that_are_alike_stand_as_they_are_joined():
    stem = layer("stem", IMAGE)
    one, other = layer("one", stem), layer("other", stem)
    assert order(Node([one, other])) == ["stem", "one", "other"]
    assert order(Node([other, one])) == ["stem", "other", "one"]


def test_a_layer_that_runs_twice_stands_at_its_first_place():
    first = layer("shared", layer("stem", IMAGE))
    again = layer("shared", layer("between", first))
    steps = execution_order(layer("last", again))
    assert [step.layer for step in steps] == ["stem", "shared", "between", "last"]
    assert steps[-1].inputs == ("shared",)
    assert steps[1].inputs == ("stem",)


def test_a_node_with_two_layers_gives_both():
    steps = execution_order(Node([layer("stem", IMAGE)], ["kernel", "scale"], (3, 3, 8, 8)))
    assert steps == [Step("stem", ()), Step("kernel", ("stem",)), Step("scale", ("stem",))]


def test_operations_without_tensors_do_not_count():
    def net(activation) -> Node:
        stem = layer("stem", IMAGE)
        return layer("next", Node([activation(stem), layer("gate", Node([stem]), shape=(1, 1, 8, 8))]))

    def one_operation(node: Node) -> Node:
        return Node([node])

    def three_operations(node: Node) -> Node:
        return Node([node, Node([Node([node])])])

    assert execution_order(net(one_operation)) == execution_order(net(three_operations))


def test_a_window_of_one_pixel_is_no_difference():
    """A gate is a 1x1 convolution in one library, a dense layer in another."""
    stem = layer("stem", IMAGE)
    dense, conv = layer("gate", stem, shape=(8, 8)), layer("gate", stem, shape=(1, 1, 8, 8))
    found = set()
    for channels in range(9, 40):
        other = layer("other", stem, shape=(3, 3, 8, channels))
        assert order(Node([dense, other])) == order(Node([conv, other])) == order(Node([other, dense]))
        found.add(tuple(order(Node([dense, other]))))
    assert len(found) == 2  # either may come first, by shape


def test_what_the_output_does_not_depend_on_is_left_out():
    stem = layer("stem", IMAGE)
    layer("auxiliary", stem)
    assert order(layer("last", stem)) == ["stem", "last"]
    assert order(IMAGE) == []


def test_networks_may_be_deep():
    node = IMAGE
    for depth in range(10_000):
        node = Node([layer(str(depth), node), node]) if depth % 2 else layer(str(depth), node)
    assert order(node) == [str(depth) for depth in range(10_000)]


@st.composite
def graphs(draw):
    """For each node, layers or none: whether it has a layer, its shape, places of its inputs among those before it."""
    count = draw(st.integers(1, 14))
    return [
        (
            draw(st.booleans()),
            draw(st.sampled_from([(3, 3, 8, 8), (1, 1, 8, 8), (8,)])),
            draw(st.lists(st.integers(0, place), min_size=1, max_size=3)),
        )
        for place in range(count)
    ]


@given(graphs(), st.randoms())
def test_every_layer_follows_what_feeds_it_and_the_order_does_not_depend_on_how_inputs_are_joined(graph, random):
    def build(shuffled: bool) -> Node:
        nodes = [IMAGE]
        for place, (has_layer, shape, inputs) in enumerate(graph):
            given = random.sample(inputs, len(inputs)) if shuffled else inputs
            unique = (*shape, place + 2)  # no two alike: what is alike may be exchanged
            nodes.append(Node([nodes[i] for i in given], [place] if has_layer else [], unique if has_layer else ()))
        return nodes[-1]

    steps = execution_order(build(shuffled=False))
    seen: set[int] = set()
    for step in steps:
        assert set(step.inputs) <= seen
        seen.add(step.layer)
    assert len(seen) == len(steps)
    assert execution_order(build(shuffled=True)) == steps


# -- networks of the libraries


def layers(net: nn.Module, head: str | None, size: int) -> list[tuple[str, tuple[tuple[int, ...], ...]]]:
    """Kind and canonical shapes of each layer, in canonical order."""
    return [
        (found.layer.kind, tuple(slot.shape for slot in found.slots))
        for found in canonical_layers(net, head, trace(net, (size, size)))
    ]


def registered(net: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in net.parameters()]


def registered_backwards(net: nn.Module) -> None:
    """Turn round the order in which composite modules hold their children; containers run theirs in that order."""
    for module in net.modules():
        is_container = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
        if not is_container:
            module._modules = dict(reversed(module._modules.items()))


@pytest.mark.parametrize(
    ("name", "counterpart", "size"),
    [
        ("resnet50", "resnet50", 64),
        ("densenet121", "densenet121", 64),
        ("inception_v3", "inception_v3", 96),
        ("mobilenet_v3_small", "mobilenetv3_small_100", 64),
    ],
)
def test_two_libraries_have_one_order_however_they_register_their_layers(name, counterpart, size):
    timm = pytest.importorskip("timm", reason="needs the extra torch")
    models = pytest.importorskip("torchvision", reason="needs the extra torch").models
    only_main = {"aux_logits": False, "init_weights": False} if name == "inception_v3" else {}
    with torch.device("meta"):  # no tensor is ever allocated
        ours, theirs = models.get_model(name, **only_main), timm.create_model(counterpart)
    wanted = layers(ours, classifier_name(ours), size)
    head = classifier_name(theirs, theirs.get_classifier())
    assert len(wanted) > 50
    assert wanted[-1] == ("dense", ((ours.get_submodule(classifier_name(ours)).in_features, 1000), (1000,)))
    assert layers(theirs, head, size) == wanted
    before = registered(theirs)
    registered_backwards(theirs)
    assert registered(theirs) != before
    assert layers(theirs, head, size) == wanted


class NeedsData(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.late, self.early = nn.Conv2d(8, 4, 1), nn.Conv2d(3, 8, 1)

    def forward(self, images):
        mapped = self.early(images)
        if mapped.mean() > 0:  # which a tensor without data cannot say
            mapped = -mapped
        return self.late(mapped)


class Plain(NeedsData):
    def forward(self, images):
        return self.late(self.early(images))


def names(net: nn.Module) -> list[str]:
    return [found.layer.library_name for found in canonical_layers(net, None, trace(net, (4, 4)))]


def test_a_forward_that_needs_data_leaves_the_order_of_registration():
    assert trace(NeedsData(), (4, 4)) == Dataflow()
    assert names(NeedsData()) == ["late", "early"]
    assert names(Plain()) == ["early", "late"]


def test_a_pass_leaves_the_network_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2))
    net[1].eval()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert [step.layer for step in trace(net, (4, 4)).steps] == ["0", "1", "2"]
    assert [module.training for module in net] == [True, False, True]
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_a_dense_layer_on_vectors_is_a_convolution_over_the_map_that_was_flattened():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4 * 5 * 6, 7), nn.ReLU(), nn.Linear(7, 2))
    flow = trace(net, (5, 6))
    assert flow.maps == {"2": Flattened(5, 6, "chw"), "4": Flattened()}
    _, flat, after = canonical_layers(net, None, flow)
    assert [slot.shape for slot in flat.slots] == [(5, 6, 4, 7), (7,)]
    kernel = flat.slots[0].to_canonical(net[2].weight.detach().numpy())
    images = torch.randn(1, 3, 5, 6)
    mapped = net[0](images).detach().numpy()[0]  # [C, H, W]
    wanted = net[:3](images).detach().numpy()[0] - net[2].bias.detach().numpy()
    assert abs((mapped.transpose(1, 2, 0)[..., None] * kernel).sum((0, 1, 2)) - wanted).max() < 1e-5
    assert [slot.shape for slot in after.slots] == [(1, 1, 7, 2), (2,)]


CHANGES = {
    "channels last": (lambda x: x.permute(0, 2, 3, 1).flatten(1), "hwc"),
    "by two steps": (lambda x: x.flatten(2).relu().flatten(1), "chw"),
    "transposed": (lambda x: x.transpose(2, -1).reshape(2, -1), "cwh"),
    "tokens": (lambda x: x.flatten(2).transpose(1, 2).reshape(2, -1), "hwc"),
}


class Through(nn.Module):
    def __init__(self, change) -> None:
        super().__init__()
        self.conv, self.change, self.dense = nn.Conv2d(3, 4, 1), change, nn.Linear(4 * 5 * 6, 7)

    def forward(self, images):
        return self.dense(self.change(self.conv(images)))


@pytest.mark.parametrize("how", CHANGES)
def test_a_dense_layers_rows_are_in_the_order_in_which_the_map_was_flattened(how):
    change, order = CHANGES[how]
    net = Through(change)
    flow = trace(net, (5, 6))
    assert flow.maps == {"dense": Flattened(5, 6, order)}
    slot = canonical_layers(net, None, flow)[1].slots[0]
    kernel = slot.to_canonical(net.dense.weight.detach().numpy())
    images = torch.randn(2, 3, 5, 6)
    mapped = net.conv(images).relu() if how == "by two steps" else net.conv(images)
    wanted = (net(images) - net.dense.bias).detach().numpy()
    summed = np.einsum("nchw,hwco->no", mapped.detach().numpy(), kernel)
    assert abs(summed - wanted).max() < 1e-5
    assert np.array_equal(slot.from_canonical(kernel), net.dense.weight.detach().numpy())


LIMITED = {
    "clamp": (lambda x: x.clamp(-2, 3), ("Clamp", -2.0, 3.0)),
    "one end": (lambda x: torch.clamp_max(x, 3), ("ClampMax", None, 3.0)),
    "relu6": (nn.functional.relu6, ("Hardtanh", 0.0, 6.0)),
    "relu": (torch.relu, ("Relu", 0.0, None)),
    "gate": (nn.functional.hardsigmoid, ("Hardsigmoid", 0.0, 6.0)),
    "no number": (lambda x: torch.where(x > 9, x - 1, x), ("Where", None, None)),
}


@pytest.mark.parametrize("how", LIMITED)
def test_what_changes_only_some_values_is_known_with_its_ends_and_the_layer_before(how):
    change, wanted = LIMITED[how]
    net = Through(lambda x: change(x).flatten(1))
    limits = [(limit.what, limit.low, limit.high) for limit in trace(net, (5, 6)).limits]
    assert limits == [wanted]
    assert trace(net, (5, 6)).limits[0].after == ("conv",)
    assert trace(Through(lambda x: (2 * x).flatten(1)), (5, 6)).limits == ()


# -- residual branches, in graphs written by hand


def norm(name: str, given: Node) -> Node:
    return layer(name, given, shape=(8,))


def added(*inputs: Node) -> Node:
    return Node(inputs, name="Add")


def branches_of(output: Node) -> list[tuple[str, int]]:
    return [(branch.layer, branch.operand) for branch in branches(output)]


STEM = layer("stem", IMAGE)


@pytest.mark.parametrize("first", [True, False])
def test_what_is_added_to_the_blocks_input_is_the_branch(first):
    branch = norm("norm", layer("conv2", Node([layer("conv1", STEM)], name="Relu")))
    assert branches_of(added(branch, STEM) if first else added(STEM, branch)) == [("norm", 0 if first else 1)]


def test_a_projection_is_a_shortcut_behind_a_pooling_and_through_nodes_that_compute_nothing_too():
    branch = norm("norm2", layer("conv2", norm("norm1", layer("conv1", STEM))))
    shortcut = norm("norm0", layer("conv0", Node([Node([STEM], name="AvgPool")])))
    assert branches_of(added(Node([shortcut]), branch)) == [("norm2", 1)]


def test_a_gate_within_a_branch_ends_it_where_it_runs_last():
    conv = norm("norm", layer("conv", STEM))
    gated = Node([conv, layer("gate", Node([conv], name="Mean"))], name="Mul")
    assert branches_of(added(gated, STEM)) == [("gate", 0)]


def test_two_branches_of_a_block_and_one_within_another_stand_in_the_order_of_execution():
    attended = added(STEM, layer("attention", STEM))
    inner = added(layer("inner", attended), attended)
    assert branches_of(added(attended, layer("outer", inner))) == [("attention", 1), ("inner", 0), ("outer", 1)]


def test_a_constant_that_is_added_makes_no_residual_sum():
    placed = Node([STEM], ["positions"], (1, 4, 8), name="Add")
    assert branches_of(added(placed, layer("attention", placed))) == [("attention", 1)]


def wide() -> Node:
    return layer("wide", layer("wider", STEM))


AFTER = layer("after", STEM)
SPLIT = Node([STEM], name="Split")
STEP = layer("step", SPLIT)
PARALLEL = added(STEM, layer("left", STEM)), added(STEM, layer("right", STEM))
OTHERS = {
    "two branches (NASNet)": added(layer("left", STEM), layer("right", STEM)),
    "two inputs": added(AFTER, Node([layer("left", AFTER), STEM], name="Mul")),
    "a shortcut of two convolutions (HRNet)": added(wide(), layer("c3", layer("c2", layer("c1", STEM)))),
    "read elsewhere (Res2Net)": Node([STEP, layer("next", added(STEP, SPLIT))], name="Cat"),
    "three operands": added(STEM, layer("left", STEM), layer("right", STEM)),
    "itself": added(STEM, STEM),
    "a branch without layers": added(STEM, Node([STEM], name="AvgPool")),
    "side by side": Node([layer("one", PARALLEL[0]), layer("other", PARALLEL[1])], name="Cat"),
    "added by another name": Node([STEM, layer("left", STEM)], name="Lerp"),
    "nothing added": layer("last", STEM),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_network_with_a_sum_of_another_kind_is_refused(case):
    good = added(OTHERS[case], layer("conv", OTHERS[case])) if case != "nothing added" else OTHERS[case]
    with pytest.raises(UsageError, match=r"not known exactly, since .*; take another model"):
        branches(good)
