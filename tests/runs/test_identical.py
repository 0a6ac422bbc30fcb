"""The claim itself: one protocol through three libraries, in float64, gives the same run.

Real ImageNet weights, all layers trained in training mode (BatchNorm's batch statistics and buffers
included), augmentation, dropout, weight decay, clipping and a learning rate that changes at every step.
float32 runs part after some dozen steps, because rounding grows; in float64 what is left is a proof.
"""

from __future__ import annotations

import numpy as np
import pytest

from isotune import data, protocols
from isotune.executors import Local
from isotune.names import DEFAULT_MODELS
from isotune.runs.driver import Driver
from isotune.runs.records import Cell
from isotune.runs.store import Store
from isotune.seeds import Seeds
from isotune.workers import process
from isotune.workers.process import Workers

RECIPE = protocols.parse(
    """
    name = "proof"
    title = "Every part of a recipe, in twenty steps"
    source = "this test"
    images = { train = 64, test = 100 }
    input = { size = 33 }
    average = { decay = 0.8, warmup = "counted" }

    [augmentation]
    random_resized_crop = [0.5, 1.0]
    horizontal_flip = 0.5
    policy = [{ name = "rand-augment" }, { name = "color-jitter", hue = 0.1 }]
    random_erasing = { probability = 0.5, fill = "noise" }
    mixing = { mixup = 0.8, cutmix = 1.0 }

    [[stage]]
    epochs = 3
    batch_size = 16
    drop_last = true
    stochastic_depth = { rate = 0.2, law = "linear-over-all" }
    accumulate = 2
    layer_decay = 0.9
    label_smoothing = 0.1
    head_dropout = 0.2
    optimizer = { name = "sgd", momentum = 0.9, nesterov = true, weight_decay = 1e-3, clip_norm = 2.0 }
    schedule = { name = "cosine", learning_rate = 0.03, warmup_steps = 3 }

    [[stage]]
    trained = "last:3"
    epochs = 1
    batch_size = 16
    stochastic_depth = { rate = 0.5, law = "constant", per = "batch", scaled = false }
    optimizer = { name = "adamw", weight_decay = 0.01 }
    schedule = { learning_rate = 1e-3 }

    [[stage]]
    trained = "last:2"
    batchnorm = "inference"
    epochs = 1
    batch_size = 16
    optimizer = { name = "rmsprop", rho = 0.9, epsilon = 1e-7 }
    schedule = { learning_rate = 1e-4 }
    """,
    "proof.toml",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, packages, shared_cache, warm_workers):
    """Records of the three libraries, and the store of their predictions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "WorkerProcess", warm_workers.start)
        patch.setenv("PYTHONPATH", str(packages))
        patch.setenv("ISOTUNE_CACHE", str(shared_cache))
        patch.setenv("OMP_NUM_THREADS", "1")
        digest = data.prepare("digits").digest
        cells = [
            Cell(
                model=model,
                checkpoint="offline",
                dataset="digits",
                dataset_digest=digest,
                protocol=RECIPE,
                seeds=Seeds.all(0),
                numeric_mode="float64",
            )
            for model in DEFAULT_MODELS
        ]
        store = Store(tmp_path_factory.mktemp("records"))
        with Workers(threads=1, shared=True) as workers:  # as in other tests, which have them running already
            records = list(Driver(store, Local(workers=workers)).run(cells))
    for record in records:
        assert record.error is None
    return records, store


def test_every_librarys_float64_run_is_the_same_run(runs):
    records, store = runs
    reference = records[0]
    assert len({record.checkpoint_digest for record in records}) == 1
    for record in records[1:]:
        # twenty steps of a chaotic system amplify 1e-16; libraries that differed in any convention part at 1e-4
        np.testing.assert_allclose(record.metrics.train_loss, reference.metrics.train_loss, rtol=1e-9)
        assert record.metrics.loss == pytest.approx(reference.metrics.loss, rel=1e-7)
        np.testing.assert_array_equal(store.predictions(record), store.predictions(reference))
        assert record.predictions_digest == reference.predictions_digest


def test_the_conventions_of_the_run_are_the_checkpoints(runs):
    for record in runs[0]:
        assert record.conventions.stride2_padding == "symmetric"
        assert record.conventions.batchnorm_epsilon == 1e-5
    assert len({record.conventions.model_dump_json() for record in runs[0]}) == 1
