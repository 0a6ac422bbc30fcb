"""A fine-tuning step through the adapter against a bare loop in the same framework, in turn.

    python benchmarks/bare_loop.py torchvision --rounds 7

One process, one framework: the same MobileNetV2, batch, size, optimizer, layout and threads on both sides. The
bare sides are what a user would write by hand: torch's loop on float32 NCHW tensors that are scaled
already, once as it comes and once with channels_last; Keras's `model.fit` on scaled float32 arrays. The
adapter gets uint8 images and scales them within the step. Prints JSON: seconds a step, round by round, and the ratio
of each bare side to the adapter in its layout.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from isotune import names
from isotune.adapters.base import Recipe
from isotune.conventions import Conventions, affine
from isotune.models import layouts
from isotune.protocols import SGD, Layout
from isotune.weights import select_trained

MODELS = {"torchvision": "mobilenet_v2", "timm": "mobilenetv2_100", "keras": "MobileNetV2"}
CLASSES, RATE, MOMENTUM = 10, 2**-7, 0.9


def torch_sides(library: str, images: np.ndarray, labels: np.ndarray) -> dict[str, Callable[[int], Any]]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    _, scale, offset = affine("mean-std")
    scaled = torch.tensor((images * scale + offset).astype(np.float32)).permute(0, 3, 1, 2).contiguous().to(device)
    targets = torch.tensor(labels).to(device)

    def side(memory_format: torch.memory_format) -> Callable[[int], Any]:
        if library == "timm":
            import timm

            model = timm.create_model(MODELS[library], num_classes=CLASSES)
        else:
            import torchvision

            model = torchvision.models.mobilenet_v2(num_classes=CLASSES, dropout=0.0)
        model = model.to(device, memory_format=memory_format).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True)
        batch = scaled.to(memory_format=memory_format)

        def run(steps: int) -> None:
            for _ in range(steps):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(batch), targets).backward()
                optimizer.step()
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    return {"bare": side(torch.contiguous_format), "bare channels_last": side(torch.channels_last)}


def keras_sides(library: str, images: np.ndarray, labels: np.ndarray) -> dict[str, Callable[[int], Any]]:
    import keras

    _, scale, offset = affine("minus-one-to-one")
    scaled = (images * scale + offset).astype(np.float32)
    body = keras.applications.MobileNetV2(include_top=False, weights=None, pooling="avg", input_shape=images.shape[1:])
    model = keras.Sequential([body, keras.layers.Dense(CLASSES)])
    model.compile(
        keras.optimizers.SGD(RATE, momentum=MOMENTUM, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def run(steps: int) -> None:
        many, targets = np.tile(scaled, (steps, 1, 1, 1)), np.tile(labels, steps)
        model.fit(many, targets, batch_size=len(images), epochs=1, shuffle=False, verbose=0)

    return {"bare": run}


def adapter_side(
    library: str, images: np.ndarray, labels: np.ndarray, layout: Layout | None = None
) -> Callable[[int], Any]:
    """The step as the core calls it, under the library's native conventions, in its user's layout or another."""
    name = names.parse(f"{library}:{MODELS[library]}")
    adapter = names.load_adapter(name)
    model = adapter.build(
        name.name,
        classes=CLASSES,
        checkpoint=None,
        conventions=adapter.native_conventions(name.name) if library == "keras" else Conventions(),
        image_size=images.shape[1:3],
        layout=layout,
    )
    trained = frozenset(select_trained(model.layers(), "all"))
    trainer = model.trainer(Recipe(SGD(name="sgd", momentum=MOMENTUM, nesterov=True), trained))

    def run(steps: int) -> None:
        for _ in range(steps):
            trainer.step(images, labels, RATE)
        model.synchronize()

    run.graph = lambda: getattr(getattr(trainer, "graph", None), "said", "")  # what became of a CUDA graph
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("library", choices=sorted(MODELS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=16, help="steps a round; with few, the start-up of fit dominates")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=96, help="pixels")
    options = parser.parse_args()
    stream = np.random.default_rng(0)
    images = stream.integers(0, 256, (options.batch, options.size, options.size, 3), dtype=np.uint8)
    labels = stream.integers(0, CLASSES, options.batch)
    sides = {"adapter": adapter_side(options.library, images, labels)}
    for layout in layouts.others(options.library):
        sides[f"adapter {layout}"] = adapter_side(options.library, images, labels, layout)
    sides |= (keras_sides if options.library == "keras" else torch_sides)(options.library, images, labels)
    for run in sides.values():  # compilation and first steps apart
        run(2)
        run(options.steps)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(options.rounds):
        order = list(sides.items())
        for name, run in order if turn % 2 == 0 else reversed(order):  # no side is always first
            began = time.perf_counter()
            run(options.steps)
            seconds[name].append((time.perf_counter() - began) / options.steps)
    ratios = {
        name: float(np.median(np.array(seconds[name]) / np.array(seconds[name.replace("bare", "adapter")])))
        for name in sides
        if name.startswith("bare")
    }
    facts = {"library": options.library, "batch": options.batch, "size": options.size}
    facts["graph"] = sides["adapter"].graph()
    print(json.dumps(facts | {"seconds": seconds, "adapter_images_per_second_over": ratios}))


if __name__ == "__main__":
    main()
