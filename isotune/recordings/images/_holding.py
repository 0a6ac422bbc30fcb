"""Held against a protocol: its own streams first, then other forms, then the data set's images."""

from __future__ import annotations

from isotune.conventions import Conventions
from isotune.data import Dataset
from isotune.data.augmentation import Augmenter
from isotune.errors import UsageError
from isotune.protocols import Augmentation, Protocol
from isotune.recordings._comparison import Outcome
from isotune.recordings._reading import Recording
from isotune.recordings.images._looking_up import looked_up
from isotune.recordings.images._seen import SCALINGS, seen_in, wrong_labels
from isotune.recordings.images._streams import SEEDS, Streams, as_drawn, of_another_form
from isotune.runs.training import steps_of


def held_against(recording: Recording, protocol: Protocol, number: int, dataset: Dataset) -> Outcome:
    """number: of the stage, from 0; the first step that was watched is its first."""
    stage, size = protocol.stage[number], protocol.input.size
    seen = {step: each for step in recording.steps if (each := seen_in(recording, step, size)) is not None}
    why = "" if seen else "their fingerprints are of no maps of the protocol's size"
    if any(len(each.values) > stage.batch_size for each in seen.values()):
        why = "the size of the batches is another"
    if why:
        return Outcome(unknown=(f"the order of the images ({why})",))
    conventions, augmentation = Conventions.model_validate(protocol.conventions), protocol.augmentation

    def drawn(changed: Augmentation, scaling: str) -> Streams:
        augmenter = Augmenter(
            dataset, protocol.images, protocol.input, changed, resize=conventions.resize, scaling=scaling
        )
        return Streams(augmenter, protocol, number, max(seen))

    try:
        streams = drawn(augmentation, SCALINGS[0])
    except UsageError as error:
        return Outcome(unknown=(f"the order of the images ({error})",))
    for scaling in SCALINGS:
        if augmentation.random_erasing:  # whose fill is meant of the scaled image
            streams = drawn(augmentation, scaling)
        for seed in SEEDS:
            if (order := as_drawn(seen, streams, seed, scaling)) is not None:
                said = f"the images and their order (the protocol's of seed {seed}; scaled {scaling}{order})"
                wanted = {step: streams.labels[streams.order(seed)[step][1]] for step in seen}
                return Outcome(tuple(wrong_labels(seen, wanted)) if not order else (), (said,))
    if (cause := of_another_form(seen, augmentation, drawn)) is not None:
        return Outcome((cause,))
    if changes := _changes(augmentation):
        return Outcome(unknown=(f"the order of the images ({changes}, by none of seeds 0 to {SEEDS[-1]})",))
    return looked_up(seen, protocol, dataset, conventions, steps_of(stage, len(streams.labels))[1])


def _changes(augmentation: Augmentation) -> str:
    """What is done to images that a data set's are not found again after; empty: nothing."""
    done = {
        "cropped": augmentation.random_resized_crop or augmentation.random_crop, "erased": augmentation.random_erasing,
        "changed by a policy": augmentation.policy, "mixed": augmentation.mixing,
    }  # fmt: skip
    said = " and ".join(what for what, asked in done.items() if asked)
    return f"{said} at random" if said else ""
