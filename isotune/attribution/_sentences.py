"""An attribution in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isotune.attribution._attribution import Amount, Attribution, Step
from isotune.attribution._switches import Aside, Switch
from isotune.conventions import written_value
from isotune.report import wording as f


def sentences(attribution: Attribution) -> list[str]:
    """What it says, largest first: both accuracies, the share of every axis, what is left over, what is not known."""
    return list(_said(attribution))


def switched(switch: Switch) -> str:
    """ "stride2_padding: symmetric to same"."""
    return f"{switch.axis}: {written_value(switch.left)} to {written_value(switch.right)}"


def _said(attribution: Attribution) -> Iterator[str]:
    decimals = f.decimals(attribution.test_images)
    over = f"over {f.number(len(attribution.seeds), 'seed')}" if attribution.drawn else "where nothing is drawn"
    yield (
        f"{attribution.left} ({attribution.left_spec}) reaches {_percent(attribution.begin, decimals)},"
        f" {attribution.right} ({attribution.right_spec}) {_percent(attribution.end, decimals)},"
        f" on {attribution.dataset} under {attribution.protocol}, {over}."
    )
    if attribution.steps:
        yield _how(attribution)
    for step in attribution.steps:
        yield _share(step, decimals)
    if not attribution.steps:
        yield "No axis that can be switched differs between the two."
    yield _remainder(attribution, decimals)
    for why in dict.fromkeys(each.why for each in attribution.aside):
        yield _aside([each for each in attribution.aside if each.why == why], why)
    for failure in attribution.failed:
        yield f"Failed: {failure.run}: {failure.error}."
    if attribution.reason:
        yield f"{attribution.reason[0].upper()}{attribution.reason[1:]}."


def _how(attribution: Attribution) -> str:
    if attribution.orders:
        orders = f"{attribution.orders} orders drawn for each seed"
    else:
        orders = "all orders" if len(attribution.steps) > 1 else "the one order that there is"
    margins = " ± is half a 95 % interval over seeds." if len(attribution.seeds) > 1 else ""
    return f"Shares are points of accuracy that {attribution.left} gains or loses, averaged over {orders}.{margins}"


def _share(step: Step, decimals: int) -> str:
    what = switched(step.switch)
    if step.same:
        return f"{what}: exactly 0, as no prediction changes."
    if not step.share.known:
        known = [f"{name} {_points(amount, decimals)}" for name, amount in _ends(step) if amount.known]
        return f"{what}: not known{', ' if known else ''}{' and '.join(known)}."
    ends = " and ".join(f"{_points(amount, decimals)} {name}" for name, amount in _ends(step))
    return f"{what}: {_points(step.share, decimals)} points ({ends})."


def _ends(step: Step) -> list[tuple[str, Amount]]:
    return [("when switched first", step.first), ("when switched last", step.last)]


def _remainder(attribution: Attribution, decimals: int) -> str:
    if not attribution.remainder.known:
        return "What no axis explains is not known."
    if attribution.met:
        how = "with these axes switched " if attribution.steps else ""
        return f"What no axis explains: exactly 0; {how}they give the same predictions."
    weights = {
        True: "both start from the same weights",
        False: "the weights that they start from are not equal",
        None: "",
    }[attribution.same_weights]
    said = f"What no axis explains: {_points(attribution.remainder, decimals)} points"
    return f"{said}; {weights}." if weights else f"{said}."


def _aside(those: Sequence[Aside], why: str) -> str:
    verb = "differs" if len(those) == 1 else "differ"
    return f"{f.listing([switched(each.switch) for each in those])} {verb} too, but {why}."


def _percent(amount: Amount, decimals: int) -> str:
    return f"{f.accuracy(amount.estimate, decimals)} %" if amount.known else "an accuracy that is not known"


def _points(amount: Amount, decimals: int) -> str:
    return f.gap(amount.estimate, decimals)
