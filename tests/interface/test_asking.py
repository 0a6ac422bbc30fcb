"""What a run is asked for: times, and a sweep file in the place of arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

import isotune
from isotune.errors import UsageError
from isotune.interface._asking import seconds


@pytest.mark.parametrize(
    ("text", "meant"),
    [("90s", 90), ("30m", 1800), ("5 min", 300), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("1d", 86_400),
     (7, 7), (None, None)],
)  # fmt: skip
def test_a_time_is_read_as_people_write_it(text, meant) -> None:
    assert seconds(text) == meant


@pytest.mark.parametrize(
    "text", ["h", "10", "2 weeks", "1e9s", "-1h", "0s", "30m in", 0, -1, float("nan"), True, [], "1h,2h"]
)
def test_any_other_is_refused_with_what_would_be_right(text) -> None:
    with pytest.raises(UsageError, match=r"^stop_after: .*(give a time such as|takes a time such as)"):
        seconds(text)


@pytest.mark.parametrize(
    "given", [{"seeds": 2}, {"datasets": "fashion-mnist"}, {"compiled": True}, {"protocols": ["quick"]}]
)
def test_a_sweep_file_says_all_and_takes_no_other_arguments(tmp_path, given) -> None:
    (file := tmp_path / "sweep.toml").write_text('models = ["timm:*"]\n')
    with pytest.raises(UsageError, match=rf"{next(iter(given))}: .*sweep\.toml says what is run; write it there"):
        isotune.run(file, **given, progress=False)


def test_a_sweep_file_and_its_arguments_give_the_same_cells(house) -> None:
    Path("sweep.toml").write_text(
        'models = ["example:*"]\ncheckpoints = ["random:0"]\nprotocols = ["quick-fine-tune"]\n'
        'seeds = 2\nstore = "there"\n'
    )
    told = {"progress": False}
    of_file = isotune.plan("sweep.toml", **told)
    of_arguments = isotune.plan("example:*", "digits", "quick-fine-tune", 2, checkpoint="random:0", **told)
    assert [cell.key for cell in of_file.cells] == [cell.key for cell in of_arguments.cells]
    assert len(of_file.cells) == 4
