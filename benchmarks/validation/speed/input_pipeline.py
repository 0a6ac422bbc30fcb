"""Which input pipeline feeds a training step faster: isotune's memory map with a thread a core ahead, or Grain?

    pip install grain
    python benchmarks/validation/speed/input_pipeline.py

Both do the same to the same images: random resized crop and flip from 256 to 224 pixels, batches of 64, in a given
order. Each is read as fast as it gives (nothing else to do), and beside work on all cores, as a training step is.
Prints JSON: images/s, median of the rounds, pipelines in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from isotune import data
from isotune.data.augmentation import Augmenter
from isotune.protocols import Augmentation, Images, Input
from isotune.seeds import Seeds

IMAGES, BATCH = 512, 64


def pipelines(augmenter: Augmenter) -> dict[str, Callable[[], Iterator[np.ndarray]]]:
    import grain.python as grain

    order = np.random.default_rng(0).permutation(IMAGES)
    batches = [(0, order[start : start + BATCH]) for start in range(0, IMAGES, BATCH)]

    def with_grain(threads: int) -> Iterator[np.ndarray]:
        source = grain.MapDataset.source([int(sample) for sample in order])
        images = source.map(lambda sample: augmenter.batch(0, np.array([sample]), Seeds.all(0))[0][0]).batch(BATCH)
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * max(1, threads))
        return iter(images.to_iter_dataset(options))

    return {
        "isotune": lambda: augmenter.batches(batches, Seeds.all(0)),
        "grain, 1 thread": lambda: with_grain(1),
        "grain, a thread a core": lambda: with_grain(os.cpu_count() or 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ISOTUNE_CACHE"] = folder
        stream = np.random.default_rng(0)
        pixels, labels = stream.integers(0, 256, (IMAGES, 256, 256, 3), dtype=np.uint8), np.arange(IMAGES) % 2
        file = Path(folder, "images.npz")
        np.savez(file, x_train=pixels, y_train=labels, x_test=pixels[:8], y_test=labels[:8])
        augmentation = Augmentation(random_resized_crop=(0.08, 1.0), horizontal_flip=0.5)
        augmenter = Augmenter(data.prepare(f"npz:{file}"), Images(), Input(size=224), augmentation)
        operand = stream.normal(size=(1500, 1500)).astype(np.float32)
        rates: dict[str, dict[str, list[float]]] = {}
        for _ in range(rounds):
            for name, make in pipelines(augmenter).items():
                for beside, work in (("nothing", None), ("a step", operand)):
                    began = time.perf_counter()
                    for _batch in make():
                        if work is not None:
                            work @ work  # as long as a step of a small network, on all cores
                    rates.setdefault(name, {}).setdefault(beside, []).append(IMAGES / (time.perf_counter() - began))
    print(json.dumps({name: {k: round(float(np.median(v))) for k, v in each.items()} for name, each in rates.items()}))


if __name__ == "__main__":
    main()
