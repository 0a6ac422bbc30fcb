"""Conventions: the semantic choices in which libraries differ, one value per axis.

An axis either belongs to the *network* (a checkpoint was trained with it and means something else under
another value) or to the *recipe* (how it is fine-tuned). A set-up is

- `identical`: the checkpoint's network axes and the protocol's recipe axes, in every library alike;
- `native`: what each library does by default, the input scaling excepted: no library has a default
  scaling for weights that came from elsewhere, so the checkpoint's is used in both set-ups.

Either may be followed by overrides: `native,input_scaling=minus-one-to-one`.

A form of a technique (`FORM_AXES`) is the protocol's under `identical`, and under `native` what the library's own
classes and functions do. A protocol says it where it asks for the technique, and not among its conventions.

`own` on a network axis means "as the library builds this model". It is what a library's own checkpoint
carries, and the only value that need not be the same function in two libraries.
"""

from isotune.conventions._declaring import PROTOCOL, RUNGS, Axis, Feature, Kind, Rung
from isotune.conventions._forms import Conventions
from isotune.conventions._head_laws import HEAD_LAWS, HeadLaw, head_law
from isotune.conventions._known import (
    AXES,
    FORM_AXES,
    INFERENCE_AXES,
    INPUT_AXES,
    NETWORK_AXES,
    OPTIMIZER_AXES,
    PIXEL_AXES,
    REFERENCE_CONVENTIONS,
    agreed,
    completed,
    counting_values,
    described,
    relevant,
    shown_at,
    upgraded,
)
from isotune.conventions._scaling import CAFFE_MEAN_RGB, IMAGENET_MEAN, IMAGENET_STD, affine, is_named, named_scaling
from isotune.conventions._spec import (
    former_spec,
    overridden,
    parse,
    resolve,
    spelled,
    upgraded_spec,
    written_conventions,
    written_value,
)

__all__ = [
    "AXES",
    "CAFFE_MEAN_RGB",
    "FORM_AXES",
    "HEAD_LAWS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "INFERENCE_AXES",
    "INPUT_AXES",
    "NETWORK_AXES",
    "OPTIMIZER_AXES",
    "PIXEL_AXES",
    "PROTOCOL",
    "REFERENCE_CONVENTIONS",
    "RUNGS",
    "Axis",
    "Conventions",
    "Feature",
    "HeadLaw",
    "Kind",
    "Rung",
    "affine",
    "agreed",
    "completed",
    "counting_values",
    "described",
    "former_spec",
    "head_law",
    "is_named",
    "named_scaling",
    "overridden",
    "parse",
    "relevant",
    "resolve",
    "shown_at",
    "spelled",
    "upgraded",
    "upgraded_spec",
    "written_conventions",
    "written_value",
]
