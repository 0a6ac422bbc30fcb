"""Investigations of many pairs, a few at a time: under which recipes, on which images, and what each found is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from isotune import data, protocols
from isotune.investigation import Findings
from isotune.investigation.findings import VERSION
from isotune.progress import Progress
from isotune.protocols import SGD, Adam, Protocol, RMSprop, Schedule, Stage

Case = TypeVar("Case")
Judged = TypeVar("Judged")
IMAGES, STEPS = 8, 4
OPTIMIZERS: dict[str, Any] = {
    "sgd": SGD(name="sgd", momentum=0.9, nesterov=True, weight_decay=0.01),
    "sgd-plain": SGD(name="sgd", momentum=0.9, weight_decay=0.01),
    "clipped": SGD(name="sgd", momentum=0.9, nesterov=True, weight_decay=0.01, clip_norm=0.05),
    "adam": Adam(name="adam", weight_decay=0.01),
    "adamw": Adam(name="adamw", weight_decay=0.01),
    "rmsprop": RMSprop(name="rmsprop", momentum=0.9, weight_decay=0.01),
    "frozen": SGD(name="sgd", momentum=0.9, nesterov=True, weight_decay=0.01),
}


def protocol(name: str, recipe: str, size: int, frozen: str) -> Protocol:
    """Steps at rates that change, with label smoothing, under one of OPTIMIZERS. size: pixels. frozen: what the recipe
    of that name trains."""
    stage = Stage(
        trained=frozen if recipe == "frozen" else "all", steps=8, batch_size=8, label_smoothing=0.1,
        optimizer=OPTIMIZERS[recipe],
        schedule=Schedule(name="cosine", learning_rate=0.001 if "adam" in recipe else 0.01, warmup_steps=2),
    )  # fmt: skip
    base = protocols.load("quick-fine-tune")
    return base.model_copy(
        update={"name": name, "stage": (stage,), "input": base.input.model_copy(update={"size": size})}
    )


def photos(digits: data.Dataset, place: Path) -> data.Dataset:
    """Some digits as JPEG files of 64 pixels with subsampled colours, which decoders read differently."""
    for split, count in (("train", 40), ("test", 20)):
        part = getattr(digits, split)
        for number in range(count):
            folder = place / "photos" / split / digits.classes[int(part.labels[number])]
            folder.mkdir(parents=True, exist_ok=True)
            grey = np.kron(part.images[number].reshape(*part.images[number].shape[:2], -1)[..., 0], np.ones((8, 8)))
            coloured = np.stack([grey, np.roll(grey, 3, 0), np.roll(grey, 5, 1)], -1).astype(np.uint8)
            Image.fromarray(coloured).save(folder / f"{number}.jpg", quality=75, subsampling="4:2:0")
    return data.prepare(f"imagefolder:{place / 'photos'}")


def kept(file: Path, asked: Sequence[object], ask: Callable[[], Findings]) -> Findings:
    """What `file` holds of the same question, else what `ask` gives, which goes into it."""
    question = json.dumps([VERSION, *asked])
    if file.exists() and (former := json.loads(file.read_text(encoding="utf-8")))["asked"] == question:
        return Findings.model_validate(former["findings"])
    findings = ask()
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps({"asked": question, "findings": findings.model_dump(mode="json")}), encoding="utf-8")
    draft.replace(file)
    return findings


def in_turn(
    what: str, cases: Sequence[Case], judged: Callable[[Case], Judged], jobs: int, told: Callable[[Judged], str],
    progress: Progress, note: Callable[[str], object],
) -> list[Judged]:  # fmt: skip
    """All judged, `jobs` at a time. told: a line of each, for the terminal."""
    done = 0

    def one(case: Case) -> Judged:
        nonlocal done
        outcome = judged(case)
        done += 1
        note(told(outcome))
        progress(what, done, len(cases))
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, cases))


def versions(found: Iterable[Findings]) -> str:
    """Those of the libraries on either side, as a line of a report."""
    names = ("torch", "torchvision", "timm", "keras", "tensorflow")
    known = {
        f"{name} {side[name]}" for each in found for side in each.environment.values() for name in names if name in side
    }
    return f"Versions: {', '.join(sorted(known))}."
