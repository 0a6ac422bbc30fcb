"""Published numbers: complete, plausible, each with its source."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from isotune.reference_results import KEY, imagenet, published_top1

TABLE = imagenet()


def test_every_row_has_a_name_and_a_source() -> None:
    for column in ("adapter", "model", "checkpoint", "evaluation", "source"):
        assert (TABLE[column].str.strip() == TABLE[column]).all()
        assert (TABLE[column] != "").all()
    assert set(TABLE["adapter"]) == {"timm", "keras"}
    assert TABLE["source"].str.contains(r"[0-9a-f]{12}").all(), "a source names the commit that was read"


def test_no_evaluation_is_listed_twice() -> None:
    assert not TABLE.duplicated(KEY).any()


def test_numbers_are_in_their_ranges() -> None:
    assert TABLE["top1_percent"].between(25, 95).all()
    known = TABLE.dropna(subset="top5_percent")
    assert (known["top5_percent"] > known["top1_percent"]).all()
    assert (known["top5_percent"] <= 100).all()
    assert TABLE["size_px"].dropna().between(64, 1024).all()
    assert TABLE["crop"].dropna().between(0.5, 1.15).all()  # VOLO: resized below the crop, then padded
    assert set(TABLE["interpolation"]) <= {"", "bilinear", "bicubic"}


def test_timm_rows_say_how_they_were_evaluated() -> None:
    timm = TABLE[TABLE["adapter"] == "timm"]
    assert len(timm) > 1500
    assert timm[["size_px", "crop", "top5_percent"]].notna().all(axis=None)
    assert (timm["interpolation"] != "").all()
    assert all(re.fullmatch(r"\w+", name) for name in timm["model"])


def test_keras_rows_are_the_documented_table() -> None:
    keras = TABLE[TABLE["adapter"] == "keras"]
    assert len(keras) == 38
    assert (keras["checkpoint"] == "imagenet").all()
    assert keras.loc[keras["model"].str.fullmatch(r"ResNet\d+V2"), "size_px"].tolist() == [299] * 3


@pytest.mark.parametrize(
    ("asked", "percent"),
    [
        (("keras", "MobileNetV2", "imagenet"), 71.3),
        (("timm", "convnext_atto", "d2_in1k"), 75.672),
        (("timm", "convnext_atto", "d2_in1k", 288), 77.016),
        (("timm", "convnext_atto", "d2_in1k", 100), None),
        (("timm", "convnext_atto", "imagenet"), None),
        (("torchvision", "mobilenet_v2", "IMAGENET1K_V1"), None),
    ],
)
def test_published_top1_is_that_of_the_default_size_or_the_one_asked(asked: tuple, percent: float | None) -> None:
    assert published_top1(*asked) == percent


def test_the_table_is_the_callers_own() -> None:
    table = imagenet()
    table["top1_percent"] = 0.0
    pd.testing.assert_frame_equal(imagenet(), TABLE)
