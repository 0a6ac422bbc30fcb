"""A loop's habits are read off its recording by equations, whatever its optimizer says of itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy_loop import Loop

from isotune.recordings import judge

SGD = {"momentum": 0.9, "nesterov": False, "weight_decay": 1e-4}
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01}
RMSPROP = {"rho": 0.9, "epsilon": 1e-7, "momentum": 0.9, "weight_decay": 1e-3}
SMALL = (1e-3,) * 4
LIMIT = pytest.approx(0.3, rel=1e-4)
NORM = frozenset({"001.norm.scale", "001.norm.shift"})

LOOPS = {
    "torch's SGD": (Loop(hyper=SGD), {"momentum_form": "rate-outside", "weight_decay_form": "coupled",
                                      "weight_decay_on": "all", "batchnorm": "training"}),
    "decay on kernels": (Loop(hyper=SGD, decayed="kernels"), {"weight_decay_on": "kernels"}),
    "decoupled": (Loop(hyper=SGD, decay="decoupled"), {"weight_decay_form": "decoupled", "weight_decay_on": "all"}),
    "decoupled, kernels": (Loop(hyper=SGD, decay="decoupled", decayed="kernels"),
                           {"weight_decay_form": "decoupled", "weight_decay_on": "kernels"}),
    "Keras's momentum": (Loop(hyper=SGD, momentum_form="rate-inside"), {"momentum_form": "rate-inside"}),
    "Nesterov": (Loop(hyper=SGD | {"nesterov": True}), {"nesterov": True, "momentum_form": "rate-outside"}),
    "Adam": (Loop(family="adam", hyper=ADAM, rates=SMALL),
             {"adam_epsilon": "after-correction", "weight_decay_form": "coupled"}),
    "AdamW": (Loop(family="adam", hyper=ADAM, rates=SMALL, decay="decoupled", decayed="kernels"),
              {"weight_decay_form": "decoupled", "weight_decay_on": "kernels"}),
    "Keras's Adam": (Loop(family="adam", hyper=ADAM | {"epsilon": 1e-7}, rates=SMALL, adam_epsilon="before-correction"),
                     {"adam_epsilon": "before-correction"}),
    "RMSprop": (Loop(family="rmsprop", hyper=RMSPROP, rates=SMALL), {"rmsprop_epsilon": "outside-root"}),
    "Keras's RMSprop": (Loop(family="rmsprop", hyper=RMSPROP, rates=SMALL, rmsprop_epsilon="inside-root",
                             momentum_form="rate-inside"),
                        {"rmsprop_epsilon": "inside-root", "momentum_form": "rate-inside"}),
    "clipped": (Loop(clip=("global-norm", 0.3)), {"clipping": "global-norm", "clip_norm": LIMIT}),
    "clipped each": (Loop(clip=("per-variable", 0.1)), {"clipping": "per-variable"}),
    "clipped by value": (Loop(clip=("by value", 0.01)), {"clipping": "by value"}),
    "not clipped": (Loop(), {"clipping": None}),
    "accumulation": (Loop(passes=2), {"accumulation": "divided", "passes": 2, "batch_size": 16}),
    "accumulation that does not divide": (Loop(passes=2, divided=False), {"accumulation": "summed"}),
    "label smoothing": (Loop(smoothing=0.1), {"label_smoothing": 0.1}),
    "none": (Loop(), {"label_smoothing": 0.0, "loss_reduction": "mean"}),
    "frozen BatchNorm that updates": (Loop(frozen=NORM), {"frozen_batchnorm": "updates"}),
    "frozen BatchNorm": (Loop(frozen=NORM, frozen_norm="inference"), {"frozen_batchnorm": "inference"}),
    "BatchNorm of Keras": (Loop(norm_momentum=0.01, unbiased=False),
                           {"batchnorm_momentum": 0.01, "batchnorm_running_variance": "biased"}),
    "BatchNorm of torch": (Loop(), {"batchnorm_momentum": 0.1, "batchnorm_running_variance": "unbiased"}),
    "half steps": (Loop(factor=0.5), {"step": 0.5}),
    "L2 in the loss": (Loop(l2=5e-3), {"regularization": 0.01, "loss": None}),
    "half of lambda in the loss": (Loop(l2=6.25e-5), {"regularization": 1.25e-4}),
    "L2 beside smoothing": (Loop(l2=1e-3, smoothing=0.1), {"regularization": 2e-3, "label_smoothing": 0.1}),
    "L2 in Keras": (Loop(l2=1e-3, shows_gradient=False), {"regularization": 2e-3, "label_smoothing": 0, "loss": None}),
    "smoothing in Keras": (Loop(smoothing=0.1, shows_gradient=False), {"label_smoothing": 0.1, "regularization": None}),
}  # fmt: skip


@pytest.mark.parametrize("says", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("case", LOOPS)
def test_a_habit_is_read_off(case: str, says: bool, tmp_path) -> None:
    loop, expected = LOOPS[case]
    loop.says = says
    habits = judge(loop.record(tmp_path / "loop"))
    assert {name: habits.value(name) for name in expected} == expected
    assert ("step" in habits) == ("step" in expected)


@pytest.mark.parametrize("seed", range(1, 6))
def test_no_form_is_mistaken_for_another(seed: int, tmp_path) -> None:
    for name, (loop, expected) in LOOPS.items():
        loop.seed, former = seed, loop.seed
        habits = judge(loop.record(tmp_path / name))
        loop.seed = former
        for axis, value in expected.items():
            if axis not in ("clipping", "clip_norm"):  # whether a limit is reached depends on the seed
                assert habits.value(axis) in (value, None), (name, axis)


def test_a_decay_that_rounding_hides_is_not_guessed(tmp_path) -> None:
    hyper = {"momentum": 0.0, "weight_decay": 1e-9}
    habits = judge(Loop(hyper=hyper, decay="decoupled", rates=(1e-3,) * 4).record(tmp_path / "loop"))
    assert habits.value("weight_decay_form") is None
    assert "weight_decay_on" not in habits or habits.value("weight_decay_on") is None


def test_weights_that_change_between_steps_are_seen(tmp_path) -> None:
    habits = judge(Loop(shrinks=0.999).record(tmp_path / "loop"))
    assert "multiplied by 0.999" in habits["between_steps"].words
    assert "between_steps" not in judge(Loop().record(tmp_path / "other"))


def test_an_update_of_no_known_form_is_said(tmp_path) -> None:
    loop = Loop(family="sgd", hyper=SGD)
    plain = Loop._step

    def signs(self, name, weights, g, slots, rate, t):
        plain(self, name, weights, np.sign(g), slots, rate, t)

    Loop._step = signs
    try:
        habits = judge(loop.record(tmp_path / "loop"))
    finally:
        Loop._step = plain
    assert habits["step"].words.startswith("no known form of the step gives what 6 tensors became")
    assert habits.value("momentum_form") is None
