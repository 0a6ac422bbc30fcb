"""What there is, listed: data sets, protocols, the version, the words, the variables of the environment."""

from __future__ import annotations

import json
import re
from pathlib import Path

import isotune
from isotune import data, protocols
from isotune.cli._help import VARIABLES, WORDS

ROOT = Path(__file__).parents[2]


def test_every_data_set_that_can_be_named_is_listed_with_what_it_is_and_whether_it_is_there(here):
    assert here("prepare", "--datasets", "digits")[0] == 0
    status, out, _ = here("datasets", "--json")
    listed = {each["name"]: each for each in json.loads(out)}
    assert status == 0
    assert sorted(listed) == sorted(data.names())
    assert all(each["about"] for each in listed.values())
    digits = listed["digits"]
    assert (digits["state"], digits["images"], digits["classes"], digits["needs"]) == ("prepared", [1000, 797], 10, "")
    assert digits["bytes"] > 1797 * 64
    assert "a folder of yours, imagenet:PATH" in listed["imagenet"]["needs"]
    status, out, _ = here("datasets")
    assert "prepared: 1,000 training and 797 test images, 10 classes, 0.1 MiB" in out
    assert status == 0


def test_every_protocol_is_listed_with_what_it_computes(here):
    status, out, _ = here("protocols", "--json")
    listed = {each["name"]: each for each in json.loads(out)}
    assert status == 0
    assert sorted(listed) == protocols.names()
    assert listed["quick-fine-tune"]["cost"] == "48 steps of 32 images, all layers"  # 3 epochs of 512 images
    assert listed["sfda"]["cost"] == "5,000 steps of 64 images, all layers"
    assert listed["quick"]["cost"] == (
        "features of at most 2,000 training images and at most 1,000 test images, once for all seeds"
    )
    assert "ImageNet classifier" in listed["own-classifier"]["needs"]
    status, out, _ = here("protocols")
    assert [name for name in listed if not re.search(rf"^{name} ", out, re.MULTILINE)] == []
    assert max(map(len, out.splitlines())) <= 160


def test_a_protocol_is_shown_whole_and_begins_one_of_ones_own(here, tmp_path):
    status, out, _ = here("protocols", "bit-hyperrule")
    assert status == 0
    assert protocols.parse(out, "out") == protocols.load("bit-hyperrule")
    assert "isotune run --protocols bit-hyperrule" in out, "the command is in its comments"
    mine = tmp_path / "mine.toml"
    mine.write_text(out.replace("bit-hyperrule", "mine"), encoding="utf-8")
    assert here("protocols", str(mine))[0] == 0
    assert json.loads(here("protocols", "quick", "--json")[1])["name"] == "quick"


def test_a_protocol_that_is_unknown_or_wrong_is_one_line(here, tmp_path):
    status, _, err = here("protocols", "quik")
    assert (status, "did you mean 'quick'?" in err) == (2, True)
    (tmp_path / "wrong.toml").write_text('name = "wrong"\n[input]\nsise = 3\n', encoding="utf-8")
    status, out, err = here("protocols", str(tmp_path / "wrong.toml"))
    assert (status, out, "input.sise: unknown key; did you mean 'size'?" in err) == (2, "", True)


def test_the_version_is_printed(here):
    assert here("--version") == (0, f"isotune {isotune.__version__}\n", "")


def test_the_help_explains_the_words_and_every_variable_that_is_read(here):
    _, out, _ = here("--help")
    assert [word for word in (*WORDS, *VARIABLES) if f"  {word} " not in out] == []
    assert max(map(len, out.splitlines())) <= 80
    sources = [
        path.read_text(encoding="utf-8") for part in ("isotune", "adapters") for path in (ROOT / part).rglob("*.py")
    ]
    assert {name for text in sources for name in re.findall(r"\bISOTUNE_[A-Z_]+\b", text)} == set(VARIABLES)


def test_singular_and_plural_are_one_option(here):
    for given in (
        ["run", "--dataset", "digit"],
        ["variance", "--datasets", "digit"],
        ["prepare", "--dataset", "digit"],
    ):
        assert "did you mean 'digits'" in here(*given)[2]
    for given in (["run", "--protocol", "quik"], ["variance", "--protocols", "quik"]):
        assert "did you mean 'quick" in here(*given)[2]
