"""Nobody opens a foreign file beside the gate: read off the syntax trees.

What opens a file otherwise stands here, with the reason: it is isotune's own, or the system's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("isotune", "adapters", "reference_results")
OPENING = {  # the last names of calls
    "open", "read_text", "read_bytes", "memmap", "fromfile", "genfromtxt", "loadtxt", "read_csv", "imread", "safe_open",
    "load_safetensors", "File", "ZipFile", "GzipFile", "Unpickler", "urlopen", "urlretrieve", "extractall", "extract",
    "unpack_archive", "copytree", "read_array", "decompress", "model_validate_json",
}  # fmt: skip
LOADING = {
    "np.load", "numpy.load", "json.load", "pickle.load", "pickle.loads", "torch.load", "tomllib.load", "tomllib.loads",
    "standard.loads", "tarfile.open", "h5py.File", "joblib.load", "yaml.load",
}  # fmt: skip
THE_GATE = ("reading.opened", "reading.text", "reading.content", "reading.json")
MAY = {
    "isotune/reading/_files.py": "the gate",
    "isotune/reading/_documents.py": "the gate",
    "isotune/reading/_lines.py": "the gate",
    "isotune/reading/arrays.py": "the gate",
    "isotune/reading/images.py": "the gate",
    # what foreign files become, once the gate has seen that they are regular files
    "adapters/_keras/hdf5.py": "in a process with limits",
    "adapters/_torch/files.py": "safetensors, torch.load with weights_only",
    "adapters/_torch/fetching/_download.py": "to compare a digest; whether there is a network",
    "isotune/weights/_canonical.py": "safetensors",
    "isotune/models/files.py": "safetensors",
    "isotune/recordings/_tensors.py": "safetensors",
    "isotune/recordings/_writing.py": "what it writes",
    "isotune/comparison/observations.py": "what it writes",
    "isotune/investigation/_dump.py": "from the gate's bytes",
    "isotune/protocols/_reading.py": "isotune's own protocols; JSON that it made itself",
    # what isotune wrote itself, sealed
    "isotune/sealing.py": "sealed",
    "isotune/data/dataset.py": "sealed",
    "isotune/data/_views.py": "sealed",
    "isotune/runs/store.py": "sealed",
    "isotune/runs/drafts.py": "safetensors, sealed",
    "isotune/sweeps/_survey.py": "sealed, from the gate's bytes",
    "isotune/runs/probe.py": "sealed",
    "isotune/executors/ray/_dispatch.py": "sealed, by a worker of its own",
    "isotune/executors/ray/_parcels.py": "what it writes",
    "isotune/executors/ray/_drafts.py": "what it writes",
    "isotune/executors/ray/_cluster.py": "nothing, /dev/null",
    # what it wrote a moment ago, for itself or a worker
    "isotune/cache.py": "written",
    "isotune/data/writing.py": "written",
    "isotune/comparison/recorder.py": "images for a worker",
    "isotune/investigation/_ladder.py": "images for a worker",
    "isotune/interface/_model.py": "arrays of a worker",
    "isotune/interface/requests.py": "images for a worker",
    "isotune/report/_leaderboard.py": "the report",
    "isotune/report/_page.py": "the report",
    "adapters/_keras/decoding.py": "images for a worker",
    # what an installed package holds
    "adapters/_torch/embedded.py": "a file whose digest was compared",
    "isotune/models/embedded.py": "to compare its digest",
    "isotune/data/sources/imagenet.py": "isotune's table",
    "isotune/workers/interpreters.py": "isotune's metadata",
    "isotune/workers/content.py": "to tell whether it changed",
    "isotune/workers/code.py": "to tell whether it changed",
    "reference_results/_checking.py": "isotune's tables",
    "reference_results/_citations.py": "isotune's tables",
    "reference_results/_lineage.py": "isotune's tables",
    "reference_results/_tables.py": "isotune's tables",
    # what the system says
    "isotune/runs/claims.py": "claims that isotune writes, to see their times",
    "isotune/workers/identity.py": "/proc",
    "isotune/cli/_streams.py": "the standard streams",
    "isotune/workers/memory.py": "/proc",
    "isotune/workers/disturbance.py": "/proc, /sys",
    "isotune/workers/environment.py": "/proc",
    "isotune/workers/threads.py": "/sys",
    # the network
    "isotune/data/sources/download.py": "so many bytes of a URL that is isotune's own",
    "adapters/_keras/datasets/_fetching.py": "whether there is a network",
}


def opens(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every call that opens a file, or reads one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in LOADING or name.rpartition(".")[2] in OPENING:
                yield node.lineno, name


def modules() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("where", [module for module in modules() if module not in MAY])
def test_files_are_opened_by_the_gate_alone(where: str) -> None:
    source = (ROOT / where).read_text(encoding="utf-8")
    found = [f"{where}:{line}: {name}" for line, name in opens(source) if name not in THE_GATE]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("where", MAY)
def test_who_may_open_files_does(where: str) -> None:
    assert list(opens((ROOT / where).read_text(encoding="utf-8"))), f"{where} opens none: take it off the list"


def test_images_are_opened_by_named_decoders_and_pickles_as_tensors_alone() -> None:
    for module in modules():
        for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            match ast.unparse(node.func):
                case "Image.open":
                    assert given.get("formats") == "DECODERS", module
                case "torch.load":
                    assert given.get("weights_only") == "True", module
                case "np.load" | "np.lib.format.read_array":
                    assert given.get("allow_pickle", "False") == "False", module
            assert "trust_remote_code" not in given, module
            assert given.get("safe_mode") != "False", module


@pytest.mark.parametrize(
    "source", ["open('a')", "path.open()", "np.load(path)", "h5py.File(p)", "torch.load(p)", "p.read_text()",
               "tarfile.open(p)", "zipfile.ZipFile(p)", "Image.open(p)"],
)  # fmt: skip
def test_what_opens_a_file_is_seen(source: str) -> None:
    assert list(opens(source))
