"""What a number is about: one row of what is run, named where there are several; kept with the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from isotune import protocols
from isotune.errors import UsageError
from isotune.protocols import OwnClassifier, expected
from isotune.report import HandedIn
from isotune.runs.records import Cell
from isotune.seeds import Seeds
from isotune.verification import keep, kept, resolve, resolve_listed

MODELS = ("timm:resnet18", "torchvision:resnet18")


def cells(*conventions: str, models: tuple[str, ...] = MODELS, own: bool = False) -> list[Cell]:
    recipe = protocols.load("quick")
    if own:
        recipe = protocols.load("own-classifier")
        plain, step = OwnClassifier(input="protocol"), OwnClassifier(input="protocol", step="squash")
        recipes = [recipe.model_copy(update={"own_classifier": each}) for each in (plain, step)]
    return [
        Cell(model=model, checkpoint="offline", dataset="digits", dataset_digest="0" * 64, protocol=each,
             conventions=spec, seeds=Seeds.all(seed))
        for model in models for spec in conventions or ("identical", "native")
        for seed in (0, 1) for each in (recipes if own else [recipe])
    ]  # fmt: skip


def number(said: str = ""):
    return expected(f"accuracy=85.0,source=here{said}")


def test_a_number_is_about_one_row_in_all_its_seeds() -> None:
    there = cells()
    chosen = resolve(number(",model=timm:resnet18"), there).cells
    assert chosen == {cell.key for cell in there if cell.model == "timm:resnet18"}
    native = resolve(number(",model=timm:resnet18,conventions=native"), there).cells
    assert len(native) == 2
    with pytest.raises(UsageError, match=r"of which model is it\? Add model=NAME, one of timm:resnet18, torchv"):
        resolve(number(), there)


def test_overrides_and_steps_are_meant_where_they_are_named() -> None:
    there = cells("identical", "identical,resize=plain", models=MODELS[:1])
    assert len(resolve(number(), there).cells) == 2
    assert len(resolve(number(",conventions=identical"), there).cells) == 2
    assert (
        len(resolve(expected({"accuracy": 85, "source": "here", "conventions": "identical,resize=plain"}), there).cells)
        == 2
    )
    plain = resolve(number(), cells("identical", models=MODELS[:1], own=True)).cells
    steps = {cell.key for cell in cells("identical", models=MODELS[:1], own=True) if cell.protocol.own_classifier.step}
    assert plain
    assert not plain & steps


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (",model=timm:resnet50", "model 'timm:resnet50' is not run; there is timm:resnet18"),
        (",dataset=cifar10,model=timm:resnet18", "dataset 'cifar10' is not run; there is digits"),
        (",model=timm:resnet18,conventions=nativ", "conventions 'nativ' are not run; there is identical, native"),
        (",model=timm:resnet18,predictions=none.npy", "there is no .*none.npy"),
    ],
)
def test_a_number_about_nothing_is_told(said: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        resolve(number(said), cells())


def test_a_number_that_a_protocol_lists_of_another_run_is_told_and_not_refused() -> None:
    there = cells()
    assert isinstance(resolve_listed(number(",model=timm:resnet18"), there, "here"), HandedIn)
    told = resolve_listed(number(",model=timm:resnet50,dataset=cifar10"), there, "protocol quick: expected")
    assert told == (
        "protocol quick: expected: 85.0 % is of model timm:resnet50, dataset cifar10, which is not run here"
    )
    told = resolve_listed(number(",conventions=nativ"), there, "x")
    assert told == "x: 85.0 % is of conventions nativ, which is not run here"
    with pytest.raises(UsageError, match="of which model is it"):
        resolve_listed(number(), there, "here")


def test_a_store_keeps_what_was_handed_in(tmp_path: Path) -> None:
    keep(tmp_path, HandedIn(number(), frozenset("ab")))
    keep(tmp_path, HandedIn(number(",seeds=3"), frozenset("bc")))  # again: it takes the former's place
    keep(tmp_path, HandedIn(number(",model=x"), frozenset("d")))
    handed, damaged = kept(tmp_path)
    assert sorted((one.expected.seeds or 0, "".join(sorted(one.cells))) for one in handed) == [(0, "d"), (3, "abc")]
    assert not damaged
    file = next((tmp_path / ".expected").glob("*.json"))
    file.write_text(file.read_text(encoding="utf-8").replace("85.0", "58.0"), encoding="utf-8")
    handed, damaged = kept(tmp_path)
    assert len(handed) == 1
    assert "is not what was written" in damaged[0]
    assert kept(tmp_path / "none") == ([], [])
