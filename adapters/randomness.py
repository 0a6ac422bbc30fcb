"""What a network drops at random in training, in words; isotune does without, as what is random is drawn outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping

Rates = Mapping[str, tuple[float, ...]]  # "dropout" or "stochastic depth" -> the rates that are not 0, each once


def rates(of: Mapping[str, Collection[float]]) -> Rates:
    """Sorted."""
    return {what: tuple(sorted(set(each))) for what, each in of.items() if each}


def words(what: str, each: Collection[float]) -> str:
    """ "dropout 0.5", "stochastic depth up to 0.2"."""
    return f"{what} {'' if len(set(each)) == 1 else 'up to '}{max(each):g}"
