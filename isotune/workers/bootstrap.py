"""One of isotune's programs under another environment's interpreter: on the libraries that are installed there, with
the packages of the isotune that lends them.

    python -P bootstrap.py '[{PACKAGE: FOLDER}, {METADATA FILE: TEXT}]' MODULE [ARGUMENT ...]
"""

import json
import runpy
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

_ANY = DistributionFinder.Context()


class LentDistribution(Distribution):
    """isotune's metadata, for its version and its adapters."""

    def __init__(self, texts: dict[str, str | None]) -> None:
        self._texts = texts

    def read_text(self, filename: str) -> str | None:
        return self._texts.get(filename)

    def locate_file(self, path: Any) -> Path:
        return Path(path)


class Lender(DistributionFinder):
    """Finds isotune's packages where the lender has them, before any isotune of the environment's own."""

    def __init__(self, folders: dict[str, str], texts: dict[str, str | None]) -> None:
        self._folders, self._texts = folders, texts

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        folder = self._folders.get(fullname)
        if folder is None:
            return None
        return spec_from_file_location(fullname, Path(folder) / "__init__.py", submodule_search_locations=[folder])

    def find_distributions(self, context: DistributionFinder.Context = _ANY) -> Iterator[Distribution]:
        if context.name in (None, "isotune"):
            yield LentDistribution(self._texts)


def main() -> None:
    folders, texts = json.loads(sys.argv[1])
    sys.meta_path.insert(0, Lender(folders, texts))
    sys.path.insert(
        0, str(Path.cwd())
    )  # as with -m; -P keeps this file's folder, whose modules stand in no package, out
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
