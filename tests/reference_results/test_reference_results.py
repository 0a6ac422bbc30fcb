"""Published numbers: sound as shipped, and every way in which they can be unsound is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from isotune.errors import UsageError
from isotune.reference_results import (
    COLUMNS,
    METRICS,
    check,
    citations,
    cite,
    frame,
    published_spread,
    published_top1,
    recipes,
    references,
)  # fmt: skip
from isotune.reference_results import _tables as tables

FOLDER = Path(str(tables.folder()))


@pytest.fixture
def copy(tmp_path) -> Path:
    """The tables, to be broken."""
    for file in FOLDER.iterdir():
        if file.suffix in (".csv", ".bib"):
            shutil.copy(file, tmp_path)
    return tmp_path


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_tables_are_sound() -> None:
    checked = check()
    assert checked.problems == []
    assert set(checked.counts) == {
        "imagenet.csv", "imagenet_remeasured.csv", "imagenet_variants.csv", "speed.csv", "spread.csv", "transfer.csv",
        "transfer_vtab.csv", "tutorials.csv",
    }  # fmt: skip
    assert all(count >= 30 for count in checked.counts.values())
    assert sum(checked.counts.values()) == len(checked.references) == len(references())


def test_every_column_is_explained_where_the_package_is() -> None:
    import isotune.reference_results as results

    described = {
        name.strip()
        for line in (results.__doc__ or "").splitlines()
        if line.startswith("| ")
        for name in line.split("|")[1].split(",")
    }
    assert set(COLUMNS) <= described


def test_the_files_are_small_enough_to_read() -> None:
    sizes = {file.name: file.stat().st_size for file in FOLDER.glob("*.csv")}
    assert max(sizes.values()) < 1_000_000
    assert sum(sizes.values()) < 2_000_000


@pytest.mark.parametrize(
    ("wanted", "least"),
    [
        ({"measured_by": "torchvision", "metric": "top-1", "dataset": "imagenet"}, 114),
        ({"measured_by": "timm", "metric": "top-5", "dataset": "imagenet"}, 1556),
        ({"measured_by": "Keras", "metric": "top-1", "dataset": "imagenet"}, 38),
        ({"dataset": "imagenet-real"}, 100),
        ({"dataset": "imagenet-v2"}, 100),
        ({"dataset": "imagenet-sketch"}, 100),
        ({"dataset": "imagenet-a"}, 100),
        ({"dataset": "imagenet-r"}, 100),
        ({"protocol": "sfda"}, 121),
        ({"protocol": "vtab-sweep"}, 76),
        ({"measured_by": "big_transfer (TF2)"}, 12),
        ({"measured_by": "big_transfer (JAX)"}, 12),
        ({"measured_by": "big_transfer (PyTorch)"}, 12),
        ({"protocol": "pytorch-tutorial"}, 9),
        ({"protocol": "tensorflow-tutorial"}, 3),
        ({"protocol": "keras-guide-fine-tuned"}, 4),
        ({"protocol": "vit-paper"}, 24),
        ({"dataset": "fashion-mnist"}, 17),
        ({"metric": "training-throughput"}, 100),
        ({"metric": "inference-throughput"}, 200),
        ({"metric": "inference-time"}, 52),
    ],
)
def test_what_a_user_can_run_has_published_numbers(wanted: dict[str, object], least: int) -> None:
    assert len(references(**wanted)) >= least


def test_an_evaluation_is_given_wherever_the_library_states_it() -> None:
    for row in references(file="imagenet.csv"):
        if row.adapter != "keras":
            assert row.size_px
            assert row.crop
            assert row.resize
            assert row.interpolation
    documented = references(file="imagenet.csv", adapter="keras")
    assert {row.crop for row in documented} == {None}, "Keras does not say how it measured"
    assert {row.model: row.size_px for row in documented if row.size_px} == dict.fromkeys(
        ["ResNet50V2", "ResNet101V2", "ResNet152V2"], 299
    )


BROKEN = {
    "value": ("imagenet.csv", ",75.672,percent,0.001,", ",175.672,percent,0.001,",
              "value: 175.672 percent is out of range"),
    "digits": ("imagenet.csv", ",75.672,percent,0.001,", ",75.67,percent,0.001,", "value: 75.67 has other digits"),
    "unit": ("imagenet.csv", ",75.672,percent,", ",75.672,share,", "unit: 'share' where top-1 is in percent"),
    "metric": ("imagenet.csv", ",top-1,75.672,", ",top1,75.672,", "metric: 'top1' is none of top-1,"),
    "crop": ("transfer.csv", ",224,1,shorter", ",224,11,shorter", "crop: 11 is not between 0.4 and 1.2"),
    "trust": ("transfer.csv", ",high,sfda,", ",certain,sfda,", "trust: 'certain' is none of high, medium, low"),
    "source": ("transfer.csv", ",high,sfda,", ",high,sfda-2,", "sources.bib has no 'sfda-2'; did you mean 'sfda'?"),
    "protocol": ("transfer.csv", ",sfda,,224", ",sdfa,,224", "protocols.csv has no 'sdfa'; did you mean 'sfda'?"),
    "trained": ("transfer.csv", "test,all,top-1,74.18", "test,,top-1,74.18", "train: '', and sfda trains all"),
    "spread": ("transfer.csv", ",52.5..60.2,range,", ",52.5..54.2,range,", "spread: 55.8 lies outside 52.5..54.2"),
    "kind": ("transfer.csv", ",52.5..60.2,range,", ",52.5..60.2,none,", "spread: '52.5..60.2' where the kind is none"),
    "blank": ("transfer.csv", ",BiT-M-R50x1,", ", BiT-M-R50x1,", "model: begins or ends with a space"),
    "setting": ("speed.csv", "device=", "machine=", "evaluation: 'machine' is none of view,"),
    "top-5": ("imagenet.csv", "top-5,79.066,", "top-5,49.066,", "alexnet IMAGENET1K_V1: top-5 49.066 below top-1"),
    "header": ("speed.csv", "adapter,model,", "library,model,", "its columns are not the schema's: adapter, library"),
    "short": ("spread.csv", ",not stated,not stated,", ",not stated,", "it does not have 28 columns"),
    "default": ("imagenet.csv", "wide_resnet50_2,IMAGENET1K_V1,,,", "wide_resnet50_2,IMAGENET1K_V1,,yes,",
                "torchvision:wide_resnet50_2 has 2 default checkpoints"),
    "citation twice": ("sources.bib", "@misc{vtab,", "@misc{sfda,", "'sfda' appears 2 times"),
    "citation unused": ("sources.bib", "@misc{vtab,", "@misc{vtab-0, title={t}, url={u}, note={n}}\n@misc{vtab,",
                        "'vtab-0' is cited by no row"),
    "citation empty": ("sources.bib", "  title = {VTAB: results of the leaderboard},\n", "", "'vtab' has no title"),
    "bibtex": ("sources.bib", "@misc{vtab,", "@misc vtab,", "an entry must begin @kind{key,"),
    "recipe": ("protocols.csv", "vtab-sweep,all,", "vtab-sweep,everything,", "'everything' is none of nothing, head"),
    "recipe unused": ("protocols.csv", "speed,nothing", "nap,nothing,\"Asleep.\",\nspeed,nothing",
                      "'nap' is used by no row"),
    "explanation": ("contradictions.csv", "keras,ResNet50,", "keras,ResNet1,", "it explains no contradiction"),
    "others": ("contradictions.csv", "timm:convnext_tiny:fb_in1k", "timm:convnext_tiny", "is not ADAPTER:MODEL:"),
    "others unknown": ("contradictions.csv", "timm:convnext_tiny:fb_in1k", "timm:convnext_tiny:x",
                       "there is no row of"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "problem"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_the_tables_is_named(copy: Path, file: str, old: str, new: str, problem: str) -> None:
    change(copy / file, old, new)
    problems = check(copy).problems
    assert any(problem in line for line in problems), problems


def test_a_number_entered_twice_is_named(copy: Path) -> None:
    file = copy / "transfer.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join([*lines, lines[5]]), encoding="utf-8")
    assert check(copy).problems == [f"transfer.csv, line {len(lines) + 1}: the same number as transfer.csv, line 6"]


def test_adding_a_number_is_a_row_and_a_citation(copy: Path) -> None:
    (copy / "mine.csv").write_text(
        ",".join(COLUMNS) + "\n"
        "torchvision,mobilenet_v2,IMAGENET1K_V1,,,eurosat,20 %,all,top-1,97.5,percent,0.1,3,mean,0.2,sd,sfda,last,"
        "224,1,shorter-side,bicubic,,me,medium,mine-2026,table 1,\n",
        encoding="utf-8",
    )
    (problem,) = check(copy).problems
    assert problem.startswith("mine.csv: source: sources.bib has no 'mine-2026'; one of: ")
    with (copy / "sources.bib").open("a", encoding="utf-8") as file:
        file.write("\n@misc{mine-2026,\n  title = {Mine},\n  url = {https://example.org},\n  note = {read today},\n}\n")
    checked = check(copy)
    assert checked.problems == []
    assert checked.counts["mine.csv"] == 1


def test_a_broken_row_stops_the_loader_with_its_line(copy: Path, monkeypatch) -> None:
    change(copy / "transfer.csv", ",high,sfda,", ",certain,sfda,")
    monkeypatch.setattr(tables, "folder", lambda: copy)
    tables._all.cache_clear()
    try:
        with pytest.raises(UsageError, match=r"transfer\.csv, line \d+: trust: 'certain'"):
            references()
    finally:
        tables._all.cache_clear()


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="no field 'data_set'; did you mean 'dataset'"):
        references(data_set="cifar10")


@pytest.mark.parametrize(
    ("asked", "percent"),
    [
        (("keras", "MobileNetV2", "imagenet"), 71.3),
        (("keras", "ResNet50V2", "imagenet"), 76.0),
        (("keras", "ResNet50V2", "imagenet", 224), None),
        (("timm", "convnext_atto", "d2_in1k"), 75.672),
        (("timm", "convnext_atto", "d2_in1k", 288), 77.016),
        (("timm", "convnext_atto", "d2_in1k", 100), None),
        (("timm", "convnext_atto", "imagenet"), None),
        (("torchvision", "mobilenet_v2", "IMAGENET1K_V1"), None),
    ],
)
def test_published_top1_is_that_of_the_default_size_or_the_one_asked(asked: tuple, percent: float | None) -> None:
    assert published_top1(*asked) == percent


def test_the_frame_has_a_column_a_field_and_is_the_callers_own() -> None:
    table = frame()
    assert len(table) == len(references())
    assert table.loc[table["protocol"] == "sfda", "value"].between(50, 100).all()
    table["value"] = 0.0
    assert not frame().equals(table)
    pd.testing.assert_frame_equal(frame(), frame())


def test_the_tutorials_five_runs_spread_as_the_protocols_header_says() -> None:
    """benchmarks/protocols/pytorch-tutorial.toml: 94.6 (1.3) at the best epoch of five runs, 92.7 (2.0) at the last."""
    best, last = (
        next(each for each in published_spread(protocol="pytorch-tutorial", selection=selection))
        for selection in ("best", "last")
    )
    assert (best.runs, last.runs) == (5, 4)
    assert best.derived
    assert (best.mean, best.sd) == pytest.approx((94.641, 1.339), abs=1e-3)
    assert (last.mean, last.sd) == pytest.approx((92.6475, 1.949), abs=1e-3)
    assert (last.low, last.high) == (90.2, 94.77)


def test_a_standard_error_is_no_standard_deviation() -> None:
    (terra,) = published_spread(dataset="terraincognita", split="average over held-out domains")
    assert terra.references[0].spread == 1.8
    assert terra.sd == pytest.approx(1.8 * 3**0.5)
    (food,) = published_spread(dataset="food101", model="ResNet-34", protocol="food101-adamw")
    assert food.sd == 0.266
    bit = next(each for each in published_spread(measured_by="big_transfer (JAX)", model="BiT-M-R152x2") if each.low)
    assert bit.sd is None
    assert bit.high is not None
    assert bit.mean is None, "a median is published"


def test_runs_of_different_recipes_are_not_one_spread() -> None:
    for each in published_spread():
        if each.derived:
            assert len({(row.protocol, row.dataset, row.selection, row.checkpoint) for row in each.references}) == 1
            assert each.runs >= 2


def test_a_citation_is_one_line_with_where_to_find_it() -> None:
    assert cite("sfda").startswith("Shao et al., Not All Models Are Equal")
    assert "ECCV, 2022; https://github.com/TencentARC/SFDA" in cite("sfda")
    assert all(str(entry).count("\n") == 0 and ";" in str(entry) for entry in citations().values())
    with pytest.raises(UsageError, match="did you mean 'sfda'"):
        cite("sdfa")


def test_repositories_are_cited_with_what_was_read() -> None:
    for entry in citations().values():
        url = entry.fields.get("url", "")
        assert url.startswith("https://") or entry.fields.get("howpublished"), entry.key


def test_what_a_protocol_accounts_for_is_said_by_isotunes_protocol_in_these_words() -> None:
    from isotune import protocols

    for recipe in recipes().values():
        if recipe.accounted:
            assert set(recipe.accounted) <= set(protocols.load(recipe.protocol).deviations), recipe.protocol


def test_every_metric_is_used() -> None:
    assert {row.metric for row in references()} == set(METRICS)
