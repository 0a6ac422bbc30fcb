"""A protocol: images, input, augmentation, what is trained or evaluated, and the conventions that the recipe fixes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from isotune.conventions import AXES, INFERENCE_AXES, NETWORK_AXES, Conventions
from isotune.conventions import parse as parse_conventions
from isotune.errors import UsageError, nearest
from isotune.protocols._augmentation import Augmentation
from isotune.protocols._expected import Expected
from isotune.protocols._selection import Report, Selection, in_words
from isotune.protocols._stages import Averaging, Stage
from isotune.protocols._strict import Strict


class Images(Strict):
    """How many images of the data set are used; drawn once, stratified by class, the same for every seed."""

    train: int | None = Field(None, gt=0, description="training images at most; absent: all")
    test: int | None = Field(None, gt=0, description="test images at most; absent: all")


class Input(Strict):
    """From an image of any size to the network's input, [size, size, 3] uint8."""

    size: int = Field(224, ge=8, description="side of the network's input, pixels")
    resize: int | Literal["squash"] = Field(
        "squash", description="shorter side before the centre crop, pixels; squash: straight to size x size"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"

    @model_validator(mode="after")
    def crop_fits(self) -> Input:
        if self.resize != "squash" and self.resize < self.size:
            raise ValueError(f"a crop of size={self.size} is larger than the image resized to resize={self.resize}")
        return self


class Probe(Strict):
    """Multinomial logistic regression on frozen features, by L-BFGS, float64.

    The held-out part, drawn from the order seed and stratified, chooses the L2 strength; then the
    classifier is fitted again on everything when `refit`, else the held-out part stays unused.
    """

    l2: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        description="strengths to try: the objective is mean cross-entropy + l2/2 * |W|^2", min_length=1
    )
    held_out: float = Field(0.2, gt=0, lt=1)
    refit: bool = True
    standardise: bool = Field(False, description="features to variance 1 on the training part; they are always centred")
    max_iterations: int = Field(1000, gt=0)


class InputChange(Strict):
    """Fields of `Input` that a step does otherwise; None leaves the field."""

    resize: Literal["squash"] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] | None = None


class Step(Strict):
    """One step of an evaluation, of preprocessing or in the network, done as another library does it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)
    input: InputChange = InputChange()
    conventions: dict[str, str] = Field(
        default_factory=dict, description="axes of the input and of the network that matter without training"
    )

    @model_validator(mode="after")
    def something_changes(self) -> Step:
        if self.input == InputChange() and not self.conventions:
            raise ValueError(f"step {self.name!r} changes nothing; give input or conventions")
        if stray := next((axis for axis in self.conventions if axis not in INFERENCE_AXES), None):
            raise ValueError(
                f"conventions.{stray} is no axis that matters without training; {nearest(stray, INFERENCE_AXES)}"
            )
        try:
            parse_conventions(self.spec("identical"))
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    def spec(self, base: str) -> str:
        """`"identical,resize=plain"`: the conventions `base` with the step's."""
        return ",".join([base, *(f"{axis}={value}" for axis, value in self.conventions.items())])


class OwnClassifier(Strict):
    """The checkpoint's own classifier is evaluated; nothing is trained (isotune.runs.own_classifier). Its outputs are
    found by the names of the data set's classes (isotune.runs.own_classifier.classes)."""

    input: Literal["published", "protocol"] = Field(
        "published", description="the evaluation that the checkpoint's number was published with, or the protocol's"
    )
    beside: tuple[Step, ...] = Field((), description="planned as cells of their own; a cell holds none")
    step: str = Field("", description="of a cell: the step whose input it has; empty: the evaluation itself")
    classes: tuple[str, ...] = Field(
        (), description="names of the classifier's outputs, in their order; absent: those that stand beside the"
        " checkpoint's file, or that its library knows"
    )  # fmt: skip
    map: dict[str, int | str] = Field(
        default_factory=dict, description="a class of the data set -> the name or number (from 0) of its output"
    )
    match: Literal["name", "position"] = Field(
        "name", description="how outputs are found; position: the first output is the data set's first class, and so on"
    )

    @model_validator(mode="after")
    def one_way_to_find_outputs(self) -> OwnClassifier:
        if self.match == "position" and (self.map or self.classes):
            raise ValueError('match = "position" takes neither classes nor map; remove one of the two')
        if stray := next((name for name in self.classes if not name.strip()), None):
            raise ValueError(f"classes: {stray!r} is no name")
        return self

    @model_serializer(mode="wrap")
    def without_what_came_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `classes`, `map` and `match` where they say nothing, so that the keys of earlier cells stay."""
        values: dict[str, Any] = dump(self)
        unsaid = {"classes": not self.classes, "map": not self.map, "match": self.match == "name"}
        return {name: value for name, value in values.items() if not unsaid.get(name)}


class Evaluation(Strict):
    """How the test images are evaluated, and what a verdict against a published number allows."""

    batch_size: int = Field(64, gt=0)
    views: Literal["centre", "three-crop"] = Field(
        "centre", description="three-crop: the squares at both ends of the longer side and in the middle, of which the"
        " probabilities are averaged"
    )  # fmt: skip
    margin: float | None = Field(
        None, gt=0, description="of verdicts against published numbers, percentage points; absent: a point or the"
        " published spread, whichever is larger, and half a unit of its last digit"
    )  # fmt: skip


class Protocol(Strict):
    """The whole recipe of a run: a probe, stages of training, or the evaluation of a checkpoint's own classifier.

    What is wrong is a UsageError that names the field and what would be valid. Built in Python:

    >>> from isotune import Protocol, protocols
    >>> stage = protocols.Stage(
    ...     epochs=1,
    ...     batch_size=20,
    ...     optimizer=protocols.SGD(momentum=0.9, nesterov=True),
    ...     schedule=protocols.Schedule(name="cosine", learning_rate=0.01),
    ... )
    >>> recipe = Protocol(name="one-epoch", title="One epoch", source="my own", input={"size": 32}, stage=[stage])
    >>> isotune.run("timm:mobilenetv2_100", "digits", recipe, seeds=1)
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)
    title: str
    source: str = Field(description="where the recipe comes from")
    deviations: tuple[str, ...] = Field((), description="in what it differs from its source")
    images: Images = Images()
    input: Input = Input()
    augmentation: Augmentation = Augmentation()
    probe: Probe | None = None
    stage: tuple[Stage, ...] = ()
    average: Averaging | None = Field(None, description="over all stages; it is evaluated in the weights' place")
    selection: Selection | None = Field(None, description="absent: the accuracy after the last step counts")
    own_classifier: OwnClassifier | None = None
    evaluation: Evaluation = Evaluation()
    conventions: dict[str, Any] = Field(default_factory=dict, description="recipe axes; the rest have their defaults")
    expected: tuple[Expected, ...] = Field(
        (), exclude=True, description="published numbers that a run is held against; they are no part of the recipe"
    )

    @model_validator(mode="after")
    def one_kind(self) -> Protocol:
        if sum(map(bool, (self.probe, self.stage, self.own_classifier))) != 1:
            raise ValueError("give either [probe] or at least one [[stage]], or [own_classifier]")
        if self.own_classifier and (self.augmentation != Augmentation() or self.images.train is not None):
            raise ValueError("own_classifier trains nothing: it cannot have [augmentation] or images.train")
        side = self.augmentation.random_crop
        if side is not None and side < self.input.size:
            raise ValueError(f"augmentation.random_crop = {side} is smaller than input.size = {self.input.size}")
        if self.average and not self.stage:
            raise ValueError("an average is of weights that are trained: it needs a [[stage]]")
        if self.probe and self.augmentation != Augmentation():
            raise ValueError("a probe's features are computed once: it cannot have [augmentation]")
        if self.evaluation.views == "three-crop":
            if not self.stage:
                raise ValueError('evaluation.views = "three-crop" is of what is trained: it needs a [[stage]]')
            if self.input.resize == "squash":
                raise ValueError(
                    'evaluation.views = "three-crop" cuts along the longer side, and input.resize = "squash" leaves'
                    f" none; give the shorter side, resize = {self.input.size} say"
                )
        return self

    @model_validator(mode="after")
    def selection_is_of_what_is_trained(self) -> Protocol:
        rule = self.selection
        if rule is None:
            return self
        if not self.stage:
            has = "a probe has a held-out part of its own" if self.probe else "own_classifier trains nothing"
            raise ValueError(f"selection is of trainings: it needs a [[stage]]; {has}")
        if (grid := rule.grid) is not None:
            try:
                for values in grid.combinations:
                    grid.stages(self.stage, values)
            except UsageError as error:
                raise ValueError(f"selection.grid: {error}") from None
        return self

    @property
    def measured(self) -> tuple[Report, ...]:
        """The accuracies that a run has, by name."""
        return self.selection.measured if self.selection else ("last",)

    @property
    def counts(self) -> str:
        """Which accuracy is that of a run, after "the accuracy"."""
        rule = self.selection
        return in_words(rule.reports, rule.last) if rule else in_words("last")

    @model_validator(mode="after")
    def conventions_are_recipe_axes(self) -> Protocol:
        recipe = [axis for axis in AXES if axis not in NETWORK_AXES and not AXES[axis].field]
        for axis in self.conventions:
            if axis in AXES and AXES[axis].field:
                raise ValueError(f"conventions.{axis}: a protocol says this form in {AXES[axis].field}; write it there")
            if axis not in recipe:
                raise ValueError(f"conventions.{axis} is not a recipe axis; {nearest(axis, recipe)}")
        try:
            Conventions.model_validate(self.conventions)
        except ValidationError as error:
            first = error.errors()[0]
            said = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"conventions.{first['loc'][0]} = {first['input']!r}: {said}") from None
        return self

    @model_serializer(mode="wrap")
    def without_what_came_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `own_classifier`, `average`, `selection` and what is not said of `evaluation`, so that the keys of
        earlier cells stay what they were."""
        values: dict[str, Any] = dump(self)
        for late in ("own_classifier", "average", "selection"):
            if values.get(late) is None:
                values.pop(late, None)
        for late, unsaid in (("margin", None), ("views", "centre")):
            if "evaluation" in values and values["evaluation"].get(late) == unsaid:
                values["evaluation"].pop(late, None)
        return values
