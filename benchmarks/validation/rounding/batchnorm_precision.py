"""How well do torch's CPU kernels of BatchNorm sum in training, and would another summation keep the speed?

    python benchmarks/validation/rounding/batchnorm_precision.py

The output of one BatchNorm against float64, in both memory layouts and with the statistics summed in other ways; the
time of its forward pass; and the training step of MobileNetV2 (batch 32, 96 px) with each of them. Ways take turns.
Writes reports/batchnorm-precision.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from isotune.progress import reporting
from isotune.workers.environment import machine, version

REPORTS = Path(__file__).parents[3] / "reports"
EPSILON, BLOCK = 1e-5, 64
SHAPES = (((32, 64, 56, 56), 0.0), ((20, 96, 24, 24), 0.0), ((20, 96, 24, 24), 30.0), ((32, 960, 3, 3), 0.0))
Statistics = Callable[[Tensor], tuple[Tensor, Tensor]]  # mean and biased variance [C] of [N, C, H, W]


def rows(images: Tensor) -> Tensor:
    """[N*H*W, C], without a copy where the images are channels_last."""
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def welford(images: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(rows(images), 0, correction=0)
    return mean, variance


def blocked(images: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of 64 rows, then of those sums: the error grows with 64 + N*H*W/64 terms instead of N*H*W."""
    values = rows(images)
    count = len(values)
    whole = count // BLOCK * BLOCK

    def total(terms: Tensor) -> Tensor:
        return terms[:whole].view(-1, BLOCK, terms.shape[1]).sum(1).sum(0) + terms[whole:].sum(0)

    mean = total(values) / count
    return mean, total((values - mean).square_()) / count


def doubled(images: Tensor) -> tuple[Tensor, Tensor]:
    """Accumulators in float64."""
    values = rows(images)
    mean = (values.sum(0, dtype=torch.float64) / len(values)).float()
    return mean, ((values - mean).square_().sum(0, dtype=torch.float64) / len(values)).float()


class Normalised(torch.autograd.Function):
    """BatchNorm in training with the statistics of another summation, and torch's own backward pass."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, statistics: Statistics) -> Tensor:
        mean, variance = statistics(images)
        ctx.save_for_backward(images, weight, mean, torch.rsqrt(variance + EPSILON))
        return torch.batch_norm(images, weight, bias, mean, variance, False, 0.0, EPSILON, False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        images, weight, mean, scale = ctx.saved_tensors
        parts = torch.ops.aten.native_batch_norm_backward(
            gradient, images, weight, None, None, mean, scale, True, EPSILON, [True, True, True]
        )
        return (*parts, *[None] * (len(ctx.needs_input_grad) - len(parts)))


class Centred(Normalised):
    """As `Normalised` with sums of 64 rows, the centred values made once: for the variance and for the output."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        values = rows(images)
        count, channels = values.shape
        whole = count // BLOCK * BLOCK
        mean = (values[:whole].view(-1, BLOCK, channels).sum(1).sum(0) + values[whole:].sum(0)) / count
        centred = values - mean
        norms = torch.linalg.vector_norm(centred[:whole].view(-1, BLOCK, channels), dim=1)
        variance = (norms.square_().sum(0) + centred[whole:].square().sum(0)) / count
        scale = torch.rsqrt(variance + EPSILON)
        ctx.save_for_backward(images, weight, mean, scale)
        made = torch.empty_like(images)
        torch.addcmul(bias, centred, weight * scale, out=rows(made))
        return made


def native(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.batch_norm(images, weight, bias, None, None, True, 0.0, EPSILON, False)


def contiguous(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Out of channels_last and back, around the norm alone."""
    return native(images.contiguous(), weight, bias).contiguous(memory_format=torch.channels_last)


def summed(statistics: Statistics) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda images, weight, bias: Normalised.apply(images, weight, bias, statistics)


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "channels_last, as it is": native,
    "contiguous around the norm": contiguous,
    "Welford over the rows (torch.var_mean)": summed(welford),
    "sums of 64 rows, then of those": summed(blocked),
    "the same, centred once": Centred.apply,
    "float64 accumulators": summed(doubled),
}


def error(way: Callable[..., Tensor], images: Tensor) -> float:
    """Greatest difference from float64 over the greatest output."""
    channels = images.shape[1]
    exact = native(images.double(), torch.ones(channels).double(), torch.zeros(channels).double())
    given = way(images, torch.ones(channels), torch.zeros(channels))
    return float((given.double() - exact).abs().max() / exact.abs().max())


def milliseconds(work: Callable[[], object], least: float = 0.1) -> float:
    work()
    began, times = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < least:
        work()
        times += 1
    return 1000 * passed / times


def norms(rounds: int) -> list[list[str]]:
    table = []
    for shape, mean in SHAPES:
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0)) + mean
        last = images.to(memory_format=torch.channels_last)
        cases: dict[str, Callable[[], Tensor]] = {}
        weight, bias = torch.ones(shape[1]), torch.zeros(shape[1])
        errors = {"contiguous, as it is": error(native, images)} | {
            name: error(way, last) for name, way in WAYS.items()
        }
        cases["contiguous, as it is"] = partial(native, images, weight, bias)
        cases |= {name: partial(way, last, weight, bias) for name, way in WAYS.items()}
        times: dict[str, list[float]] = {}
        with torch.no_grad():
            for _ in range(rounds):
                for name, case in cases.items():
                    times.setdefault(name, []).append(milliseconds(case))
        what = " x ".join(map(str, shape)) + (f", mean {mean:.0f} sd" if mean else "")
        table += [[what, name, f"{errors[name]:.1e}", f"{np.median(times[name]):.2f}"] for name in cases]
    return table


def steps(rounds: int) -> list[list[str]]:
    """Images/s of a training step, each way's median over that of channels_last as it is."""
    import torchvision

    stream = torch.Generator().manual_seed(0)
    images = torch.randn((32, 3, 96, 96), generator=stream).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (32,), generator=stream)
    net = torchvision.models.mobilenet_v2(num_classes=10, dropout=0.0).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=2**-7, momentum=0.9, nesterov=True)
    layers = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    rates: dict[str, list[float]] = {}
    with reporting(True) as reporter:
        for number in range(rounds):
            for name, way in WAYS.items():
                reporter(name, number + 1, rounds)
                for layer in layers:
                    layer.forward = partial(_through, layer, way)  # type: ignore[method-assign]
                rates.setdefault(name, []).append(32_000 / milliseconds(step, 1.0))
    first = np.array(rates["channels_last, as it is"])
    return [
        [name, f"{np.median(each):.1f}", f"{np.median(np.array(each) / first):.2f}"] for name, each in rates.items()
    ]


def _through(layer: nn.BatchNorm2d, way: Callable[..., Tensor], images: Tensor) -> Tensor:
    return way(images, layer.weight, layer.bias)


def table(columns: list[str], lines: list[list[str]], left: int) -> str:
    head = [columns, ["---"] * left + ["---:"] * (len(columns) - left)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [*head, *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=REPORTS)
    options = parser.parse_args()
    text = f"""# The summation of BatchNorm on the CPU

`python benchmarks/validation/rounding/batchnorm_precision.py`; torch {version("torch")},
{machine()["cpu"]}, {machine()["cores"]} cores.

## One norm, in training

Error: the greatest difference from float64, relative to the greatest output. Time of the forward pass.

{table(["shape", "statistics", "error", "ms"], norms(options.rounds), 2)}

## A training step of MobileNetV2

Batch 32, 96 px, channels_last, all layers, SGD with Nesterov momentum; every norm with these statistics.

{table(["statistics", "images/s", "of as it is"], steps(options.rounds), 1)}
"""
    (options.out / "batchnorm-precision.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
