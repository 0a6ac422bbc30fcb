"""Models by pattern, and models that another library has."""

from __future__ import annotations

import pytest

from isotune.errors import UnknownModel, UsageError, nearest
from isotune.models import hints
from isotune.models.catalogue import catalogue
from isotune.models.patterns import expanded

ROWS = {
    "example": [("net-1", "net_one", ["drawn"]), ("net-2", "net_two", []), ("other", "other", ["drawn", "second"])],
    "faulty": [("Net1", "net_one", []), ("alone", "alone", [])],
}


@pytest.fixture(autouse=True)
def listed(house, monkeypatch):
    def rows(adapter: str) -> list[dict[str, object]]:
        return [
            {"name": name, "architecture": architecture, "checkpoints": checkpoints, "top1": {}, "parameters": None,
             "size": None}
            for name, architecture, checkpoints in ROWS.get(adapter.partition("@")[0], [])
        ]  # fmt: skip

    monkeypatch.setattr("isotune.models.catalogue._rows", rows)
    monkeypatch.setattr("isotune.models.catalogue.kept", rows)


@pytest.mark.parametrize(
    ("asked", "checkpoint", "models", "lines"),
    [
        (["example:net-1"], "random:0", ["example:net-1"], []),
        (["example:net-*"], "random:0", ["example:net-1", "example:net-2"], ["example:net-*: 2 models"]),
        (["example:net-?:width=3"], "pretrained", ["example:net-1:width=3"],
         ["example:net-?:width=3: 1 model; 1 more have no checkpoint 'pretrained'"]),
        (["example:*"], "second", ["example:other"], ["example:*: 1 model; 2 more have no checkpoint 'second'"]),
        (["example:[no]*e*"], "drawn", ["example:net-1", "example:other"],
         ["example:[no]*e*: 2 models; 1 more have no checkpoint 'drawn'"]),
        (["torch:a*.py:make"], "random:0", ["torch:a*.py:make"], []),
    ],
)  # fmt: skip
def test_a_pattern_is_every_model_that_matches_and_has_the_checkpoint(asked, checkpoint, models, lines):
    assert expanded(asked, checkpoint) == (models, lines)


@pytest.mark.parametrize(
    ("asked", "checkpoint", "said"),
    [
        ("example:none*", "random:0", r"no model matches 'example:none\*'; one of: net-1, net-2, other"),
        ("example:net-2*", "pretrained", "none of the 1 models that match has the checkpoint 'pretrained'"),
        ("exampel:*", "random:0", "did you mean 'example'"),
    ],
)
def test_a_pattern_that_is_no_model_is_refused(asked, checkpoint, said):
    with pytest.raises(UsageError, match=said):
        expanded([asked], checkpoint)


@pytest.mark.parametrize(
    ("adapter", "name", "said"),
    [
        ("example", "alone", "example has no model 'alone'; alone is faulty:alone"),
        ("example", "net1", "net1 is faulty:Net1, whose architecture is example's net-1"),
        ("example", "nowhere", "example has no model 'nowhere'; one of: net-1, net-2, other"),
        ("example", "net-3", "example has no model 'net-3'; did you mean 'net-2'?"),
    ],
)
def test_a_model_of_another_library_is_found_there(adapter, name, said):
    known = [row[0] for row in ROWS[adapter]]
    assert str(hints.completed(UnknownModel(adapter, name, known))).endswith(said)


def test_a_cache_that_cannot_be_is_said_where_models_are_listed(monkeypatch):
    monkeypatch.setenv("ISOTUNE_CACHE", "/dev/null/cache")
    with pytest.raises(UsageError, match="the cache folder /dev/null/cache/catalogue cannot be made"):
        catalogue()


def test_listing_says_which_library_it_lists():
    told = []
    catalogue(["example", "faulty"], progress=lambda *what: told.append(what))
    assert told == [("listing example", 0, 2), ("listing faulty", 1, 2)]


def test_what_is_far_is_not_suggested():
    assert nearest("sdg", ["sgd", "adam"]) == "did you mean 'sgd'?"
    assert nearest("alexnet", ["haloregnetz_b"]) == "one of: haloregnetz_b"
    many = [f"net-{number}" for number in range(20)]
    assert nearest("net", [*many, "other"]).startswith("one of: net-0, net-1, net-10, ")
    assert nearest("net", many).endswith(", ... (20 in all)")
