"""Every code block of the documentation is run, page by page, and what a page shows as printed was printed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from blocks import Block, Reader, blocks_of, check_printed
from PIL import Image

from isotune.conventions import AXES

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "adapters/README.md")),
]
PAGES = {
    str(path.relative_to(ROOT)): blocks_of(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    for path in FILES
}

# Pages whose quick blocks take half a minute of a core; what they use has tests of its own.
LONG = {
    "README.md",
    "docs/tutorial.md",
    "docs/tasks/a-claim.md",
    "docs/tasks/a-fine-tuned-model.md",
    "docs/tasks/a-port-that-differs.md",
    "docs/tasks/in-your-tests.md",
    "docs/tasks/clusters.md",
    "docs/tasks/many-machines.md",
    "docs/tasks/my-checkpoint.md",
    "docs/tasks/my-data.md",
    "docs/tasks/my-executor.md",
    "docs/tasks/my-protocol.md",
}

# What a test cannot run, by page and first line. Keep it short: a page shows what a reader can do.
NOT_RUN = {
    ("docs/tutorial.md", "$ python -m pip install '.[torch,keras,offline]'"),
    ("docs/tasks/published-numbers.md", "$ isotune run --protocols own-classifier --checkpoint pretrained \\"),
    ("docs/tasks/my-checkpoint.md", "$ isotune run --protocols own-classifier --checkpoint offline \\"),
    ("docs/tasks/a-port-that-differs.md", "$ isotune investigate timm:efficientnet_x_b3 timm:efficientnet_x_b3 \\"),
    ("docs/tasks/in-your-tests.md", "name: port"),
    ("docs/tasks/clusters.md", "$ pip install 'isotune[slurm]'"),
    ("docs/tasks/clusters.md", "/shared/records: 60 cells of on-slurm.toml, last started 12 min ago"),
    ("docs/tasks/clusters.md", "$ pip install 'isotune[ray]'"),
    (
        "docs/tasks/clusters.md",
        "$ ray job submit --working-dir . -- isotune run sweep.toml --executor ray --store /data/records",
    ),
}


def journeys() -> list[object]:
    """Each page without its slow blocks, unless it is LONG; with them, marked slow."""
    cases = []
    for page, blocks in PAGES.items():
        if run := [block for block in blocks if not block.not_run]:
            if quick := [block for block in run if not block.slow]:
                cases.append(pytest.param(quick, id=page, marks=pytest.mark.slow if page in LONG else []))
            if any(block.slow for block in run):
                cases.append(pytest.param(run, id=f"{page}-slow", marks=pytest.mark.slow))
    return cases


@pytest.fixture
def reader(house, packages, monkeypatch) -> Reader:
    """In a folder with what the pages take for granted: photos, and the suite beside them."""
    pytest.importorskip("torch")
    stream = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 4)):
        for number, label in enumerate(("ants", "bees")):
            place = house / "photos" / split / label
            place.mkdir(parents=True)
            for image in range(count):
                pixels = stream.integers(0, 128, (40, 50, 3)) + 100 * number
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{image}.png")
    (house / "benchmarks").symlink_to(ROOT / "benchmarks")
    (house / "reports" / "standard").mkdir(parents=True)  # what a page writes there stays in its folder
    for report in (Path("reports"), Path("reports/standard")):
        shutil.copy(ROOT / report / "leaderboard.json", house / report)
    monkeypatch.syspath_prepend(str(house))  # as where Python is started
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return Reader(house, os.environ, ROOT)


@pytest.mark.xdist_group("apart")
@pytest.mark.parametrize("blocks", journeys())
def test_the_page_does_what_it_says(blocks: list[Block], reader: Reader) -> None:
    for block in blocks:
        reader.follow(block)


def test_long_pages_are_pages() -> None:
    assert set(PAGES) >= LONG


def test_what_is_not_run_is_little_and_named() -> None:
    marked = {(block.page, block.first) for blocks in PAGES.values() for block in blocks if block.not_run}
    assert marked == NOT_RUN
    assert len(marked) <= 9


def test_each_page_of_the_site_with_blocks_has_some_that_are_quick() -> None:
    for page, blocks in PAGES.items():
        run = [block for block in blocks if not block.not_run]
        assert not run or any(not block.slow for block in run), page


def test_a_comment_that_no_block_knows_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="not known"):
        blocks_of("page.md", "<!-- slwo -->\n```console\n$ true\n```\n")
    (block,) = blocks_of("page.md", "<!-- slow, exit status 1 -->\n```console\n$ false\n```\n")
    assert (block.slow, block.status, block.not_run) == (True, 1, None)


def test_the_changelog_has_every_name_that_an_axis_or_a_value_had_before() -> None:
    words = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for axis in AXES.values():
        names = [f"`{axis.formerly}", f"`{axis.name}"] if axis.formerly else []
        values = [f"={value}`" for pair in axis.former_values.items() for value in pair]
        assert [word for word in names + values if word not in words] == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```console\n$ exit 3\n```\n", "exit 3"),
        ("```console\n$ echo one\ntwo\n```\n", "printed"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "printed"),
        ("```ruby\nputs 1\n```\n", "language"),
        ("<!-- exit status 1 -->\n```console\n$ true\n```\n", "true"),
    ],
)
def test_a_page_that_says_what_does_not_hold_is_found(text: str, why: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path, os.environ, ROOT)
    *before, last = blocks_of("page.md", text)
    for block in before:
        reader.follow(block)
    with pytest.raises(AssertionError, match=why):
        reader.follow(last)


def test_blocks_find_what_earlier_ones_left(tmp_path: Path) -> None:
    text = (
        "```{code-block} toml\n:caption: a.toml\n\nb = 1\n```\n\n```console\n$ cat a.toml\nb = ...\n```\n\n"
        "<!-- exit status 1 -->\n```console\n$ false\n```\n\n```{toctree}\nx\n```\n\n"
        "```python\nx = 1\n```\n\n```python\nprint(x)\n```\n\n```text\n1\n```\n"
    )
    blocks = blocks_of("page.md", text)
    assert [block.language for block in blocks] == ["toml", "console", "console", "python", "python", "text"]
    assert [block.line for block in blocks[:2]] == [2, 8]
    reader = Reader(tmp_path, os.environ, ROOT)
    for block in blocks:
        reader.follow(block)


def test_shown_lines_come_in_order() -> None:
    check_printed("a  1\nb\nc", ["a 1", "...", "c"], "here")
    with pytest.raises(AssertionError):
        check_printed("a\nb", ["b", "a"], "here")
