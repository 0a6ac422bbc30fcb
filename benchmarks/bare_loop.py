"""A fine-tuning step, or inference, through the adapter against a bare loop in the same framework, in turn.

    python benchmarks/bare_loop.py torchvision --rounds 7

One process, one framework: the same network, batch, size, optimizer, layout and threads on both sides. The
bare sides are what a user would write by hand: torch's loop on float32 NCHW tensors that are scaled
already, once as it comes and once with channels_last; Keras's `model.fit` and `predict` on scaled float32 arrays. The
adapter gets uint8 images and scales them within the step. Prints JSON: seconds a step and what else the machine did,
round by round, and the ratio of each bare side to the adapter in its layout, with an interval.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

import numpy as np

from isotune import names
from isotune.adapters.base import Recipe
from isotune.conventions import Conventions, affine
from isotune.models import layouts
from isotune.protocols import SGD, Mode
from isotune.statistics import median_interval
from isotune.weights import select_trained
from isotune.workers.disturbance import Watch

# each library's name of an architecture, and what leaves out its dropout, which the adapter leaves out too
MODELS: dict[str, dict[str, tuple[str, dict[str, float]]]] = {
    "torchvision": {
        "mobilenet_v2": ("mobilenet_v2", {"dropout": 0.0}),
        "resnet50": ("resnet50", {}),
        "convnext_tiny": ("convnext_tiny", {"stochastic_depth_prob": 0.0}),
        "vit_b_16": ("vit_b_16", {}),
        "efficientnet_b0": ("efficientnet_b0", {"dropout": 0.0, "stochastic_depth_prob": 0.0}),
    },
    "timm": {
        "mobilenet_v2": ("mobilenetv2_100", {}),
        "resnet50": ("resnet50", {}),
        "convnext_tiny": ("convnext_tiny", {}),
        "vit_b_16": ("vit_base_patch16_224", {}),
        "efficientnet_b0": ("efficientnet_b0", {}),
    },
    "keras": {
        "mobilenet_v2": ("MobileNetV2", {}),
        "resnet50": ("ResNet50", {}),
        "convnext_tiny": ("ConvNeXtTiny", {}),
        "efficientnet_b0": ("EfficientNetB0", {}),
    },
}
CLASSES, RATE, MOMENTUM = 10, 2**-7, 0.9
Run = Callable[[int], Any]  # takes so many steps, and returns when they are done
Question = Literal["training", "inference"]
PLAIN = Mode()


def batch(size: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, size, size, 3] and labels [N]; speed does not depend on what they show."""
    stream = np.random.default_rng(0)
    return stream.integers(0, 256, (images, size, size, 3), dtype=np.uint8), stream.integers(0, CLASSES, images)


def torch_network(library: str, network: str) -> Any:
    """As the library builds it for ten classes."""
    name, options = MODELS[library][network]
    if library == "timm":
        import timm

        return timm.create_model(name, num_classes=CLASSES)
    import torchvision

    return torchvision.models.get_model(name, num_classes=CLASSES, **options)


def torch_inputs(images: np.ndarray, labels: np.ndarray, mode: Mode = PLAIN) -> tuple[Any, Any]:
    """Scaled already, on the device, in the mode's layout."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    _, scale, offset = affine("mean-std")
    scaled = torch.tensor((images * scale + offset).astype(np.float32)).permute(0, 3, 1, 2).contiguous()
    return scaled.to(device, memory_format=torch_format(mode)), torch.tensor(labels).to(device)


def torch_format(mode: Mode) -> Any:
    import torch

    return torch.channels_last if mode.layout == "channels_last" else torch.contiguous_format


def torch_side(
    library: str, network: str, question: Question, images: np.ndarray, labels: np.ndarray, mode: Mode, **sgd: bool
) -> Run:
    """What a user of torch would write; sgd: further arguments of the optimizer."""
    import torch

    scaled, targets = torch_inputs(images, labels, mode)
    model = torch_network(library, network).to(scaled.device, memory_format=torch_format(mode))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True, **sgd)
    forward = torch.compile(model) if mode.compiled else model
    narrow = mode.numeric_mode == "bfloat16"

    def precision() -> Any:
        return torch.autocast(scaled.device.type, torch.bfloat16) if narrow else contextlib.nullcontext()

    def train(steps: int) -> None:
        model.train()
        for _ in range(steps):
            optimizer.zero_grad()
            with precision():
                loss = torch.nn.functional.cross_entropy(forward(scaled), targets)
            loss.backward()
            optimizer.step()
        if scaled.is_cuda:
            torch.cuda.synchronize()

    def infer(steps: int) -> None:
        model.eval()
        with torch.inference_mode(), precision():
            for _ in range(steps):
                forward(scaled).float().cpu()

    return train if question == "training" else infer


def keras_network(network: str, size: tuple[int, ...], mode: Mode = PLAIN) -> Any:
    """The body of keras.applications under a new classifier, as Keras's guide to transfer learning has it."""
    import keras

    name, options = MODELS["keras"][network]
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if mode.numeric_mode == "bfloat16" else "float32")
    try:
        body = getattr(keras.applications, name)(
            include_top=False, weights=None, pooling="avg", input_shape=(*size, 3), **options
        )
        model = keras.Sequential([body, keras.layers.Dense(CLASSES, dtype="float32")])
        model.compile(
            keras.optimizers.SGD(RATE, momentum=MOMENTUM, nesterov=True),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            **({"jit_compile": True} if mode.compiled else {}),
        )
    finally:
        keras.mixed_precision.set_global_policy("float32")
    return model


def keras_side(
    library: str, network: str, question: Question, images: np.ndarray, labels: np.ndarray, mode: Mode
) -> Run:
    """`fit` and `predict`."""
    _, scale, offset = affine("minus-one-to-one")
    scaled = (images * scale + offset).astype(np.float32)
    model = keras_network(network, images.shape[1:3], mode)

    def run(steps: int) -> None:
        many, targets = np.tile(scaled, (steps, 1, 1, 1)), np.tile(labels, steps)
        if question == "training":
            model.fit(many, targets, batch_size=len(images), epochs=1, shuffle=False, verbose=0)
        else:
            model.predict(many, batch_size=len(images), verbose=0)

    return run


def adapter_side(
    library: str, network: str, question: Question, images: np.ndarray, labels: np.ndarray, mode: Mode = PLAIN
) -> Run:
    """The step as the core calls it, under the library's native conventions."""
    name = names.parse(f"{library}:{MODELS[library][network][0]}")
    adapter = names.load_adapter(name)
    model = adapter.build(
        name.name,
        classes=CLASSES,
        checkpoint=None,
        conventions=adapter.native_conventions(name.name) if library == "keras" else Conventions(),
        image_size=images.shape[1:3],
        **mode.settings,
    )
    trained = frozenset(select_trained(model.layers(), "all"))
    trainer = model.trainer(Recipe(SGD(name="sgd", momentum=MOMENTUM, nesterov=True), trained))

    def run(steps: int) -> None:
        for _ in range(steps):
            if question == "training":
                trainer.step(images, labels, RATE)
            else:
                model.logits(images)
        model.synchronize()

    run.graph = lambda: getattr(getattr(trainer, "graph", None), "said", "")  # what became of a CUDA graph
    return run


def bare_side(*what: Any) -> Run:
    """What a user of the library, the first argument, would write."""
    return keras_side(*what) if what[0] == "keras" else torch_side(*what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("library", choices=sorted(MODELS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=16, help="steps a round; with few, the start-up of fit dominates")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--network", default="mobilenet_v2", help="mobilenet_v2, resnet50, ...")
    options = parser.parse_args()
    images, labels = batch(options.size, options.batch)
    sides: dict[str, Run] = {}
    for kind, make in (("adapter", adapter_side), ("bare", bare_side)):
        for layout in (None, *layouts.others(options.library)):
            name = f"{kind} {layout}" if layout else kind
            sides[name] = make(options.library, options.network, "training", images, labels, Mode(layout=layout))
    for run in sides.values():  # compilation and first steps apart
        run(2)
        run(options.steps)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    disturbances: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for turn in range(options.rounds):
        order = list(sides.items())
        for name, run in order if turn % 2 == 0 else reversed(order):  # no side is always first
            with Watch() as watch:
                run(options.steps)
            seconds[name].append(watch.seconds / options.steps)
            disturbances[name].append(watch.seen.model_dump(mode="json"))
    intervals = {
        name: asdict(median_interval(np.array(seconds[name]) / np.array(seconds[name.replace("bare", "adapter")])))
        for name in sides
        if name.startswith("bare")
    }
    ratios = {name: each["median"] for name, each in intervals.items()}
    facts = {"library": options.library, "batch": options.batch, "size": options.size}
    facts |= {"graph": sides["adapter"].graph(), "seconds": seconds, "disturbances": disturbances}
    print(json.dumps(facts | {"adapter_images_per_second_over": ratios, "intervals": intervals}))


if __name__ == "__main__":
    main()
