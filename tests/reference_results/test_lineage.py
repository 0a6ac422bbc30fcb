"""Who shares weights with whom: the rows of reference_results/lineage.csv, held against the installed libraries."""

from __future__ import annotations

import json

import pytest
import timm
from timm.models import get_pretrained_cfg
from torchvision.models import get_model_weights

from isotune.models.catalogue import catalogue
from isotune.reference_results import RELATIONS, kin, kinships

ROWS = kinships()
ADAPTERS = ("keras", "timm", "torchvision", "kerashub")


def url(model: str, checkpoint: str) -> str:
    adapter, _, name = model.partition(":")
    if adapter == "torchvision":
        return get_model_weights(name)[checkpoint].url
    return get_pretrained_cfg(f"{name}.{checkpoint}").url


def test_the_same_file_is_the_same_file():
    rows = [row for row in ROWS if row.relation == "same-file"]
    assert len(rows) == 37
    for row in rows:
        files = {url(model, checkpoint).rpartition("/")[2] for model, checkpoint in (
            (row.first, row.first_checkpoint), (row.second, row.second_checkpoint)
        )}  # fmt: skip
        assert len(files) == 1, (row.first, row.second, files)
        assert "-" in files.pop(), "a name without a hash proves nothing"


def test_every_row_names_checkpoints_that_the_libraries_have():
    known = {(entry.model, entry.checkpoint) for entry in catalogue(["keras", "timm", "torchvision"])}
    for row in ROWS:
        ends = [(row.first, row.first_checkpoint)] + [(row.second, row.second_checkpoint)] * bool(row.second)
        for model, checkpoint in ends:
            assert model.partition(":")[0] in ADAPTERS
            # torchvision lists features without a classifier under no model's checkpoints
            elsewhere = model.startswith("kerashub:") or checkpoint == "IMAGENET1K_FEATURES"
            assert elsewhere or (model, checkpoint) in known, (model, checkpoint)


def test_rows_are_whole_and_each_pair_stands_once():
    pairs = [frozenset({(row.first, row.first_checkpoint), (row.second, row.second_checkpoint)}) for row in ROWS]
    assert len(set(pairs)) == len(pairs)
    for row in ROWS:
        assert row.relation in RELATIONS
        assert (row.relation == "none") == (not row.second)
        assert row.confidence in ("high", "medium", "low")
        assert row.evidence
        assert row.source


def test_kin_is_found_from_either_end_nearest_first():
    rows = kin("timm:tf_efficientnet_b5", "aa_in1k")
    assert [row.relation for row in rows] == ["converted", "same-origin-likely"]
    assert rows[0].other("timm:tf_efficientnet_b5", "aa_in1k") == ("keras:EfficientNetB5", "imagenet")
    assert rows[0] in kin("keras:EfficientNetB5", "imagenet")
    assert kin("timm:resnet18", "no_such_tag") == ()


def test_models_shows_who_shares_weights(isotune):
    done = isotune("models", "--architecture", "xception")
    assert done.returncode == 0, done.stderr
    assert "keras:Xception imagenet and timm:legacy_xception tf_in1k: the same weights, converted" in done.stdout
    models = json.loads(isotune("models", "--architecture", "xception", "--json").stdout)
    (keras,) = (model for model in models if model["model"] == "keras:Xception")
    assert keras["kin"][0]["model"] == "timm:legacy_xception"
    assert "eps" in keras["kin"][0]["differences"]


def test_a_model_without_a_checkpoint_is_listed_as_such(isotune):
    done = isotune("models", "--architecture", "resnetv2_152")
    line = next(line for line in done.stdout.splitlines() if line.startswith("timm:resnetv2_152"))
    assert "none" in line
    assert "timm has" not in done.stdout
    assert timm.is_model("resnetv2_152")
    refused = isotune("prepare", "--models", "timm:resnetv2_152", "--checkpoint", "pretrained")
    assert refused.returncode == 2
    assert "has no pretrained checkpoint" in refused.stderr


@pytest.mark.parametrize("width", ["0.5", "0.75"])
def test_timm_builds_mobilenets_of_widths_that_it_has_no_name_for(width):
    from isotune.adapters.timm import TimmAdapter
    from isotune.conventions import Conventions

    asked = {"classes": 7, "checkpoint": None, "conventions": Conventions()}
    model = TimmAdapter().build("mobilenetv1_100", options={"channel_multiplier": width}, **asked)
    assert model.weights()["000.conv.kernel"].shape == (3, 3, 3, int(32 * float(width)))
