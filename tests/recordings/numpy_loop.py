"""A training loop in NumPy, float32, whose every habit can be chosen, and that records itself as hooks would.

The network is dense, BatchNorm, relu, dense, with a bias; small, and its backward pass is written out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isotune.data.mixing import mixed
from isotune.protocols import Averaging, Mixing
from isotune.recordings import Draw, Norm, Optimizer, Recording, Streamed, TensorEntry, Writer
from isotune.runs.training import Average

INPUTS, HIDDEN, CLASSES, IMAGES = 12, 16, 5, 8
SIDE = 16  # of the images that are mixed
NAMES = {
    "000.dense.kernel": (INPUTS, HIDDEN), "000.dense.bias": (HIDDEN,), "001.norm.scale": (HIDDEN,),
    "001.norm.shift": (HIDDEN,), "head.kernel": (HIDDEN, CLASSES), "head.bias": (CLASSES,),
}  # fmt: skip
BUFFERS = {"001.norm.mean": (HIDDEN,), "001.norm.variance": (HIDDEN,)}
F = np.float32


@dataclass
class Loop:
    """What a loop does. The defaults are torch's SGD."""

    family: str = "sgd"
    hyper: dict[str, Any] = field(default_factory=lambda: {"momentum": 0.9, "nesterov": False, "weight_decay": 0.01})
    momentum_form: str = "rate-outside"
    decay: str = "coupled"
    decayed: str = "all"
    adam_epsilon: str = "after-correction"
    rmsprop_epsilon: str = "outside-root"
    rates: tuple[float, ...] = (0.1, 0.1, 0.01, 0.01)
    passes: int = 1
    divided: bool = True
    smoothing: float = 0.0
    clip: tuple[str, float] | None = None
    frozen: frozenset[str] = frozenset()
    frozen_norm: str = "updates"
    norm_momentum: float = 0.1
    unbiased: bool = True
    l2: float = 0.0  # inside the loss, on kernels
    order: tuple[int, ...] | None = None
    factor: float = 1.0  # of every step, beside what the rate says
    shrinks: float = 1.0  # weights between steps
    seed: int = 0
    steps: int = 4
    shows_gradient: bool = True  # of the logits; Keras's hooks do not
    says: bool = True  # what its class does; else an optimizer that nobody knows
    mixing: Mixing | None = None
    tells: str = "labels"  # of the loss; or "first", of two classes the greater alone
    area: str = "left"  # whose share CutMix's labels have; or "drawn"
    average: Averaging | None = None
    overwrites: int = 0  # every so many steps the average takes the weights' place
    said: tuple[str, float] | None = None  # by what the optimizer says that it clips
    draws: tuple[Draw, ...] | None = ()  # layers that are said to draw at random, with no masks; None: not looked at
    moves: bool = False  # whether the framework's generator moves in a step
    layers: dict[str, float] = field(default_factory=dict)  # factor of a layer's rate; its group comes first

    def record(self, folder: Path, **how: Any) -> Recording:
        stream = np.random.default_rng(self.seed)
        w = {name: stream.normal(0, 0.3, shape).astype(F) for name, shape in NAMES.items()}
        buffers = {"001.norm.mean": stream.normal(0, 1, HIDDEN).astype(F),
                   "001.norm.variance": stream.uniform(0.5, 2, HIDDEN).astype(F)}  # fmt: skip
        x = stream.normal(0, 1, (self.steps * 2 * IMAGES, INPUTS)).astype(F)
        pixels = stream.integers(0, 256, (len(x), SIDE, SIDE, 3), dtype=np.uint8) if self.mixing else None
        average = Average(self.average, {**w, **buffers}, self.steps) if self.average else None
        y = stream.integers(0, CLASSES, len(x))
        slots: dict[str, dict[str, np.ndarray]] = {name: {} for name in NAMES}
        writer = Writer(folder, range(self.steps), (0,), 0, 1 << 30, how.pop("steps_per_epoch", None))
        writer.describe("numpy", "Loop", self.entries(), {"numpy": np.__version__} | how, in_order=True, per_step=1)
        for number in range(self.steps):
            step = writer.begin()
            step.keep("batchnorm-before", streamed(buffers))
            gradients = {name: np.zeros_like(value) for name, value in w.items()}
            for place in range(self.passes):
                size = IMAGES * 2 // self.passes if self.passes > 1 else IMAGES
                chosen = np.arange(size) + number * IMAGES * 2 + place * size
                if self.order:
                    chosen = chosen[list(self.order)]
                if pixels is None:
                    step.add_pass(x[chosen])
                    self._backward(step, w, buffers, x[chosen], np.eye(CLASSES, dtype=F)[y[chosen]], gradients)
                else:
                    self._mixed_pass(step, w, buffers, pixels[chosen], y[chosen], gradients)
            if self.draws is not None:
                step.draws = {str(place): each for place, each in enumerate(self.draws)}
            step.random = {"before": {"torch": "0"}, "after": {"torch": "1" if self.moves or self.draws else "0"}}
            step.raw = {name: (float(np.linalg.norm(g)), float(np.abs(g).max())) for name, g in gradients.items()
                        if name not in self.frozen}  # fmt: skip
            gradients = self._clipped({name: g for name, g in gradients.items() if name not in self.frozen})
            frozen = "001.norm.scale" in self.frozen
            step.norms = {"001.norm": Norm(training=not frozen or self.frozen_norm == "updates", frozen=frozen,
                                           momentum=self.norm_momentum, epsilon=1e-5)}  # fmt: skip
            step.keep("before", [*streamed(w), *streamed_slots(slots)])
            step.keep("gradients", streamed(gradients))
            described = self.optimizer(number)
            for name, g in gradients.items():
                self._step(name, w, g, slots[name], self.rates[number] * self.factor_of(name), number + 1)
            step.keep("after", [*streamed(w), *streamed_slots(slots), *streamed(buffers)])
            if average is not None:
                if average.is_due(number + 1):
                    average.update(number + 1, {**w, **buffers})
                step.keep("average", streamed(average.tensors))
            step.finish(described)
            writer.passed(described.groups[0]["learning_rate"], step.images, step.passes)
            w = {name: (value * F(self.shrinks)).astype(F) for name, value in w.items()}
            if self.overwrites and average is not None and (number + 1) % self.overwrites == 0:
                w = {name: average.tensors[name].astype(F) for name in w}
        writer.close()
        return Recording(folder)

    def entries(self) -> list[TensorEntry]:
        return [
            TensorEntry(
                name=name, own=name.replace(".", "_"), kind="norm" if ".norm" in name else "dense", shape=shape,
                buffer=name in BUFFERS, trained=name not in self.frozen,
                block=-1 if name.startswith("head") else int(name[:3]),
            )
            for name, shape in {**NAMES, **BUFFERS}.items()
        ]  # fmt: skip

    def optimizer(self, number: int) -> Optimizer:
        factors = list(dict.fromkeys(self.factor_of(name) for name in NAMES))
        limit = {"clip_norm": self.said[1]} if self.said else {}
        groups = tuple(
            {"learning_rate": self.rates[number] * factor, **self.hyper, **limit} for factor in factors
        )  # fmt: skip
        forms = {"momentum_form": self.momentum_form, "adam_epsilon": self.adam_epsilon,
                 "rmsprop_epsilon": self.rmsprop_epsilon, "weight_decay_form": self.decay,
                 **({"clipping": self.said[0]} if self.said else {})}  # fmt: skip
        members = {name: factors.index(self.factor_of(name)) for name in NAMES if name not in self.frozen}
        return Optimizer(own="Numpy", family=self.family if self.says else "unknown", forms=forms if self.says else {},
                         groups=groups, members=members, steps_taken=number)  # fmt: skip

    def factor_of(self, name: str) -> float:
        """Of a tensor's rate."""
        return self.layers.get(name.rpartition(".")[0], 1.0)

    def _mixed_pass(self, step: Any, w: Any, buffers: Any, pixels: Any, y: Any, gradients: Any) -> None:
        """Of images mixed, which the network sees as means over their quarters."""
        assert self.mixing is not None
        images, targets = mixed(pixels, y, CLASSES, self.mixing, np.random.default_rng([self.seed, step.number]))
        if self.area == "drawn":  # of no whole number of pixels
            further = targets + np.sign(targets - 0.5) * 0.37 / SIDE**2
            targets = np.where((targets > 0) & (targets < 1), further, targets)
        scaled = images.astype(F) / F(255)
        step.add_pass(scaled)
        seen = scaled.reshape(len(y), 2, SIDE // 2, 2, SIDE // 2, 3).mean((2, 4)).reshape(len(y), INPUTS)
        self._backward(step, w, buffers, seen.astype(F), targets.astype(F), gradients)

    def _backward(self, step: Any, w: Any, buffers: Any, x: Any, y: Any, gradients: Any) -> None:
        """y: targets [N, CLASSES]."""
        still = "001.norm.scale" in self.frozen and self.frozen_norm == "inference"
        hidden = x @ w["000.dense.kernel"] + w["000.dense.bias"]
        mean, variance = hidden.mean(0), hidden.var(0)
        used = (buffers["001.norm.mean"], buffers["001.norm.variance"]) if still else (mean, variance)
        root = np.sqrt(used[1] + F(1e-5))
        normed = (hidden - used[0]) / root
        scaled = normed * w["001.norm.scale"] + w["001.norm.shift"]
        active = np.maximum(scaled, 0)
        logits = active @ w["head.kernel"] + w["head.bias"]
        if step.number == 0:
            step.layer("000.dense", hidden)
            step.layer("head", logits)
        if not still:
            m, n = F(self.norm_momentum), len(x)
            step.batch_statistics("001.norm", mean.astype(float), variance.astype(float), n)
            buffers["001.norm.mean"] = (1 - m) * buffers["001.norm.mean"] + m * mean
            factor = F(n / (n - 1) if self.unbiased else 1)
            buffers["001.norm.variance"] = (1 - m) * buffers["001.norm.variance"] + m * variance * factor
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        target = F(1 - self.smoothing) * y + F(self.smoothing / CLASSES)
        weight = F(1 / len(x) / (self.passes if self.divided else 1))
        loss = -float((target * np.log(shares)).sum()) * float(weight)
        loss += self.l2 * sum(float((w[name] ** 2).sum()) for name in w if name.endswith("kernel"))
        d = ((shares - target) * weight).astype(F)
        step.tell(labels=y if self.tells == "labels" else y.argmax(1), loss=loss)
        step.output("logits", logits)
        if self.shows_gradient:
            step.output("gradient", d)
        gradients["head.kernel"] += active.T @ d
        gradients["head.bias"] += d.sum(0)
        d = (d @ w["head.kernel"].T) * (scaled > 0)
        gradients["001.norm.scale"] += (d * normed).sum(0)
        gradients["001.norm.shift"] += d.sum(0)
        d = d * w["001.norm.scale"] / root
        if not still:
            d = d - d.mean(0) - normed * (d * normed).mean(0)
        gradients["000.dense.kernel"] += x.T @ d
        gradients["000.dense.bias"] += d.sum(0)
        for name in [name for name in gradients if self.l2 and name.endswith("kernel")]:
            gradients[name] += F(2 * self.l2) * w[name]

    def _clipped(self, gradients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self.clip is None:
            return gradients
        kind, limit = self.clip
        if kind == "by value":
            return {name: np.clip(g, -F(limit), F(limit)) for name, g in gradients.items()}
        norms = {name: float(np.linalg.norm(g)) for name, g in gradients.items()}
        total = float(np.sqrt(sum(norm**2 for norm in norms.values())))
        return {name: g * F(min(1, limit / (total if kind == "global-norm" else norms[name])))
                for name, g in gradients.items()}  # fmt: skip

    def _step(self, name: str, weights: Any, g: Any, slots: Any, rate: float, t: int) -> None:
        w, h, r = weights[name], self.hyper, F(rate)
        if h.get("weight_decay") and (self.decayed == "all" or name.endswith("kernel")):
            if self.decay == "coupled":
                g = g + F(h["weight_decay"]) * w
            else:
                w = w - r * F(h["weight_decay"]) * w
        if self.family == "adam":
            b1, b2 = h["beta1"], h["beta2"]
            a = slots["first_moment"] = F(b1) * slots.get("first_moment", F(0)) + F(1 - b1) * g
            s = slots["second_moment"] = F(b2) * slots.get("second_moment", F(0)) + F(1 - b2) * g * g
            if self.adam_epsilon == "after-correction":
                step = F(rate / (1 - b1**t)) * a / (np.sqrt(s) / F((1 - b2**t) ** 0.5) + F(h["epsilon"]))
            else:
                step = F(rate * (1 - b2**t) ** 0.5 / (1 - b1**t)) * a / (np.sqrt(s) + F(h["epsilon"]))
        else:
            inside = self.momentum_form == "rate-inside"
            if self.family == "rmsprop":
                s = slots["second_moment"] = F(h["rho"]) * slots.get("second_moment", F(0)) + F(1 - h["rho"]) * g * g
                e = F(h["epsilon"])
                g = g / (np.sqrt(s + e) if self.rmsprop_epsilon == "inside-root" else np.sqrt(s) + e)
            if m := h.get("momentum"):
                v = slots["velocity"] = F(m) * slots.get("velocity", F(0)) + (r * g if inside else g)
                step = (r * g if inside else g) + F(m) * v if h.get("nesterov") else v
                step = step if inside else r * step
            else:
                step = r * g
        weights[name] = (w - F(self.factor) * step).astype(F)


def streamed(arrays: dict[str, np.ndarray]) -> list[Streamed]:
    return [Streamed(name, tuple(array.shape), "float32", lambda array=array: array) for name, array in arrays.items()]


def streamed_slots(slots: dict[str, dict[str, np.ndarray]]) -> list[Streamed]:
    return streamed({f"{name}/{slot}": array for name, each in slots.items() for slot, array in each.items()})
