"""A port's own tests: the pytest plug-in, found by its entry point wherever isotune is installed.

- `identical(left, right, ...)`: a decorator; each pair is a test that fails where the two are not the same;
- `isotune_pair`: a fixture of such a test, a `Pair` with what was learned (`_pairs`).

This module is imported at the start of every test session, used or not: it imports nothing of isotune, and pytest
alone. A decorated test is one for each decorator, `test_port[LEFT=RIGHT]`, so that `-k` and `-n` work. The pair is
compared before the test's body runs; a body may be empty. What CI reads stands in the JUnit properties `isotune.*`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from isotune.interface.arguments import Model
    from isotune.testing._pairs import Pair

__all__ = ["identical"]

MARKER = "isotune_identical"
FIXTURE = "isotune_pair"
STRICT = "isotune_strict"
Test = TypeVar("Test", bound=Callable[..., Any])


def identical(left: Model, right: Model, **options: Any) -> Callable[[Test], Test]:
    """Have a test fail unless two models are the same; several of these are as many tests.

    left, right: models as of `isotune.prove`: a name of a library's, or a network of your own, as a function or as
        `torch:FILE.py:FUNCTION`. A file is looked for where pytest was started, then beside the test.
    options: of two libraries' models those of `isotune.prove`, which proves that they are one function (`only`
        is "inference" where nothing is said); where one is your own, those of `isotune.investigate`, and no rung of
        the network may fail by itself, or stay without a judgement.
    A library that is not installed skips the test and says what to install; with `--isotune-strict`, or
    `isotune_strict = true` in the configuration, the test fails.

    >>> @isotune.identical("torchvision:mobilenet_v2", "timm:mobilenetv2_100")
    ... @isotune.identical("torch:original.py:make", "keras:port.py:make", checkpoint="random:0")
    ... def test_port(): ...
    """
    marks = (pytest.mark.isotune_identical(left, right, **options), pytest.mark.usefixtures(FIXTURE))

    def marked(test: Test) -> Test:
        for mark in marks:
            test = mark(test)
        return test

    return marked


def pytest_addoption(parser: pytest.Parser) -> None:
    meaning = "isotune: a pair whose libraries are not all installed fails, and is not skipped"
    group = parser.getgroup("isotune.identical", "isotune: pairs that are to be the same")
    group.addoption("--isotune-strict", action="store_true", help=meaning)
    parser.addini(STRICT, meaning, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}(left, right, **options): written by @isotune.identical")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each decorator, the topmost first."""
    if marks := list(metafunc.definition.iter_markers(MARKER))[::-1]:
        names = ["=".join(map(_shown, mark.args)) for mark in marks]
        metafunc.parametrize(FIXTURE, marks, ids=names, indirect=True)


def _shown(model: object) -> str:
    return getattr(model, "__name__", None) or str(model)


@pytest.fixture
def isotune_pair(request: pytest.FixtureRequest) -> Pair:
    """What `@isotune.identical` compares: `.left`, `.right` and, once compared, `.result`."""
    from isotune.testing._pairs import Pair

    mark = getattr(request, "param", None)
    if mark is None:
        pytest.fail(f"{FIXTURE} is a fixture of tests under @isotune.identical(LEFT, RIGHT)", pytrace=False)
    return Pair(*mark.args, options=mark.kwargs, beside=request.path.parent)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Compare the pair, before the test's body: a difference is a failure of the test, in a few lines."""
    pair: Pair | None = getattr(item, "funcargs", {}).get(FIXTURE)
    if pair is None or item.get_closest_marker(MARKER) is None:
        return
    strict = item.config.getoption("--isotune-strict") or item.config.getini(STRICT)
    missing = pair.missing()
    outcome = ("missing", missing) if missing else pair.compare()
    item.user_properties += [(f"isotune.{name}", value) for name, value in pair.properties(outcome).items()]
    if missing and not strict:
        pytest.skip(missing)
    if outcome[1]:
        pytest.fail(outcome[1], pytrace=False)
