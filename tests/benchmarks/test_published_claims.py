"""The claims of others: what they rest on is named with its digest, comes whole, and becomes what isotune reads without
a change to a pixel; the networks are those that the weights are of."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from isotune import data, verification
from isotune.adapters.file_function import FileFunction

HERE = Path(__file__).parents[2] / "benchmarks" / "validation" / "claims"
MODULES = ("gathering", "preparing", "reasons", "page")
CLAIMS = sorted((HERE / "published").glob("*.toml"))


@pytest.fixture(scope="module")
def room():
    """The modules of the room, which stand in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        yield SimpleNamespace(**{name: __import__(name) for name in MODULES})
    for name in MODULES:
        del sys.modules[name]


@pytest.mark.parametrize("file", CLAIMS, ids=lambda file: file.stem)
def test_a_claim_is_of_files_whose_digests_are_known(room, file):
    claim = verification.read(file)
    assert claim.expected.source.startswith("https://")
    assert claim.protocol.source.startswith("https://")
    network = claim.model.partition(":")[2].partition(".py:")[0]
    assert (HERE / "networks" / f"{network}.py").is_file()
    sources = {f"file:{each.name}": each.sha256 for each in room.gathering.sources()}
    made = {"file:convnetjs.safetensors"}  # of a file of another form
    assert claim.checkpoint in made or claim.weights_digest == sources[claim.checkpoint]
    assert re.fullmatch("[0-9a-f]{64}", claim.weights_digest)


def test_every_reason_is_of_two_claims(room):
    names = {file.stem for file in CLAIMS}
    for reason in room.reasons.reasons():
        assert {reason.claim, reason.beside} <= names


@pytest.fixture
def repository(tmp_path):
    """A clone with a file and a folder at a commit; OWNER/NAME in the folder of clones."""
    place = tmp_path / "clones" / "some" / "one"
    (place / "images").mkdir(parents=True)
    (place / "weights.bin").write_bytes(b"weights")
    for name in ("a", "b"):
        (place / "images" / name).write_bytes(name.encode())

    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        asked = ["git", "-C", str(place), *identity, *arguments]
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "files")
    commit = git("rev-parse", "HEAD")
    (place / "weights.bin").write_bytes(b"trained again")
    git("commit", "--quiet", "-am", "others")
    return tmp_path / "clones", commit


def source(room, commit, path, name, content):
    return room.gathering.Source("some/one", commit, "none", path, name, content)


def test_files_and_folders_come_as_they_were_at_the_commit(room, repository, tmp_path):
    clones, commit = repository
    folder = tmp_path / "here"
    file = source(room, commit, "weights.bin", "net.pth", hashlib.sha256(b"weights").hexdigest())
    lines = b"".join(f"{name}\0{hashlib.sha256(name.encode()).hexdigest()}\n".encode() for name in "ab")
    images = source(room, commit, "images", "images", hashlib.sha256(lines).hexdigest())
    room.gathering.gather(folder, clones, [file, images])
    assert (folder / "net.pth").read_bytes() == b"weights"
    assert [path.name for path in sorted((folder / "images").iterdir())] == ["a", "b"]
    room.gathering.gather(folder, tmp_path / "no clones", [file, images])  # what is there is only checked
    (folder / "net.pth").write_bytes(b"edited")
    with pytest.raises(room.gathering.NotGathered, match=r"net\.pth: its SHA-256 is .*remove it"):
        room.gathering.gather(folder, clones, [file])


@pytest.mark.parametrize(("path", "said"), [("weights.bin", "its SHA-256 is"), ("nothing", "git .*did not match")])
def test_what_is_not_as_it_was_is_not_taken(room, repository, tmp_path, path, said):
    clones, commit = repository
    with pytest.raises(room.gathering.NotGathered, match=said):
        room.gathering.gather(tmp_path / "here", clones, [source(room, commit, path, "net.pth", "0" * 64)])
    assert not list((tmp_path / "here").iterdir())


def test_test_images_become_archives_without_a_change(room, tmp_path, monkeypatch):
    """And an archive with a test part alone is a data set to evaluate classifiers on."""
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    stream = np.random.default_rng(0)
    mnist = stream.integers(0, 256, (3, 28, 28), np.uint8)
    cifar = stream.integers(0, 256, (4, 32, 32, 3), np.uint8)
    seen = stream.integers(0, 256, (2, 96, 96, 3), np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + mnist.tobytes()))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + bytes([7, 2, 1])))
    Image.fromarray(cifar.reshape(4, 1024, 3)).save(tmp_path / "cifar10_batch_50.png")
    (tmp_path / "cifar10_labels.js").write_text("var labels=[6, 9, 3, 8, 8, 0];\n")
    for name, images, labels in (("ic01", cifar, [3, 8, 8, 0]), ("vww01", seen, [1, 0])):
        (tmp_path / name).mkdir()
        lines = []
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            image.tofile(tmp_path / name / f"{9 - number}.bin")  # the list's order, not the names'
            lines.append(f"{9 - number}.bin,10,{label}\n")
        (tmp_path / name / "y_labels.csv").write_text("".join(lines))
    (tmp_path / "cifar10_snapshot.json").write_text(json.dumps({"layers": []}))
    monkeypatch.setattr(room.preparing, "save_file", lambda *_: None)
    room.preparing.prepare(tmp_path)
    expected = {
        "mnist-test": (np.repeat(mnist[..., None], 3, 3), [7, 2, 1]),
        "cifar10-first-1000": (cifar, [3, 8, 8, 0]),
        "mlperf-tiny-ic": (cifar, [3, 8, 8, 0]),
        "mlperf-tiny-vww": (seen, [1, 0]),
    }
    for name, (images, labels) in expected.items():
        prepared = data.prepare(f"npz:{tmp_path / name}.npz")
        assert len(prepared.train) == 0
        assert prepared.test.labels.tolist() == labels
        found = [prepared.test.image(number) for number in range(len(labels))]
        np.testing.assert_array_equal(np.broadcast_to(np.stack(found), images.shape), images)


def convnetjs(network, image):
    """As ConvNetJS's loops go (src/convnet_layers_dotproducts.js, _pool.js): volumes are [height, width, depth], and a
    filter's numbers lie as a window's do."""
    volume = image
    for layer in network["layers"]:
        kind, side = layer["layer_type"], volume.shape[0]
        if kind == "pool":
            volume = volume.reshape(side // 2, 2, side // 2, 2, -1).max((1, 3))
            continue
        filters = np.array([each["w"] for each in layer["filters"]])
        biases = np.array([layer["biases"]["w"][str(place)] for place in range(len(filters))])
        if kind == "fc":
            volume = filters @ volume.reshape(-1) + biases
            continue
        size, pad = layer["sx"], layer["pad"]
        padded = np.pad(volume, ((pad, pad), (pad, pad), (0, 0)))
        windows = [[padded[y : y + size, x : x + size].reshape(-1) for x in range(side)] for y in range(side)]
        volume = np.maximum(np.array(windows) @ filters.T + biases, 0)
    return volume


def test_convnetjs_weights_mean_in_torch_what_they_mean_there(room):
    torch = pytest.importorskip("torch")
    stream = np.random.default_rng(0)

    def layer(kind, inside, outside, count, **more):
        filters = [{"w": stream.normal(size=count).tolist()} for _ in range(outside)]
        biases = {"w": {str(place): float(stream.normal()) for place in range(outside)}}
        return {
            "layer_type": kind, "in_depth": inside, "out_depth": outside, "filters": filters, "biases": biases, **more
        }  # fmt: skip

    network = {
        "layers": [
            layer("conv", 2, 3, 2 * 9, sx=3, sy=3, pad=1), {"layer_type": "pool"},
            layer("conv", 3, 4, 3 * 9, sx=3, sy=3, pad=1), {"layer_type": "pool"},
            layer("fc", 0, 5, 2 * 2 * 4),
        ]
    }  # fmt: skip
    weights = {name: torch.tensor(array).double() for name, array in room.preparing.convnetjs_weights(network).items()}
    image = stream.normal(size=(8, 8, 2))
    x = torch.tensor(image).permute(2, 0, 1)[None]
    for number in range(2):
        x = torch.nn.functional.conv2d(x, weights[f"{number}.weight"], weights[f"{number}.bias"], padding=1)
        x = torch.nn.functional.max_pool2d(torch.relu(x), 2)
    found = torch.nn.functional.linear(x.flatten(1), weights["2.weight"], weights["2.bias"])[0]
    np.testing.assert_allclose(found.numpy(), convnetjs(network, image), rtol=1e-5)


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        ("resnet_cifar.py:resnet20", 269_722),  # He et al. 2016, table 6: 0.27, 0.46, 0.66 and 0.85 million
        ("resnet_cifar.py:resnet32", 464_154),
        ("resnet_cifar.py:resnet44", 658_586),
        ("resnet_cifar.py:resnet56", 853_018),
        ("lenet.py:make", 61_706),
        ("fashion_torch.py:dense", 535_818),
        ("fashion_torch.py:dense_with_sigmoids", 535_818),
        ("fashion_torch.py:convolutions", 942_026),
        ("convnetjs.py:single", 22_466),
        ("convnetjs.py:six_views", 22_466),
        ("convnetjs.py:all_views", 22_466),
    ],
)
def test_networks_are_of_the_sizes_that_were_published(network, parameters):
    torch = pytest.importorskip("torch")
    net = FileFunction("torch", str(HERE / "networks" / network))({})
    assert sum(each.numel() for each in net.parameters()) == parameters
    side = 28 if "fashion" in network else 32
    with torch.no_grad():
        assert net.eval()(torch.zeros(2, 3, side, side)).shape == (2, 10)
