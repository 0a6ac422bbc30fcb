"""Protocols: what the parser accepts, and what it says of what it refuses."""

from __future__ import annotations

import re
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotune import protocols
from isotune.conventions import NETWORK_AXES
from isotune.errors import UsageError
from isotune.protocols import _explaining as validation
from isotune.protocols._reading import BUILTIN
from isotune.protocols.schedules import learning_rates

PROBE = """
name = "mine"
title = "Mine"
source = "a paper"
[probe]
l2 = [1.0]
"""
STAGE = """
name = "mine"
title = "Mine"
source = "a paper"
[[stage]]
epochs = 3
batch_size = 4
[stage.optimizer]
name = "sgd"
[stage.schedule]
learning_rate = 0.1
"""


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        protocols.parse(text, "mine.toml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("mine.toml: ")
    return message.removeprefix("mine.toml: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROBE.replace("title", "titel"), "titel: unknown key; did you mean 'title'?"),
        (PROBE + "[images]\ntrian = 3", "images.trian: unknown key; did you mean 'train'?"),
        (PROBE + "[input]\nsise = 96", "input.sise: unknown key; did you mean 'size'?"),
        (PROBE + "helt_out = 0.2", "probe.helt_out: unknown key; did you mean 'held_out'?"),
        (PROBE + "[evaluation]\nbatchsize = 2", "evaluation.batchsize: unknown key; did you mean 'batch_size'?"),
        (STAGE + "[augmentation]\nhorizontal_flop = 0.5", "augmentation.horizontal_flop: unknown key; did you mean"),
        (STAGE.replace("epochs", "epoks"), "stage.0.epoks: unknown key; did you mean 'epochs'?"),
        (STAGE + "warmup = 3", "stage.0.schedule.warmup: unknown key; one of: warmup_counts, warmup_epochs"),
        (
            STAGE.replace('"sgd"', '"adam"\nmomentum = 0.9'),
            "stage.0.optimizer.momentum: unknown key; one of: beta1, beta2, clip_norm, epsilon, name, weight_decay",
        ),
        (STAGE.replace('"sgd"', '"rmsprop"\nnesterov = true'), "stage.0.optimizer.nesterov: unknown key; one of:"),
        (STAGE.replace('"sgd"', '"sdg"'), "stage.0.optimizer: name 'sdg' is unknown; did you mean 'sgd'?"),
        (STAGE.replace('name = "sgd"', "momentum = 0.9"), "stage.0.optimizer: name is missing"),
        (PROBE + '[conventions]\nresise = "plain"', "conventions.resise is not a recipe axis; did you mean 'resize'?"),
        (PROBE + '[conventions]\ngelu = "exact"', "conventions.gelu is not a recipe axis; one of: adam_epsilon"),
        (PROBE + '[conventions]\nresize = "smooth"', "conventions.resize = 'smooth': Input should be 'antialias'"),
    ],
)
def test_an_unknown_word_is_refused_with_its_field_and_the_nearest(text: str, said: str) -> None:
    assert refusal(text).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STAGE.replace("epochs", "drop_path = 0.1\nepochs"), "stage.0.drop_path: unknown key; here it is"),
        (STAGE + "eta_min = 1e-5", "stage.0.schedule.eta_min: unknown key; here it is stage.schedule.final"),
        ("mixup_alpha = 0.2\n" + STAGE, "mixup_alpha: unknown key; here it is augmentation.mixing.mixup"),
        (STAGE + "[average]\nema_decay = 0.9", "average.ema_decay: unknown key; here it is average.decay"),
    ],
)
def test_what_another_library_calls_a_field_is_told_where_it_is(text: str, said: str) -> None:
    assert refusal(text).startswith(said)


def test_every_field_that_others_name_otherwise_is_one() -> None:
    of_stage = {"stage": ("stage", 0), "optimizer": ("optimizer", "adam")}
    for theirs, ours in validation.ELSEWHERE.items():
        *places, field = ours.split(".")
        loc = tuple(part for place in places for part in of_stage.get(place, (place,)))
        assert field in validation.fields_at(protocols.Protocol, loc), theirs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROBE + "[input]\nsize = 224\nresize = 96", "input: a crop of size=224 is larger than the image"),
        (PROBE + '[input]\nresize = "sqash"', "input.resize: must be a whole number of pixels or 'squash'"),
        (PROBE + "[augmentation]\nhorizontal_flip = 0.5", "a probe's features are computed once"),
        (PROBE + STAGE[STAGE.index("[[stage]]") :], "give either [probe] or at least one [[stage]]"),
        (PROBE[: PROBE.index("[probe]")], "give either [probe] or at least one [[stage]]"),
        (PROBE.replace("1.0", "0.0"), "probe.l2.0: Input should be greater than 0"),
        (PROBE.replace("1.0", ""), "probe.l2: "),
        (STAGE.replace("epochs = 3", "epochs = 3\nsteps = 3"), "stage.0: give either epochs or steps"),
        (STAGE.replace("epochs = 3", ""), "stage.0: give either epochs or steps"),
        (STAGE.replace("epochs", 'trained = "heads"\nepochs'), "stage.0.trained: must be head, last:N, from:LAYER"),
        (STAGE.replace("epochs", 'trained = "last:0"\nepochs'), "stage.0.trained: must be head, last:N, from:LAYER"),
        (STAGE.replace("[[stage]]", "[stage]"), "stage: each stage is a table of its own, under [[stage]]"),
        (STAGE.replace('"sgd"', '"sgd"\nnesterov = true'), "stage.0.optimizer: nesterov = true needs momentum > 0"),
        (STAGE + 'name = "step"', "stage.0.schedule: milestones belong to name = 'step', which needs them"),
        (STAGE + "milestones = [1]", "stage.0.schedule: milestones belong to name = 'step', which needs them"),
        (STAGE + 'name = "step"\nmilestones = [2, 1]', "stage.0.schedule: milestones must increase"),
        (STAGE + 'name = "step"\nmilestones = [0, 1]', "stage.0.schedule: milestones count from 1"),
        (STAGE + 'name = "step"\nper = "epoch"\nmilestones = [3]', "stage.0: schedule.milestones: 3 is never reached"),
        (STAGE + 'name = "cosine"\ngamma = 0.5', "stage.0.schedule: gamma belongs to name = 'step'"),
        (STAGE.replace("epochs", "steps") + "warmup_steps = 4", "stage.0: schedule.warmup_steps = 4 is more than"),
        (STAGE + "[augmentation]\nrandom_resized_crop = [0.5, 0.1]", "augmentation: random_resized_crop must be"),
        (
            STAGE.replace("epochs", "stochastic_depth = {rate = 1.0}\nepochs"),
            "stage.0.stochastic_depth.rate: Input shoul",
        ),
        (
            STAGE.replace("epochs", "stochastic_depth = 0.2\nepochs"),
            "stage.0.stochastic_depth: must be a table, of rate",
        ),
        (
            PROBE + "stochastic_depth = { rate = 0.2 }",
            "probe.stochastic_depth: belongs to a [[stage]], and a probe tra",
        ),
        ("stochastic_depth = { rate = 0.2 }\n" + STAGE, "stochastic_depth: belongs to a [[stage]]"),
        (
            STAGE.replace("epochs", 'batchnorm = "freeze"\nepochs'),
            "stage.0.batchnorm: Input should be 'training', 'infe",
        ),
        (STAGE.replace("0.1", "inf"), "stage.0.schedule.learning_rate: "),
        (STAGE.replace("0.1", "nan"), "stage.0.schedule.learning_rate: "),
        (STAGE.replace("epochs = 3", "epochs = true"), "stage.0.epochs: "),
        (STAGE.replace("epochs = 3", 'epochs = "3"'), "stage.0.epochs: "),
        (PROBE.replace('"mine"', '"My protocol"'), "name: must be lower-case letters, digits and dashes"),
        ("", "name: is missing"),
        ("name = ", "not TOML: "),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(text: str, said: str) -> None:
    assert refusal(text).startswith(said)


TABLES = ["", "[images]", "[input]", "[augmentation]", "[evaluation]"]


@settings(max_examples=40)
@given(table=st.sampled_from(TABLES), key=st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True))
def test_any_key_that_no_table_has_is_named(table: str, key: str) -> None:
    section = table.strip("[]")
    known = validation.fields_at(protocols.Protocol, (section,) if section else ())
    text = f"{key} = 1\n{PROBE}" if not section else f"{PROBE}\n{table}\n{key} = 1"
    if key not in (*known, *protocols.Stage.model_fields):
        assert refusal(text).startswith(f"{section}.{key}: unknown key; " if section else f"{key}: unknown key; ")


def complaint(text: str) -> str:
    try:
        protocols.parse(text, "mine.toml")
    except UsageError as error:
        return str(error)
    return ""


@given(st.text(max_size=60))
def test_no_text_ends_in_anything_but_a_protocol_or_one_line(text: str) -> None:
    for candidate in (text, PROBE + text, STAGE + text):
        assert len(complaint(candidate).splitlines()) <= 1


def test_a_protocol_survives_json() -> None:
    for name in protocols.names():
        loaded = protocols.load(name)
        recipe = loaded.model_copy(update={"expected": ()})  # which is no part of it
        assert protocols.Protocol.model_validate_json(loaded.model_dump_json()) == recipe


def test_a_file_is_read_by_its_path(tmp_path, monkeypatch) -> None:
    (tmp_path / "mine.toml").write_text(PROBE)
    monkeypatch.chdir(tmp_path)
    assert protocols.load("mine.toml") == protocols.load(str(tmp_path / "mine.toml"))


def test_a_file_that_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: No such file"):
        protocols.load(str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match="Is a directory"):
        protocols.load(f"{tmp_path}/")
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    with pytest.raises(UsageError, match=r"latin\.toml: not UTF-8"):
        protocols.load(str(tmp_path / "latin.toml"))
    with pytest.raises(UsageError, match=r"protocol 'qick' is unknown; did you mean 'quick'\?"):
        protocols.load("qick")


@pytest.mark.parametrize("name", protocols.names())
class TestBuiltin:
    def test_is_named_like_its_file_and_has_a_source(self, name: str) -> None:
        loaded = protocols.load(name)
        assert loaded.name == name
        assert len(loaded.source) > 20
        assert loaded.deviations

    def test_opens_with_what_it_is_and_comments_its_units(self, name: str) -> None:
        text = resources.files(BUILTIN).joinpath(f"{name}.toml").read_text(encoding="utf-8")
        assert text.startswith("# ")
        for line in text.splitlines():
            if line.startswith(("size =", "batch_size =", "train =", "learning_rate =")):
                assert "#" in line

    def test_leaves_the_networks_axes_to_the_checkpoint(self, name: str) -> None:
        assert not set(protocols.load(name).conventions) & set(NETWORK_AXES)


SHORT = {name: f"{name}-short" for name in (
    "augreg", "bit-hyperrule", "fastai-fine-tune", "keras-dogs", "kornblith-fine-tune", "kornblith-logistic",
    "timm-cosine", "timm-ra", "torchvision-mobilenetv3", "torchvision-new", "vit-500-steps",
)} | {"vtab-1k": "vtab-short"}  # fmt: skip
PUBLISHED = tuple(SHORT)


def test_the_protocols_of_the_suite_are_there() -> None:
    assert set(protocols.names()) == {
        *PUBLISHED,
        *SHORT.values(),
        "vtab",
        "fine-tune-adamw",
        "fine-tune-sgd",
        "frozen-head-sgd",
        "linear-probe",
        "pytorch-tutorial",
        "quick",
        "quick-crops",
        "quick-fine-tune",
        "sfda",
        "small-fine-tune",
        "small-probe",
        "tensorflow-tutorial",
        "own-classifier",
    }


def test_bit_hyperrules_rates_are_its_authors() -> None:
    """google-research/big_transfer, bit_hyperrule.py, get_lr of 50,000 images."""

    def rate(step: int) -> float:
        if step < 500:
            return 0.001 * step / 500
        return 0.001 / 10 ** sum(support < step for support in (3000, 6000, 9000))

    stage = protocols.load("bit-hyperrule").stage[0]
    rates = learning_rates(stage.schedule, 10_000, 391)
    np.testing.assert_allclose(rates, [rate(step) for step in range(10_000)], rtol=1e-12)


def test_vits_rates_are_its_authors() -> None:
    """google-research/vision_transformer, vit_jax/utils.py, create_learning_rate_schedule of 500 steps, 50 before."""
    stage = protocols.load("vit-500-steps").stage[0]
    step = np.arange(500)
    cosine = 0.5 * (1 + np.cos(np.pi * np.clip((step - 50) / 450, 0, 1)))
    wanted = 0.03 * cosine * np.minimum(1, step / 50)
    np.testing.assert_allclose(learning_rates(stage.schedule, 500, 97), wanted, rtol=1e-12)


def test_vtabs_rates_are_its_authors() -> None:
    """google-research/task_adaptation, trainer.py: tf.train.piecewise_constant, and apply_warmup_lr of 80 steps."""

    def rate(step: int, boundaries: tuple[int, ...], warmup: int) -> float:
        if step < warmup:
            return step * 0.01 / warmup
        return 0.01 * 0.1 ** sum(step > boundary for boundary in boundaries)

    for name, steps, boundaries, warmup in (
        ("vtab", 2500, (750, 1500, 2250), 0),
        ("vtab-1k", 1000, (300, 600, 900), 80),
    ):
        rates = learning_rates(protocols.load(name).stage[0].schedule, steps, 15)
        np.testing.assert_allclose(rates, [rate(step, boundaries, warmup) for step in range(steps)], rtol=1e-12)


def test_timms_rates_are_its_scripts() -> None:
    """timm/scheduler/cosine_lr.py and step_lr.py, stepped every epoch, the warm-up counted (no --warmup-prefix)."""
    cosine = learning_rates(protocols.load("timm-cosine").stage[0].schedule, 160, 1)
    epoch = np.arange(160)
    warm = 1e-5 + epoch * (0.1 - 1e-5) / 5
    wanted = np.where(epoch < 5, warm, 0.05 * (1 + np.cos(np.pi * epoch / 160)))
    np.testing.assert_allclose(cosine, wanted, rtol=1e-9)
    steps = learning_rates(protocols.load("timm-ra").stage[0].schedule, 450, 1)
    epoch = np.arange(450)
    warm = 1e-6 + epoch * (0.048 - 1e-6) / 5
    np.testing.assert_allclose(steps, np.where(epoch < 5, warm, 0.048 * 0.97 ** (epoch // 2.4)), rtol=1e-4)


def test_fastais_rates_are_its_authors() -> None:
    """fastai/callback/schedule.py: fine_tune(1), whose cycles are combined_cos of the share of the batches done."""

    def rates(steps: int, rise: float, start: float, peak: float) -> np.ndarray:
        share, end = np.arange(steps) / steps, peak / 1e5
        rising = start + (1 + np.cos(np.pi * (1 - share / rise))) * (peak - start) / 2
        falling = peak + (1 + np.cos(np.pi * (1 - (share - rise) / (1 - rise)))) * (end - peak) / 2
        return np.where(share < rise, rising, falling)

    head, everything = protocols.load("fastai-fine-tune").stage
    np.testing.assert_allclose(learning_rates(head.schedule, 92, 92), rates(92, 0.99, 2e-3 / 25, 2e-3), rtol=1e-9)
    np.testing.assert_allclose(learning_rates(everything.schedule, 92, 92), rates(92, 0.3, 2e-4, 1e-3), rtol=1e-9)


def test_torchvisions_new_recipe_has_the_references_average() -> None:
    """references/classification/train.py: adjust = world_size * batch_size * model_ema_steps / epochs."""
    recipe = protocols.load("torchvision-new")
    stage, average = recipe.stage[0], recipe.average
    assert average.decay == pytest.approx(1 - (1 - 0.99998) * stage.batch_size * average.every / stage.epochs, abs=1e-8)
    assert stage.batch_size / stage.accumulate == 128
    rates = learning_rates(stage.schedule, 600, 1)
    np.testing.assert_allclose(rates[[0, 5, 599]], [0.005, 0.5, 0.25 * (1 + np.cos(np.pi * 594 / 595))], rtol=1e-9)


def test_kornblith_tries_45_strengths_of_the_sum_over_50000_images() -> None:
    strengths = protocols.load("kornblith-logistic").probe.l2
    np.testing.assert_allclose(strengths, np.logspace(-6, 5, 45) / 50_000, rtol=5e-4)


@pytest.mark.parametrize(("name", "shorter"), SHORT.items())
def test_a_short_form_takes_every_part_of_its_recipe(name: str, shorter: str) -> None:
    whole, short = (protocols.load(each) for each in (name, shorter))
    for one, other in zip(whole.stage, short.stage, strict=True):
        assert set(one.model_dump()) == set(other.model_dump())
        assert set(one.schedule.model_dump()) == set(other.schedule.model_dump())
        assert one.optimizer == other.optimizer
        for technique in (
            "stochastic_depth",
            "head_dropout",
            "batchnorm",
            "label_smoothing",
            "layer_decay",
            "body_rate",
        ):
            assert getattr(one, technique) == getattr(other, technique), technique
    assert whole.augmentation.model_dump().keys() == short.augmentation.model_dump().keys()
    assert whole.augmentation.mixing == short.augmentation.mixing
    assert whole.augmentation.policy == short.augmentation.policy
    assert whole.conventions == short.conventions
    assert bool(whole.average) == bool(short.average)
    assert name in short.source or name.startswith("vtab")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_says_its_command_its_number_and_its_cost(name: str) -> None:
    text = resources.files(BUILTIN).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    said, whole = text[: text.index("name = ")], protocols.load(name)
    assert f"#     isotune run --protocols {name} --models " in said
    assert "cost on two cores" in said.lower()
    assert re.search(r" at [0-9a-f]{6,12}\b", whole.source), whole.source
    assert re.search(r"Expected: |published", said, re.IGNORECASE)


def test_the_published_recipes_are_as_published() -> None:
    sfda = protocols.load("sfda").stage[0]
    assert (sfda.steps, sfda.batch_size, sfda.schedule.name, sfda.optimizer.nesterov) == (5000, 64, "cosine", True)
    ants = protocols.load("pytorch-tutorial").stage[0]
    assert (ants.epochs, ants.batch_size, ants.schedule.learning_rate, ants.schedule.gamma) == (25, 4, 1e-3, 0.1)
    assert (ants.optimizer.momentum, ants.optimizer.nesterov, ants.schedule.milestones) == (0.9, False, (7, 14, 21))
    cats = protocols.load("tensorflow-tutorial")
    assert [stage.schedule.learning_rate for stage in cats.stage] == [1e-4, 1e-5]
    assert [stage.optimizer.name for stage in cats.stage] == ["adam", "rmsprop"]
    assert {stage.head_dropout for stage in cats.stage} == {0.2}
    dropped = protocols.StochasticDepth(rate=0.2, law="linear-over-all")  # by the image, scaled
    for name in ("timm-ra", "keras-dogs"):
        assert {stage.stochastic_depth for stage in protocols.load(name).stage} == {dropped}, name
    assert [stage.batchnorm for stage in protocols.load("keras-dogs").stage] == ["training", "frozen"]
    (policy,) = protocols.load("timm-ra").augmentation.policy
    assert (policy.operations, policy.magnitude, policy.noise, policy.probability) == (2, 9, 0.5, 0.5)
    head = protocols.load("frozen-head-sgd")
    assert (head.input.resize, head.input.size, head.stage[0].trained) == (256, 224, "head")
