"""The Keras adapter: keras.applications on TensorFlow, JAX (`keras@jax`) or PyTorch (`keras@torch`).

Keras fixes its backend when it is imported, so a process has one engine: `KerasAdapter(engine)` chooses it, and
refuses when Keras is already there with another. Nothing of Keras is imported before a model is built or the
environment asked for.

The network is an application without its classifier, average-pooled, and a dense head of our own; with
`classes=None` the application's own classifier becomes the head. Modules: `_keras_applications` (what there is,
and how it is built), `_keras_layers` (canonical names), `_keras_conventions` (network axes), `_keras_network`
(scaling, head, loss), `_keras_optimizers` (recipe axes), `_keras_model` (the interface), `_keras_files`
(checkpoint files) and one module per engine.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from isotune.conventions import Conventions
from isotune.errors import MissingExtra, UsageError, nearest
from isotune.weights import HEAD, Weights, check_fit

from . import _keras_applications as applications
from .base import Adapter, Model, ModelInfo, NumericMode

_EXTRAS = {"tensorflow": "keras", "jax": "jax", "torch": "torch"}
_ENGINE_CLASSES = {"tensorflow": "TensorFlowEngine", "jax": "JaxEngine", "torch": "TorchEngine"}


class KerasAdapter(Adapter):
    """keras.applications."""

    name: ClassVar[str] = "keras"
    engines: ClassVar[tuple[str, ...]] = ("tensorflow", "jax", "torch")

    def __init__(self, engine: str = "tensorflow") -> None:
        if engine not in self.engines:
            raise UsageError(f"keras has no engine {engine!r}; {nearest(engine, self.engines)}")
        for package, extra in (("keras", "keras"), (engine, _EXTRAS[engine])):
            if importlib.util.find_spec(package) is None:
                raise MissingExtra(package, extra)
        if "keras" in sys.modules and (present := sys.modules["keras"].backend.backend()) != engine:
            raise UsageError(
                f"this process runs Keras on {present!r}, and a process has one engine;"
                f" use {present!r}, or a process of its own for {engine!r}"
            )
        self.engine = engine
        self._engine_module: Any = None

    def models(self) -> Iterable[ModelInfo]:
        return [
            ModelInfo(
                name=name,
                architecture=row.architecture,
                checkpoints=(applications.CHECKPOINT,),
                top1={applications.CHECKPOINT: row.top1},
                size=row.size,
            )
            for name, row in applications.APPLICATIONS.items()
        ]

    def native_conventions(self, name: str) -> Conventions:
        """What Keras's own classes and guides give.

        The loss is from logits: Keras's guides use `from_logits=True` on a head without activation, and even
        with a softmax head Keras on TensorFlow computes from the logits that it finds in the graph.
        """
        return Conventions(
            decode="tensorflow",
            resize="plain",
            input_scaling=applications.application(name).scaling,
            batchnorm_running_variance="biased",
            frozen_batchnorm="inference",
            head_initialisation="glorot-uniform",
            momentum_form="rate-inside",
            weight_decay_form="decoupled",
            weight_decay_on="all",
            adam_epsilon="before-correction",
            rmsprop_epsilon="inside-root",
            clipping="per-variable",
            loss="logits",
            hyperparameters="float32",
        )

    def build(
        self,
        name: str,
        *,
        classes: int | None,
        checkpoint: str | Weights | None,
        conventions: Conventions,
        numeric_mode: NumericMode = "float32",
        image_size: tuple[int, int] = (224, 224),
        compiled: bool = False,
        options: Mapping[str, str] | None = None,
    ) -> Model:
        """As in the base class. Options are the application's own arguments (`alpha=0.35`); its dropout and
        stochastic depth are taken out, since what is random is drawn outside. `pretrained` is `imagenet`."""
        row = applications.application(name)
        if isinstance(checkpoint, str) and checkpoint not in ("pretrained", applications.CHECKPOINT):
            raise UsageError(
                f"keras:{name} has no checkpoint {checkpoint!r};"
                f" {nearest(checkpoint, ['pretrained', applications.CHECKPOINT])}"
            )
        engine = self._start()
        from ._keras_conventions import describe, realise
        from ._keras_layers import head_part, parts
        from ._keras_model import KerasModel, bind, numeric
        from ._keras_network import Network, split_classifier

        import keras

        arguments = applications.parse_options(name, options or {})
        with numeric(numeric_mode):
            base = applications.build_application(
                name, arguments, size=image_size, top=classes is None, pretrained=isinstance(checkpoint, str)
            )
            own = None
            if classes is None:
                base, own = split_classifier(base)
            found = [*parts(base, row.block), head_part(own.name if own else HEAD)]
            base = realise(base, conventions)
            head = keras.layers.Dense(own.kernel.shape[-1] if own else classes, name=HEAD, kernel_initializer="zeros")
            network = Network(base, head, conventions.input_scaling)
            head.build(base.output_shape)
            network.built = True
            if own:
                head.kernel.assign(keras.ops.reshape(own.kernel, head.kernel.shape))
                head.bias.assign(own.bias)
            axes = describe(base) | {"input_scaling": conventions.input_scaling}
            model = KerasModel(
                network,
                found,
                getattr(engine, _ENGINE_CLASSES[self.engine])(network, image_size, compiled),
                size=image_size,
                conventions=conventions,
                network_axes=axes,
                numeric_mode=numeric_mode,
                architecture=row.architecture,
                origin=f"keras:{name} {checkpoint if isinstance(checkpoint, str) else ''}".strip(),
            )
        if isinstance(checkpoint, Weights):
            layout = {key: tensor.shape for key, tensor in bind(found, network).items()}
            model.load(_fitting(checkpoint, layout, f"keras:{name}"))
        return model

    def load_file(
        self,
        name: str,
        path: Path,
        *,
        options: Mapping[str, str] | None = None,
        image_size: tuple[int, int] = (224, 224),
    ) -> Weights:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        import numpy as np

        engine = self._start()
        import keras

        return {"keras": keras.__version__, "numpy": np.__version__, "engine": self.engine, **engine.environment()}

    def _start(self) -> Any:
        """Import Keras with its engine, once; gives the engine's module."""
        if self._engine_module is None:
            os.environ["KERAS_BACKEND"] = self.engine
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            self._engine_module = importlib.import_module(f"._keras_{self.engine}", __package__)
            threads = os.environ.get("ISOTUNE_THREADS") or os.environ.get("OMP_NUM_THREADS")
            self._engine_module.configure(int(threads) if threads and threads.isdecimal() else None)
        return self._engine_module


def _fitting(weights: Weights, layout: Mapping[str, tuple[int, ...]], what: str) -> Mapping[str, Any]:
    """The tensors to load: all, or all but the head where the checkpoint has none or one for other classes."""
    kernel = f"{HEAD}.kernel"
    if kernel in weights and weights[kernel].shape == layout[kernel]:
        check_fit(weights, layout, what)
        return weights
    body = {name: shape for name, shape in layout.items() if not name.startswith(f"{HEAD}.")}
    kept = weights.without_head()
    check_fit(kept, body, what)
    return kept
