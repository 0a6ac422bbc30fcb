"""What two rows predict differently: opened from a row of the page, with thumbnails, within bounds."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from evaluation_factories import CLASSES, IMAGES, OWN, Kept
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from isotune.protocols import Images
from isotune.report import Leaderboard
from isotune.report import _images as images
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.disagreements import of_finding
from isotune.report.analysis.judging import judge
from isotune.report.analysis.sections import sections
from isotune.runs.records import Record


class Page(HTMLParser):
    """The blocks of images of a page, and the links that open them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.blocks: dict[str, list[list[str]]] = {}  # anchor -> rows of cells
        self.words: dict[str, str] = {}
        self.links: list[str] = []
        self.pictures: list[str] = []
        self._open = ""
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given_ = dict(attrs)
        if tag == "a":
            self.links.append(given_["href"] or "")
        if tag == "details":
            self._open = given_["id"] or ""
            self.blocks[self._open], self.words[self._open] = [], ""
        if self._open and tag == "tr":
            self.blocks[self._open].append([])
        if self._open and tag == "td":
            self._cell = True
            self.blocks[self._open][-1].append("")
        if self._open and tag == "img":
            self.pictures.append(given_["src"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag != "td"
        if tag == "details":
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.blocks[self._open][-1][-1] += data
        elif self._open:
            self.words[self._open] += data


def page(records: list[Record], kept: Kept) -> Page:
    return Page(Leaderboard(records, predictions=kept.store.predictions).html())


def test_a_row_opens_the_images_that_differ_with_label_and_both_predictions(steps: list[Record], kept: Kept) -> None:
    read = page(steps, kept)
    assert len(read.blocks) == 4, "none of the step that is the same"
    assert set(read.blocks) == {link[1:] for link in read.links if link.startswith("#images-")}
    squash = next(anchor for anchor, words in read.words.items() if "squash" in words)
    assert "60 of 300 test images predicted differently, 24 of them shown" in read.words[squash]
    assert "Only timm:a, identical has 60 of them right, only timm:a, squash 0, neither 0." in read.words[squash]
    rows = [row for row in read.blocks[squash] if row]
    assert len(rows) == images.MOST_IMAGES
    for place, (_, number, label, first, second) in enumerate(rows, start=30):
        assert (number, label) == (str(place), kept.dataset.classes[place % CLASSES])
        assert (first, second) == (label + images.RIGHT, kept.dataset.classes[(place + 1) % CLASSES])


def test_thumbnails_are_the_images_of_the_cache(steps: list[Record], kept: Kept) -> None:
    read = page(steps, kept)
    squash = next(place for place, words in enumerate(read.words.values()) if "squash" in words)
    assert squash == 0, "the dearest step is the first block"
    head, _, body = read.pictures[0].partition(";base64,")
    assert head in ("data:image/png", "data:image/jpeg")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGB"), dtype=float)
    assert shown.shape == (64, 64, 3)
    whole = Image.fromarray(kept.dataset.test.image(30))
    whole.thumbnail((64, 64))
    assert np.abs(shown - np.asarray(whole)).mean() < 12
    assert np.abs(shown - np.asarray(Image.fromarray(kept.dataset.test.image(31)).resize((64, 64)))).mean() > 30


def test_what_is_drawn_of_a_data_set_is_numbered_as_in_the_data_set(kept: Kept) -> None:
    from isotune import data

    few = OWN.model_copy(update={"images": Images(test=30)})
    taken = data.subset(kept.dataset.test.labels, 30)
    labels = kept.dataset.test.labels[taken]
    made = []
    for model, wrong in (("timm:a", 3), ("keras:A", 5)):
        answers = np.where(np.arange(30) < wrong, (labels + 1) % CLASSES, labels)
        one = kept.evaluated(30, model, recipe=few)
        from isotune.runs.records import predictions_digest

        metrics = one.metrics.model_copy(update={"accuracy": 1 - wrong / 30, "test_images": 30})
        one = one.model_copy(update={"metrics": metrics, "predictions_digest": predictions_digest(answers)})
        kept.store.write(one, answers)
        made.append(kept.store.read(one.cell))
    (block,) = page(made, kept).blocks.values()
    assert [int(row[1]) for row in block if row] == taken[3:5].tolist()


def test_a_data_set_that_is_gone_leaves_numbers_and_says_so(
    steps: list[Record], kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "empty"))
    read = page(steps, kept)
    assert read.pictures == []
    assert len(read.blocks) == 4
    assert all("There are no labels or thumbnails: the data set is not in the cache." in words
               for words in read.words.values())  # fmt: skip
    assert {cell for row in next(iter(read.blocks.values())) for cell in row[1:]} <= {"0", "1", "2"}


def test_without_predictions_there_is_nothing_to_open(steps: list[Record]) -> None:
    assert Page(Leaderboard(steps).html()).blocks == {}


def test_the_markdown_has_no_images_and_no_links_to_them(steps: list[Record], kept: Kept) -> None:
    board = Leaderboard(steps, predictions=kept.store.predictions)
    assert "#images-" not in board.markdown()
    assert "data:image" not in board.markdown()
    assert board.html() == Leaderboard(steps, predictions=kept.store.predictions).html(), "the same bytes"


def test_images_that_one_of_the_two_has_right_come_first(kept: Kept) -> None:
    stream = np.random.default_rng(1)
    labels = kept.dataset.test.labels
    answers = [stream.integers(0, CLASSES, IMAGES) for _ in range(2)]
    records = []
    for model, given_ in zip(("timm:a", "keras:A"), answers, strict=True):
        from isotune.runs.records import predictions_digest

        one = kept.evaluated(30, model)
        metrics = one.metrics.model_copy(update={"accuracy": float(np.mean(given_ == labels))})
        one = one.model_copy(update={"metrics": metrics, "predictions_digest": predictions_digest(given_)})
        kept.store.write(one, given_)
        records.append(kept.store.read(one.cell))
    (section,) = sections(records)
    finding = judge(section, Answers(kept.store.predictions))
    ((_, found),) = of_finding(finding, Answers(kept.store.predictions))
    assert np.array_equal(np.sort(found.images), np.flatnonzero(answers[0] != answers[1]))
    one_right = (found.first_says == found.labels) | (found.second_says == found.labels)
    assert not np.any(np.diff(one_right.astype(int)) > 0), "those that neither has right are last"
    assert sum(found.only) + int(np.sum(~one_right)) == len(found.images)


def test_a_page_is_bounded_whatever_is_compared(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [kept.evaluated(20 + place, f"timm:m{place}", start=7 * place) for place in range(12)]
    text = Leaderboard(records, predictions=kept.store.predictions).html()
    read = Page(text)
    assert len(read.blocks) == images.MOST_COMPARISONS
    assert f"Images are shown of {images.MOST_COMPARISONS} of the 66 comparisons above" in text
    assert sum(map(len, read.pictures)) <= images.MOST_BYTES
    assert len(text) < 3 * 2**20
    monkeypatch.setattr(images, "MOST_BYTES", 20_000)
    read = Page(Leaderboard(records, predictions=kept.store.predictions).html())
    assert sum(map(len, read.pictures)) <= 20_000
    assert any(re.search(r"Thumbnails of \d+ images?: the page has room for no more", words)
               for words in read.words.values())  # fmt: skip


@given(arrays(np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 90), st.just(3))))
def test_any_image_has_a_small_thumbnail(image: np.ndarray) -> None:
    head, _, body = images.thumbnail(image).partition(";base64,")
    assert head in ("data:image/png", "data:image/jpeg")
    with Image.open(io.BytesIO(base64.b64decode(body))) as shown:
        assert max(shown.size) <= images.SIDE
    assert len(body) < 20_000


def test_hostile_classes_are_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = '<img src=x onerror=alert(1)></td></details><script>alert(2)</script>"\x1b[2J'
    row = {"picture": "", "number": 3, "label": evil, "first": evil, "second": evil}
    text = images.html("images.html.j2").render(
        anchor="images-a-0", first=evil, second=evil, count=1, tested=2, rows=[row], pictures=False, labels=True,
        words=evil,
    )  # fmt: skip
    read = Page(text)
    (block,) = read.blocks.values()
    assert [cell for cells in block for cell in cells] == ["3", evil, evil, evil]
    assert "<script" not in text
    assert "<img" not in text
