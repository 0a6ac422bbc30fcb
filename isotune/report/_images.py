"""The images that two rows predict differently, for the page: label, both predictions, and thumbnails from the cache.

What a page holds of them is bounded: comparisons, images of each, and bytes of thumbnails. What is left out is said.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from isotune import data
from isotune.errors import UsageError
from isotune.report import wording as f
from isotune.report._templates import html
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.disagreements import Disagreement, Side, of_finding
from isotune.report.analysis.judging import Finding
from isotune.report.figures.names import distinct, of_rows

MOST_COMPARISONS = 40  # of a page
MOST_IMAGES = 24  # of a comparison
MOST_BYTES = 2**20  # of a page's thumbnails, as they are written
SIDE = 64  # pixels of a thumbnail, at most
RIGHT = " \N{CHECK MARK}"  # behind a prediction


@dataclass(frozen=True)
class Opened:
    """What a page has of a section: by what is compared (the identity of a difference or a price) the anchor of its
    images, and the HTML of each anchor."""

    anchors: dict[int, str]
    pages: dict[str, str]
    left_out: str  # in words; empty: nothing


class Gallery:
    """The images of one page."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._comparisons, self._bytes = MOST_COMPARISONS, MOST_BYTES
        self._datasets: dict[str, data.Dataset | None] = {}
        self._thumbnails: dict[tuple[str, int], str] = {}

    def opened(self, finding: Finding) -> Opened:
        """Of a section, as far as there is room."""
        taken = list(islice(of_finding(finding, self._answers), self._comparisons))
        self._comparisons -= len(taken)
        anchors = {id(compared): f"images-{finding.section.slug}-{place}" for place, (compared, _) in enumerate(taken)}
        pages = {anchors[id(compared)]: self._html(anchors[id(compared)], one, finding) for compared, one in taken}
        changes = [price.changed for price in finding.prices]
        changes += [each.changed for each in finding.differences.compared]
        among = sum(bool(changed and changed.share) for changed in changes)
        left = "" if self._comparisons or len(taken) >= among else (
            f"Images are shown of {len(taken)} of the {among} comparisons above; the page has room for no more."
        )  # fmt: skip
        return Opened(anchors, pages, left)

    def _html(self, anchor: str, one: Disagreement, finding: Finding) -> str:
        dataset = self._dataset(one)
        classes = () if dataset is None else dataset.classes
        numbers = self._numbers(one, dataset)
        shown = range(min(len(one.images), MOST_IMAGES))
        pictures = [self._thumbnail(dataset, int(numbers[place])) for place in shown]
        rows = [
            {
                "picture": pictures[place],
                "number": int(numbers[place]),
                "label": None if one.labels is None else _class(one.labels[place], classes),
                "first": _answer(one.first_says, one.labels, place, classes),
                "second": _answer(one.second_says, one.labels, place, classes),
            }
            for place in shown
        ]
        first, second = _called(one, finding)
        return html("images.html.j2").render(
            anchor=anchor, first=first, second=second, count=len(one.images), tested=one.tested, rows=rows,
            pictures=any(pictures), labels=one.labels is not None,
            words=_words(one, first, second, len(rows), sum(map(bool, pictures)), dataset is not None),
        )  # fmt: skip

    def _dataset(self, one: Disagreement) -> data.Dataset | None:
        """None: it is not in the cache, or not the one whose labels the runs had."""
        digest = one.cell.dataset_digest
        if one.labels is None:
            return None
        if digest not in self._datasets:
            try:
                self._datasets[digest] = data.load(one.cell.dataset, digest)
            except (UsageError, OSError):
                self._datasets[digest] = None
        return self._datasets[digest]

    def _numbers(self, one: Disagreement, dataset: data.Dataset | None) -> np.ndarray:
        """Of the images, in the data set's test part where that is at hand, else among the runs' test images."""
        if dataset is None:
            return one.images
        numbers: np.ndarray = data.subset(dataset.test.labels, one.cell.protocol.images.test)[one.images]
        return numbers

    def _thumbnail(self, dataset: data.Dataset | None, number: int) -> str:
        """A data URI; empty: the image is not at hand, or there is no room left."""
        if dataset is None:
            return ""
        key = dataset.digest, number
        if key not in self._thumbnails:
            try:
                self._thumbnails[key] = thumbnail(dataset.test.image(number))
            except (data.Unreadable, OSError):
                self._thumbnails[key] = ""
        written = self._thumbnails[key]
        if len(written) > self._bytes:
            return ""
        self._bytes -= len(written)
        return written


def thumbnail(image: np.ndarray) -> str:
    """A data URI of an image, uint8 [H, W, 3], `SIDE` pixels at most: PNG or JPEG, whichever is smaller."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    if np.ptp(image, axis=-1).max() == 0:
        picture = picture.convert("L")
    ways: dict[str, dict[str, Any]] = {"png": {"optimize": True}, "jpeg": {"quality": 80}}
    kinds = {}
    for kind, how in ways.items():
        picture.save(written := io.BytesIO(), kind.upper(), **how)
        kinds[kind] = written.getvalue()
    kind, content = min(kinds.items(), key=lambda item: len(item[1]))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _called(one: Disagreement, finding: Finding) -> list[str]:
    """The two, as short as tells them apart."""
    full = of_rows(finding.section.rows)

    def name(side: Side) -> str:
        return f"{full[id(side.row)]}, {side.how}"

    return distinct([name(one.first), name(one.second)], 64)


def _class(number: int, classes: Sequence[str]) -> str:
    return classes[number] if 0 <= number < len(classes) else str(number)


def _answer(says: np.ndarray, labels: np.ndarray | None, place: int, classes: Sequence[str]) -> str:
    right = labels is not None and says[place] == labels[place]
    return f"{_class(says[place], classes)}{RIGHT if right else ''}"


def _words(one: Disagreement, first: str, second: str, shown: int, pictures: int, at_hand: bool) -> str:
    sentences = []
    if one.labels is not None:
        a, b = one.only
        neither = len(one.images) - a - b
        sentences.append(f"Only {first} has {a:,} of them right, only {second} {b:,}, neither {neither:,}.")
    if shown < len(one.images):
        order = ", those first that one of the two has right" if one.labels is not None else ""
        sentences.append(f"{shown:,} of {len(one.images):,} are shown{order}.")
    if one.seeds > 1:
        sentences.append(f"Of one of the {one.seeds:,} seeds that both ran.")
    if not at_hand:
        sentences.append("There are no labels or thumbnails: the data set is not in the cache.")
    elif pictures < shown:
        sentences.append(f"Thumbnails of {f.number(pictures, 'image')}: the page has room for no more.")
    return " ".join(sentences)
