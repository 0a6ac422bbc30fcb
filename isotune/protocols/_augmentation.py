"""Random changes of the training images: crops, flips, policies, erasing, and mixtures of two images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from isotune.protocols._strict import Strict

Range = tuple[float, float]


class RandAugment(Strict):
    """So many operations of fourteen, all of one magnitude (Cubuk et al. 2020, arXiv 1909.13719)."""

    name: Literal["rand-augment"] = "rand-augment"
    operations: int = Field(2, ge=1, le=14)
    magnitude: int = Field(9, ge=0, le=30, description="of 0 (nothing) to 30")


class NoisyRandAugment(Strict):
    """timm's RandAugment (timm/data/auto_augment.py, `rand-m9-mstd0.5`): of fifteen operations, each by chance, at a
    magnitude of its own. Most act the less the greater it is (timm's without `-inc1`)."""

    name: Literal["noisy-rand-augment"] = "noisy-rand-augment"
    operations: int = Field(2, ge=1, le=15)
    magnitude: float = Field(9, ge=0, le=10, description="of 0 to 10")
    noise: float = Field(0.0, ge=0, le=100, description="standard deviation of each operation's magnitude, a normal's")
    probability: float = Field(0.5, gt=0, le=1, description="that an operation takes place")


class TrivialAugment(Strict):
    """One operation of any magnitude, of the wide space (Mueller and Hutter 2021, arXiv 2103.10158)."""

    name: Literal["trivial-augment"] = "trivial-augment"


class AutoAugment(Strict):
    """One of 25 pairs of operations (Cubuk et al. 2019, arXiv 1805.09501)."""

    name: Literal["auto-augment"] = "auto-augment"
    table: Literal["imagenet", "cifar10", "svhn"] = Field("imagenet", description="for which the pairs were searched")


class ColorJitter(Strict):
    """Brightness, contrast, saturation and hue in a drawn order (torchvision.transforms.ColorJitter)."""

    name: Literal["color-jitter"] = "color-jitter"
    brightness: float = Field(0.0, ge=0, description="the factor is 1 +- this, at least 0")
    contrast: float = Field(0.0, ge=0, description="the factor is 1 +- this, at least 0")
    saturation: float = Field(0.0, ge=0, description="the factor is 1 +- this, at least 0")
    hue: float = Field(0.0, ge=0, le=0.5, description="share of a whole turn, to both sides")

    @model_validator(mode="after")
    def something_changes(self) -> ColorJitter:
        if not any((self.brightness, self.contrast, self.saturation, self.hue)):
            raise ValueError("color-jitter changes nothing; give brightness, contrast, saturation or hue")
        return self


class RandomRotation(Strict):
    """A turn about the centre, bilinear, with what lies beyond the border mirrored (keras.layers.RandomRotation)."""

    name: Literal["random-rotation"] = "random-rotation"
    turn: float = Field(gt=0, le=1, description="share of a whole turn, to both sides")


class RandomTranslation(Strict):
    """A shift, bilinear, with what lies beyond the border mirrored (keras.layers.RandomTranslation)."""

    name: Literal["random-translation"] = "random-translation"
    height: float = Field(0.0, ge=0, le=1, description="share of the height, up and down")
    width: float = Field(0.0, ge=0, le=1, description="share of the width, to both sides")

    @model_validator(mode="after")
    def something_moves(self) -> RandomTranslation:
        if not (self.height or self.width):
            raise ValueError("random-translation moves nothing; give height or width")
        return self


class RandomFlip(Strict):
    """A flip, by one draw: `both` is both ways or neither, half a turn (keras.layers.RandomFlip's default)."""

    name: Literal["random-flip"] = "random-flip"
    axes: Literal["horizontal", "vertical", "both"] = "horizontal"
    probability: float = Field(0.5, gt=0, le=1)


class RandomContrast(Strict):
    """Each channel's distance from its mean in the image, times a factor (keras.layers.RandomContrast, of which
    RandomContrast(f) draws from 1 to 1 + f in Keras 3.15, and from 1 - f in Keras 2)."""

    name: Literal["random-contrast"] = "random-contrast"
    factor: Range = Field(description="least and greatest; 1 changes nothing")

    @model_validator(mode="after")
    def factors_increase(self) -> RandomContrast:
        if not 0 <= self.factor[0] <= self.factor[1] != self.factor[0]:
            raise ValueError("factor must be [least, greatest] with 0 <= least < greatest")
        return self


Policy = (
    RandAugment
    | NoisyRandAugment
    | TrivialAugment
    | AutoAugment
    | ColorJitter
    | RandomRotation
    | RandomTranslation
    | RandomFlip
    | RandomContrast
)


class RandomErasing(Strict):
    """A rectangle of an image is overwritten (Zhong et al. 2020, arXiv 1708.04896)."""

    probability: float = Field(0.25, gt=0, le=1)
    area: Range = Field((0.02, 1 / 3), description="least and greatest share of the image")
    ratio: Range = Field((0.3, 10 / 3), description="least and greatest height over width, uniform in its logarithm")
    fill: Literal["mean", "colour", "noise", "clipped-noise"] = Field(
        "mean",
        description="the scaling's mean; a drawn colour; noise: drawn for every pixel; clipped-noise: on bytes, of"
        " standard deviation 255, cut off at 0 and 255",
    )

    @model_validator(mode="after")
    def ranges_increase(self) -> RandomErasing:
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError("area must be [least, greatest] with 0 < least <= greatest <= 1")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError("ratio must be [least, greatest] with 0 < least <= greatest")
        return self


class Mixing(Strict):
    """Mixtures of the images of a batch, and of their labels: mixup (Zhang et al. 2018, arXiv 1710.09412), CutMix (Yun
    et al. 2019, arXiv 1905.04899), or either by chance.

    An image's partner is that of the batch in reverse in timm, of the batch turned by one in torchvision.
    """

    mixup: float = Field(0.0, ge=0, description="alpha: the share is drawn from Beta(alpha, alpha); 0: no mixup")
    cutmix: float = Field(0.0, ge=0, description="alpha: the share is drawn from Beta(alpha, alpha); 0: no CutMix")
    probability: float = Field(1.0, gt=0, le=1, description="that a batch, pair or image is mixed at all")
    switch: float = Field(0.5, ge=0, le=1, description="probability of CutMix where there are both")
    per: Literal["batch", "pair", "image"] = Field("batch", description="for what a share is drawn")
    partner: Literal["reversed", "rolled", "shuffled"] = Field(
        "reversed",
        description="the batch in reverse, turned by one, or shuffled as in the papers",
    )

    @model_validator(mode="after")
    def something_is_mixed(self) -> Mixing:
        if not (self.mixup or self.cutmix):
            raise ValueError("mixing needs mixup or cutmix, an alpha above 0")
        if self.switch != 0.5 and not (self.mixup and self.cutmix):
            raise ValueError("switch is for mixup and cutmix together")
        if self.per == "pair" and self.partner != "reversed":
            raise ValueError('per = "pair" mixes an image with that at the other end; partner = "reversed"')
        return self


class Augmentation(Strict):
    """Random changes of the training images, drawn in NumPy from the augmentation seed, in this order."""

    random_resized_crop: Range | None = Field(
        None, description="least and greatest share of the area; aspect ratio 3/4 to 4/3"
    )
    random_crop: int | None = Field(
        None,
        ge=8,
        description="side to which an image is squashed first, pixels; the input is cut out at a drawn place",
    )
    horizontal_flip: float = Field(0.0, ge=0, le=1, description="probability")
    policy: tuple[Annotated[Policy, Field(discriminator="name")], ...] = Field((), description="one after the other")
    random_erasing: RandomErasing | None = None
    mixing: Mixing | None = None

    @model_validator(mode="after")
    def scale_is_a_range(self) -> Augmentation:
        if self.random_resized_crop and not 0 < self.random_resized_crop[0] <= self.random_resized_crop[1] <= 1:
            raise ValueError("random_resized_crop must be [least, greatest] with 0 < least <= greatest <= 1")
        if self.random_resized_crop and self.random_crop:
            raise ValueError("give either random_resized_crop or random_crop")
        return self

    @model_serializer(mode="wrap")
    def without_what_came_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not asked for, so that the keys of earlier cells stay."""
        values: dict[str, Any] = dump(self)
        later = ("random_crop", "policy", "random_erasing", "mixing")
        return {name: value for name, value in values.items() if name not in later or value}
