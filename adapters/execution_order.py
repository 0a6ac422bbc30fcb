"""The order of execution, read off a network's dataflow: the same for the same network in any library.

Libraries register a network's layers in different orders, and Keras sorts those of parallel branches by depth, so
that position in a library's own list pairs layers of different branches. What the libraries do share is the
dataflow. A `Node` is one operation; `execution_order` walks it from the output to the image, so that every layer
comes after those that feed it. Where several layers feed one, the branch with the longest chain of layers is walked
first (a residual block before its shortcut); among chains of one length, shapes decide, and what precedes them.
Branches that are alike in all of that stand in the order in which the network joins them: of a sum they may be
exchanged, and a concatenation has the same order wherever the weights are the same.

Operations without tensors (activations, pooling, sums) do not count: a swish may be one operation or two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from isotune.weights import Limit


@dataclass(eq=False)
class Node:
    """One operation: what it reads, and the layers whose tensors enter there (mostly one or none)."""

    inputs: Sequence[Node] = ()
    layers: Sequence[Any] = ()  # hashable
    shape: tuple[int, ...] = ()  # of the layers' largest tensor, in the canonical layout; tells branches apart
    name: str = ""  # what the library calls the operation, "AveragePooling2D"; empty: nothing worth saying
    limit: Limit | None = None  # of its own, or of the activation of a layer


@dataclass(frozen=True)
class Step:
    """A layer in the order of execution, and the layers that feed it, operations without tensors left out."""

    layer: Any
    inputs: tuple[Any, ...]
    between: tuple[str, ...] = ()  # names of these operations


def execution_order(output: Node) -> list[Step]:
    """The layers that `output` depends on, each once, at the first of its places."""
    sources: dict[Node, tuple[Node, ...]] = {}  # of every node: the nearest nodes with layers, itself included
    feeds: dict[Node, tuple[Node, ...]] = {}  # of a node with layers: those that feed it
    rank: dict[Node, tuple[int, str]] = {}  # of a node with layers: length of its chain, digest of what is below it
    for node in inputs_first([output], lambda node: node.inputs):
        below = tuple(dict.fromkeys(source for given in node.inputs for source in sources[given]))
        if not node.layers:
            sources[node] = below
            continue
        feeds[node] = tuple(sorted(below, key=lambda source: (-rank[source][0], rank[source][1])))
        length = 1 + max((rank[source][0] for source in below), default=0)
        content = repr((_shape(node), sorted(rank[source] for source in below)))
        rank[node] = length, hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        sources[node] = (node,)
    names = _names(output)
    last = sorted(sources[output], key=lambda source: (-rank[source][0], rank[source][1]))
    steps: dict[Any, Step] = {}
    for node in inputs_first(last, lambda node: feeds[node]):
        given = tuple(dict.fromkeys(layer for source in feeds[node] for layer in source.layers))
        for layer in node.layers:
            steps.setdefault(layer, Step(layer, tuple(other for other in given if other != layer), names[node]))
    return list(steps.values())


def limits(output: Node) -> tuple[Limit, ...]:
    """Those of the operations that `output` depends on, with the layers before each."""
    before: dict[Node, tuple[Any, ...]] = {}  # of every node: the nearest layers at or before it
    listed = []
    for node in inputs_first([output], lambda node: node.inputs):
        before[node] = tuple(node.layers) or tuple(
            dict.fromkeys(layer for each in node.inputs for layer in before[each])
        )
        if node.limit is not None:
            listed.append(replace(node.limit, after=before[node]))
    return tuple(listed)


def _names(output: Node) -> dict[Node, tuple[str, ...]]:
    """Of every node, the operations without tensors between the layers that feed it and itself, each name once."""
    names: dict[Node, tuple[str, ...]] = {}
    for node in inputs_first([output], lambda node: node.inputs):
        names[node] = tuple(dict.fromkeys(name for given in node.inputs for name in _through(given, names)))
    return names


def _through(node: Node, names: Mapping[Node, tuple[str, ...]]) -> tuple[str, ...]:
    """What a node hands on of the names before it, with its own."""
    return () if node.layers else tuple(dict.fromkeys(filter(None, (*names[node], node.name))))


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(side for side in node.shape if side != 1)  # a dense layer may be a 1x1 convolution


def inputs_first(ends: Sequence[Node], inputs: Callable[[Node], Sequence[Node]]) -> Iterator[Node]:
    """Depth first, each node once, after all that it reads; without recursion, since networks are deep."""
    done: set[Node] = set()
    for end in ends:
        stack = [(end, iter(inputs(end)))] if end not in done else []
        while stack:
            node, rest = stack[-1]
            for given in rest:
                if given not in done:
                    stack.append((given, iter(inputs(given))))
                    break
            else:
                stack.pop()
                if node not in done:
                    done.add(node)
                    yield node
