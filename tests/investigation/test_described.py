"""What a rung says of arrays that no convention explains, from what both sides wrote down."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from isotune.comparison import observations
from isotune.comparison.bounds import Bound
from isotune.comparison.errors import errors
from isotune.comparison.observations import Observations
from isotune.investigation._judging import Judged
from isotune.investigation._ladder import Ladder
from isotune.investigation._rung_specs import RUNG_SPECS
from isotune.investigation._sides import side

STREAM = np.random.default_rng(0)
TOKENS, KERNEL, BIAS = STREAM.normal(size=(4, 10, 8)), STREAM.normal(size=(8, 3)), STREAM.normal(size=3)
TENSORS = {
    "000.conv.kernel": STREAM.normal(size=(3, 3, 3, 8)), "001.norm.scale": np.ones(8), "001.norm.shift": np.zeros(8),
    "002.norm.scale": np.ones(8), "002.norm.shift": np.zeros(8), "head.kernel": KERNEL, "head.bias": BIAS,
}  # fmt: skip
LAYERS = {"000.conv": TOKENS + 1, "001.norm": TOKENS, "002.norm": TOKENS, "head": TOKENS[:, 0] @ KERNEL + BIAS}


def said(folder: Path, part: str, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> str:
    """All that is said of a rung of that part."""
    folders = {name: folder / name for name in ("tensors", "ours", "theirs")}
    for name, arrays in (("tensors", TENSORS), ("ours", ours), ("theirs", theirs)):
        observations.write(folders[name], arrays.items())
    spec = next(spec for spec in RUNG_SPECS if spec.part == part)
    seen = tuple(errors(*(Observations(folders[name]) for name in ("ours", "theirs"))))
    recordings = SimpleNamespace(
        sides={"left": side("timm:test_vit")}, images=lambda which: "", of=lambda *asked: folders["tensors"],
        set_alike=lambda: (),
    )  # fmt: skip
    ladder, judged = Ladder(recordings), Judged(seen, Bound(), (folders["ours"], folders["theirs"]))  # type: ignore[arg-type]
    return " ".join(ladder._described(spec, judged, [error.name for error in judged.failing]))


def test_a_head_that_reads_another_token_is_told(tmp_path):
    other = LAYERS | {"head": TOKENS[:, 1:].mean(axis=1) @ KERNEL + BIAS}
    assert "classifier reads token 0 (the first), the other's the mean of all tokens but the first." in said(
        tmp_path, "layers", LAYERS, other
    )


def test_that_all_layernorms_fail_and_nothing_else_is_told(tmp_path):
    other = LAYERS | {name: LAYERS[name] * 0.9 for name in ("001.norm", "002.norm")}
    found = said(tmp_path, "layers", LAYERS, other)
    assert "All 2 layers that fail are LayerNorms, and no other of them holds." in found
    assert "001.norm: Other = 0.9 * reference" in found
    assert "The same holds of all 2 that fail." in found


def test_kernels_in_another_arrangement_are_told(tmp_path):
    other = TENSORS | {"000.conv.kernel": TENSORS["000.conv.kernel"].transpose(1, 0, 2, 3)}
    found = said(tmp_path, "weights", TENSORS, other)
    assert found == "000.conv.kernel: other = reference with its height and width exchanged."
