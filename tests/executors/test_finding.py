"""An executor is found by its name, and its options are checked against what its class takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.errors import UsageError
from isotune.executors import Local, Spec, WrongOption, find

THIRD_PARTY = '''
"""An executor of a package of its own."""


class Elsewhere:
    def __init__(self, place="", *, queue: str = "short", nodes: int = 1, wait: bool = False):
        self.place, self.queue, self.nodes, self.wait = place, queue, nodes, wait

    def run(self, cells, desk):
        yield from ((cell, None) for cell in cells)
'''
WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A third party's package, as pip installs it."""
    (tmp_path / "elsewhere.py").write_text(THIRD_PARTY, encoding="utf-8")
    about = tmp_path / "elsewhere-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n", encoding="utf-8")
    entries = "[isotune.executors]\nelsewhere = elsewhere:Elsewhere\nbroken = elsewhere:Nothing\nlocal = elsewhere:No\n"
    (about / "entry_points.txt").write_text(entries, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


@given(WORDS, st.from_regex(r"[a-z0-9.:/\[\]-]{0,12}", fullmatch=True), st.dictionaries(WORDS, WORDS, max_size=3))
def test_what_is_written_is_read_again(name, place, options) -> None:
    spec = Spec(name, place, options)
    assert Spec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    "text", ["", ":there", "ray:", "ray,", "ray,gpus", "ray,=1", "ray,gpus=1,gpus=2", "local, ,a=b"]
)
def test_what_is_no_executor_is_refused_in_one_line(text) -> None:
    with pytest.raises(UsageError, match=r"is not NAME\[:PLACE\]\[,OPTION=VALUE ...\]|is given twice"):
        Spec.parse(text)


def test_a_third_partys_is_a_package_like_any_other(elsewhere) -> None:
    made = find("elsewhere:head:22,nodes=4,wait=yes", queue="long")
    assert (made.place, made.queue, made.nodes, made.wait) == ("head:22", "long", 4, True)
    assert find("elsewhere").nodes == 1
    assert isinstance(find("local"), Local), "isotune's own keeps its name"


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("locl", {}, "executor 'locl' is unknown; did you mean 'local'?"),
        ("elsewhere,node=4", {}, "executor 'elsewhere,node=4' has no option 'node'; did you mean 'nodes'?"),
        ("elsewhere,nodes=four", {}, "executor 'elsewhere,nodes=four': nodes: "),
        ("elsewhere,nodes=4", {"nodes": 5}, "nodes is given twice"),
        ("elsewhere", {"jobs": 5}, "executor 'elsewhere' has no option 'jobs'; it takes: nodes, queue, wait"),
        ("broken", {}, "executor 'broken': elsewhere:Nothing cannot be loaded (AttributeError: "),
        ("local:here", {}, "executor 'local:here': local takes nothing after a colon; write 'local'"),
        ("local,jobs=0", {}, "executor 'local,jobs=0': jobs: "),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(elsewhere, text, more, said) -> None:
    with pytest.raises(UsageError) as told:
        find(text, **more)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_which_option_is_wrong_is_known(elsewhere) -> None:
    with pytest.raises(WrongOption) as told:
        find(Spec("elsewhere", options={"queue": 7, "nodes": 2}))
    assert told.value.option == "queue"
