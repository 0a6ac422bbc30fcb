"""What the installed torchvision says of its checkpoints, asked in a process of its own.

    python -m isotune.reference_results._installed       one JSON object on stdout

The only place here that imports a framework, and only when it is run as a program.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from isotune.reference_results._schema import Reference

Facts = dict[str, Any]  # {"version": "0.28.0", "checkpoints": {"resnet50 IMAGENET1K_V1": {"top-1": 76.13, ...}}}


def installed_torchvision() -> Facts | None:
    """Published accuracy and evaluation of every ImageNet checkpoint of the installed torchvision; None: there is none.

    OSError: it is installed and cannot be asked.
    """
    if find_spec("torchvision") is None:
        return None
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError((done.stderr.strip().splitlines() or ["it ended without output"])[-1])
    facts: Facts = json.loads(done.stdout)
    return facts


def against_torchvision(rows: list[Reference], facts: Facts) -> list[str]:
    """One line for each row of torchvision's own numbers that the package contradicts or does not know, and for each
    checkpoint of the package that has no row."""
    problems, seen = [], set()
    for row in rows:
        name = f"{row.model} {row.checkpoint}"
        there = facts["checkpoints"].get(name)
        seen.add((name, row.metric))
        if there is None:
            problems.append(f"{row.file}: torchvision {facts['version']} has no {name}")
            continue
        ours = {row.metric: row.value, "size": row.size_px, "crop": row.crop, "interpolation": row.interpolation}
        for what, value in ours.items():
            if there.get(what) != value:
                problems.append(
                    f"{row.file}: {name}: {what} {value} against {there.get(what)} in torchvision {facts['version']}"
                )
    for name, there in facts["checkpoints"].items():
        problems += [
            f"imagenet.csv: torchvision {facts['version']} publishes {metric} of {name}, which has no row"
            for metric in ("top-1", "top-5")
            if metric in there and (name, metric) not in seen
        ]
    return problems


def compared_with_installed(rows: list[Reference]) -> tuple[list[str], dict[str, str]]:
    """What is wrong with libraries' own numbers by the libraries that are installed, a line each; and of each library
    that can be asked how much was compared."""
    own = [row for row in rows if (row.adapter, row.measured_by) == ("torchvision", "torchvision")]
    try:
        facts = installed_torchvision()
    except OSError as error:
        return [f"the installed torchvision cannot be asked: {error}"], {"torchvision": "cannot be asked"}
    if facts is None:
        return [], {"torchvision": "not installed, not compared"}
    return against_torchvision(own, facts), {"torchvision": f"{facts['version']}, {len(own)} numbers compared"}


def _ask() -> Facts:
    import torchvision
    from torchvision.models import get_model_weights, list_models

    checkpoints = {}
    for model in list_models(module=torchvision.models):
        for weights in get_model_weights(model):
            metrics = weights.meta["_metrics"]["ImageNet-1K"]
            evaluation = weights.transforms()
            (size,), (side,) = evaluation.crop_size, evaluation.resize_size
            checkpoints[f"{model} {weights.name}"] = {
                "size": size,
                "crop": round(size / side, 4),
                "interpolation": evaluation.interpolation.value,
                # VGG-16's features have no classifier, and NaN for an accuracy.
                **{
                    metric: metrics[key]
                    for metric, key in (("top-1", "acc@1"), ("top-5", "acc@5"))
                    if metrics[key] is not None and not math.isnan(metrics[key])
                },
            }
    return {"version": torchvision.__version__.partition("+")[0], "checkpoints": checkpoints}


if __name__ == "__main__":
    print(json.dumps(_ask()))
