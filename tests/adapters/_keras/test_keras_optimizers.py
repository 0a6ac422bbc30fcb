"""Optimizers under every convention, in Keras on each engine, against their formulas in NumPy."""

import itertools
import json

import numpy as np
import pytest
from keras_processes import process_of

pytestmark = pytest.mark.xdist_group("keras")
STREAM = np.random.default_rng(0)
START = {"kernel": STREAM.normal(size=(4, 3)).tolist(), "bias": STREAM.normal(size=3).tolist()}
RATES = [0.1, 0.1, 0.03, 0.007, 0.2]  # not dyadic, and changing: the forms of momentum part
GRADIENTS = [[STREAM.normal(size=(4, 3)).tolist(), (1e-3 * STREAM.normal(size=3)).tolist()] for _ in RATES]
KERAS = {
    "momentum_form": "rate-inside",
    "weight_decay_form": "decoupled",
    "adam_epsilon": "before-correction",
    "rmsprop_epsilon": "inside-root",
    "clipping": "per-variable",
    "hyperparameters": "float32",
}


FORMS = ("coupled", "decoupled", "in-loss", "decoupled-unscaled")


def _cases() -> list[dict]:
    cases = []

    def add(optimizer: dict, own: bool = False, **conventions: str) -> None:
        cases.append({"optimizer": optimizer, "conventions": conventions, "own": own})

    for form, nesterov in itertools.product(("rate-outside", "rate-inside"), (False, True)):
        add({"name": "sgd", "momentum": 0.9, "nesterov": nesterov}, momentum_form=form)
    add({"name": "sgd"})
    for form, on in itertools.product(FORMS, ("all", "kernels")):
        add({"name": "sgd", "momentum": 0.9, "weight_decay": 0.01}, weight_decay_form=form, weight_decay_on=on)
        add({"name": "adam", "weight_decay": 0.01}, weight_decay_form=form, weight_decay_on=on)
    for clipping, form in itertools.product(("global-norm", "per-variable"), FORMS):
        clipped = {"name": "sgd", "momentum": 0.9, "clip_norm": 0.5, "weight_decay": 0.01}
        add(clipped, clipping=clipping, weight_decay_form=form)
    add({"name": "adamw", "weight_decay": 0.1}, weight_decay_form="decoupled-unscaled")
    for form in ("after-correction", "before-correction"):
        add({"name": "adam", "epsilon": 1e-4}, adam_epsilon=form)
        add({"name": "adamw", "epsilon": 1e-4, "weight_decay": 0.1}, adam_epsilon=form, weight_decay_form="coupled")
    for epsilon, form, momentum in itertools.product(
        ("outside-root", "inside-root"), ("rate-outside", "rate-inside"), (0.0, 0.9)
    ):
        optimizer = {"name": "rmsprop", "rho": 0.9, "epsilon": 1e-4, "momentum": momentum}
        add(optimizer, rmsprop_epsilon=epsilon, momentum_form=form)
    add({"name": "sgd", "momentum": 0.9}, hyperparameters="float32", momentum_form="rate-outside")
    add({"name": "adam", "beta1": 0.0})
    # dyadic hyper-parameters: Keras's own classes, and the conventional ones with Keras's values, do the same
    for optimizer in (
        {"name": "sgd", "momentum": 0.875, "weight_decay": 0.0625, "clip_norm": 0.5},
        {"name": "sgd", "momentum": 0.875, "nesterov": True},
        {"name": "adam", "beta1": 0.875, "beta2": 0.984375, "epsilon": 2.0**-13, "weight_decay": 0.0625},
        {"name": "adamw", "beta1": 0.875, "beta2": 0.984375, "epsilon": 2.0**-13, "weight_decay": 0.0625},
        {"name": "rmsprop", "rho": 0.875, "epsilon": 2.0**-13, "momentum": 0.5},
    ):
        add(optimizer, own=True, **KERAS)
        add(optimizer, **KERAS | {"hyperparameters": "float64"})
    return cases


CASES = _cases()


def reference(case: dict) -> dict[str, np.ndarray]:
    """The trajectory by the formulas, written again from their sources."""
    spec, axes = case["optimizer"], case["conventions"]
    single = axes.get("hyperparameters") == "float32"

    def held(name: str, default: float = 0.0) -> float:
        value = spec.get(name, default)
        return float(np.float32(value)) if single else value

    weights = [np.array(w) for w in START.values()]
    slots: list[dict[str, np.ndarray]] = [{} for _ in weights]
    found = {}
    for step, (rate, given) in enumerate(zip(RATES, GRADIENTS, strict=True)):
        gradients = [np.array(g) for g in given]
        form, adamw = axes.get("weight_decay_form", "coupled"), spec["name"] == "adamw"
        if form == "in-loss" and not adamw:
            decays = [place == 0 or axes.get("weight_decay_on", "all") == "all" for place in range(len(weights))]
            gradients = [
                g + 2 * held("weight_decay") * decay * w for g, decay, w in zip(gradients, decays, weights, strict=True)
            ]
        if limit := spec.get("clip_norm"):
            norms = [np.linalg.norm(g) for g in gradients]
            if axes.get("clipping", "global-norm") == "global-norm":
                norms = [np.sqrt(sum(n**2 for n in norms))] * len(norms)
            gradients = [g * min(1.0, limit / n) for g, n in zip(gradients, norms, strict=True)]
        for place, g in enumerate(gradients):
            w, slot = weights[place], slots[place]
            decay = held("weight_decay") if place == 0 or axes.get("weight_decay_on", "all") == "all" else 0.0
            if form == "decoupled-unscaled":
                w = w - decay * w
            elif adamw or form == "decoupled":
                w = w - rate * decay * w
            elif form == "coupled":
                g = g + decay * w  # noqa: PLW2901
            weights[place] = w - _move(spec, axes, held, g, rate, step + 1, slot)
            found[f"{step}/{place}"] = weights[place]
            found |= {f"{step}/{place}/{name}": array for name, array in slot.items()}
    return found


def _move(spec, axes, held, g, rate, t, slot):
    inside = axes.get("momentum_form", "rate-outside") == "rate-inside"
    if spec["name"] == "sgd":
        if not (m := held("momentum")):
            return rate * g
        given = rate * g if inside else g
        v = slot["velocity"] = m * slot.get("velocity", 0.0) + given
        step = given + m * v if spec.get("nesterov") else v
        return step if inside else rate * step
    if spec["name"] in ("adam", "adamw"):
        b1, b2, eps = held("beta1", 0.9), held("beta2", 0.999), spec.get("epsilon", 1e-8)
        a = slot["first_moment"] = b1 * slot.get("first_moment", 0.0) + (1 - b1) * g
        s = slot["second_moment"] = b2 * slot.get("second_moment", 0.0) + (1 - b2) * g**2
        c1, c2 = 1 - b1**t, 1 - b2**t
        if axes.get("adam_epsilon", "after-correction") == "after-correction":
            return rate / c1 * a / (np.sqrt(s) / np.sqrt(c2) + eps)
        return rate * np.sqrt(c2) / c1 * a / (np.sqrt(s) + eps)
    rho, m, eps = held("rho", 0.99), held("momentum"), spec["epsilon"]
    s = slot["second_moment"] = rho * slot.get("second_moment", 0.0) + (1 - rho) * g**2
    outside = axes.get("rmsprop_epsilon", "outside-root") == "outside-root"
    step = g / (np.sqrt(s) + eps) if outside else g / np.sqrt(s + eps)
    if not m:
        return rate * step
    v = slot["velocity"] = m * slot.get("velocity", 0.0) + (rate * step if inside else step)
    return v if inside else rate * v


@pytest.mark.parametrize("engine", ["tensorflow", "jax", "torch"])
def test_every_form_of_every_optimizer_is_its_formula(engine, tmp_path):
    cases, out = tmp_path / "cases.json", tmp_path / "out.npz"
    cases.write_text(json.dumps({"start": START, "rates": RATES, "gradients": GRADIENTS, "cases": CASES}))
    process_of(engine).run("optimizer_trajectories.py", engine, cases, out)
    found = np.load(out)
    for number, case in enumerate(CASES):
        expected = reference(case)
        assert {f"{number}/{key}" for key in expected} == {key for key in found if key.startswith(f"{number}/")}, case
        for key, array in expected.items():
            # Keras's own clipping on torch computes its factor in float32
            narrow = engine == "torch" and case["own"] and "clip_norm" in case["optimizer"]
            rtol, atol = (1e-6, 1e-8) if narrow else (1e-11, 1e-14)
            np.testing.assert_allclose(found[f"{number}/{key}"], array, rtol=rtol, atol=atol, err_msg=f"{case} {key}")


def test_the_forms_part_when_the_rate_changes():
    """The cases above could not tell the forms apart if their trajectories were alike."""
    seen = [reference(case)[f"{len(RATES) - 1}/0"] for case in CASES[:4]]
    for one, other in itertools.combinations(seen, 2):
        assert np.abs(one - other).max() > 1e-3
