"""The forms of a recipe's techniques, each declared once like any axis; `Conventions` has them all.

A form is what libraries do differently under the name of one technique: an average of the weights that begins with the
first update or before it, a warm-up from rate 0 or from a third of the peak. A protocol says which one it means, and by
default that is the form of every set-up; `native` has what the library's classes and functions do where nobody says
otherwise. What realises a value is the protocol with that value in its field, whatever the library
(`isotune.protocols.form_axes`).
"""

from __future__ import annotations

from typing import Literal

from isotune.conventions._axes import Computed
from isotune.conventions._declaring import form


class Conventions(Computed):
    """One value per axis. The defaults are torch's; of a technique's form, the protocol's."""

    average_start: Literal["protocol", "initial", "first", "zero"] = form(
        "with what an average of the weights begins",
        {
            "initial": "from the weights before training (timm's ModelEmaV2, its V3 by default,"
            " tf.train.ExponentialMovingAverage that is applied before training)",
            "first": "from a copy of the weights of the first update (torch's AveragedModel, Keras's use_ema, timm's"
            " ModelEmaV3 that is told the step)",
            "zero": "from zero, corrected (optax.ema with debias)",
        },
        field="average.start",
        needs=("average",),
    )
    average_warmup: Literal["protocol", "none", "counted", "power"] = form(
        "whether the decay of an average rises to its value",
        {
            "none": "the decay from the first update on (torch's AveragedModel, Keras's use_ema, timm by default)",
            "counted": "at most (1 + n) / (10 + n) (tf.train.ExponentialMovingAverage with num_updates)",
            "power": "at most 1 - (1 + n)^(-2/3) (timm's ModelEmaV3 with use_warmup)",
        },
        field="average.warmup",
        needs=("average",),
    )
    average_statistics: Literal["protocol", "averaged", "copied"] = form(
        "what an average of the weights has of BatchNorm's statistics",
        {
            "averaged": "averaged as weights are (timm, torch's AveragedModel with use_buffers)",
            "copied": "those of the last update (torch's AveragedModel by default, Keras's use_ema)",
        },
        field="average.statistics",
        needs=("average", "batch statistics"),
    )
    warmup_start: Literal["protocol", "one-step", "zero", "hundredth", "third", "rate-1e-5"] = form(
        "where a warm-up of the learning rate begins",
        {
            "one-step": "one step's rise above 0, so that no step has rate 0",
            "zero": "at rate 0 (Keras's CosineDecay with warmup_target)",
            "hundredth": "at a hundredth of the peak (torchvision's references)",
            "third": "at a third of the peak (torch's LinearLR by default)",
            "rate-1e-5": "at the rate 1e-5, whatever the peak (timm's warmup_lr by default)",
        },
        field="stage.schedule.start",
        fields={"one-step": None, "zero": 0.0, "hundredth": 0.01, "third": 1 / 3},
        needs=("warm-up",),
    )
    warmup_place: Literal["protocol", "before", "inside"] = form(
        "where a warm-up stands to the decay",
        {
            "before": "the decay begins after the warm-up (torch's SequentialLR, torchvision's references, Keras)",
            "inside": "the decay has begun with the first step (timm without warmup_prefix)",
        },
        field="stage.schedule.warmup_counts",
        fields={"before": False, "inside": True},
        needs=("warm-up", "decay"),
    )
    schedule_per: Literal["protocol", "step", "epoch"] = form(
        "how often the learning rate changes",
        {
            "step": "the rate changes with every step (Keras's schedules)",
            "epoch": "the rate changes with every epoch (torch's schedulers as documented, torchvision's references,"
            " timm by default)",
        },
        field="stage.schedule.per",
        needs=("decay", "epochs"),
    )
    depth_per: Literal["protocol", "image", "batch"] = form(
        "for what stochastic depth draws",
        {
            "image": "a draw for each image (timm, torchvision's row, Keras)",
            "batch": "one draw for the images of a pass (torchvision's batch, the paper)",
        },
        field="stage.stochastic_depth.per",
        needs=("stochastic depth",),
    )
    depth_scaling: Literal["protocol", "scaled", "unscaled"] = form(
        "what becomes of a branch that stochastic depth keeps",
        {
            "scaled": "a branch that is kept is divided by its share (timm, torchvision, Keras)",
            "unscaled": "a branch that is kept stays as it is (timm's scale_by_keep=False)",
        },
        field="stage.stochastic_depth.scaled",
        fields={"scaled": True, "unscaled": False},
        needs=("stochastic depth",),
    )
    mixing_partner: Literal["protocol", "reversed", "rolled", "shuffled"] = form(
        "with which image of a batch an image is mixed",
        {
            "reversed": "with the batch in reverse (timm)",
            "rolled": "with the batch turned by one (torchvision)",
            "shuffled": "with a shuffled batch (the papers, Keras's MixUp and CutMix)",
        },
        field="augmentation.mixing.partner",
        needs=("mixing",),
    )
    mixing_per: Literal["protocol", "batch", "pair", "image"] = form(
        "for what the share of a mixture is drawn",
        {
            "batch": "one share a batch (torchvision, timm's mode batch, the papers)",
            "pair": "one share a pair (timm's mode pair)",
            "image": "a share an image (timm's mode elem, Keras's MixUp and CutMix)",
        },
        field="augmentation.mixing.per",
        needs=("mixing",),
    )
    erasing_fill: Literal["protocol", "mean", "colour", "noise", "clipped-noise"] = form(
        "with what an erased rectangle is filled",
        {
            "mean": "zeros of the scaled image (torchvision by default, timm's mode const)",
            "colour": "a drawn colour (timm's mode rand)",
            "noise": "noise for every pixel (timm's mode pixel, torchvision's value random)",
            "clipped-noise": "noise of bytes, cut off at 0 and 255 (Keras's RandomErasing by default)",
        },
        field="augmentation.random_erasing.fill",
        needs=("erasing",),
    )
