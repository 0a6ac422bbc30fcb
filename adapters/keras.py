"""The Keras adapter: keras.applications and a user's own networks on TensorFlow, JAX (`keras@jax`) or PyTorch
(`keras@torch`).

Keras fixes its backend when it is imported, so a process has one engine: `KerasAdapter(engine)` chooses it, and
refuses when Keras is already there with another. Nothing of Keras is imported before a model is built or the
environment asked for.

The network is an application (or what a function in a file returns) without its classifier, average-pooled, and a
dense head of our own; with `classes=None` its own classifier becomes the head. What it is made of:
`_keras`.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from isotune.adapters._keras import applications
from isotune.adapters._keras.native import NATIVE
from isotune.adapters._keras.sources import ApplicationSource, FileSource, Source, penalties
from isotune.adapters.base import Adapter, Engine, Layout, Model, ModelInfo, Names, NumericMode, Remedy
from isotune.adapters.file_function import FileFunction
from isotune.adapters.kept_out import kept_out
from isotune.conventions import Conventions, written_conventions
from isotune.errors import UsageError
from isotune.excerpts import OwnLines
from isotune.names import is_file
from isotune.protocols import Stage
from isotune.weights import HEAD, Weights
from isotune.weights.folding import fit

_LAYOUTS: tuple[Layout, ...] = ("channels_last",)  # Keras's own image_data_format, which `_start` sets
_ENGINE_CLASSES = {"tensorflow": "TensorFlowEngine", "jax": "JaxEngine", "torch": "TorchEngine"}
_NUMERIC_MODES = ("float32", "bfloat16", "float64")  # float16 would take a LossScaleOptimizer around the axes' own
# What Keras and TensorFlow import where it is installed and do not require, longer together than TensorFlow itself: for
# wrappers, plots and tables, of which isotune uses none. JAX requires SciPy.
_OPTIONAL = ("cv2", "matplotlib", "pandas", "sklearn")
_OPTIONAL_BESIDE = {"tensorflow": ("jax", "scipy"), "jax": (), "torch": ("jax", "scipy")}


class KerasAdapter(Adapter):
    """keras.applications."""

    name: ClassVar[str] = "keras"
    title: ClassVar[str] = "Keras"
    colour: ClassVar[str] = "#009E73"
    engines: ClassVar[Mapping[str, Engine]] = {
        "tensorflow": Engine(
            packages={"keras": "isotune[keras]", "tensorflow": "isotune[keras]"},
            flags=(
                "TF_ENABLE_ONEDNN_OPTS",
                "TF_NUM_INTRAOP_THREADS",
                "TF_NUM_INTEROP_THREADS",
                "XLA_FLAGS",
                "TF_XLA_FLAGS",
            ),
            layouts=_LAYOUTS,
        ),
        "jax": Engine(
            packages={"keras": "isotune[keras]", "jax": "isotune[jax]", "jaxlib": "isotune[jax]"},
            flags=("XLA_FLAGS",),
            layouts=_LAYOUTS,
        ),
        "torch": Engine(packages={"keras": "isotune[keras]", "torch": "isotune[torch]"}, layouts=_LAYOUTS),
    }
    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".keras")
    hosts: ClassVar[Mapping[str, str]] = {"Keras's weights": "storage.googleapis.com"}
    counterparts: ClassVar[tuple[str, ...]] = ("timm", "torchvision")
    rounds: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("Keras on TensorFlow", "momentum, betas and weight decay held in float32", "the optimizers, written out"),
        (
            "Keras on TensorFlow",
            "numbers of layers in float32 (Normalization, Rescaling, ReLU, the scale of attention), LeakyReLU's slope,"
            " GELU's root of 2, bilinear resizing",
            "numbers taken as float64, the functions written out",
        ),
        ("Keras on JAX", "the softmax of attention in float32", "written out"),
        ("Keras on PyTorch", "the gradients of hard sigmoid and CELU with a constant in float32", "written out"),
        (
            "Keras on JAX and PyTorch",
            "what two operands give, narrowed to float32 under floatx float64",
            "not narrowed",
        ),
    )

    @classmethod
    def downloads(cls) -> Mapping[str, Path]:
        """Keras's (keras/src/utils/file_utils.py), and TensorFlow Datasets', which it writes data sets with."""
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras")
        datasets = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
        return {"keras": home / "models", "tensorflow-datasets": datasets}

    @classmethod
    def engine_for_proofs(cls, architecture: str) -> str | None:
        """TensorFlow's grouped convolution, which the ConvNeXts use, takes minutes a pass in float64 on the CPU."""
        return "torch" if architecture.startswith("convnext") else None

    @classmethod
    def remedy(cls, axis: str, value: object) -> Remedy:
        from isotune.adapters._keras.remedies import REMEDIES
        from isotune.adapters.remedies import look_up

        return look_up(REMEDIES, axis, value)

    @classmethod
    def own_lines(cls, rung: str, axes: Mapping[str, Any], stage: Stage, engine: str | None = None) -> OwnLines:
        from isotune.adapters._keras.excerpts.recipe import own_lines

        return own_lines(rung, axes, stage, engine or next(iter(cls.engines)))

    def settings_kept(self) -> AbstractContextManager[None]:
        from isotune.adapters._keras.numeric import settings_kept

        return settings_kept()

    def __init__(self, engine: str | None = None) -> None:
        super().__init__(engine)
        if "keras" in sys.modules and (present := sys.modules["keras"].backend.backend()) != self.engine:
            raise UsageError(
                f"this process runs Keras on {present!r}, and a process has one engine;"
                f" use {present!r}, or a process of its own for {self.engine!r}"
            )
        self._engine_module: Any = None

    def models(self) -> Iterable[ModelInfo]:
        return [
            ModelInfo(
                name=name,
                architecture=row.architecture,
                checkpoints=(applications.CHECKPOINT,),
                top1={applications.CHECKPOINT: top1} if (top1 := applications.DOCUMENTED_TOP1.get(name)) else {},
                parameters=row.parameters,
                size=row.size,
            )
            for name, row in applications.APPLICATIONS.items()
        ]

    def native_conventions(self, name: str, options: Mapping[str, str] | None = None) -> Conventions:
        """What Keras's own classes and guides give. The network's axes are left as the class builds them, whatever the
        options."""
        return NATIVE.model_copy(update={"input_scaling": self._source(name).scaling})

    def class_names(self, name: str, checkpoint: str | None) -> Sequence[str]:
        return FileFunction(self.name, name).class_names() if is_file(name) else ()

    def stated_conventions(self, name: str) -> Mapping[str, object]:
        return self._source(name).stated if is_file(name) else {}

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
        layout: Layout | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Model:
        """As in the base class. Options are the application's own arguments (`alpha=0.35`); its dropout and
        stochastic depth are taken out, since what is random is drawn outside. `pretrained` is `imagenet`. A new
        classifier stands on the hidden layers of the old one (VGG, MobileNetV3), as in torch's libraries;
        `include_top=false` leaves these out, as Keras's guides do."""
        self.layout_on(self.engine, layout)
        source = self._source(name)
        if isinstance(checkpoint, str):
            source.check(checkpoint)
        if numeric_mode not in _NUMERIC_MODES:
            raise UsageError(f"Keras's models have no numeric mode {numeric_mode!r} here; {', '.join(_NUMERIC_MODES)}")
        engine = self._start()
        import keras

        from isotune.adapters._keras.axes.input import own_scaling
        from isotune.adapters._keras.axes.optional_tensors import tensor_changes
        from isotune.adapters._keras.conventions import classifier_words, describe, realise, scaling_words
        from isotune.adapters._keras.dataflow import trace_end
        from isotune.adapters._keras.layers import head_part, limits_of, parts
        from isotune.adapters._keras.model import KerasModel, bind
        from isotune.adapters._keras.network import Network
        from isotune.adapters._keras.numeric import numeric

        with numeric(numeric_mode):
            built = source.build(
                options or {}, size=image_size, pretrained=isinstance(checkpoint, str), top=classes is None
            )
            base, own = built.body, built.classifier if classes is None else None
            left_out = [*built.left_out, *scaling_words(base, conventions.input_scaling, source.rescaled)]
            if built.classifier is not None:
                left_out += classifier_words(built.classifier, renewed=own is None)
            inside = own_scaling(base, source.rescaled) if source.scaling == "none" else None
            own_axes = describe(base)
            if inside or source.stated or not is_file(name):  # else nobody knows
                own_axes["input_scaling"] = inside or source.scaling
            body = parts(base, source.block, scales_itself=conventions.input_scaling == "none")
            whole = [*body, head_part(own.name if own else HEAD, body, trace_end(base))]
            changes = {}
            if isinstance(checkpoint, Weights) and conventions.optional_tensors == "checkpoint":
                changes = tensor_changes(body, base, checkpoint)
            base = realise(base, conventions, source.rescaled and isinstance(checkpoint, Weights), changes)
            kept = checkpoint.outputs if isinstance(checkpoint, Weights) else None
            outputs = (kept or own.kernel.shape[-1]) if own else classes
            head = keras.layers.Dense(outputs, name=HEAD, kernel_initializer="zeros", **penalties(built))
            network = Network(base, head, conventions.input_scaling)
            head.build(base.output_shape)
            network.built = True
            if own and not kept:
                head.kernel.assign(keras.ops.reshape(own.kernel, head.kernel.shape))
                if own.bias is not None:
                    head.bias.assign(own.bias)
            axes = describe(base) | {"input_scaling": conventions.input_scaling}
            model = KerasModel(
                network,
                whole,
                getattr(engine, _ENGINE_CLASSES[self.engine])(network, image_size, compiled),
                size=image_size,
                conventions=conventions,
                network_axes=axes,
                numeric_mode=numeric_mode,
                architecture=source.architecture,
                origin=checkpoint.origin
                if isinstance(checkpoint, Weights)
                else f"{source.what} {checkpoint or ''}".strip(),
            )
            model.own_axes, model.left_out = own_axes, tuple(left_out)
            model.random, model.limits, model.ending = built.random, limits_of(base, body), built.ending
        if isinstance(checkpoint, Weights):
            shapes = {key: tensor.shape for key, tensor in bind(whole, network).items()}
            model.load(fit(checkpoint, model.layers(), shapes, source.what, renewed=classes is not None))
        return model

    def load_file(
        self,
        name: str,
        path: Path,
        *,
        options: Mapping[str, str] | None = None,
        image_size: tuple[int, int] = (224, 224),
    ) -> Weights:
        """As in the base class: `.weights.h5`, `.h5` (weights or a whole model) and `.keras`.

        The file may have a classifier on the features, which becomes the head. Layers are found by their names, also
        inside nested models. A file without hidden layers of the classifier (VGG, MobileNetV3) fits the model with
        `include_top=false`. A scaling inside the model becomes the convention that it is.
        """
        return self._from_layers(name, path, options or {}, image_size)

    def load_renamed(
        self,
        name: str,
        path: Path,
        *,
        names: Names = None,
        options: Mapping[str, str] | None = None,
        image_size: tuple[int, int] = (224, 224),
    ) -> Weights:
        """As in the base class, of layers: their tensors are in Keras's order. Files of Keras 1 and 2 keep the order of
        layers; of Keras 3's, which are sorted, the order says nothing that names do not say too."""

        return self._from_layers(name, path, options or {}, image_size, renaming=(names,))

    def _from_layers(
        self,
        name: str,
        path: Path,
        options: Mapping[str, str],
        size: tuple[int, int],
        *,
        renaming: tuple[Names] | None = None,
    ) -> Weights:
        """renaming: by which names the file's layers are those of the model; None: by their own."""
        if path.suffix not in (".h5", ".keras"):
            raise UsageError(f"{path}: Keras's files end in .weights.h5, .h5 or .keras")
        self._start()
        from isotune.adapters._keras.axes.input import own_scaling
        from isotune.adapters._keras.conventions import describe
        from isotune.adapters._keras.files import fit_layers
        from isotune.adapters._keras.graph.renaming import renamed
        from isotune.adapters._keras.hdf5 import held
        from isotune.adapters._keras.layers import flatten, parts, tensors
        from isotune.adapters._keras.numeric import numeric

        content = held(path)
        source = self._source(name)
        with numeric("float32"):
            base = source.build(options, size=size).body
            owners = [layer for layer in flatten(base) if layer.weights]
            layers, how = renamed(content, base, owners, *renaming) if renaming else (content.layers, "")
            head, numbered = fit_layers(layers, owners, base.output_shape[-1], str(path))
            body = parts(base, source.block, scales_itself=False)
            tensors_ = {key: tensor.read().copy() for key, tensor in tensors(body, base).items()}
            axes = describe(base) | {"input_scaling": own_scaling(base, source.rescaled) or source.scaling}
            axes |= written_conventions(content.conventions, path)
        if head:
            tensors_ |= {f"{HEAD}.kernel": head[0], f"{HEAD}.bias": head[1]}
        notes = tuple(f"{path.name}: {said}" for said in (how, numbered) if said)
        return Weights(tensors_, axes, source.architecture, str(path), notes)

    def save_file(
        self,
        name: str,
        weights: Weights,
        path: Path,
        *,
        options: Mapping[str, str] | None = None,
        image_size: tuple[int, int] = (224, 224),
    ) -> None:
        """As in the base class: `.weights.h5`, with the conventions in an attribute. An EfficientNet that scales its
        input itself gets the weights' scaling in its Normalization, where it has one."""
        if not path.name.endswith(".weights.h5"):
            raise UsageError(f"{path}: Keras's files of weights end in .weights.h5")
        self._start()
        import keras

        from isotune.adapters._keras.axes.input import set_normalization
        from isotune.adapters._keras.files import write_weights
        from isotune.adapters._keras.layers import parts, tensors
        from isotune.adapters._keras.numeric import numeric

        source = self._source(name)
        kernel = weights.get(f"{HEAD}.kernel")
        with numeric("float32"):
            built = source.build(
                options or {}, size=image_size, top=kernel is not None,
                classes=None if kernel is None else kernel.shape[1],
            )  # fmt: skip
            base, classifier = built.body, built.classifier
            body = parts(base, source.block, scales_itself=False)
            places = tensors(body, base)
            layout = {key: tensor.shape for key, tensor in places.items()}
            if kernel is not None:
                slots = {"kernel": (base.output_shape[-1], classifier.kernel.shape[-1])}
                slots |= {} if classifier.bias is None else {"bias": tuple(classifier.bias.shape)}
                layout |= {f"{HEAD}.{slot}": shape for slot, shape in slots.items()}
            for key, array in fit(weights, [part.layer for part in body], layout, source.what).items():
                if key in places:
                    places[key].write(array)
            if kernel is not None:
                classifier.kernel.assign(keras.ops.reshape(kernel, classifier.kernel.shape))
                if classifier.bias is not None:
                    classifier.bias.assign(weights[f"{HEAD}.bias"])
            set_normalization(base, weights.conventions.get("input_scaling", "none"))
            whole = kernel is not None or classifier is None
            write_weights(built.whole() if whole else base, path, weights.conventions)

    def environment(self) -> dict[str, str]:
        engine = self._start()
        return {"engine": self.engine, **engine.environment()}

    def _source(self, name: str) -> Source:
        if not is_file(name):
            return ApplicationSource(name)
        self._start()  # the file imports Keras
        return FileSource(name)

    def _start(self) -> Any:
        """Import Keras with its engine, once; gives the engine's module."""
        if self._engine_module is None:
            os.environ["KERAS_BACKEND"] = self.engine
            with _quiet_start(), kept_out(*_OPTIONAL, *_OPTIONAL_BESIDE[self.engine]):
                engine = importlib.import_module(f"isotune.adapters._keras.engines.{self.engine}")
                import keras
            if self.engine != "tensorflow":
                _keep_tensorflow_out()
            keras.config.set_image_data_format("channels_last")  # whatever ~/.keras/keras.json says
            threads = os.environ.get("ISOTUNE_THREADS") or os.environ.get("OMP_NUM_THREADS")
            engine.configure(int(threads) if threads and threads.isdecimal() else None)
            self._engine_module = engine
        return self._engine_module


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Keep TensorFlow's greetings off stderr while it is imported, unless TF_CPP_MIN_LOG_LEVEL is set.

    That variable alone does not do it: oneDNN's and CUDA's lines are written before logging is set up. If the
    import fails, what was kept back is shown.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as words:
            os.dup2(words.fileno(), 2)
            try:
                yield
            except BaseException:
                words.seek(0)
                os.write(kept, words.read())
                raise
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)


def _keep_tensorflow_out() -> None:
    """Have Keras settle that there is no TensorFlow. On other engines it would import an installed one while
    serialising layers, which cloning does (keras/src/saving/serialization_lib.py asks `tf.available`)."""
    from keras.src.utils import module_utils

    with kept_out("tensorflow"):
        module_utils.tensorflow.available  # noqa: B018  # a property that remembers
