"""Random changes of the training images, drawn in NumPy, the same for every framework.

Every image's draws come from generators of its own, keyed by a stream's seed, epoch and the image's number, so they
depend neither on the order of the samples nor on the size of the batches. Mixtures are a batch's, keyed by its first
image. Crops and flips are of the stream augmentation; policies, erasing and mixing have their own (isotune.seeds).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy

import numpy as np

from isotune.data import policies
from isotune.data._views import chosen, inputs
from isotune.data.dataset import Dataset
from isotune.data.erasing import erased
from isotune.data.mixing import mixed
from isotune.data.operations import Drawn, applied
from isotune.data.resizing import Resize, resized
from isotune.protocols import Augmentation, Images, Input
from isotune.seeds import Seeds
from isotune.workers import threads

_RATIO = (3 / 4, 4 / 3)  # torchvision.transforms.RandomResizedCrop's default
_TRIES = 10
_POLICY, _ERASING, _MIXING = 0x901, 0x902, 0x903  # separate their streams from that of crops and flips


Batch = tuple[np.ndarray, np.ndarray]


class Augmenter:
    """The training images of a protocol, augmented.

    labels: int64 [n], of the images that the protocol uses; image numbers below are positions in it.
    UsageError, MissingExtra: as in `isotune.data.inputs`.
    """

    def __init__(
        self,
        dataset: Dataset,
        images: Images,
        input: Input,
        augmentation: Augmentation,
        *,
        resize: Resize = "antialias",
        decode: str = "pillow",
        scaling: str = "mean-std",
    ) -> None:
        self._input, self._augmentation, self._resize = input, augmentation, resize
        self._scaling, self._classes = scaling, len(dataset.classes)
        if augmentation.random_resized_crop:
            self._split, self._indices, _ = chosen(dataset, "train", images, decode)
            self.labels = self._split.labels[self._indices]
        else:
            self._view: np.ndarray
            viewed = input
            if (side := augmentation.random_crop) is not None:
                viewed = Input(size=side, interpolation=input.interpolation)
            self._view, self.labels = inputs(dataset, "train", images, viewed, resize=resize, decode=decode)
        self._numbers = np.arange(len(self.labels))

    def only(self, numbers: np.ndarray) -> Augmenter:
        """The same of the images with these numbers alone, int64 [n], which are 0 to n-1 there; what is drawn for an
        image is as among all."""
        part = copy(self)
        part._numbers, part.labels = self._numbers[numbers], self.labels[numbers]
        return part

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def mixes(self) -> bool:
        """Whether images come as float32, or targets in the place of labels."""
        return self._augmentation.mixing is not None or self._augmentation.random_erasing is not None

    def batch(self, epoch: int, samples: np.ndarray, seeds: Seeds) -> Batch:
        """The images with the numbers `samples`, int64 [B], as of an epoch: [B, size, size, 3] in 0..255, uint8, or
        float32 where pixels are erased or mixed; and their labels, int64 [B], or targets, float64 [B, classes], where
        images are mixed."""
        numbers = self._numbers[samples]
        images = np.stack([self._image(epoch, int(number), seeds) for number in numbers])
        labels = self.labels[samples]
        if (mixing := self._augmentation.mixing) is None:
            return images, labels
        stream = np.random.default_rng([seeds.of("mixing"), epoch, int(numbers[0]), _MIXING])
        return mixed(images, labels, self._classes, mixing, stream)

    def batches(self, order: Iterable[tuple[int, np.ndarray]], seeds: Seeds) -> Iterator[Batch]:
        """`batch` for every (epoch, samples) of `order`, prepared on every core while those before are in use.

        Grain would do the same (MapDataset over the same map). `benchmarks/validation/speed/input_pipeline.py` holds
        the two against each other, and as long as ours is not slower, a dependency less is a version less to record.
        """
        cores = threads.cores()
        with ThreadPoolExecutor(cores, "augmentation") as pool:
            waiting: deque[Future[Batch]] = deque()
            try:
                for epoch, samples in order:
                    waiting.append(pool.submit(self.batch, epoch, samples, seeds))
                    if len(waiting) > cores:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _image(self, epoch: int, sample: int, seeds: Seeds) -> np.ndarray:
        image = self._cropped(epoch, sample, seeds.augmentation)
        operations: Drawn = []
        for number, policy in enumerate(self._augmentation.policy):
            stream = np.random.default_rng([seeds.of("policy"), epoch, sample, _POLICY, number])
            operations += policies.drawn(policy, image.shape[0], image.shape[1], stream)
        image = applied(image, operations)
        if (erasing := self._augmentation.random_erasing) is not None:
            stream = np.random.default_rng([seeds.of("erasing"), epoch, sample, _ERASING])
            image = erased(image, erasing, self._scaling, stream)
        return image

    def _cropped(self, epoch: int, sample: int, seed: int) -> np.ndarray:
        image: np.ndarray
        crop, flip = self._augmentation.random_resized_crop, self._augmentation.horizontal_flip
        side, size = self._augmentation.random_crop, self._input.size
        if crop is None and side is None and not flip:
            image = self._view[sample]
            return image
        draws = np.random.default_rng([seed, epoch, sample]).random(1 + 4 * _TRIES)
        if crop is not None:
            image = self._split.image(int(self._indices[sample]))
            top, left, height, width = crop_box(image.shape[0], image.shape[1], crop, draws[1:])
            cut = image[top : top + height, left : left + width]
            image = resized(np.ascontiguousarray(cut), size, size, self._resize, self._input.interpolation)
        else:
            image = self._view[sample]
        if side is not None:
            top, left = (int(draw * (side - size + 1)) for draw in draws[1:3])
            image = image[top : top + size, left : left + size]
        mirrored: np.ndarray = image[:, ::-1]
        return mirrored if draws[0] < flip else image


def crop_box(height: int, width: int, scale: tuple[float, float], draws: np.ndarray) -> tuple[int, int, int, int]:
    """(top, left, height, width) of torchvision's `RandomResizedCrop.get_params`.

    draws: float64 [40] uniform in 0..1; four for each of ten tries at a box that lies within the image:
    area, aspect ratio (uniform in its logarithm), top, left. When none fits, the central box whose ratio
    is nearest to the allowed ones.
    """
    low, high = math.log(_RATIO[0]), math.log(_RATIO[1])
    for area, ratio, top, left in draws.reshape(_TRIES, 4):
        target = height * width * (scale[0] + area * (scale[1] - scale[0]))
        aspect = math.exp(low + ratio * (high - low))
        w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(top * (height - h + 1)), int(left * (width - w + 1)), h, w
    w, h = width, height
    if width / height < _RATIO[0]:
        h = round(width / _RATIO[0])
    elif width / height > _RATIO[1]:
        w = round(height * _RATIO[1])
    return (height - h) // 2, (width - w) // 2, h, w
