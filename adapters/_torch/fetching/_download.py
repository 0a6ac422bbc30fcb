"""One checkpoint that a library fetches into its own cache."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError

from isotune import downloads
from isotune.errors import NotCached, UsageError

_SECONDS_TO_ANSWER = 5
HUB_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_ONLY, _NOT_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_TOLD = re.compile(r"^([0-9a-f]{64})$|-([0-9a-f]{8,64})\.\w+$")  # a blob of the hub; mobilenet_v2-7ebf99e0.pth


def hub_file(url: str) -> Path:
    """Where torch.hub caches the file of `url`."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


@dataclass(frozen=True)
class Download:
    """A checkpoint that a library fetches: what was asked, where it lies, and where it would be cached."""

    model: str  # adapter:name
    checkpoint: str
    url: str
    cached_at: Path

    def refuse_offline(self) -> None:
        """NotCached when nothing answers within seconds. Whatever answers, even with an error, is a network."""
        try:
            urllib.request.urlopen(urllib.request.Request(self.url, method="HEAD"), timeout=_SECONDS_TO_ANSWER).close()
        except urllib.error.HTTPError as answer:
            answer.close()
        except (OSError, ValueError):
            raise self.not_cached() from None

    def not_cached(self, reason: str = "") -> NotCached:
        """What was asked, where it would be cached, and what to run instead. reason: why it cannot be downloaded;
        empty: nothing answers."""
        problem = f"downloaded: {reason}" if reason else "reached"
        return NotCached(
            f"{self} is not cached ({self.cached_at}) and {self.url} cannot be {problem}; on a machine with network run"
            f" `isotune prepare --models {self.model} --checkpoint {self.checkpoint}` and copy the cache, or use"
            " --checkpoint offline or file:PATH"
        )

    def __str__(self) -> str:
        return f"checkpoint {self.checkpoint!r} of {self.model}"

    @contextmanager
    def loading(self) -> Iterator[None]:
        """While the library downloads and loads: its words go to stderr, its errors become one line, and it does not
        wait for ever.

        Nothing that is cached runs, even where the library would take a pickle as it is (torch.hub's default), and a
        file whose name tells its digest (torch.hub's, and those of the Hugging Face hub) must have it. Of a file that
        came just now and is damaged nothing is kept.
        """
        before = frozenset(self._cached())
        if wrong := [file for file in before if not _is_named_after_its_content(file)]:
            raise UsageError(f"{self}: the cached file is not what its name says; remove {wrong[0]}")
        try:
            with redirect_stdout(sys.stderr), _tensors_alone(), downloads.patient():
                yield
            if any(not _is_named_after_its_content(file) for file in self._came(before)):
                raise self._damaged(before)
        except downloads.FAILURES as error:
            raise self.not_cached(downloads.reason(error)) from None
        except (pickle.UnpicklingError, EOFError, SafetensorError):
            raise self._damaged(before) from None
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            if "PytorchStreamReader" in str(error):
                raise self._damaged(before) from None
            if "invalid hash value" in str(error):
                raise UsageError(
                    f"{self}: what {self.url} gave is something else, or was cut off ({lines[0]}); try again"
                ) from None
            if "loading state_dict" in str(error):
                raise UsageError(f"{self} does not fit the model: {lines[min(1, len(lines) - 1)][:300]}") from None
            raise

    def _cached(self) -> Iterator[Path]:
        """What is cached of it: a file of torch.hub's, or a repository's weights, by the names of their contents."""
        if self.cached_at.is_file():
            yield self.cached_at
        for link in self._links():
            yield link.resolve()

    def _links(self) -> Iterator[Path]:
        for link in self.cached_at.glob("snapshots/*/*"):
            if link.name in HUB_WEIGHTS and link.exists():
                yield link

    def _came(self, before: frozenset[Path]) -> list[Path]:
        return [file for file in self._cached() if file not in before]

    def _damaged(self, before: frozenset[Path]) -> UsageError:
        """What to say of a damaged file; one that came just now is removed."""
        if not (came := self._came(before)):
            return UsageError(f"{self}: the cached file is damaged; remove {self.cached_at}")
        for link in [link for link in self._links() if link.resolve() in came]:
            link.unlink()
        for file in came:
            file.unlink(missing_ok=True)
        return UsageError(f"{self}: what {self.url} gave is damaged, or was cut off; nothing of it was kept, try again")


def _is_named_after_its_content(file: Path) -> bool:
    """Whether a file has the digest that its name tells; True where it tells none."""
    told = _TOLD.search(file.name)
    if not told:
        return True
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest().startswith(told[1] or told[2])


@contextmanager
def _tensors_alone() -> Iterator[None]:
    """While inside, torch.load takes plain tensors only, whatever it is told (torch/serialization.py)."""
    before = {name: os.environ.pop(name, None) for name in (_ONLY, _NOT_ONLY)}
    os.environ[_ONLY] = "1"
    try:
        yield
    finally:
        del os.environ[_ONLY]
        os.environ.update({name: value for name, value in before.items() if value is not None})
