"""Experiments on the axes of the optimizer: trajectories of a kernel and a bias under given gradients; keys AXIS/VALUE.
Each trajectory is [steps, values], the kernel's values first. And on techniques of training, ten steps each; keys
TECHNIQUE/VALUE/... (what they start from is micro/..., of stochastic depth branched/...)
"""

import numpy as np
from axes_network import NETWORK, micro

from isotune.adapters.base import Recipe
from isotune.conventions import Conventions
from isotune.protocols import SGD, Adam, RMSprop, Schedule, Stage, StochasticDepth
from isotune.protocols.depth import branch_masks, drop_rates
from isotune.protocols.schedules import learning_rates
from isotune.protocols.trained import trained_layers
from isotune.seeds import Seeds
from isotune.weights import random_weights

KERAS = {  # all of which Keras's own optimizers have; with TensorFlow, they are taken
    "momentum_form": "rate-inside",
    "weight_decay_form": "decoupled",
    "adam_epsilon": "before-correction",
    "rmsprop_epsilon": "inside-root",
    "clipping": "per-variable",
}
SIZES = np.array([[1e-3, 1e-5, 1e-6]])  # of gradients, Adam
ROOTS = np.array([[1e-2, 1e-4, 1e-6]])  # of gradients, RMSprop
RATES = learning_rates(Schedule(name="cosine", learning_rate=0.25, warmup_steps=4), 20, 5)


def recipe_experiments(lab):
    found = {}

    def run(key, recipe, gradients, rates, start=(1.0, 1.0), **axes):
        pair = [np.asarray(g, np.float64) for g in gradients]
        begin = [np.full(g.shape, w) for g, w in zip(pair, start, strict=True)]
        found[key] = lab.trajectory(recipe, Conventions(**axes), begin, [pair] * len(rates), rates)

    momentum, nothing = SGD(name="sgd", momentum=0.9), np.zeros(1)
    for form in ("rate-outside", "rate-inside"):
        run(f"momentum_form/{form}", momentum, ([[1.0]], nothing), [0.1] * 150 + [0.01] * 100, momentum_form=form)
    for form in ("coupled", "decoupled", "in-loss", "decoupled-unscaled"):
        key = f"weight_decay_form/{form}"
        decayed = SGD(name="sgd", momentum=0.9, weight_decay=1e-5)
        run(f"{key}/momentum", decayed, ([[0.0]], nothing), [0.1] * 100, weight_decay_form=form)
        adam = Adam(name="adam", weight_decay=1e-3)
        run(f"{key}/adam", adam, ([[1.0]], nothing), [0.1], weight_decay_form=form)
    for which in ("all", "kernels"):
        decayed = SGD(name="sgd", weight_decay=1e-3)
        run(f"weight_decay_on/{which}", decayed, ([[0.0]], nothing), [0.1], weight_decay_on=which)
    for form, epsilon in (("after-correction", 1e-8), ("before-correction", 1e-7)):  # the libraries' defaults
        adam = Adam(name="adam", epsilon=epsilon)
        run(f"adam_epsilon/{form}", adam, (SIZES, nothing), [1.0] * 100, (0.0, 0.0), adam_epsilon=form)
    for form in ("outside-root", "inside-root"):
        rmsprop = RMSprop(name="rmsprop", rho=0.9, epsilon=1e-7)
        run(f"rmsprop_epsilon/{form}", rmsprop, (ROOTS, nothing), [1.0], (0.0, 0.0), rmsprop_epsilon=form)
    for form in ("global-norm", "per-variable"):
        clipped = SGD(name="sgd", clip_norm=1.0)
        run(f"clipping/{form}", clipped, ([[0.0, 3.0]], [4.0]), [1.0], (0.0, 0.0), clipping=form)
    for held in ("float64", "float32"):
        three = ([[1.0]], nothing), [0.1] * 3, (0.0, 0.0)
        run(f"hyperparameters/{held}/torch's sgd", momentum, *three, hyperparameters=held)
        run(f"hyperparameters/{held}/keras's sgd", momentum, *three, hyperparameters=held, **KERAS)
        adam = Adam(name="adam", epsilon=1e-7, weight_decay=1e-3)
        rmsprop = RMSprop(name="rmsprop", epsilon=1e-7, rho=0.9, momentum=0.9)
        for name, recipe in (("adam", adam), ("rmsprop", rmsprop)):
            run(f"hyperparameters/{held}/torch's {name}", recipe, *three, hyperparameters=held)
            run(f"hyperparameters/{held}/keras's {name}", recipe, *three, hyperparameters=held, **KERAS)
    found["schedule/cosine/rates"] = RATES
    run("schedule/cosine/sgd", momentum, ([[1.0, -0.5]], [0.25]), RATES)
    return found


# -- techniques

_STREAM = np.random.default_rng(5)
IMAGES = _STREAM.integers(0, 256, (10, 8, 16, 16, 3), dtype=np.uint8)
LABELS = _STREAM.integers(0, 3, (10, 8))
SHARES = _STREAM.beta(0.8, 0.8, (10, 8))
STEPS = tuple(0.25 * 0.5 ** (step / 4) for step in range(10))
DYADIC = SGD(momentum=0.875, nesterov=True, weight_decay=2**-10)
ADAM = Adam(beta1=0.875, beta2=0.96875, epsilon=2**-10, weight_decay=2**-10)


def _mixed(step):
    """Images between two bytes, and the shares of both classes."""
    share, images, classes = SHARES[step, :, None], IMAGES[step].astype(np.float32), np.eye(3)[LABELS[step]]
    kept = share[:, :, None, None].astype(np.float32)
    return images * kept + images[::-1] * (1 - kept), classes * share + classes[::-1] * (1 - share)


def _plain(step):
    return IMAGES[step], LABELS[step]


def _cases(model):
    layers = [layer.name for layer in model.layers()]
    body = tuple((name, 0.5 ** (number % 3)) for number, name in enumerate(layers) if name != "head")
    every, head = frozenset(layers), frozenset({"head"})
    frozen = Stage(batchnorm="frozen", steps=1, batch_size=8, optimizer=DYADIC, schedule=Schedule(learning_rate=1))
    trained = frozenset(trained_layers(frozen, model.layers(), model.weights))
    return {
        "mixing/sgd": (Recipe(DYADIC, every, 0.125), _mixed),
        "mixing/adam": (Recipe(ADAM, every), _mixed),
        "mixing/head": (Recipe(DYADIC, head), _mixed),
        "accumulation/1": (Recipe(DYADIC, every), _plain),
        "accumulation/2": (Recipe(DYADIC, every, parts=2), _plain),
        "accumulation/4 mixed": (Recipe(ADAM, every, parts=4), _mixed),
        "frozen_norms/sgd": (Recipe(DYADIC, trained, batchnorm=frozen.statistics), _plain),
        "layer_rates/sgd": (Recipe(DYADIC, every, rates=body), _plain),
        "layer_rates/adam": (Recipe(ADAM, every, rates=body), _plain),
        "layer_rates/adamw": (Recipe(ADAM.model_copy(update={"name": "adamw"}), every, rates=body), _plain),
        "layer_rates/rmsprop": (Recipe(RMSprop(rho=0.875, momentum=0.5, epsilon=2**-10), every, rates=body), _plain),
    }


def technique_experiments(lab):
    found = {}
    for form in ("logits", "clipped-probabilities"):
        model = micro(lab, loss=form)
        start = {name: np.array(array) for name, array in model.weights().items()}
        found |= {f"micro/{name}": array for name, array in start.items()}
        for key, (recipe, batch) in _cases(model).items():
            if form != "logits" and not key.startswith("mixing"):
                continue
            model.load(start)
            trainer = model.trainer(recipe)
            mask = np.tile([0.0, 2.0], (8, 2)) if "mixed" in key else None
            losses = [trainer.step(*batch(step), rate, mask) for step, rate in enumerate(STEPS)]
            found[f"{key}/{form}/losses"] = np.array([float(loss) for loss in losses])
            found |= {f"{key}/{form}/{name}": array for name, array in model.weights().items()}
    return found


SEEDS = Seeds(head=1, order=2, augmentation=3)
FORMS = {
    "image": {},
    "batch": {"per": "batch"},
    "unscaled": {"scaled": False, "law": "linear-from-first"},
    "constant": {"law": "constant"},
}


def depth_experiments(lab):
    conventions = Conventions(**NETWORK | {"batchnorm_momentum": 0.25})
    model = lab.model("Branched", conventions)
    start = random_weights({name: array.shape for name, array in model.weights().items()}, 7)
    layers, branches = model.layers(), model.branches()
    every = frozenset(layer.name for layer in layers)
    plain = Recipe(DYADIC.model_copy(update={"weight_decay": 0.0}), every), None
    parted = Recipe(ADAM, every, parts=2), np.tile(np.float32([0, 2, 2]), (8, 2))
    found = {f"branched/{name}": array for name, array in start.items()}

    def run(case, recipe, dropout, masks):
        model.load(start)
        trainer = model.trainer(recipe)
        given = zip(IMAGES, LABELS, STEPS, masks, strict=True)
        losses = [trainer.step(images, labels, rate / 16, dropout, mask) for images, labels, rate, mask in given]
        found[f"stochastic_depth/{case}/losses"] = np.array([float(loss) for loss in losses])
        found.update({f"stochastic_depth/{case}/{name}": array for name, array in model.weights().items()})

    for case, changes in FORMS.items():
        depth = StochasticDepth(rate=0.5, **changes)
        rates = drop_rates(depth, layers, branches)
        found[f"stochastic_depth/{case}/rates"] = rates
        for parts, recipe in ((1, plain), (2, parted)):
            masks = [branch_masks(depth, rates, SEEDS, 0, step, 8, parts) for step in range(10)]
            run(f"{case} {parts}", *recipe, masks)
    run("zeros", *plain, np.zeros((10, 8, 3), np.float32))
    return found | _together_in_float32(lab.model("Branched", conventions, "float32"), start, *parted, masks)


def _together_in_float32(model, start, recipe, dropout, masks):
    """Mixtures, dropout, branches left out and two passes, in three steps as users take them; in float64, the mode of
    proofs, a step may be put together otherwise."""
    model.load(start)
    trainer = model.trainer(recipe)
    losses = [trainer.step(*_mixed(step), STEPS[step] / 16, dropout, masks[step]) for step in range(3)]
    found = {"float32/losses": np.array([float(loss) for loss in losses])}
    return found | {f"float32/{name}": array for name, array in model.weights().items()}
