"""One side, in a process of its own that answers rounds as they are asked for: lines of JSON in and out.

    python benchmarks/validation/augmentation/side.py {isotune,torchvision,keras,beside}

`{"technique", "batches"}` gives `{"rate", "disturbance"}`, images/s; of `beside`, which trains meanwhile,
`{"technique", "steps", "size", "batch"}` gives `{"seconds", "disturbance"}` of a step. A technique that the library has
not is `{"absent": true}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

import techniques

from isotune.workers.disturbance import Watch
from isotune.workers.threads import cores, settle_threads

IMAGES, AHEAD = 256, 2  # batches that are taken before the clock starts


@cache
def pictures(size: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, size, size, 3] as photographs are, smooth with some noise, and labels [N]."""
    stream = np.random.default_rng(0)
    coarse = stream.integers(0, 256, (IMAGES, 8, 8, 3)).repeat(size // 8, 1).repeat(size // 8, 2)
    noisy = coarse + stream.normal(0, 8, coarse.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), stream.integers(0, techniques.CLASSES, IMAGES)


@cache
def made(library: str, technique: str) -> techniques.Make | None:
    return techniques.LIBRARIES[library](technique)


def rate(library: str, technique: str, batches: int) -> dict[str, Any]:
    """Images/s of so many batches, those before the clock starts left out, and as many ahead at its end."""
    make = made(library, technique)
    if make is None:
        return {"absent": True}
    ready = iter(make(*pictures(techniques.SIDE), AHEAD + batches + AHEAD + cores()))
    for _ in range(AHEAD):
        next(ready)
    before = _of_workers()
    with Watch() as watch:
        for _ in range(batches):
            next(ready)
    own = (_of_workers() - before) / (watch.seconds * cores())  # are no other programs
    seen = watch.seen.model_copy(update={"others": round(max(0.0, watch.seen.others - own), 3)})
    if hasattr(ready, "close"):
        ready.close()
    return {"rate": batches * techniques.BATCH / watch.seconds, "disturbance": seen.model_dump(mode="json")}


def _of_workers() -> float:
    """CPU seconds of the processes that this one has started."""
    total = 0.0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = child.cpu_times()
            total += times.user + times.system
    return total


@cache
def trainer(size: int) -> tuple[Any, Any]:
    """A model of MobileNetV2 in torch as a worker has it, and its trainer."""
    import bare_loop

    from isotune import names
    from isotune.adapters.base import Recipe
    from isotune.conventions import Conventions
    from isotune.protocols import SGD
    from isotune.weights import select_trained

    name = names.parse(f"torchvision:{bare_loop.MODELS['torchvision']['mobilenet_v2'][0]}")
    model = names.load_adapter(name).build(
        name.name, classes=techniques.CLASSES, checkpoint=None, conventions=Conventions(), image_size=(size, size)
    )
    trained = frozenset(select_trained(model.layers(), "all"))
    return model, model.trainer(Recipe(SGD(momentum=0.9, nesterov=True), trained))


@cache
def augmenter(technique: str, size: int) -> Any:
    return techniques.augmenter(technique, *pictures(size * techniques.SIDE // techniques.SIZE // 8 * 8), size)


def beside(technique: str, steps: int, size: int, batch: int) -> dict[str, Any]:
    """Seconds of a training step that is fed by the augmenter, in its steady state."""
    from isotune.seeds import Seeds

    model, training = trainer(size)
    order = techniques.order(IMAGES, AHEAD + steps + AHEAD + cores(), batch)
    ready = augmenter(technique, size).batches(order, Seeds.all(0))
    for _ in range(AHEAD):
        training.step(*next(ready), 2**-10)
    model.synchronize()
    with Watch() as watch:
        for _ in range(steps):
            training.step(*next(ready), 2**-10)
        model.synchronize()
    ready.close()
    return {"seconds": watch.seconds / steps, "disturbance": watch.seen.model_dump(mode="json")}


def main() -> None:
    library = sys.argv[1]
    settle_threads()
    answers = sys.stdout
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        os.environ["ISOTUNE_CACHE"] = folder
        for line in sys.stdin:
            asked = json.loads(line)
            answer = beside(**asked) if library == "beside" else rate(library, **asked)
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
