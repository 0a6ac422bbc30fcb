"""A seat as Ray knows it: an actor around a `_seat.Place`.

Its class goes to the nodes by value, and imports isotune when it is there, so that a node without it can say so.
"""

from __future__ import annotations

import platform
from typing import Any


def actor() -> Any:
    """The class, for `.options(...).remote(...)`, as `_seat.Place` is made. Its methods answer as those do."""
    import ray

    class Seat:
        def __init__(self, *asked: Any) -> None:
            self.asked = asked
            self.place: Any = None

        def prepare(self) -> dict[str, Any]:
            context = ray.get_runtime_context()
            at = {"node": context.get_node_id(), "host": platform.node()}
            try:
                from isotune.executors.ray import _seat
            except ImportError as error:
                return {**at, "unusable": f"isotune cannot be imported there ({error}); install it there as here"}
            self.place = _seat.Place(*self.asked)
            return {**at, **self.place.prepare()}

        def run(self, order: dict[str, Any], limit: float | None, seconds: float | None) -> dict[str, Any]:
            answer: dict[str, Any] = self.place.run(order, limit, seconds, ray.get)
            return answer

        def draft(self) -> dict[str, Any]:
            answer: dict[str, Any] = self.place.draft()
            return answer

        def close(self) -> None:
            self.place.close()

        def receive(self, sent: dict[str, Any]) -> dict[str, Any]:
            answer: dict[str, Any] = self.place.receive(sent, ray.get)
            return answer

    known: Any = ray  # whose types know nothing of concurrency
    return known.remote(max_restarts=0, max_task_retries=0, max_concurrency=2)(Seat)  # the second asks for drafts
