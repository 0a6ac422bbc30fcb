"""Fingerprints of batches: enough to tell whether two loops saw the same images, scaled alike, in the same order."""

from __future__ import annotations

import hashlib

import numpy as np

from isotune.recordings._format import Batch

Array = np.ndarray
PLACES = 8  # values of an image that are kept
_MOST = 1024  # images


def fingerprint(images: Array) -> Batch:
    """Of what entered the network, [N, ...], images as [N, H, W, C]; statistics in float64."""
    images = np.asarray(images)
    rows = np.ascontiguousarray(images, np.float32).reshape(len(images), -1)
    return Batch(
        shape=tuple(images.shape), mean=float(rows.mean(dtype=np.float64)), deviation=float(rows.std(dtype=np.float64)),
        smallest=float(rows.min()), largest=float(rows.max()), images=tuple(map(tuple, values(rows[:_MOST]).tolist())),
        digests=tuple(hashlib.sha256(row.tobytes()).hexdigest()[:16] for row in rows[:_MOST]),
    )  # fmt: skip


def values(images: Array) -> Array:
    """Of each image mean, deviation and the values at PLACES of it, float64 [N, 2 + PLACES]."""
    kept = np.ascontiguousarray(images, np.float32).reshape(len(images), -1).astype(np.float64)
    places = np.linspace(0, max(kept.shape[1] - 1, 0), PLACES).astype(int)
    return np.concatenate([kept.mean(1, keepdims=True), kept.std(1, keepdims=True), kept[:, places]], 1)


def same_order(ours: Batch, theirs: Batch, tolerance: float = 1e-5) -> tuple[bool, bool]:
    """Whether two batches hold the same images, and whether in the same order.

    Images are the same where their fingerprints agree to `tolerance` of the batch's largest value: two frameworks scale
    them with other roundings.
    """
    if ours.digests == theirs.digests:
        return True, True
    if len(ours.images) != len(theirs.images) or not ours.images:
        return False, False
    a, b = np.array(ours.images), np.array(theirs.images)
    if a.shape != b.shape or ours.shape[1:] != theirs.shape[1:]:
        return False, False
    near = tolerance * max(abs(ours.smallest), abs(ours.largest), 1e-30)
    if (np.abs(a - b) <= near).all():
        return True, True
    far = np.abs(a[:, None] - b[None]).max(-1) > near
    return bool((~far).any(0).all() and (~far).any(1).all()), False


def scaling(ours: Batch, theirs: Batch) -> tuple[float, float] | None:
    """(a, b) of theirs = a * ours + b, image by image; None where that does not hold to 1e-4."""
    if len(ours.images) != len(theirs.images) or ours.shape[1:] != theirs.shape[1:]:
        return None
    a, b = (np.array(batch.images)[:, 2:].reshape(-1) for batch in (ours, theirs))
    if np.ptp(a) == 0:
        return None
    factor, offset = np.polyfit(a, b, 1)
    left = np.abs(factor * a + offset - b).max()
    return (float(factor), float(offset)) if left <= 1e-4 * max(np.abs(b).max(), 1e-30) else None
