"""The leaderboard says what the records say, whatever is missing from them."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_factories import (
    FINE_TUNE,
    LIBRARIES,
    QUICK,
    default_run,
    default_speeds,
    predictions,
    record,
    speed,
)

from isotune import report
from isotune.errors import UsageError
from isotune.protocols import Probe
from isotune.report import Speed
from isotune.runs.records import Cell, Record, predictions_digest
from isotune.runs.store import Store
from isotune.statistics import estimate

TORCHVISION, TIMM, KERAS = LIBRARIES


def leaderboard(tmp_path: Path, records: list[Record], speeds: list[Speed] | None = None, **other: Any) -> str:
    path = report.write(records, tmp_path, speeds=speeds or [], **other)
    assert path == tmp_path / "leaderboard.md"
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((figures/[^)]*)\)", text):
        assert (tmp_path / link).read_bytes().startswith(b"<?xml")
    return text


def tables(text: str) -> list[list[dict[str, str]]]:
    """Every markdown table as rows by column; each row must have as many cells as its head."""
    read = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        head, _, *rows = ([c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines())
        read.append([dict(zip(head, row, strict=True)) for row in rows])
    return read


def headline(text: str) -> str:
    return text.splitlines()[2]


def test_the_sentence_of_the_default_run(tmp_path: Path) -> None:
    text = leaderboard(tmp_path, default_run())
    assert headline(text) == (
        "Under the checkpoint's conventions `mobilenet_v2` reaches 85.0 % on fashion-mnist in all three libraries,"
        " which agree on every test image; with each library's own defaults no change is distinguishable"
        " (78.9 to 85.0 %)."
    )


def test_a_change_that_holds_is_announced(tmp_path: Path) -> None:
    runs = [each for each in default_run() if (each.cell.model, each.cell.conventions) != (KERAS, "native")]
    costs = (0.06, 0.062, 0.059, 0.061, 0.063)
    runs += [record(KERAS, 0.85 - cost, conventions="native", seed=seed) for seed, cost in enumerate(costs)]
    assert "with each library's own defaults Keras falls to 78.9 %." in headline(leaderboard(tmp_path, runs))


def other_runs(change: dict[str, Any], models: tuple[str, ...] = tuple(LIBRARIES)) -> list[Record]:
    """One seed of each model; `change` gives accuracies, by model or model and conventions."""
    return [
        record(model, change.get((model, base), change.get(model, 0.85)), conventions=base)
        for model in models
        for base in ("identical", "native")
    ]


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (other_runs({}), "agree on every test image; with each library's own defaults nothing changes."),
        (
            other_runs({TIMM: 0.84}),
            "reaches 84.0 to 85.0 % on fashion-mnist in all three libraries, which do not agree",
        ),
        (
            other_runs({(TIMM, "native"): 0.87, (KERAS, "native"): 0.8}),
            "no change is distinguishable (80.0 to 87.0 %).",
        ),
        (other_runs({}, (TIMM, KERAS)), "in both libraries, which agree"),
        (other_runs({}, (TIMM, KERAS, "keras@jax:MobileNetV2")), "in all three set-ups of two libraries, which agree"),
        (other_runs({}, (TIMM,)), "`timm:mobilenetv2_100` reaches 85.0 % on fashion-mnist; with its library's own"),
        ([record(conventions="native")], "reaches 85.0 % on fashion-mnist with its library's own defaults."),
        ([record(error="x")], "No run on fashion-mnist finished."),
        (
            [record(), record("timm:b", 0.9, architecture="b")],
            "`timm:b` reaches 90.0 % on fashion-mnist, the highest of two models",
        ),
    ],
)
def test_the_sentence_follows_the_figures(tmp_path: Path, records: list[Record], words: str) -> None:
    assert words in headline(leaderboard(tmp_path, records))


def test_equal_accuracies_of_other_predictions_are_no_nothing(tmp_path: Path) -> None:
    runs = [record(TIMM), record(TIMM, conventions="native", digest="e" * 64)]
    assert headline(leaderboard(tmp_path, runs)).endswith("with its library's own defaults no accuracy changes.")


def test_a_change_within_the_noise_of_the_seeds_is_not_announced(tmp_path: Path) -> None:
    noise = (0.01, -0.02, 0.012, -0.012)  # a quarter of a point down, but up as often
    runs = [record(model, seed=seed) for model in (TIMM, KERAS) for seed in range(4)]
    runs += [record(KERAS, 0.85 + noise[seed], conventions="native", seed=seed) for seed in range(4)]
    assert "no change is distinguishable (84.8 %)" in headline(leaderboard(tmp_path, runs))


def test_the_board_holds_every_figure(tmp_path: Path) -> None:
    board, differences, _ = tables(leaderboard(tmp_path, default_run(), default_speeds()))
    assert [row["model"] for row in board] == [f"`{model}`" for model in (TIMM, TORCHVISION, KERAS)]
    keras = board[-1]
    assert (keras["accuracy %, identical"], keras["accuracy %, native"], keras["seeds"]) == (
        "85.0 ± 0.2",
        "78.9 ± 0.2",
        "5",
    )
    assert keras["training images/s"].startswith("24")
    assert keras["inference images/s, batch 32"].startswith("7")
    assert keras["latency ms, batch 1"].startswith("8.")
    assert (keras["first step s"], keras["peak memory MiB (above start)"]) == ("2.50", "600 (+150)")
    gaps = [(row["model"], row["against"], row["set-up"], row["gap"]) for row in differences]
    assert (f"`{KERAS}`", f"`{TORCHVISION}`", "native", "-6.1 ± 0.0") in gaps
    assert (f"`{KERAS}`", "its identical", "native", "-6.1 ± 0.0") in gaps
    assert len(gaps) == 9
    assert [gap for _, _, setup, gap in gaps if setup == "identical"] == ["0"] * 3


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_printed_accuracy_is_mean_and_t_interval(wrong: list[int]) -> None:
    accuracies = [1 - count / 1000 for count in wrong]
    (board,) = tables(report.first_rows([record(accuracy=a, seed=seed) for seed, a in enumerate(accuracies)]))
    expected = estimate([100 * a for a in accuracies])
    margin = f" ± {expected.margin:.1f}" if len(wrong) > 1 else ""
    if expected.low < 0 or expected.high > 100:  # an accuracy is neither: the interval ends there, and is written out
        margin = f" ({max(expected.low, 0):.1f} to {min(expected.high, 100):.1f})"
    assert board[0]["accuracy %, identical"] == f"{expected.mean:.1f}{margin}"


def test_gaps_are_paired_by_seed_over_the_seeds_in_both(tmp_path: Path) -> None:
    runs = [record(TIMM, 0.85 + 0.01 * seed, seed=seed) for seed in range(4)]
    runs += [record(KERAS, 0.83 + 0.01 * seed, seed=seed) for seed in range(1, 3)]
    board, differences, _ = tables(leaderboard(tmp_path, runs))
    assert [row["seeds"] for row in board] == ["4", "2"]
    assert differences[0]["gap"] == "-2.0 ± 0.0"


def test_no_common_seed_means_no_gap(tmp_path: Path) -> None:
    text = leaderboard(tmp_path, [record(TIMM, 0.85, seed=0), record(KERAS, 0.83, seed=1)])
    assert len(tables(text)) == 1


def test_share_changed_comes_from_the_predictions_when_they_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "records")
    moved = predictions(160)[::-1]  # 16 % wrong, but other images
    assert np.mean(moved != predictions(150)) == 0.31
    first = record(TIMM, 0.85)
    second = record(KERAS, 0.84, digest=predictions_digest(moved))
    store.write(first, predictions(150))
    store.write(second, moved)

    def changed(**other: Any) -> str:
        return tables(leaderboard(tmp_path, [first, second], **other))[1][0]["% changed"]

    assert changed(predictions=store.predictions) == "31.0"
    assert changed() == "≥ 1.0"  # two accuracies 1 % apart cannot differ on fewer images
    np.save(store.folder / second.cell.key / "predictions.npy", predictions(5))  # not those of the record
    assert changed(predictions=store.predictions) == "≥ 1.0"


def test_damaged_predictions_are_said_also_where_nothing_is_compared_with_them(tmp_path: Path) -> None:
    store, run = Store(tmp_path / "records"), record(TIMM, 0.85)
    place = store.write(run, predictions(150))
    assert "Left out" not in leaderboard(tmp_path, [run], predictions=store.predictions)
    np.save(place / "predictions.npy", predictions(151))
    text = leaderboard(tmp_path, [run], predictions=store.predictions)
    assert f"Left out: {place / 'predictions.npy'} is not what was written" in text.replace("\\", "")


def test_equal_accuracies_with_other_predictions_are_not_called_equal(tmp_path: Path) -> None:
    text = leaderboard(tmp_path, [record(TIMM), record(KERAS, digest="e" * 64)])
    assert tables(text)[1][0]["% changed"] == "> 0"
    assert "which do not agree on every test image" in headline(text)


def test_modes_and_engines_are_rows_of_their_own(tmp_path: Path) -> None:
    runs = [
        record(TIMM),
        record(TIMM, 0.84, numeric_mode="bfloat16"),
        record(TIMM, 0.85, compiled=True, seed=1),
        record("keras@jax:MobileNetV2", 0.83),
        record(TIMM, 0.82, layout="channels_last"),
        record(TIMM, 0.7, conventions="native,input_scaling=unit"),
        record(TIMM, 0.6, checkpoint="pretrained"),
    ]
    names = [row["model"] for row in tables(leaderboard(tmp_path, runs))[0]]
    assert names == [
        "`timm:mobilenetv2_100` `offline`",
        "`timm:mobilenetv2_100` float32 compiled `offline`",
        "`timm:mobilenetv2_100` bfloat16 `offline`",
        "`keras@jax:MobileNetV2` `offline`",
        "`timm:mobilenetv2_100` float32 channels\\_last `offline`",
        "`timm:mobilenetv2_100` `offline` `input_scaling=unit`",
        "`timm:mobilenetv2_100` `pretrained`",
    ]


def test_an_edited_file_is_a_row_of_its_own(tmp_path: Path) -> None:
    model, seeds = "torch:port.py:make", (0, 1)
    before = [record(model, 0.80, seed=seed, network_digest="1" * 64) for seed in seeds]
    after = [record(model, 0.90, seed=seed, network_digest="2" * 64) for seed in seeds]
    (board, *_) = tables(text := leaderboard(tmp_path, before + after))
    shown = {row["model"]: (row["accuracy %, identical"], row["seeds"]) for row in board}
    assert shown == {
        f"`{model}` (network 22222222)": ("90.0 ± 0.0", "2"),
        f"`{model}` (network 11111111)": ("80.0 ± 0.0", "2"),
    }
    assert f"Files of `{model}` changed between runs; each content has a row of its own." in text
    content = json.loads((tmp_path / "leaderboard.json").read_text(encoding="utf-8"))
    assert [row["version"] for row in content["sections"][0]["rows"]] == ["network 22222222", "network 11111111"]
    assert "network" not in leaderboard(tmp_path, after), "one content needs no name"


def test_rows_of_other_weights_under_one_name_are_not_compared(tmp_path: Path) -> None:
    def runs(weights: str) -> list[Record]:
        named = {"checkpoint": "file:w.pth", "weights_digest": weights * 64}
        return [record(model, 0.8, seed=seed, **named) for model in (TORCHVISION, TIMM) for seed in (0, 1)]

    leaderboard(tmp_path, runs("1") + runs("2"))
    (section,) = json.loads((tmp_path / "leaderboard.json").read_text(encoding="utf-8"))["sections"]
    assert len(section["rows"]) == 4
    pairs = {(each["first"]["version"], each["second"]["version"]) for each in section["differences"]}
    assert pairs == {("weights 11111111", "weights 11111111"), ("weights 22222222", "weights 22222222")}


def test_speeds_of_another_size_mode_or_batch_never_enter_a_column(tmp_path: Path) -> None:
    odd = [
        speed(TIMM, 111.0, image_size=64),
        speed(TIMM, 222.0, mode="float32 channels_last"),
        speed(TIMM, 333.0, batch_size=7),
        speed(TIMM, 444.0, conventions="native,input_scaling=unit"),
    ]
    board, _, _, others = tables(leaderboard(tmp_path, default_run(), [*default_speeds(), *odd]))
    assert [row["training images/s"][:2] for row in board] == ["19", "18", "24"]
    assert sorted(row["images/s"][:2] for row in others) == ["11", "22", "33", "45"]


def test_training_speed_falls_back_to_the_clock_of_the_cells(tmp_path: Path) -> None:
    (probe, *_), (tuned, *_) = (
        tables(leaderboard(tmp_path, [record(protocol=protocol)]))[0] for protocol in (QUICK, FINE_TUNE)
    )
    assert probe["training images/s"] == "300"  # 3000 images in 10 s: its features
    assert tuned["training images/s"] == "200"  # 400 images in 2 s of steps


def test_speed_measured_beside_other_workers_is_marked(tmp_path: Path) -> None:
    busy = {"features": 10.0, "features_images": 3000, "alone": False}
    text = leaderboard(tmp_path, [record(timings=busy)])
    (board, *_) = tables(text)
    assert board[0]["training images/s"] == r"300 \*"
    assert "Disturbed: other workers of isotune ran at the same time. These speeds are lower bounds" in text


CALM, LOUD, LOUDER = ({"others": share} for share in (0.01, 0.2, 0.41))


def test_a_speed_of_rounds_that_were_all_disturbed_is_marked_and_says_by_what(tmp_path: Path) -> None:
    disturbed = speed(seconds=[0.2, 0.3, 0.4], disturbances=[LOUD, LOUDER, LOUD])
    text = leaderboard(tmp_path, [record()], [disturbed, speed(image_size=128, seconds=[0.1], disturbances=[LOUD])])
    (board, *_, others) = tables(text)
    assert board[0]["training images/s"] == r"107 (80.0 to 160) \*"
    assert "Disturbed: other programs used 41 % of the cores. These speeds are lower bounds" in text
    assert others[0]["images/s"] == r"320 \*"
    assert "Disturbed: other programs used 20 % of the cores." in text


def test_disturbed_rounds_are_left_out_where_others_are_not(tmp_path: Path) -> None:
    some = speed(image_size=128, seconds=[0.1, 0.9, 0.2], disturbances=[CALM, LOUD, CALM])
    text = leaderboard(tmp_path, [record()], [some])
    (*_, others) = tables(text)
    assert (others[0]["images/s"], others[0]["rounds"]) == ("240 (160 to 320)", "2 of 3")
    assert "Disturbed" not in text
    kept = json.loads((tmp_path / "leaderboard.json").read_text(encoding="utf-8"))
    assert [len(each["disturbances"]) for each in kept["speeds"]] == [3]


def test_seeds_whose_time_was_disturbed_are_left_out_or_marked(tmp_path: Path) -> None:
    rates = {"features_images": 3000}
    calm = record(seed=0, timings={**rates, "features": 10.0, "disturbance": CALM})
    loud = record(seed=1, timings={**rates, "features": 30.0, "disturbance": LOUDER})
    assert "timings are disturbed: other programs used 41 % of the cores" in loud.line
    assert "disturbed" not in calm.line
    assert tables(leaderboard(tmp_path, [calm, loud]))[0][0]["training images/s"] == "300"
    assert tables(leaderboard(tmp_path, [loud]))[0][0]["training images/s"] == r"100 \*"


def test_failed_cells_are_listed_with_their_error(tmp_path: Path) -> None:
    failed = [record(TIMM, seed=seed, error="out of memory | a\nb <b>") for seed in (7, 8, 9)]
    text = leaderboard(tmp_path, default_run() + failed)
    assert "**3 of 33 cells failed**" in text
    last = tables(text)[-1]
    assert [(row["model"], row["seeds"], row["error"]) for row in last] == [
        (f"`{TIMM}`", "7, 8, 9", r"out of memory \| a b \<b\>")
    ]


def test_a_section_for_each_data_set_and_recipe(tmp_path: Path) -> None:
    altered = QUICK.model_copy(update={"title": "Another", "source": "elsewhere"})
    runs = [record(), record(dataset="digits", images=797), record(protocol=FINE_TUNE), record(protocol=altered)]
    titles = re.findall(r"^## (.*)$", leaderboard(tmp_path, runs), re.MULTILINE)
    assert titles[0] == "fashion-mnist, fine-tune-sgd"
    assert [title.replace("\\", "") for title in titles[1:3]] == [
        "fashion-mnist, quick (source Kornblith et al. 2019, section 4, title Linear probe)",
        "fashion-mnist, quick (source elsewhere, title Another)",
    ]
    assert titles[3:] == ["digits, quick", "Evidence", "Figures", "How to read this"]


def test_evidence_names_what_the_figures_rest_on(tmp_path: Path) -> None:
    text = leaderboard(tmp_path, default_run(), command="pytest benchmarks/ --benchmark-json=out.json")
    for line in (
        "- Command: `pytest benchmarks/ --benchmark-json=out.json`",
        "- Date: 2026-01-05",
        "- Cells: 30",
        "- Duration, all cells added up: 15 min 0 s",
        "- cpu: Example CPU @ 2.0 GHz",
        "- `offline`, `mobilenet_v2`: SHA-256 `c0ffeec0ffeec0ff`",
        "- `fashion-mnist`: SHA-256 `dddddddddddddddd`",
        "- `quick`, Linear probe; source: Kornblith et al. 2019, section 4",
    ):
        assert line in text.splitlines()


def test_of_one_cell_the_last_record_counts(tmp_path: Path) -> None:
    text = leaderboard(tmp_path, [record(accuracy=0.9, minutes=5), record(accuracy=0.2)])
    assert tables(text)[0][0]["accuracy %, identical"] == "90.0"


def test_the_order_of_records_changes_no_byte(tmp_path: Path) -> None:
    records, speeds = default_run() + default_run("digits"), default_speeds()
    records.append(record(KERAS, 0.2))  # a second record of a cell, finished at the same time
    report.write(records, tmp_path / "a", speeds=speeds)
    random.Random(5).shuffle(records)
    report.write(records, tmp_path / "b", speeds=speeds)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 9
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_names_with_markdown_characters_appear_as_they_are(tmp_path: Path) -> None:
    odd = "timm:a|b`c*d_e<script>"
    text = leaderboard(tmp_path, [record(odd, architecture=odd, dataset="imagefolder:/x_*y*|z[1]", error=None)])
    assert tables(text)[0][0]["model"] == "``timm:a\\|b`c*d_e<script>``"
    assert "imagefolder:/x\\_\\*y\\*\\|z\\[1\\]" in headline(text)


def test_long_names_and_single_seeds_are_drawn(tmp_path: Path) -> None:
    name = "timm:" + "x" * 300
    text = leaderboard(tmp_path, [record(name), record(f"{name}y", 0.84)])
    assert f"`{name}`" in text


def test_speeds_alone_make_a_report(tmp_path: Path) -> None:
    text = leaderboard(tmp_path, [], default_speeds())
    assert headline(text) == "Speeds only: no accuracy was measured."
    assert len(tables(text)[0]) == 9


def test_nothing_to_report_and_no_place_to_write_are_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to report"):
        report.write([], tmp_path)
    with pytest.raises(UsageError, match="nothing to report"):
        report.first_rows([])
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        report.write([record()], tmp_path / "file")


def test_first_rows_are_the_sentence_and_the_first_table() -> None:
    text = report.first_rows(default_run(), default_speeds())
    assert text.startswith("Under the checkpoint's conventions")
    assert [row["model"] for row in tables(text)[0]] == [f"`{model}`" for model in (TIMM, TORCHVISION, KERAS)]
    many = [record(f"timm:m{i}", architecture=f"m{i}") for i in range(30)]
    assert len(tables(report.first_rows(many))[0]) == 10


def test_hundreds_of_models_make_one_table_and_two_figures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = [
        record(
            f"timm:model_{model}",
            round(rng.uniform(0.5, 0.9), 3),
            seed=seed,
            conventions=conventions,
            architecture=f"a{model // 2}",
        )
        for model in range(400)
        for seed in range(2)
        for conventions in ("identical", "native")
    ]
    assert len(tables(leaderboard(tmp_path, records))[0]) == 400
    assert all(path.stat().st_size < 500_000 for path in (tmp_path / "figures").iterdir())


def test_importing_the_report_is_cheap() -> None:
    code = "import sys, isotune.report; print([m for m in ('pandas', 'matplotlib', 'jinja2') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*LIBRARIES, "keras@jax:MobileNetV2", "third:x"]),
            st.sampled_from(["identical", "native", "native,input_scaling=unit"]),
            st.integers(0, 3),
            st.sampled_from([0.0, 0.5, 0.85, 0.851, 1.0]),
            st.sampled_from(["float32", "bfloat16"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_any_mixture_of_cells_makes_a_well_formed_report(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[str, str, int, float, str, bool]], with_speeds: bool
) -> None:
    records = [
        record(model, accuracy, conventions=conventions, seed=seed, numeric_mode=mode, error="lost" if lost else None)
        for model, conventions, seed, accuracy, mode, lost in runs
    ]
    text = leaderboard(tmp_path_factory.mktemp("any"), records, default_speeds() if with_speeds else [])
    done = {(r.cell.model, r.cell.mode, r.cell.conventions.partition(",")[2]) for r in _kept(records) if r.metrics}
    assert sum(len(table) for table in tables(text)[:1]) == len(done) or not done


def _kept(records: list[Record]) -> list[Record]:
    """Of one cell's records, which here finished together, one that is done if there is any."""
    return list({each.cell.key: each for each in sorted(records, key=lambda each: each.status == "done")}.values())


def test_predictions_that_are_gone_do_not_break_the_report(tmp_path: Path) -> None:
    def gone(_: Cell) -> np.ndarray:
        raise UsageError("there are no predictions")

    assert "≥ 1.0" in leaderboard(tmp_path, [record(TIMM), record(KERAS, 0.84)], predictions=gone)


def test_a_strength_at_the_edge_of_the_sweep_is_said(tmp_path: Path) -> None:
    sweep = QUICK.model_copy(update={"probe": Probe(l2=(1e-3, 1e-2, 1e-1))})

    def chose(model: str, l2: float, base: str = "identical") -> Record:
        one = record(model, protocol=sweep, conventions=base)
        assert one.metrics
        return one.model_copy(update={"metrics": one.metrics.model_copy(update={"l2": l2})})

    text = leaderboard(tmp_path, [chose(TORCHVISION, 1e-2), chose(KERAS, 1e-2), chose(KERAS, 1e-3, "native")])
    assert f"The strongest or weakest L2 of the sweep was chosen for `{KERAS}` (native)." in text
    assert "at its edge" not in leaderboard(tmp_path, [chose(TORCHVISION, 1e-2)])


def test_runs_that_repeat_another_are_counted_apart(tmp_path: Path) -> None:
    first = record(TORCHVISION)
    same = record(TORCHVISION, conventions="native").model_copy(update={"same_as": "identical"})
    text = leaderboard(tmp_path, [first, same], [speed(TORCHVISION), speed(TORCHVISION, conventions="native")])
    assert "Cells: 2; 1 of them repeat another's run: for `torchvision:mobilenet_v2`" in text
    assert "Duration, all cells added up: 30 s" in text
    assert "## Other speeds" in text
    repeated = speed(TORCHVISION, conventions="native", same_as="identical")
    assert "## Other speeds" not in leaderboard(tmp_path, [first, same], [speed(TORCHVISION), repeated])


def test_what_a_mode_leaves_of_the_digits_has_a_table(tmp_path: Path) -> None:
    noise = {"features": 3.1e-6, "loss": 3.6e-4, "gradients": 0.17}
    text = leaderboard(tmp_path, [record()], [speed(noise=noise), speed(noise=None, image_size=128)])
    (row,) = next(table for table in tables(text) if "gradients" in table[0])
    assert [row[name] for name in ("features", "loss", "gradients", "mode")] == ["3e-6", "4e-4", "2e-1", "float32"]
    assert "No two libraries agree to more than that" in text
    assert "What a numeric mode leaves" not in leaderboard(tmp_path, [record()], [speed()])
