"""Where a Keras network comes from: keras.applications, or a function in a file of the user's own.

`keras:MobileNetV2` is an application, `keras:PATH.py:FUNCTION` a Python file with a function that returns a
`keras.Model`: functional, Sequential or subclassed, with a classifier at its end (softmax or not), features or a map.
The file is run, as the user's own code. Its INPUT_SCALING is the network's input scaling; without one it is `none`:
pixels come in as they are, 0..255, and a Rescaling or Normalization inside scales them. Everything else is read
off the network. A function with an argument `input_shape` is given (height, width, 3) there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from isotune.adapters._keras import applications
from isotune.adapters.base import Ending
from isotune.adapters.file_function import FileFunction
from isotune.adapters.randomness import Rates
from isotune.errors import UsageError, nearest
from isotune.names import option_value


@dataclass(frozen=True)
class Built:
    """A network that a source gave."""

    body: Any  # keras.Model for [height, width, 3], up to the classifier, giving [N, D]
    classifier: Any  # the layer, or None where there is none, or none was asked for
    whole: Callable[[], Any]  # the keras.Model that a file of weights is of, with those of the body and the classifier
    left_out: tuple[str, ...] = ()  # what is not in them, in words
    random: Rates = field(default_factory=dict)  # of that, what drops at random
    ending: Ending | None = None  # what makes probabilities of the classifier's outputs, left out as well


def penalties(built: Built) -> dict[str, Any]:
    """What the classifier adds to a loss, as arguments of the layer that takes its place."""
    names = ("kernel_regularizer", "bias_regularizer") if built.classifier is not None else ()
    return {name: getattr(built.classifier, name) for name in names}


class Source(ABC):
    """One network, and what is known of it without building it."""

    what: str  # keras:MobileNetV2
    architecture: str
    scaling: str  # a value of the axis input_scaling
    block: str = ""  # as in `Application`
    rescaled: bool = False  # as in `Application`
    stated: Mapping[str, str] = MappingProxyType({})  # network axes that a file states

    @abstractmethod
    def check(self, checkpoint: str) -> None:
        """UsageError: there is no such checkpoint."""

    @abstractmethod
    def build(
        self,
        options: Mapping[str, str],
        *,
        size: tuple[int, int],
        pretrained: bool = False,
        top: bool = False,
        classes: int | None = None,
    ) -> Built:
        """pretrained: with the weights it comes with, else perhaps initial ones. top: its own classifier is needed,
        of so many `classes` where the network can be had with any number. UsageError: an option is wrong."""


class ApplicationSource(Source):
    """A row of the table. UsageError: there is no such application."""

    def __init__(self, name: str) -> None:
        self._name, self._row = name, applications.application(name)
        self.what = f"keras:{name}"
        self.architecture, self.scaling = self._row.architecture, self._row.scaling
        self.block, self.rescaled = self._row.block, self._row.rescaled

    def check(self, checkpoint: str) -> None:
        if checkpoint not in ("pretrained", applications.CHECKPOINT):
            raise UsageError(
                f"{self.what} has no checkpoint {checkpoint!r};"
                f" {nearest(checkpoint, ['pretrained', applications.CHECKPOINT])}"
            )

    def build(
        self,
        options: Mapping[str, str],
        *,
        size: tuple[int, int],
        pretrained: bool = False,
        top: bool = False,
        classes: int | None = None,
    ) -> Built:
        from isotune.adapters._keras.conventions import random_rates, words
        from isotune.adapters._keras.network import ending, split_classifier

        arguments = applications.parse_options(self._name, options)
        top = arguments.pop("include_top", self._row.hidden) or top
        if top and classes is not None:
            arguments["classes"] = classes
        model = applications.build_application(self._name, arguments, size=size, top=top, pretrained=pretrained)
        body, classifier, behind = split_classifier(model) if top else (model, None, ())
        left_out, ends = words(model, behind), ending(classifier, behind)
        return Built(body, classifier, lambda: model, left_out, random_rates(model), ends)


class FileSource(Source):
    """A function in a file, which imports Keras: its engine must have been chosen. UsageError: as `FileFunction`."""

    def __init__(self, name: str) -> None:
        self._function = FileFunction("keras", name)
        self.what, self.architecture = self._function.what, name
        self.scaling = self._function.constant("INPUT_SCALING", "none")
        self.stated = self._function.stated()

    def check(self, checkpoint: str) -> None:
        if checkpoint != "pretrained":
            raise UsageError(
                f"{self.what} has no checkpoint {checkpoint!r}; pretrained takes the function's own weights"
            )

    def build(
        self,
        options: Mapping[str, str],
        *,
        size: tuple[int, int],
        pretrained: bool = False,
        top: bool = False,
        classes: int | None = None,
    ) -> Built:
        """The function's own weights in any case. UsageError: it gives no network that can be used (`opened`)."""
        import keras
        from keras.src.utils.naming import reset_uids

        from isotune.adapters._keras.conventions import random_rates, unreached, words
        from isotune.adapters._keras.network import ending, split_classifier
        from isotune.adapters._keras.opening import carry_weights, fresh, opened

        arguments: dict[str, Any] = {option: option_value(text) for option, text in options.items()}
        if self._function.takes("input_shape"):
            arguments.setdefault("input_shape", (*size, 3))
        reset_uids()  # layers have the same names whatever was built before in this process
        with applications.seeded():
            network = self._function(arguments)
        if not isinstance(network, keras.Model):
            given = f"{type(network).__module__}.{type(network).__qualname__}"
            raise UsageError(f"{self.what}: {self._function.name}() gives a {given}, not a keras.Model")
        with applications.seeded():
            own = opened(network, size, self.what)
        model = fresh(own, self.what)
        body, classifier, behind = split_classifier(model)
        if top and classifier is None:
            raise UsageError(f"{self.what} has no classifier of its own, a dense layer at its end")

        def whole() -> Any:
            carry_weights(model, own)
            return network

        left_out, ends = (*words(own, behind), *unreached(network)), ending(classifier, behind)
        return Built(body, classifier, whole, left_out, random_rates(own), ends)
