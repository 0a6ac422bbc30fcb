"""isotune verify: a claim file is run, judged and written down; what is wrong in it is told before anything runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import isotune
from isotune import sealing
from isotune.errors import UsageError

pytestmark = pytest.mark.usefixtures("house", "warm")

DRAW = np.random.default_rng(0)
LABELS = np.arange(400) % 4
IMAGES = (DRAW.integers(0, 64, (400, 12, 12, 3)) + 48 * LABELS[:, None, None, None]).astype(np.uint8)
CLAIM = """
model = "example:random-features"
checkpoint = "random:0"
dataset = "npz:images.npz"
seeds = 2

[protocol]
name = "small"
title = "Small"
source = "a test"
input = { size = 16 }
[[protocol.stage]]
epochs = 2
batch_size = 8
optimizer = { name = "sgd", momentum = 0.9 }
schedule = { learning_rate = 0.01 }

[claim]
accuracy = "ACCURACY"
source = "https://example.org/<table>&2"
"""


@pytest.fixture
def claim(house: Path) -> Path:
    np.savez(house / "images.npz", x_train=IMAGES[:200], y_train=LABELS[:200], x_test=IMAGES[200:], y_test=LABELS[200:])
    return house / "claim.toml"


def written(claim: Path, accuracy: float | str, more: str = "") -> Path:
    claim.write_text(CLAIM.replace("ACCURACY", str(accuracy)) + more, encoding="utf-8")
    return claim


@pytest.fixture
def measured(claim: Path) -> float:
    """The mean over both seeds, percent."""
    runs = isotune.verify(written(claim, 50.0), progress=False).runs
    return 100 * float(np.mean([record.metrics.accuracy for record in runs]))


def test_the_status_says_what_became_of_it(claim, measured, here) -> None:
    for accuracy, more, wanted in (
        (f"{measured:.1f}", "margin = 50", 0),
        (20, "margin = 0.5", 1),
        (20, "at_least = true", 0),
        (f"{measured:.1f}", f"margin = {'0.001'}\nimages = 10000\nspread = 2.5\nseeds = 3", 3),
    ):
        status, out, _ = here("verify", str(written(claim, accuracy, more)))
        assert (status, re.search("reproduced|different|inconclusive", out)[0]) == (
            wanted, {0: "reproduced", 1: "different", 3: "inconclusive"}[wanted],
        )  # fmt: skip
        assert out.startswith("claimed ")
        assert out.count("\n") == 1
    status, out, _ = here("verify", str(claim), "--json")
    assert (status, json.loads(out)["outcome"]) == (3, "inconclusive")


def test_a_claim_of_another_step_is_refused_before_anything_runs(claim, here, house) -> None:
    for more, said in (
        ('at = "best"', "at = best is not what protocol small measures, which is last"),
        ('at = "mean-of-last"', 'claim: last: is missing; at = "mean-of-last" is over how many evaluations?'),
        (
            'at = "mean-of-last"\nlast = 5',
            "at = mean-of-last (of 5) is not what protocol small measures, which is last",
        ),
        ("last = 5", 'last: is of at = "mean-of-last"; leave one out, or give both'),
    ):
        status, out, error = here("verify", str(written(claim, 50, more)))
        assert (status, out) == (2, "")
        assert said in error
        assert not (house / ".isotune").exists()


def test_a_claim_of_the_best_step_is_held_against_it(claim, here, house) -> None:
    """The same number as claim of the last step, of the best and of the mean of the last two."""
    chosen = "[protocol.selection]\nheld_out = 0.2\nevery = 10\nlast = 2\n\n[claim]"
    outcomes = {}
    for at in ('at = "last"', 'at = "best"', 'at = "mean-of-last"\nlast = 2'):
        written(claim, 50, f"margin = 0.001\nspread = 0.0\nseeds = 2\n{at}")
        claim.write_text(claim.read_text(encoding="utf-8").replace("[claim]", chosen), encoding="utf-8")
        verified = isotune.verify(claim, progress=False)
        (name,) = re.findall(r'at = "(.*)"', at)
        measured = [record.metrics.selected.accuracy[name] for record in verified.runs]
        assert verified.judged.verdict.effect == pytest.approx(100 * np.mean(measured) - 50)
        outcomes[name] = verified.line
    assert "at the step that is best on held-out images" in outcomes["best"]
    assert "on average over the last 2 evaluations" in outcomes["mean-of-last"]


def test_the_result_names_what_decided_it_and_shows_when_it_was_altered(claim, measured, here, house) -> None:
    status, _, _ = here("verify", str(written(claim, f"{measured:.1f}", "margin = 50")), "--out", "beside/it")
    file = house / "beside" / "it" / "claim.verdict.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["digest"] == sealing.digest_of(content)
    kept = isotune.load_runs()
    assert {row["digest"] for row in content["records"]} == {record.sealed()["digest"] for record in kept}
    assert content["run"]["dataset_digest"] == kept[0].cell.dataset_digest
    assert content["run"]["checkpoint_digest"] == kept[0].checkpoint_digest
    assert content["run"]["protocol_digest"] == sealing.digest_of(content["run"]["protocol"])
    assert content["measured_percent"] == pytest.approx(measured)
    status, out, _ = here("verify", "--check", str(file))
    assert (status, out) == (0, f"unaltered: {content['line']}\n")
    file.write_text(file.read_text(encoding="utf-8").replace("reproduced", "different"), encoding="utf-8")
    status, _, error = here("verify", "--check", str(file))
    assert status == 2
    assert "is not what was written" in error
    # the badge: well-formed whatever the source holds
    badge = ElementTree.fromstring(file.with_suffix(".svg").read_text(encoding="utf-8"))
    assert badge.find("{*}title").text == content["line"]
    assert badge.find("{*}desc").text == f"sha256:{content['digest']}"
    assert badge.get("aria-label").startswith(f"accuracy {measured:.1f} %: reproduced")


def test_python_and_the_report_say_the_same(claim, measured) -> None:
    verified = isotune.verify(written(claim, 20, "margin = 0.5"), progress=False)
    assert verified.status == 1
    with pytest.raises(AssertionError, match="claimed 20 %"):
        verified.assert_reproduced()
    assert verified.line in isotune.load_runs().judged_lines()  # kept with the store
    assert "handed in: " in isotune.load_runs().leaderboard().markdown()


def test_a_run_holds_what_it_is_told_to_expect(claim, measured) -> None:
    import tomllib

    said = tomllib.loads(written(claim, 20).read_text(encoding="utf-8"))
    recipe = said["protocol"] | {"expected": [{"accuracy": 20, "source": "the protocol"}]}
    given = {"checkpoint": "random:0", "conventions": "identical", "seeds": 2, "progress": False}
    model, number = said["model"], {"accuracy": f"{measured:.1f}", "source": "the call", "margin": 50}
    runs = isotune.run(model, said["dataset"], recipe, expect=[number, "accuracy=90,at-least,source=a bound"], **given)
    told = {each.reference.source: each.verdict.outcome for each in runs.judged()}
    assert told["the call"] == "reproduced"
    assert told["the protocol"] == "different"
    assert set(told) == {"the call", "the protocol", "a bound"}
    assert len(runs.kept) == 2  # what is expected makes no other cells


PLANNED = ("run", "--plan", "--models", "example:random-features", "--checkpoint", "random:0", "--datasets",
           "npz:images.npz", "--seeds", "2", "--conventions", "identical")  # fmt: skip


def test_a_plan_says_what_would_be_held_against_what(claim, measured, here, house) -> None:
    import tomllib

    recipe = claim.read_text(encoding="utf-8").partition("[protocol]")[2].partition("[claim]")[0]
    (house / "small.toml").write_text(recipe.replace("[[protocol.", "[["), encoding="utf-8")
    assert tomllib.loads((house / "small.toml").read_text(encoding="utf-8"))["name"] == "small"
    asked = (*PLANNED, "--protocols", "small.toml")
    status, out, err = here(
        *asked, "--expect", "accuracy=85.0,source=the paper", "--expect", "accuracy=80,at-least,source=b"
    )
    assert status == 0, err
    first, second = out.splitlines()[-2:]
    row = "the mean accuracy of 2 seeds of example:random-features npz:images.npz small identical"
    assert first == (
        f"claimed 85.0 % (the paper) against {row} on the same 200 test images; margin 1.05 points; 2 of 2 cells done"
    )
    assert second == (
        f"claimed at least 80 % (b) against {row} on the same 200 test images; as a bound; 2 of 2 cells done"
    )
    status, out, _ = here(*asked, "--json", "--expect", "top5=85.0,source=the paper,images=10000,margin=0.5")
    (held,) = json.loads(out)["comparisons"]
    assert held["line"].startswith("claimed top-5 85.0 % (the paper) against the mean top-5 of 2 seeds of")
    assert held["line"].endswith("on 200 test images, theirs are 10,000 others; margin 0.5 points")
    assert held["cells"] == sorted(record.cell.key for record in isotune.load_runs())
    status, out, err = here(*asked, "--expect", "accuracy=85.0,source=the paper,model=timm:resnet18")
    assert (status, out) == (2, "")
    assert "model 'timm:resnet18' is not run" in err


@pytest.mark.parametrize(
    ("change", "right"),
    [
        (('accuracy = "ACCURACY"', "accuracy = 0.85"), "line 18: claim: accuracy: takes percent, from 0 to 100; write"),
        (("source = \"https", "sauce = \"https"), "source is missing: say where the number is published"),
        (("[claim]", "[clam]"), "unknown key; did you mean 'claim'?"),
        (('checkpoint = "random:0"', ""), "checkpoint is missing; give such as 'pretrained'"),
        (('model = "example:random-features"', "model = 3"), "line 2: model: "),
        (('source = "https', 'model = "x"\nsource = "https'), "model stands at the top of the file"),
        (("seeds = 2", "seeds = 1"), "give at least 2"),
        (("seeds = 2", 'mode = "float31"'), "line 5: numeric mode 'float31'"),
        (("seeds = 2", f'weights_digest = "{"0" * 64}"'), "the claim is of 0000"),
        (("seeds = 2", f'dataset_digest = "{"0" * 64}"'), "the claim is of 0000"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_claim_is_one_line_and_status_2(claim, here, house, change, right) -> None:
    text = CLAIM.replace(*change).replace("ACCURACY", "85.0")
    claim.write_text(text, encoding="utf-8")
    status, out, error = here("verify", "claim.toml")
    assert (status, out) == (2, "")
    last = error.strip().splitlines()[-1]
    assert right in last
    assert last.startswith("isotune: ")
    assert not list(house.glob("*.verdict.*"))


def test_a_number_in_another_unit_is_refused_before_anything_runs(claim, house) -> None:
    with pytest.raises(UsageError, match="expect: accuracy: takes percent, from 0 to 100; write 85"):
        isotune.run("example:random-features", "digits", expect="accuracy=0.85,source=u", progress=False)
    assert not (house / ".isotune").exists()
