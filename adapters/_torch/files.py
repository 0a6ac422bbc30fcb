"""Checkpoint files of torch: reading one without running it, fitting it to a network, writing one."""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import safe_open
from safetensors.torch import load_file as load_safetensors
from safetensors.torch import save_file as save_safetensors
from torch import Tensor, nn

from isotune import cache, reading
from isotune.conventions import written_conventions
from isotune.errors import UsageError, WeightsMismatch
from isotune.weights import check_finite

_MOST = 64 * reading.GIB  # bytes of a file
_OWN, _CONVENTIONS, _DIGEST = "isotune", "isotune.conventions", "isotune.digest"  # isotune's words in metadata
# Auxiliary classifiers of torchvision's Inception v3 and GoogLeNet only train; its release files have them.
AUXILIARIES = ("AuxLogits.", "aux1.", "aux2.")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, from .safetensors or from torch's format with `weights_only`.

    A state dict may lie under `state_dict` or `model`, and its names may start with `module.` (data parallel).
    Errors: UsageError for a file that is missing, cut off, damaged, or holds anything but plain tensors, and for NaN
    and infinite values.
    """
    return read(path)[0]


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `read_state_dict` gives, and what `write_state_dict` wrote of conventions; these are empty for a file of
    anybody else."""
    if not path.exists():
        raise UsageError(f"{path}: there is no such file")
    size = reading.regular(path, _MOST)
    state, about = _read(path)
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized or tensor.is_complex():
            raise UsageError(f"{path}: {name!r} is no plain tensor")
        if tensor.numel() * tensor.element_size() > size:
            raise UsageError(f"{path}: {name!r} {tuple(tensor.shape)} is larger than the file: damaged, or cut off")
    # isotune's own files: those of before have no digest, and none has a word that isotune does not know
    renamed = _CONVENTIONS in about and _DIGEST not in about and set(about) - {_CONVENTIONS, "format"}
    if renamed or about.get(_DIGEST) not in (None, _digest(state, about.get(_CONVENTIONS))):
        own = "" if path.suffix == ".safetensors" else ", or save net.state_dict(), which has torch's conventions"
        raise UsageError(f"{path}: not what was written: its digest is that of other content; write it again{own}")
    check_finite(((name, tensor.float().numpy()) for name, tensor in state.items() if not _is_whole(tensor)), path)
    return state, written_conventions(about.get(_CONVENTIONS), path)


def _is_whole(tensor: Tensor) -> bool:
    """Whether its values are numbers; of doubles as they are, since as floats some are infinite."""
    values = tensor if tensor.element_size() > 1 or not tensor.is_floating_point() else tensor.float()
    return bool(torch.isfinite(values).all())


def _digest(state: Mapping[str, Tensor], conventions: str | None) -> str:
    """SHA-256 over the conventions' text, and names, types, shapes and bytes in the order of the names; hexadecimal."""
    sha = hashlib.sha256(f"{conventions}\n".encode())
    for name in sorted(state):
        tensor = state[name].contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return sha.hexdigest()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and what else isotune wrote."""
    if path.suffix != ".safetensors":
        _check_archive(path)
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return load_safetensors(path, device="cpu"), dict(file.metadata() or {})
        with warnings.catch_warnings():  # that a pickle's protocol is unusual: whether it holds tensors decides
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UsageError(
            f"{path}: is no pickle of plain tensors (weights_only refuses it), or is cut off; save a state dict"
        ) from None
    except Exception as error:  # cut off, a file in torch's format before 1.6 gives IndexError, struct.error and others
        raise UsageError(f"{path}: cannot be read, perhaps cut off ({_first_line(error)})") from None
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UsageError(f"{path}: holds no state dict (tensors by name)")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}, _beside(content)


def _beside(content: Mapping[str, Tensor]) -> dict[str, str]:
    """What isotune wrote into the metadata that torch pickles with a state dict, versions of modules by their names."""
    metadata = getattr(content, "_metadata", None)
    own = metadata.get(_OWN) if isinstance(metadata, Mapping) else None
    if not isinstance(own, Mapping) or not all(isinstance(own.get(word), str) for word in (_CONVENTIONS, _DIGEST)):
        return {}
    return {_CONVENTIONS: own[_CONVENTIONS], _DIGEST: own[_DIGEST]}


def _check_archive(path: Path) -> None:
    """Of torch's archives the checksums, which torch does not compare. UsageError: they are of other content."""
    with reading.opened(path, _MOST) as file:
        if file.read(4) != b"PK\x03\x04":  # torch's format before 1.6, which has none
            return
        file.seek(0)
        with reading.zipped(file, f"{path}: cannot be read, perhaps cut off") as archive:
            if (entry := archive.testzip()) is not None:
                raise UsageError(
                    f"{path}: cannot be read, perhaps cut off ({entry} is not what its checksum says: damaged, or"
                    " written without checksums, torch.serialization.set_crc32_options(False))"
                )


def fit_state_dict(net: nn.Module, state: Mapping[str, Tensor], what: str, *, without: str | None = None) -> None:
    """Load `state` into `net`, all of it but auxiliary classifiers; `without`: a module whose tensors the file need not
    have.

    Errors: WeightsMismatch that names the first tensor that differs, and both shapes.
    """

    def refuse(difference: str, *, surplus: bool = False) -> NoReturn:
        raise WeightsMismatch(f"{what}: {difference}", layers=_trained(state), surplus=surplus)

    own = net.state_dict()
    optional = {name for name in own if name.endswith("num_batches_tracked")}
    if without:
        optional |= {name for name in own if name.startswith(f"{without}.")}
    for name, tensor in own.items():
        if name in state and state[name].shape != tensor.shape:
            refuse(f"tensor {name!r} is {tuple(state[name].shape)} in the file, {tuple(tensor.shape)} in the model")
        if name not in state and name not in optional:
            refuse(f"tensor {name!r} of the model {tuple(tensor.shape)} is missing from the file")
    if extra := [name for name in state if name not in own and not name.startswith(AUXILIARIES)]:
        shape = tuple(state[extra[0]].shape)
        refuse(f"the file has {len(extra)} tensors that the model lacks, first {extra[0]!r} {shape}", surplus=True)
    net.load_state_dict(state, strict=False)


def _trained(state: Mapping[str, Tensor]) -> list[list[tuple[int, ...]]]:
    """Of each module, the shapes of its parameters, in canonical layout."""
    modules: dict[str, list[tuple[int, ...]]] = {}
    for name, tensor in state.items():
        owner, _, own_name = name.rpartition(".")
        if tensor.is_floating_point() and own_name not in ("running_mean", "running_var"):
            modules.setdefault(owner, []).append(tuple(tensor.shape)[::-1])
    return list(modules.values())


def write_state_dict(
    path: Path, state: Mapping[str, Tensor], conventions: Mapping[str, Any], *, without: str | None = None
) -> None:
    """Write tensors by name, atomically; `without`: a module whose tensors are left out.

    The conventions and a digest of all go along: in the metadata of .safetensors, and in torch's own format in the
    state dict's `_metadata`, where `load_state_dict` looks up the versions of modules and passes over the rest.
    """
    kept = OrderedDict(
        (name, tensor.detach().cpu().contiguous().clone())
        for name, tensor in state.items()
        if without is None or not name.startswith(f"{without}.")
    )
    written = json.dumps(dict(conventions), sort_keys=True)
    about = {_CONVENTIONS: written, _DIGEST: _digest(kept, written)}
    with cache.draft_file(path) as draft:
        if path.suffix == ".safetensors":
            save_safetensors(dict(kept), draft, {**about, "format": "pt"})
        else:
            versions = dict(getattr(state, "_metadata", {}))
            kept._metadata = OrderedDict({**versions, _OWN: about})  # type: ignore[attr-defined]
            torch.save(kept, draft)


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
