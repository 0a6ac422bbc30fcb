"""Protocols: the whole recipe of a run, read from TOML.

A protocol says what is trained, with which optimizer and schedule, on what input, and how it is
evaluated. It is a *probe* (logistic regression on frozen features), a list of training *stages*, or
*own classifier* (the checkpoint's is evaluated, nothing trained). Everything in it is validated on
reading; an unknown key or an impossible combination is a `UsageError` that names the file, the field
and what would be valid.

What libraries do differently under the name of one technique is an axis: `form_axes` gives the protocol that a set-up's
forms make of it, and `forms` tells two protocols apart by them.

The TOML files are those of benchmarks/protocols, installed as `isotune.protocols.builtin`. `schedules` computes the
learning rate of every step. `Expected` is a published number that a run is held against.
"""

from isotune.protocols._augmentation import (
    Augmentation,
    AutoAugment,
    ColorJitter,
    Mixing,
    NoisyRandAugment,
    Policy,
    RandAugment,
    RandomContrast,
    RandomErasing,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    TrivialAugment,
)
from isotune.protocols._expected import METRICS, Expected, expected
from isotune.protocols._explaining import explain
from isotune.protocols._mode import LAYOUTS, Layout, Mode, layout
from isotune.protocols._numeric_mode import NUMERIC_MODES, NumericMode, numeric_mode
from isotune.protocols._protocol import (
    Evaluation,
    Images,
    Input,
    InputChange,
    OwnClassifier,
    Probe,
    Protocol,
    Step,
)
from isotune.protocols._reading import load, names, parse, written
from isotune.protocols._selection import REPORTS, Grid, Report, Selection, Values, in_words
from isotune.protocols._stages import (
    SGD,
    Adam,
    Averaging,
    Optimizer,
    RMSprop,
    Schedule,
    Stage,
    StochasticDepth,
    optimizer_features,
    relevant_axes,
)

__all__ = [
    "LAYOUTS",
    "METRICS",
    "NUMERIC_MODES",
    "REPORTS",
    "SGD",
    "Adam",
    "Augmentation",
    "AutoAugment",
    "Averaging",
    "ColorJitter",
    "Evaluation",
    "Expected",
    "Grid",
    "Images",
    "Input",
    "InputChange",
    "Layout",
    "Mixing",
    "Mode",
    "NoisyRandAugment",
    "NumericMode",
    "Optimizer",
    "OwnClassifier",
    "Policy",
    "Probe",
    "Protocol",
    "RMSprop",
    "RandAugment",
    "RandomContrast",
    "RandomErasing",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "Report",
    "Schedule",
    "Selection",
    "Stage",
    "Step",
    "StochasticDepth",
    "TrivialAugment",
    "Values",
    "expected",
    "explain",
    "in_words",
    "layout",
    "load",
    "names",
    "numeric_mode",
    "optimizer_features",
    "parse",
    "relevant_axes",
    "written",
]
