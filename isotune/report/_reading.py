"""How to read a leaderboard: of each term that it uses, what it means, and of no other.

The section is made from the leaderboard's own text, so that one that is committed can be held against the code that
writes it today (`renewed`): where the code says more or otherwise, a test fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TITLE = "## How to read this"


@dataclass(frozen=True)
class _Entry:
    term: str  # a regular expression that finds the term in a leaderboard
    text: str  # markdown, one item of a list


_ENTRIES = (
    _Entry(
        "identical|native",
        "**identical**: every library runs under the conventions that the checkpoint was trained with, on the "
        "same batches, initial head and learning rates. **native**: each library does what its users get by "
        "default; the input scaling stays the checkpoint's.",
    ),
    _Entry(
        r"(identical|native|set-up) \| seeds \|",
        "**±** is the 95 % interval of the mean over seeds (Student's t); gaps are paired by seed. An interval "
        "ends at 0 and 100 %, and is written out where it reaches that far: 92.5 (0.0 to 100.0). One seed has "
        "none, and 0.0 means that the seeds change nothing, not that nothing is uncertain: the uncertainty due to "
        "the test images is given above each table.",
    ),
    _Entry(
        r"\| mean per class %|\| calibration error %",
        "**mean per class** is the mean over the classes of the share of their images that is right; "
        "**calibration error** the expected calibration error of 15 bins of equal width (Guo et al. 2017).",
    ),
    _Entry(
        r"\| done otherwise \|",
        "**right only before** and **right only now** count the images that the evaluation itself, or the step, "
        "gets right alone; p is McNemar's exact test of the two, as `isotune run` prints it, and **corrected** it "
        "is Holm's.",
    ),
    _Entry(
        r"\| verdict \|",
        "**verdict**: *reproduced* when the 90 % interval of the difference lies within the margin (two one-sided "
        "t tests at 5 %), *different* when its 95 % interval lies beyond it. The margin is one point or the "
        "published spread, whichever is larger, and half a unit of the published rounding; where nothing is "
        'trained, what arithmetic may change (0.05 points, or one image). p: of "at or below -margin" and of "at '
        'or above +margin".',
    ),
    _Entry(r"\| gap \|", "**gap** is model minus against, points."),
    _Entry(
        r"\| P\(better\) \|",
        "**P(better)**: how often the model beats the other at the same seed (a tie counts half), with its 95 % "
        "interval.",
    ),
    _Entry(
        r"\| McNemar p",
        "**McNemar**: at how many seeds the two runs differ in how many of the same images they get right.",
    ),
    _Entry(
        r"\| of the test set \|",
        "**of the test set** is the spread that independent errors on so many test images give, **of training** "
        "the rest (as variances they add up to the observed one); 0 means that none was found.",
    ),
    _Entry(
        r"images/s|ms a batch|latency ms",
        "**(a to b)** after a speed holds the median with 95 % (order statistics); of fewer than six rounds or "
        "seeds it is their range. A speed with `*` is a lower bound: others disturbed all of its rounds; where "
        "some were left alone, only those count. Speeds compare within one machine and one report only.",
    ),
    _Entry(r"\| - \|", "`-` was not measured."),
)


def how_to_read(leaderboard: str) -> str:
    """The section, of what a leaderboard without it says; empty where it uses none of the terms."""
    said = [f"- {entry.text}\n" for entry in _ENTRIES if re.search(entry.term, leaderboard)]
    return f"{TITLE}\n\n{''.join(said)}" if said else ""


def renewed(leaderboard: str) -> str:
    """A whole leaderboard, with the section as it would be written today at its end."""
    before = leaderboard.partition(f"\n{TITLE}\n")[0]
    return f"{before.rstrip()}\n\n{how_to_read(before)}".rstrip() + "\n"
