"""Fashion-MNIST, fetched from a server on the loopback address: whole, cut off, another, missing, stalled."""

from __future__ import annotations

import gzip
import hashlib

import pytest
from serving import Served, serving

from isotune import data, downloads
from isotune.data.sources.arrays import FashionMnist
from isotune.errors import NotCached


def idx(count: int, side: int = 0) -> bytes:
    """A file of images of `side` pixels, or of labels, in the IDX format."""
    shape = (count, side, side) if side else (count,)
    header = bytes([0, 0, 8, len(shape)]) + b"".join(each.to_bytes(4, "big") for each in shape)
    return header + bytes(each % 10 for each in range(count * max(side * side, 1)))


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The four files as they are served, by name."""
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    contents = {
        file: idx(30 if file.startswith("train") else 10, 28 if "images" in file else 0) for file in FashionMnist.files
    }
    monkeypatch.setattr(
        FashionMnist, "files", {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    )
    monkeypatch.setattr(FashionMnist, "installed", tmp_path / "nowhere")
    with serving() as server:
        server.files = {f"/{file}": Served(gzip.compress(content, mtime=0)) for file, content in contents.items()}
        monkeypatch.setattr(FashionMnist, "url", f"{server.url}/")
        yield server.files


def test_it_comes_whole_and_is_not_asked_for_again(published):
    prepared = data.prepare("fashion-mnist")
    assert (len(prepared.train), len(prepared.test)) == (30, 10)
    data.prepare("fashion-mnist")
    assert [len(served.asked) for served in published.values()] == [1] * 4


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut", r"it ended after [\d,]+ of [\d,]+ bytes"),
        ("another", "what came is not the published file"),
        ("no gzip", "what came is not the published file"),
        ("missing", "the server answers 404 Not Found"),
        ("busy", "the server answers 503"),
        ("stalled", r"no answer within 0\.3 seconds"),
    ],
)
def test_it_comes_whole_or_not_at_all(published, tmp_path, how, said):
    second = published["/train-labels-idx1-ubyte.gz"]
    right = second.content
    if how in ("another", "no gzip"):
        second.content = gzip.compress(idx(29)) if how == "another" else b"not that"
    else:
        second.how = how
    with pytest.raises(NotCached, match=said) as caught:
        data.prepare("fashion-mnist")
    assert "\n" not in str(caught.value)
    cache = tmp_path / "cache" / "sources" / "fashion-mnist"
    assert [path.name for path in cache.iterdir()] == ["train-images-idx3-ubyte.gz"], "the first, whole"
    second.content, second.how = right, "whole"
    assert len(data.prepare("fashion-mnist").test) == 10
    assert len(published["/train-images-idx3-ubyte.gz"].asked) == 1
