"""The residual branches of a network, read off its dataflow: in x + f(x), what f makes.

A sum is one of a shortcut and a branch where all that its two operands do not share begins at one place, the block's
input; where one operand is the shortcut: that input, or what has a kernel at most (the projection of a ResNet, behind a
pooling perhaps), no sum of its own, and less in it than the other; and where nothing of the branch is read elsewhere.
In any other sum nothing says which operand is the branch, if one is (NASNet's cells, HRNet's exchanges, Res2Net's
steps), and the whole network is refused: one that trains with only some of its branches left out at random is not what
a recipe asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from isotune.adapters.execution_order import Node, execution_order, inputs_first
from isotune.errors import UsageError

SUM = "Add"  # torch and Keras call it so
# What may join two paths outside of branches: gates, attention, concatenations. Another joins them as a sum may.
_JOINS = ("Mul", "Multiply", "Div", "Divide", "Cat", "Concatenate", "Bmm", "Mm", "Matmul", "Einsum")
_ATTENTION = ("ScaledDotProduct", "DotProductAttention", "MultiHeadAttention")  # begin names


@dataclass(frozen=True)
class Branch:
    """One of a network's."""

    sum: Node
    operand: int  # of the two inputs of the sum, the branch
    layer: Any  # the last of it
    inside: frozenset[Node]  # what is in it, or in its shortcut


def branches(output: Node) -> tuple[Branch, ...]:
    """In the order of execution. UsageError: there are none, or they are not known exactly."""
    nodes = list(inputs_first([output], lambda node: node.inputs))
    order = {step.layer: place for place, step in enumerate(execution_order(output))}
    graph = _Graph(nodes)
    known = [_branch(graph, node, order) for node in nodes if is_sum(node)]
    if not known:
        raise unknown("it adds nothing to a shortcut")
    for one, other in pairwise(known):
        if not graph.before[other.sum] & graph.bit[one.sum]:
            raise unknown(f"those that end in {_said(one.layer)} and {_said(other.layer)} run side by side")
    inside = frozenset[Node]().union(*(branch.inside for branch in known))
    for node in nodes:
        if node not in inside and not is_sum(node) and len(set(node.inputs)) > 1 and not _is_known(node):
            raise unknown(f"two paths meet in {node.name or 'an operation without a name'}")
    if len({branch.layer for branch in known}) < len(known):
        raise unknown("a layer ends more than one")
    return tuple(known)


def is_sum(node: Node) -> bool:
    """Of what depends on the image, each operand."""
    return node.name == SUM and len(node.inputs) > 1


def _is_known(node: Node) -> bool:
    return node.name in _JOINS or node.name.startswith(_ATTENTION)


def unknown(why: str) -> UsageError:
    """The refusal."""
    return UsageError(
        f"stochastic depth: the residual branches of this network are not known exactly, since {why};"
        " take another model, or stochastic_depth out of the protocol"
    )


def check_masks(masks: np.ndarray, images: np.ndarray, ends: Sequence[str]) -> None:
    """UsageError: they are not of these images [N, ...] and branches, [N, B]."""
    if masks.shape != (len(images), len(ends)):
        raise UsageError(
            f"branch masks are {list(masks.shape)}; these images and branches take {[len(images), len(ends)]}"
        )


class _Graph:
    """What comes before each node, itself included, and what reads it, as bits of a number."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.bit = {node: 1 << place for place, node in enumerate(nodes)}
        self.before: dict[Node, int] = {}
        self.readers: dict[Node, int] = dict.fromkeys(nodes, 0)
        for node in nodes:
            bits = self.bit[node]
            for given in node.inputs:
                bits |= self.before[given]
                self.readers[given] |= self.bit[node]
            self.before[node] = bits

    def of(self, bits: int) -> list[Node]:
        return [node for node in self.nodes if self.bit[node] & bits]


def _branch(graph: _Graph, node: Node, order: Mapping[Any, int]) -> Branch:
    if len(node.inputs) != 2 or node.inputs[0] is node.inputs[1]:
        raise _other(graph, node, order)
    before = [graph.before[given] for given in node.inputs]
    shared = before[0] & before[1]
    sides = [graph.of(bits & ~shared) for bits in before]
    begins = {given for given in node.inputs if graph.bit[given] & shared}
    begins |= {given for side in sides for each in side for given in each.inputs if graph.bit[given] & shared}
    weights = [_weight(side) for side in sides]
    shortcut = weights.index(min(weights))
    plain = weights[shortcut][0] <= 1 and not any(map(is_sum, sides[shortcut]))
    branch = sides[1 - shortcut]
    own = graph.bit[node] | before[1 - shortcut] & ~shared
    closed = not any(graph.readers[each] & ~own for each in branch)
    ends = [layer for each in branch for layer in each.layers]
    if len(begins) != 1 or weights[0] == weights[1] or not plain or not closed or not ends:
        raise _other(graph, node, order)
    return Branch(node, 1 - shortcut, max(ends, key=order.__getitem__), frozenset(branch + sides[shortcut]))


def _other(graph: _Graph, node: Node, order: Mapping[Any, int]) -> UsageError:
    before = [layer for each in graph.of(graph.before[node]) for layer in each.layers]
    behind = f" behind {_said(max(before, key=order.__getitem__))}" if before else ""
    return unknown(f"the sum{behind} is not one of a shortcut and a branch of layers")


def _weight(nodes: Sequence[Node]) -> tuple[int, int]:
    """Kernels, and operations."""
    return sum(len(node.shape) > 1 for node in nodes), sum(bool(node.layers or node.name) for node in nodes)


def _said(layer: Any) -> str:
    return str(layer[0] if isinstance(layer, tuple) else layer)
