"""What the adapters of torch's libraries share: from a library's network to a `TorchModel`.

A library's adapter lists models, builds a network and names its classifier; all that follows (a new classifier, no
randomness inside, conventions, checkpoints in canonical form) is the same for all. Nothing of torch is imported before
a method needs it.
"""

from __future__ import annotations

import inspect
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from isotune.adapters import randomness
from isotune.adapters.base import Adapter, Engine, Layout, Names, NumericMode, Remedy
from isotune.conventions import Conventions
from isotune.errors import UsageError, nearest
from isotune.excerpts import OwnLines
from isotune.names import option_value
from isotune.protocols import Stage
from isotune.weights import HEAD, Weights
from isotune.weights.folding import fit

if TYPE_CHECKING:
    from torch import Tensor, nn

    from isotune.adapters._torch.model import TorchModel

_Size = tuple[int, int]
Read = TypeVar("Read")
LAYOUTS: tuple[Layout, ...] = ("contiguous", "channels_last")
_SEED = 0  # of a library's initial weights, and of dropout that options ask for


def engines(library: str) -> dict[str, Engine]:
    """The one engine of a library on torch: its package and torch, which one extra brings."""
    return {"torch": Engine(packages=dict.fromkeys((library, "torch"), "isotune[torch]"), layouts=LAYOUTS)}


def load(library: str) -> Any:
    """The library's module, imported without torch.compile's machinery."""
    from isotune.adapters._torch import compiler

    return compiler.load(library)


class TorchAdapter(Adapter):
    """Every such library's adapter, but for `models`, `_network`, `_classifier` and `_input_scaling`."""

    suffixes: ClassVar[tuple[str, ...]] = (".pt", ".pth", ".th", ".bin", ".safetensors")
    own_code: ClassVar[bool] = False  # networks may do in Python what another step does otherwise: no CUDA graphs
    rounds: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("torch", "the gradients of hard sigmoid and CELU with a constant in float32", "written out"),
        ("torch", "what a forward makes of a number, torch.tensor(0.1), in float32", "the default dtype is float64"),
    )

    # Of techniques, as torch.optim and torchvision's transforms and ops have them where nobody says otherwise; their
    # rates change when the user's loop says, which is after an epoch in torch's documentation.
    forms: ClassVar[Mapping[str, str]] = {
        "average_start": "first",
        "average_warmup": "none",
        "average_statistics": "copied",
        "warmup_start": "third",
        "warmup_place": "before",
        "schedule_per": "epoch",
        "depth_per": "image",
        "depth_scaling": "scaled",
        "mixing_partner": "rolled",
        "mixing_per": "batch",
        "erasing_fill": "mean",
    }

    @classmethod
    def downloads(cls) -> Mapping[str, Path]:
        """torch.hub's (`torch.hub.get_dir`)."""
        home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
        return {"torch-hub": Path(home) / "hub" / "checkpoints"}

    @abstractmethod
    def _network(self, name: str, checkpoint: str | None, size: _Size, options: Mapping[str, Any]) -> nn.Module:
        """The library's network with its own classifier. checkpoint: the library's name of one, or `pretrained`.

        Errors: UsageError for an unknown name or checkpoint, NotCached. A TypeError is an option that does not exist.
        """

    @abstractmethod
    def _classifier(self, net: nn.Module) -> str | None:
        """Name of the module that gives the logits; None when the network has none."""

    @abstractmethod
    def _input_scaling(self, name: str) -> str:
        """The scaling that the model's default checkpoint was trained with."""

    def native_conventions(self, name: str, options: Mapping[str, str] | None = None) -> Conventions:
        axes = {**self.forms, "input_scaling": self._input_scaling(name), **self._described(name, options or {})}
        return Conventions(frozen_batchnorm="updates", **axes)

    def _described(self, name: str, options: Mapping[str, str]) -> Mapping[str, Any]:
        """The axes that are read off the network as the library builds it; a new head is `nn.Linear` by itself."""
        from isotune.adapters._torch.conventions import describe

        return self._read_off(name, options, describe) or {}

    def placeless(self, name: str, options: Mapping[str, str] | None = None) -> frozenset[str]:
        from isotune.adapters._torch.conventions import placeless

        return frozenset(self._read_off(name, options or {}, placeless) or ())

    def build(
        self,
        name: str,
        *,
        classes: int | None,
        checkpoint: str | Weights | None,
        conventions: Conventions,
        numeric_mode: NumericMode = "float32",
        image_size: _Size = (224, 224),
        compiled: bool = False,
        layout: Layout | None = None,
        options: Mapping[str, str] | None = None,
    ) -> TorchModel:
        """As in `base`. A head among canonical weights is loaded where its shape fits, and is left out where `classes`
        asks for another. Dropout and stochastic depth inside the network are off, unless an option sets them."""

        from isotune.adapters._torch.axes.input import scaling_inside
        from isotune.adapters._torch.axes.optional_tensors import take_tensors
        from isotune.adapters._torch.conventions import describe, realise
        from isotune.adapters._torch.dataflow import of_functions, realise_calls, trace, with_calls
        from isotune.adapters._torch.device import device
        from isotune.adapters._torch.layers import canonical_layers, of_layers
        from isotune.adapters._torch.model import TorchModel

        in_memory = self.layout_on(self.engine, layout)
        library_checkpoint = checkpoint if isinstance(checkpoint, str) else None
        net = self._built(name, library_checkpoint, image_size, options or {})
        head = self._classifier(net)
        left_out = []
        if classes is not None:
            left_out = _classifier_words(net, head)
            head = self._renew_classifier(name, net, head, classes)
        kept = checkpoint.outputs if isinstance(checkpoint, Weights) and classes is None else None
        if kept and head is not None and kept != _outputs(net.get_submodule(head)):
            head = self._renew_classifier(name, net, head, kept)
        own_axes = describe(net)
        if not self.own_code or self.stated_conventions(name):  # else nobody knows
            own_axes["input_scaling"] = self._input_scaling(name)
        inside = None
        if own_axes.get("input_scaling") == "none" and (inside := scaling_inside(net, image_size)):
            own_axes["input_scaling"] = inside.named or "none"
            if conventions.input_scaling not in ("none", inside.named):
                left_out.append(f"the scaling inside the network, for {conventions.input_scaling} outside")
        random = self._without_randomness(net, image_size, options or {})
        left_out += [randomness.words(what, rates) for what, rates in (random or {}).items()]
        realise(net, conventions)
        dataflow = trace(net, image_size)
        own_axes = with_calls(own_axes, of_functions(dataflow.calls, conventions, own_axes))
        if realise_calls(net, conventions, dataflow.calls):
            dataflow = trace(net, image_size)
        if isinstance(checkpoint, Weights) and conventions.optional_tensors == "checkpoint":
            take_tensors(canonical_layers(net, head, dataflow), checkpoint)
        origin = checkpoint.origin if isinstance(checkpoint, Weights) else checkpoint
        model = TorchModel(
            net, head, conventions, dataflow=dataflow, numeric_mode=numeric_mode, device=device(), compiled=compiled,
            layout=in_memory or LAYOUTS[0], architecture=self._architecture(name), origin=origin or "",
            graphs=not self.own_code, inside=inside,
        )  # fmt: skip
        model.own_axes, model.left_out = own_axes, tuple(left_out)
        model.random, model.limits = random, of_layers(dataflow.limits, model.module_layers)
        model.ending, model.ended = dataflow.ending, bool(dataflow.ending)
        model.image_size = image_size
        if isinstance(checkpoint, Weights):
            shapes = {slot.name: slot.shape for _, slot in model.slots()}
            what = f"{self.name}:{name}"
            model.load(fit(checkpoint, model.layers(), shapes, what, renewed=classes is not None))
        return model

    def load_file(
        self,
        name: str,
        path: Path,
        *,
        options: Mapping[str, str] | None = None,
        image_size: _Size = (224, 224),
    ) -> Weights:
        """As in `base`. A file without the classifier's tensors gives weights without a head."""
        from isotune.adapters._torch.files import read

        state, written = read(path)
        return self._of_state(name, state, written, str(path), options or {}, image_size)

    def load_renamed(
        self,
        name: str,
        path: Path,
        *,
        names: Names = None,
        options: Mapping[str, str] | None = None,
        image_size: _Size = (224, 224),
    ) -> Weights:
        """As in `base`. Of `.safetensors`, which are sorted, the order says nothing that names do not say too."""
        from isotune.adapters._torch.files import read
        from isotune.adapters._torch.graph.renaming import renamed

        state, written = read(path)
        net = self._built(name, None, image_size, options or {})
        head = self._classifier(net)
        state, how = renamed(net, head, state, names, image_size, kept=path.suffix != ".safetensors")
        weights = self._of_state(name, state, written, str(path), options or {}, image_size)
        return replace(weights, notes=(f"{path.name}: {how}",))

    def _of_state(
        self,
        name: str,
        state: Mapping[str, Tensor],
        written: Mapping[str, Any],
        what: str,
        options: Mapping[str, str],
        size: _Size,
    ) -> Weights:
        """Canonical weights of tensors by the model's names. written: what their file says of conventions."""
        import torch

        from isotune.adapters._torch.dataflow import trace
        from isotune.adapters._torch.files import fit_state_dict
        from isotune.adapters._torch.model import TorchModel

        net = self._built(name, None, size, options)
        head = self._classifier(net)
        kernel = state.get(f"{head}.weight")
        if head is not None and kernel is not None and kernel.ndim and len(kernel) != _outputs(net.get_submodule(head)):
            head = self._renew_classifier(name, net, head, len(kernel))
        fit_state_dict(net, state, what, without=head)
        scaling = Conventions.model_validate({"input_scaling": self._input_scaling(name)})
        model = TorchModel(
            net, head, scaling, dataflow=trace(net, size), device=torch.device("cpu"),
            architecture=self._architecture(name),
        )  # fmt: skip
        weights = model.weights() if kernel is not None else model.weights().without_head()
        return Weights(weights.tensors, {**weights.conventions, **written}, weights.architecture, what)

    def save_file(
        self,
        name: str,
        weights: Weights,
        path: Path,
        *,
        options: Mapping[str, str] | None = None,
        image_size: _Size = (224, 224),
    ) -> None:
        """As in `base`: a state dict, with the conventions in the metadata of `.safetensors`, `.pt` or `.pth`."""
        if path.suffix not in (".safetensors", ".pt", ".pth"):
            raise UsageError(f"{path}: torch's files end in .safetensors, .pt or .pth")
        from isotune.adapters._torch.files import write_state_dict

        kernel = weights.get(f"{HEAD}.kernel")
        model = self.build(
            name, classes=None if kernel is None else kernel.shape[1], checkpoint=weights, image_size=image_size,
            conventions=Conventions(optional_tensors="own"), options=options,
        )  # fmt: skip
        head = model.layers()[-1].library_name if model.layers()[-1].name == HEAD else None
        without = head if kernel is None else None
        write_state_dict(path, model.net.state_dict(), weights.conventions, without=without)

    def environment(self) -> dict[str, str]:
        from isotune.adapters._torch.device import environment

        return environment()

    @classmethod
    def remedy(cls, axis: str, value: object) -> Remedy:
        from isotune.adapters._torch.remedies import REMEDIES
        from isotune.adapters.remedies import look_up

        return look_up(REMEDIES, axis, value)

    @classmethod
    def own_lines(cls, rung: str, axes: Mapping[str, Any], stage: Stage, engine: str | None = None) -> OwnLines:
        from isotune.adapters._torch.excerpts.recipe import own_lines

        return own_lines(rung, axes, stage)

    def settings_kept(self) -> AbstractContextManager[None]:
        from isotune.adapters._torch.numeric import settings_kept

        return settings_kept()

    # -- steps of these

    def _built(self, name: str, checkpoint: str | None, size: _Size, options: Mapping[str, str]) -> nn.Module:
        import torch

        values = {option: option_value(text) for option, text in options.items()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            try:
                return self._network(name, checkpoint, size, values)
            except TypeError as error:
                self._explain_option(name, size, values, error)
                raise
            except (ValueError, AssertionError, ZeroDivisionError, RuntimeError) as error:
                if not values:
                    raise
                given = ", ".join(f"{option}={text}" for option, text in options.items())
                reason = str(error).partition("\n")[0] or type(error).__name__
                raise UsageError(f"{self.name}:{name} cannot be built with {given}: {reason}") from None

    def _without_randomness(self, net: nn.Module, size: _Size, options: Mapping[str, str]) -> randomness.Rates | None:
        """Have the network drop nothing, in place; the rates at which it did. None: options ask for what it drops."""
        import torch

        from isotune.adapters._torch.conventions import remove_randomness
        from isotune.adapters._torch.dataflow import passed
        from isotune.adapters._torch.graph.dropping import remove_called

        if any("drop" in option or "stochastic" in option for option in options):
            torch.manual_seed(_SEED)
            return None
        dropped = remove_randomness(net)
        if self.own_code:  # libraries call functions with rates that their modules keep
            called = remove_called(net, lambda training: passed(net, size, training=training))
            dropped["dropout"] = [*dropped.get("dropout", ()), *called]
        return randomness.rates(dropped)

    def _explain_option(self, name: str, size: _Size, values: Mapping[str, Any], error: TypeError) -> None:
        """UsageError when an option is what the TypeError is about."""
        if not values:
            return
        import torch

        with torch.device("meta"):
            net = self._network(name, None, size, {})
        known = [
            parameter.name
            for parameter in inspect.signature(type(net).__init__).parameters.values()
            if isinstance(parameter.default, int | float | bool | str) and parameter.name != "num_classes"
        ]
        for option in values:
            if option not in known:
                raise UsageError(f"{self.name}:{name} has no option {option!r}; {nearest(option, known)}") from None
        given = ", ".join(f"{option}={value}" for option, value in values.items())
        raise UsageError(f"{self.name}:{name} cannot be built with {given}: {error}") from None

    def _renew_classifier(self, name: str, net: nn.Module, head: str | None, classes: int) -> str:
        """Put a zero classifier of so many classes in the old one's place, and say where that is."""
        from torch import nn

        if head is None:
            raise UsageError(f"{self.name}:{name} has no classifier of its own to replace")
        old = net.get_submodule(head)
        if isinstance(old, nn.Conv2d):
            new: nn.Module = nn.Conv2d(old.in_channels, classes, kernel_size=1)
        else:
            new = nn.Linear(old.in_features, classes)  # type: ignore[arg-type]
        for parameter in new.parameters():
            nn.init.zeros_(parameter)
        net.set_submodule(head, new)
        return head

    def _read_off(self, name: str, options: Mapping[str, str], read: Callable[[nn.Module], Read]) -> Read | None:
        """What is read off the network as the library builds it, without allocating it where that can be; None where
        it is not built for this alone."""
        values = {option: option_value(text) for option, text in options.items()}
        try:
            with _unallocated():
                return read(self._network(name, None, (224, 224), values))
        except (NotImplementedError, RuntimeError):  # a constructor that computes with tensors (RegNet)
            return read(self._built(name, None, (224, 224), options)) if options else None
        except (TypeError, ValueError, AssertionError, ZeroDivisionError):
            if not options:
                raise
            return None  # building says what is wrong with them

    def _architecture(self, name: str) -> str:
        return next((info.architecture for info in self.models() if info.name == name), name)


@contextmanager
def _unallocated() -> Iterator[None]:
    import torch

    from isotune.adapters._torch.compiler import without_compiler

    with torch.device("meta"), torch.random.fork_rng(devices=[]), without_compiler():
        yield


def _outputs(module: nn.Module) -> int:
    return int(getattr(module, "out_features", None) or module.out_channels)  # type: ignore[arg-type]


def _classifier_words(net: nn.Module, head: str | None) -> list[str]:
    """What is said of a classifier that a new head takes the place of."""
    if head is None:
        return []
    module = net.get_submodule(head)
    bias = "" if getattr(module, "bias", None) is not None else ", without bias"
    return [f"the classifier {head} ({type(module).__name__}, {_outputs(module)} classes{bias}), for a new head"]
