"""What a run is asked for: times, sizes, and a sweep file in the place of arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import isotune
from isotune.errors import UsageError
from isotune.interface._asking import seconds, size


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


@given(st.integers(0, 10**12), st.sampled_from(["", "B", "kB", "MB", "GB", " KiB", "MiB", "gib"]))
def test_a_size_means_what_it_says(number: int, unit: str) -> None:
    factors = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 2**10, "mib": 2**20, "gib": 2**30}
    assert size(f"{number}{unit}", "keep") == number * factors[unit.strip().lower()]


@pytest.mark.parametrize("text", ["GB", "10 parsecs", "-1GB", "1e3", "1,5GB", "1..5GB", -1, True, 1.5, [], "9" * 99])
def test_any_other_size_is_refused(text) -> None:
    with pytest.raises(UsageError, match=r"^keep: .*(give a size such as|takes a size such as)"):
        size(text, "keep")


@pytest.mark.parametrize(
    "others", [{"seeds": 2}, {"datasets": "fashion-mnist"}, {"compiled": True}, {"protocols": ["quick"]}]
)
def test_a_sweep_file_says_all_and_takes_no_other_arguments(tmp_path, others) -> None:
    (file := tmp_path / "sweep.toml").write_text('models = ["timm:*"]\n')
    with pytest.raises(UsageError, match=rf"{next(iter(others))}: .*sweep\.toml says what is run; write it there"):
        isotune.run(file, **others, progress=False)


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
