"""A price in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isotune.attribution._attribution import Amount, Price, Step
from isotune.attribution._switches import Aside, Switch
from isotune.conventions import written_value
from isotune.report import _format as f


def sentences(price: Price) -> list[str]:
    """What it says, largest first: both accuracies, the price of every axis, what is left over, what is not known."""
    return list(_said(price))


def switched(switch: Switch) -> str:
    """ "stride2_padding: symmetric to same"."""
    return f"{switch.axis}: {written_value(switch.left)} to {written_value(switch.right)}"


def _said(price: Price) -> Iterator[str]:
    decimals = f.decimals(price.test_images)
    over = f.number(len(price.seeds), "seed")
    yield (
        f"{price.left} ({price.left_spec}) reaches {_percent(price.begin, decimals)},"
        f" {price.right} ({price.right_spec}) {_percent(price.end, decimals)}, on {price.dataset}"
        f" under {price.protocol}, over {over}."
    )
    if price.steps:
        yield _how(price)
    for step in price.steps:
        yield _priced(step, decimals)
    if not price.steps:
        yield "No axis that can be switched differs between the two."
    yield _remainder(price, decimals)
    for why in dict.fromkeys(each.why for each in price.aside):
        yield _aside([each for each in price.aside if each.why == why], why)
    for failure in price.failed:
        yield f"Failed: {failure.run}: {failure.error}."
    if price.reason:
        yield f"{price.reason[0].upper()}{price.reason[1:]}."


def _how(price: Price) -> str:
    if price.orders:
        orders = f"{price.orders} orders drawn for each seed"
    else:
        orders = "all orders" if len(price.steps) > 1 else "the one order that there is"
    margins = " ± is half a 95 % interval over seeds." if len(price.seeds) > 1 else ""
    return f"Prices are points of accuracy that {price.left} gains or loses, averaged over {orders}.{margins}"


def _priced(step: Step, decimals: int) -> str:
    what = switched(step.switch)
    if step.same:
        return f"{what}: exactly 0, as no prediction changes."
    if not step.share.known:
        known = [f"{name} {_points(amount, decimals)}" for name, amount in _ends(step) if amount.known]
        return f"{what}: not known{', ' if known else ''}{' and '.join(known)}."
    ends = " and ".join(f"{_points(amount, decimals)} {name}" for name, amount in _ends(step))
    return f"{what}: {_points(step.share, decimals)} points ({ends})."


def _ends(step: Step) -> list[tuple[str, Amount]]:
    return [("when switched first", step.alone), ("when switched last", step.last)]


def _remainder(price: Price, decimals: int) -> str:
    if not price.remainder.known:
        return "What no axis explains is not known."
    if price.met:
        how = "with these axes switched " if price.steps else ""
        return f"What no axis explains: exactly 0; {how}they give the same predictions."
    weights = {
        True: "both start from the same weights",
        False: "the weights that they start from are not equal",
        None: "",
    }[price.same_weights]
    said = f"What no axis explains: {_points(price.remainder, decimals)} points"
    return f"{said}; {weights}." if weights else f"{said}."


def _aside(those: Sequence[Aside], why: str) -> str:
    verb = "differs" if len(those) == 1 else "differ"
    return f"{f.listing([switched(each.switch) for each in those])} {verb} too, but {why}."


def _percent(amount: Amount, decimals: int) -> str:
    return f"{f.accuracy(amount.estimate, decimals)} %" if amount.known else "an accuracy that is not known"


def _points(amount: Amount, decimals: int) -> str:
    return f.gap(amount.estimate, decimals)
