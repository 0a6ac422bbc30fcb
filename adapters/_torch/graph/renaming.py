"""A state dict whose tensors are called otherwise than a network's (`isotune.weights.matching`)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from isotune.adapters._torch.dataflow import trace
from isotune.adapters._torch.files import AUXILIARIES
from isotune.adapters._torch.parts import parts
from isotune.adapters.base import Names
from isotune.weights import matching
from isotune.weights.matching import Matched, Shape


def renamed(
    net: nn.Module,
    head: str | None,
    state: Mapping[str, Tensor],
    names: Names,
    size: tuple[int, int],
    *,
    kept: bool,
) -> tuple[dict[str, Tensor], str]:
    """The tensors by the names of `net`, and in words what that goes by.

    head: name of the classifier, which may have other outputs in the file, or none of its tensors there. names: as of
    `Adapter.load_renamed`. kept: whether the order of `state` is the one in which its author's network had them.
    Errors: as of `matching`.
    """
    file = {name: tuple(tensor.shape) for name, tensor in state.items() if _counts(name)}
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items() if _counts(name)}
    matched = _matched(net, head, file, own, names, size, kept=kept)
    taken = {name: state[theirs] for name, theirs in matched.names.items()}
    if isinstance(names, Mapping):  # what the map leaves is surplus, which is refused by its name
        taken |= {name: state[name] for name in file if name not in set(matched.names.values()) and name not in taken}
    return taken, matched.how


def _matched(
    net: nn.Module,
    head: str | None,
    file: Mapping[str, Shape],
    own: Mapping[str, Shape],
    names: Names,
    size: tuple[int, int],
    *,
    kept: bool,
) -> Matched:
    if isinstance(names, Mapping):
        return matching.mapped(names, file, own)
    body = {name: shape for name, shape in own.items() if head is None or not name.startswith(f"{head}.")}
    for asked in (own, body):
        if names is None and (matched := matching.prefixed(file, asked)) is not None:
            return matched
    ours = body if len(file) == len(body) else _with_outputs(own, file, head)
    orders = [ours]
    executed = [name for name in _executed(net, size) if name in ours]
    if set(executed) == set(ours):
        orders.append({name: ours[name] for name in executed})
    return matching.by_order(file, orders, kept=kept, trusted=names is not None)


def _counts(name: str) -> bool:
    return not name.endswith("num_batches_tracked") and not name.startswith(AUXILIARIES)


def _with_outputs(own: Mapping[str, Shape], file: Mapping[str, Shape], head: str | None) -> dict[str, Shape]:
    """The network's shapes, its classifier with as many outputs as the file's has, which stands in its place."""
    shapes = dict(own)
    if head is None or len(own) != len(file) or f"{head}.weight" not in own:
        return shapes
    theirs = list(file.values())[list(own).index(f"{head}.weight")]
    if theirs[1:] == own[f"{head}.weight"][1:]:
        for name in (f"{head}.weight", f"{head}.bias"):
            shapes |= {name: (theirs[0], *shapes[name][1:])} if name in shapes else {}
    return shapes


def _executed(net: nn.Module, size: tuple[int, int]) -> list[str]:
    """Names of tensors in the order of execution."""
    by_name = {part.name: part for part in parts(net)}
    executed = [by_name[step.layer] for step in trace(net, size).steps if step.layer in by_name]
    return [f"{part.owner}.{slot[0]}" if part.owner else slot[0] for part in executed for slot in part.slots]
