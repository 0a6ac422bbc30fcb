"""What torchvision, timm and torchvision's data sets fetch, from a server on the loopback address: whole, cut off, of
another content, missing, stalled, taken up again, by two processes at once; and what is in their caches afterwards."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save as saved
from serving import Served, serving
from torchvision import datasets
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

from isotune import data, downloads
from isotune.adapters._torch import datasets as torch_datasets
from isotune.adapters._torch.datasets import _fetching
from isotune.adapters.timm import TimmAdapter
from isotune.adapters.torchvision import TorchvisionAdapter
from isotune.conventions import Conventions
from isotune.errors import NotCached, UsageError

NAME, TAG = "test_efficientnet", "r160_in1k"  # a model that timm has for tests
REPOSITORY = f"/timm/{NAME}.{TAG}/resolve/main"


@pytest.fixture(autouse=True)
def impatient(monkeypatch, tmp_path):
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "isotune"))
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def server():
    with serving() as running:
        yield running


def in_folder(folder: Path) -> list[str]:
    """Files that a library could take for a download, by their names."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".TAG"))
    return sorted(path.name for path in files if path.parent.name != "refs")


# torch.hub


@pytest.fixture(scope="module")
def squeezenet() -> bytes:
    torch.manual_seed(1)
    torch.save(squeezenet1_1(num_classes=1000).state_dict(), buffer := io.BytesIO())
    return buffer.getvalue()


@pytest.fixture
def of_the_hub(server, monkeypatch, squeezenet):
    """Where torchvision's checkpoint is, and the folder of torch.hub's cache."""
    name = f"squeezenet-{hashlib.sha256(squeezenet).hexdigest()[:8]}.pth"
    server.files[f"/{name}"] = Served(squeezenet)
    monkeypatch.setattr(SqueezeNet1_1_Weights.IMAGENET1K_V1.value, "url", f"{server.url}/{name}")
    return server.files[f"/{name}"], Path(torch.hub.get_dir()) / "checkpoints"


def squeeze():
    return TorchvisionAdapter().build("squeezenet1_1", classes=2, checkpoint="IMAGENET1K_V1", conventions=Conventions())


def test_a_checkpoint_of_torch_hub_comes_whole_and_is_not_asked_for_again(of_the_hub, squeezenet):
    served, cache = of_the_hub
    squeeze()
    (file,) = cache.iterdir()
    assert file.read_bytes() == squeezenet
    squeeze()
    assert served.asked == [("HEAD", 0), ("GET", 0)]


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ("cut", UsageError, "is something else, or was cut off .*try again"),
        ("missing", NotCached, "cannot be downloaded: the server answers 404 Not Found"),
        ("busy", NotCached, "the server answers 503"),
        ("stalled", NotCached, "no answer within 0.3 seconds"),
    ],
)
def test_a_checkpoint_of_torch_hub_that_does_not_come_whole_leaves_nothing(of_the_hub, how, error, said):
    served, cache = of_the_hub
    served.how = how
    with pytest.raises(error, match=said) as caught:
        squeeze()
    assert "\n" not in str(caught.value)
    assert in_folder(cache) == []
    served.how = "whole"
    squeeze()


def test_a_checkpoint_of_another_digest_is_not_kept(of_the_hub, squeezenet):
    served, cache = of_the_hub
    served.content = squeezenet[:-1] + bytes([squeezenet[-1] ^ 1])
    with pytest.raises(UsageError, match="is something else"):
        squeeze()
    assert in_folder(cache) == []


@pytest.mark.parametrize("content", [b"PK\x03\x04 no archive", b"no pickle either"])
def test_a_file_that_tells_no_digest_and_is_damaged_is_not_kept(server, monkeypatch, content):
    server.files["/weights.pth"] = Served(content)
    monkeypatch.setattr(SqueezeNet1_1_Weights.IMAGENET1K_V1.value, "url", f"{server.url}/weights.pth")
    with pytest.raises(UsageError, match="is damaged, or was cut off; nothing of it was kept, try again"):
        squeeze()
    assert in_folder(Path(torch.hub.get_dir())) == []


PROGRAM = """
import sys
from torchvision.models import SqueezeNet1_1_Weights
from isotune.adapters.torchvision import TorchvisionAdapter
from isotune.conventions import Conventions
SqueezeNet1_1_Weights.IMAGENET1K_V1.value.url = sys.argv[1]
TorchvisionAdapter().build("squeezenet1_1", classes=2, checkpoint="IMAGENET1K_V1", conventions=Conventions())
"""


def test_two_processes_at_once_have_the_same_file(of_the_hub, squeezenet):
    served, cache = of_the_hub
    served.together = 2
    url = SqueezeNet1_1_Weights.IMAGENET1K_V1.value.url
    both = [subprocess.Popen([sys.executable, "-c", PROGRAM, url], stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=60)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    (file,) = cache.iterdir()
    assert file.read_bytes() == squeezenet
    assert [method for method, _ in served.asked].count("GET") == 2, "neither waited for the other"


# the Hugging Face hub


@pytest.fixture(scope="module")
def weights() -> bytes:
    torch.manual_seed(2)
    return saved(timm.create_model(NAME).state_dict())


def laid(server, content: bytes, digest: str | None = None) -> Served:
    """A repository on the hub with one file of weights, as the hub tells of it."""
    etag = digest or hashlib.sha256(content).hexdigest()
    headers = {"X-Repo-Commit": "0123456789abcdef0123456789abcdef01234567", "ETag": f'"{etag}"'}
    served = server.files[f"{REPOSITORY}/model.safetensors"] = Served(content, headers=headers)
    server.files[f"/timm/{NAME}.{TAG}"] = Served()
    return served


@pytest.fixture
def of_hugging_face(server, monkeypatch, tmp_path, weights):
    """Its weights, and the client's cache."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)  # else what came of the first chunk is not kept
    pauses = SimpleNamespace(**vars(huggingface_hub.file_download.time) | {"sleep": lambda _: None})
    monkeypatch.setattr(huggingface_hub.file_download, "time", pauses)
    return laid(server, weights), tmp_path / "hub"


def efficient(name=NAME, checkpoint=TAG):
    return TimmAdapter().build(name, classes=2, checkpoint=checkpoint, conventions=Conventions())


def test_a_checkpoint_of_the_hugging_face_hub_comes_whole_and_is_not_asked_for_again(of_hugging_face, weights):
    served, cache = of_hugging_face
    efficient()
    assert [path.read_bytes() for path in cache.glob("*/snapshots/*/*")] == [weights]
    asked = list(served.asked)
    efficient()
    assert served.asked == asked


def test_a_download_that_breaks_off_is_taken_up_where_it_was(of_hugging_face, weights):
    served, cache = of_hugging_face
    served.how = "cut cut whole"
    efficient()
    starts = [start for method, start in served.asked if method == "GET"]
    assert len(starts) == 3
    assert 0 == starts[0] < starts[1] < starts[2]
    assert [path.read_bytes() for path in cache.glob("*/snapshots/*/*")] == [weights]


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ("missing", NotCached, "cannot be downloaded: the server answers 404 Not Found"),
        ("busy", UsageError, "cannot be loaded from http.*503"),
        ("stalled", NotCached, "cannot be downloaded: "),
    ],
)
def test_a_checkpoint_of_the_hugging_face_hub_that_does_not_come_leaves_nothing(of_hugging_face, how, error, said):
    served, cache = of_hugging_face
    served.how = how
    with pytest.raises(error, match=said) as caught:
        efficient()
    assert "\n" not in str(caught.value)
    assert in_folder(cache) == []
    served.how = "whole"
    efficient()


@pytest.mark.parametrize("told", [True, False])
def test_a_file_of_the_hugging_face_hub_of_another_content_is_not_kept(server, of_hugging_face, weights, told):
    """told: its digest is that of the right file, as of a server that gives another; else it is cut and says so."""
    _, cache = of_hugging_face
    if told:
        laid(server, weights[:-4] + bytes(4), hashlib.sha256(weights).hexdigest())
    else:
        laid(server, weights[:1000])
    with pytest.raises(UsageError, match="is damaged, or was cut off; nothing of it was kept, try again"):
        efficient()
    assert in_folder(cache) == []
    assert not list(cache.glob("*/snapshots/*/*"))
    laid(server, weights)
    efficient()


def test_the_command_says_it_in_one_line_and_ends_with_status_2(server, of_hugging_face, weights, tmp_path):
    """In a process of its own, whose worker asks the server since HF_ENDPOINT names it."""
    served = laid(server, weights)
    environment = os.environ | {
        "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DOWNLOAD_TIMEOUT": "1", "no_proxy": "*",
    }  # fmt: skip
    asked = [sys.executable, "-m", "isotune.cli", "prepare", "--models", f"timm:{NAME}", "--checkpoint", TAG]
    served.how = "missing"
    failed = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert failed.returncode == 2
    assert [line for line in failed.stderr.splitlines() if re.search(f"checkpoint '{TAG}' of timm:{NAME} .*404", line)]
    assert "Traceback" not in failed.stderr
    served.how = "whole"
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


# torchvision's data sets


@pytest.fixture
def mnist(server, monkeypatch):
    """MNIST's files, small ones, with the digests that torchvision compares; and how torchvision is run: here."""

    def run(do, progress, **request):
        worker = SimpleNamespace(progress=progress)
        return json.loads(json.dumps(_fetching.fetch(worker, **json.loads(json.dumps(request)))))

    monkeypatch.setattr(torch_datasets, "ask_once", run)
    resources = []
    for file, _ in datasets.MNIST.resources:
        count = 20 if file.startswith("train") else 10
        content = idx(count, images="images" in file)
        resources.append((file, hashlib.md5(content).hexdigest()))
        server.files[f"/{file}"] = Served(content)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{server.url}/"])
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    return server.files


def idx(count: int, *, images: bool) -> bytes:
    values = np.arange(count * 16, dtype=np.uint8) if images else np.arange(count, dtype=np.uint8) % 10
    shape = (count, 4, 4) if images else (count,)
    header = bytes([0, 0, 8, len(shape)]) + b"".join(int(side).to_bytes(4, "big") for side in shape)
    return gzip.compress(header + values.tobytes(), mtime=0)


def test_a_data_set_of_torchvision_comes_whole_and_is_not_asked_for_again(mnist):
    prepared = data.prepare("torchvision:MNIST")
    assert (len(prepared.train), len(prepared.test)) == (20, 10)
    counts = [len(served.asked) for served in mnist.values()]
    data.prepare("torchvision:MNIST")
    assert [len(served.asked) for served in mnist.values()] == counts


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut", "cannot be downloaded"),
        ("missing", "cannot be downloaded"),
        ("stalled", "cannot be downloaded"),
        ("other", "cannot be downloaded"),
    ],
)
def test_a_data_set_of_torchvision_that_does_not_come_whole_is_begun_again(mnist, how, said, tmp_path):
    last = mnist["/t10k-images-idx3-ubyte.gz"]
    right = last.content
    if how == "other":
        last.content = idx(9, images=True)
    else:
        last.how = how
    with pytest.raises(NotCached, match=said) as caught:
        data.prepare("torchvision:MNIST")
    assert "\n" not in str(caught.value)
    assert "t10k-images-idx3-ubyte.gz" not in in_folder(tmp_path / "isotune" / "sources")
    last.how, last.content = "whole", right
    assert len(data.prepare("torchvision:MNIST").test) == 10
