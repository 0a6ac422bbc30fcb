"""What each player of a game adds, averaged over the orders in which the players may come.

A game gives every coalition of its players a value. Here the players are axes that are switched, and the value is an
accuracy. Everything is over plain numbers; a value that is NaN makes what depends on it NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import factorial, fsum

import numpy as np

Coalition = frozenset[str]
Order = tuple[str, ...]


def coalitions(players: Sequence[str]) -> Iterator[Coalition]:
    """All 2^n of them, small ones first."""
    for size in range(len(players) + 1):
        yield from map(frozenset, combinations(players, size))


def exact(players: Sequence[str], value: Mapping[Coalition, float]) -> dict[str, float]:
    """Shapley values, from the value of every coalition; they sum to v(all) - v(none).

    phi(i) = sum over S without i of |S|! (n - |S| - 1)! / n! * (v(S + i) - v(S)). Shapley (1953), A Value for n-Person
    Games, Contributions to the Theory of Games II.
    """
    n = len(players)
    weights = [factorial(size) * factorial(n - size - 1) / factorial(n) for size in range(n)]

    def of(player: str) -> float:
        others = [other for other in players if other != player]
        return fsum(weights[len(s)] * (value[s | {player}] - value[s]) for s in coalitions(others))

    return {player: of(player) for player in players}


def over_orders(orders: Sequence[Order], value: Mapping[Coalition, float]) -> dict[str, float]:
    """The mean of what each player adds to those before it, over these orders, which hold the same players.

    Over all orders it is the Shapley value, over orders drawn at random an unbiased estimate that sums to v(all) -
    v(none) too. Castro, Gomez and Tejada (2009), Polynomial Calculation of the Shapley Value Based on Sampling,
    Computers & Operations Research 36(5).
    """
    added: dict[str, list[float]] = {player: [] for player in orders[0]}
    for order in orders:
        for player, before, after in zip(order, prefixes(order), prefixes(order)[1:], strict=False):
            added[player].append(value[after] - value[before])
    return {player: fsum(each) / len(orders) for player, each in added.items()}


def prefixes(order: Order) -> list[Coalition]:
    """The coalitions that an order goes through, from none to all."""
    return [frozenset(order[:count]) for count in range(len(order) + 1)]


def drawn(players: Sequence[str], pairs: int, stream: np.random.Generator) -> list[Order]:
    """Orders drawn at random, each followed by its reverse.

    A player that comes early in one comes late in the other, so that their errors cancel in part: antithetic sampling.
    Mitchell, Cooper, Frank and Holmes (2022), Sampling Permutations for Shapley Value Estimation, JMLR 23(43).
    """
    orders: list[Order] = []
    for _ in range(pairs):
        order = tuple(players[place] for place in stream.permutation(len(players)))
        orders += [order, order[::-1]]
    return orders
