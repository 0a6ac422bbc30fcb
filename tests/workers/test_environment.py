"""Which versions results depend on, and when they make a record stale: one owner for all who ask."""

from __future__ import annotations

from importlib import metadata

import pytest

from isotune.workers import environment
from isotune.workers.environment import all_packages, outdated, packages, versions


def test_packages_are_what_an_adapter_declares_what_brings_it_isotune_and_numpy() -> None:
    assert packages("timm") == ("timm", "torch", "isotune", "numpy")
    assert packages("keras") == ("keras", "tensorflow", "isotune", "numpy")
    assert packages("keras@jax")[:3] == ("keras", "jax", "jaxlib")
    assert packages("keras@torch", "torchvision") == ("keras", "torch", "torchvision", "isotune", "numpy")
    assert packages("unheard-of") == ("isotune", "numpy")


def test_every_version_of_an_environment_is_known_as_one() -> None:
    assert {"torch", "torchvision", "timm", "keras", "tensorflow", "jax", "jaxlib", "isotune"} <= set(all_packages())
    assert all_packages()[-1] == "python"


def test_versions_are_those_installed() -> None:
    assert versions("torch")["numpy"] == metadata.version("numpy")
    assert not {"timm", "torchvision"} & set(versions("torch")), "of a user's own network what it imports alone counts"


@pytest.mark.parametrize(
    ("adapter", "recorded", "stale"),
    [
        ("timm", {"numpy": "0.1"}, True),
        ("timm", {"isotune": "0.0.1"}, True),
        ("timm", {"python": "2.7", "cpu": "another"}, False),
        ("timm", {}, False),  # an older record, which says nothing of it
        ("timm", {"torchvision": "0.1"}, False),
        ("unheard-of", {"numpy": "0.1"}, True),
    ],
)
def test_another_version_makes_a_record_stale(adapter: str, recorded: dict[str, str], stale: bool) -> None:
    assert bool(outdated(recorded, adapter)) == stale


def test_what_a_users_network_imported_counts_where_the_record_names_it(monkeypatch) -> None:
    monkeypatch.setattr(environment, "version", lambda package: "2")
    assert outdated({"timm": "1"}, "torch") == [("timm", "1", "2")]
    assert not outdated({"timm": "2"}, "torch")


def test_a_package_that_is_not_installed_under_its_own_name_is_found_by_what_it_provides(monkeypatch) -> None:
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"framework": ["numpy"]})
    assert environment.version("framework") == metadata.version("numpy")
    assert environment.version("no_such_package") == ""
