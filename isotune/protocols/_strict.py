"""What every part of a protocol is: named values, checked, of which an unknown one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from isotune.errors import UsageError
from isotune.protocols._explaining import explain

if TYPE_CHECKING:
    _Model = BaseModel
else:

    class _InOneLine(type(BaseModel)):
        """Of classes that users call: what is wrong is a UsageError. Validation as such, `model_validate`, raises
        pydantic's error, so that a part's error is told with the path to it."""

        def __call__(cls, *args: Any, **values: Any) -> Any:
            try:
                return super().__call__(*args, **values)
            except ValidationError as error:
                raise UsageError(f"{cls.__name__}: {explain(error, cls)}") from None

    class _Model(BaseModel, metaclass=_InOneLine):
        """Named values, checked."""


class Strict(_Model):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
