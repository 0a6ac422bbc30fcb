"""The figure of an investigation: the error of every layer, in the order of execution, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from isotune.comparison.bounds import BOUND
from isotune.comparison.errors import Error
from isotune.investigation.findings import Findings, Rung
from isotune.report.figures import style as _style

_LEAST = 1e-17  # where an error of 0 is drawn
_MOST = 1e3
_RUNGS = ("layers", "training-mode layers")


def draw(findings: Findings, path: Path) -> bool:
    """As SVG. False: no layer was compared, and nothing is written."""
    shown = [rung for rung in findings.rungs if rung.name in _RUNGS and rung.layers_end_to_end]
    if shown:
        with _style.style():
            _style.save(_figure(findings, shown), path)
    return bool(shown)


def _figure(findings: Findings, shown: Sequence[Rung]) -> Figure:
    made = _style.figure(7.6, 0.4 + 2.2 * len(shown))
    every = made.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    hue = _style.colour(findings.right.adapter)
    for axes, rung in zip(every, shown, strict=True):
        (end_to_end,) = axes.plot(_heights(rung.layers_end_to_end), color=_style.QUIET)
        places = {error.name: place for place, error in enumerate(rung.layers_end_to_end)}
        known = [error for error in rung.layers_isolated if error.name in places]  # a layer may not be judged by itself
        (isolated,) = axes.plot(
            [places[error.name] for error in known], _heights(known), ".", color=hue, markersize=4.5
        )
        bound = axes.axhline(rung.bound or BOUND, color=_style.INK, linewidth=0.8, linestyle="--")
        handles = {"end to end": end_to_end, "isolated": isolated, "allowed": bound}
        if rung.noise:
            handles["noise floor"] = axes.axhline(rung.noise, color=_style.INK, linewidth=0.8, linestyle=":")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda height, _: f"{height:.0e}".replace("e-0", "e-")))
        axes.set_ylim(_LEAST / 3, max(10.0, *_heights(rung.layers_end_to_end)) * 3)
        axes.set_ylabel("relative error")
        axes.set_title(rung.name, loc="left", fontsize=9, color=_style.INK)
        if axes is every[0]:
            made.legend(handles.values(), handles, loc="outside upper center", ncols=len(handles))
    names = [error.name for error in shown[0].layers_end_to_end]
    step = max(1, len(names) // 14)
    every[-1].set_xticks(range(0, len(names), step), names[::step], rotation=45, ha="right", fontsize=7.5)
    return made


def _heights(errors: Sequence[Error]) -> list[float]:
    return [min(max(error.relative, _LEAST), _MOST) for error in errors]
