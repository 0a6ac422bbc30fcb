"""The seeds of a run: a stream for each source of randomness, so that variance can be split by source.

Head, order and augmentation always have theirs. What a technique draws came later, and has the seed of the stream that
it was drawn from until then, unless it is given one of its own: the draws are the same for the same number.

    policy, erasing, mixing    as augmentation
    dropout, depth             as order
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

FORMER = {
    "policy": "augmentation", "erasing": "augmentation", "mixing": "augmentation", "dropout": "order", "depth": "order",
}  # fmt: skip


class Seeds(BaseModel):
    """A seed for each stream. One that is that of the former stream is not said: there is one way to write each run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: int = Field(ge=0, description="head initialisation")
    order: int = Field(ge=0, description="order of the training images, what is held out of them")
    augmentation: int = Field(ge=0, description="crops and flips")
    policy: int | None = Field(None, ge=0, description="operations of policies and magnitudes; null: as augmentation")
    erasing: int | None = Field(None, ge=0, description="rectangles that are erased; null: as augmentation")
    mixing: int | None = Field(None, ge=0, description="shares, boxes and partners of mixtures; null: as augmentation")
    dropout: int | None = Field(None, ge=0, description="dropout masks; null: as order")
    depth: int | None = Field(None, ge=0, description="branches left out by stochastic depth; null: as order")

    @classmethod
    def all(cls, seed: int) -> Seeds:
        return cls(head=seed, order=seed, augmentation=seed)

    @classmethod
    def from_streams(cls, seeds: Iterable[int]) -> Seeds:
        """Of one seed for each of STREAMS."""
        return cls(**dict(zip(STREAMS, seeds, strict=True)))

    @model_validator(mode="before")
    @classmethod
    def without_what_goes_with_its_former_stream(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {
            name: value for name, value in values.items() if name not in FORMER or value != values.get(FORMER[name])
        }

    @model_serializer(mode="wrap")
    def without_what_came_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without streams that have no seed of their own, so that the keys of earlier cells stay."""
        values: dict[str, Any] = dump(self)
        return {name: value for name, value in values.items() if value is not None}

    def of(self, stream: str) -> int:
        """The seed that a stream is drawn from."""
        own: int | None = getattr(self, stream)
        return self.of(FORMER[stream]) if own is None else own

    @property
    def streams(self) -> tuple[int, ...]:
        """The seed of each of STREAMS."""
        return tuple(map(self.of, STREAMS))

    def __str__(self) -> str:
        """ "3", "0/1/0" of head, order and augmentation, "0/1/0 mixing 2"."""
        values = (self.head, self.order, self.augmentation)
        common = str(self.head) if len(set(values)) == 1 else "/".join(map(str, values))
        own = (f"{stream} {getattr(self, stream)}" for stream in FORMER if getattr(self, stream) is not None)
        return " ".join((common, *own))


STREAMS = tuple(Seeds.model_fields)


def apart(several: Iterable[Seeds]) -> list[dict[str, int]]:
    """Of each of these runs its seeds by stream, without streams that go with their former one in all of them."""
    runs = list(several)
    drawn = [s for s in STREAMS if s not in FORMER or any(seeds.of(s) != seeds.of(FORMER[s]) for seeds in runs)]
    return [{stream: seeds.of(stream) for stream in drawn} for seeds in runs]
