"""Other environments' interpreters: isotune's programs run under them, on what is installed there.

The other environment needs the libraries, not isotune: the one that runs here is lent to it (`bootstrap`), so that
what differs between two environments is never isotune.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from isotune.errors import Unavailable, UsageError

OLDEST = (3, 11)
NEEDED = {  # by every worker: package -> what it is imported as
    "filelock": "filelock", "numpy": "numpy", "pillow": "PIL", "platformdirs": "platformdirs", "psutil": "psutil",
    "pydantic": "pydantic", "safetensors": "safetensors", "scipy": "scipy", "threadpoolctl": "threadpoolctl",
}  # fmt: skip
_PACKAGES = ("isotune", "isotune.adapters", "isotune.protocols.builtin", "isotune.reference_results")  # may stand apart
_ANSWER = "isotune asks"
_PROBE = f"""
import sys
print('{_ANSWER} %d %d' % sys.version_info[:2])
if sys.version_info >= {OLDEST}:
    from importlib.util import find_spec
    print(' '.join(name for name in sys.argv[1:] if find_spec(name) is None))
"""  # in words that every Python knows
_PROBE_SECONDS = 60


def command(module: str, python: str = sys.executable) -> list[str]:
    """What runs `python -m module`; where isotune is not known to be installed, with the one that runs here."""
    if python == sys.executable and not sys.flags.safe_path:  # -P is how an interpreter that was lent isotune runs
        return [python, "-m", module]
    folders = {name: _folder(name) for name in _PACKAGES}
    own = metadata.distribution("isotune")
    about, _, _ = (own.read_text("METADATA") or own.read_text("PKG-INFO") or "").partition("\n\n")  # without the README
    texts = {"METADATA": about, "entry_points.txt": own.read_text("entry_points.txt")}
    return [python, "-P", str(Path(__file__).with_name("bootstrap.py")), json.dumps([folders, texts]), module]


def check(python: str) -> None:
    """UsageError: no interpreter, or too old. Unavailable: packages that every worker needs are not installed there."""
    try:
        done = subprocess.run(
            [python, "-c", _PROBE, *NEEDED.values()], capture_output=True, text=True, check=False,
            timeout=_PROBE_SECONDS, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
    except OSError as error:
        raise UsageError(f"cannot start {python}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{python} does not answer as Python would; give the path of an environment's python"
        ) from None
    first, _, second = done.stdout.partition("\n")
    if not first.startswith(_ANSWER):
        raise UsageError(f"{python} is no Python interpreter; give the path of an environment's python")
    version = tuple(map(int, first.split()[-2:]))
    if version < OLDEST:
        raise UsageError(
            f"{python} is Python {_dotted(version)}, and isotune needs {_dotted(OLDEST)} or newer;"
            " make that environment with a newer one"
        )
    lacking = set(second.split())
    if missing := [package for package, module in NEEDED.items() if module in lacking]:
        raise lacks(python, missing, missing)


def lacks(python: str, packages: list[str], install: list[str]) -> Unavailable:
    """The error that says which environment lacks what, and what to install."""
    *rest, last = packages
    named = f"{', '.join(rest)} and {last}" if rest else last
    return Unavailable(
        f"the environment of {python} lacks {named}; run: {shlex.join([python, '-m', 'pip', 'install', *install])}"
    )


def packages_of(install: str) -> list[str]:
    """What an extra asks for: "isotune[torch]" -> "torch>=2.8" and so on; what names no extra is the package itself."""
    package, _, extra = install.rstrip("]").partition("[")
    if not extra:
        return [install]
    every = (each.partition(";") for each in metadata.requires(package) or [])
    return [each.strip() for each, _, marker in every if re.fullmatch(rf"\s*extra == ['\"]{extra}['\"]", marker)]


def _folder(package: str) -> str:
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return next(iter(spec.submodule_search_locations))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
