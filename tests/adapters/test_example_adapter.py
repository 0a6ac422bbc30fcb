"""A third party's adapter: its own package, found by its entry point, through the whole house: what the guide
(adapters/README.md) says to write is all that a run, a proof, an investigation and a report need."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isotune import names
from isotune.adapters import base
from isotune.adapters.base import Engine, Recipe
from isotune.conventions import Conventions
from isotune.errors import MissingExtra, UsageError
from isotune.protocols import SGD
from isotune.weights import head_weights, random_weights

PACKAGE = Path(__file__).parent / "example_adapter"
spec = importlib.util.spec_from_file_location("isotune_example", PACKAGE / "isotune_example.py")
assert spec
assert spec.loader
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


@pytest.fixture
def installed(packages, shared_cache) -> dict[str, str]:
    """The environment of a process in which the package is installed."""
    return os.environ | {
        "PYTHONPATH": str(packages),
        "ISOTUNE_CACHE": str(shared_cache),
        "OMP_NUM_THREADS": "1",
    }


def python(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_found_by_its_entry_point_beside_the_others(installed) -> None:
    code = """
        import json
        from isotune import names
        adapter = names.load_adapter(names.parse("example:random-features"))
        print(json.dumps([sorted(names.adapters()), adapter.name, [info.name for info in adapter.models()]]))
    """
    found, name, models = json.loads(python("\n".join(line.strip() for line in code.splitlines()), installed))
    assert set(found) >= {"example", "keras", "timm", "torchvision"}
    assert (name, models) == ("example", ["random-features"])


def test_it_runs_a_protocol_from_the_command_line_to_a_record(installed, tmp_path) -> None:
    command = [sys.executable, "-m", "isotune.cli", "run", "--models", "example:random-features:width=128"]
    command += ["--datasets", "digits", "--protocols", "quick-fine-tune", "--conventions", "identical"]
    command += ["--checkpoint", "random:0", "--seeds", "1", "--store", str(tmp_path)]
    done = subprocess.run(command, env=installed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (record,) = (json.loads(file.read_text()) for file in tmp_path.glob("*/record.json"))
    assert record["status"] == "done"
    assert record["metrics"]["accuracy"] > 0.5
    assert record["metrics"]["train_loss"][-1] < record["metrics"]["train_loss"][0]


def test_the_guide_names_all_that_the_interface_has() -> None:
    guide = (Path(base.__file__).parent / "README.md").read_text(encoding="utf-8")
    for one in (base.Adapter, base.Model, base.Trainer, base.Engine):
        public = {name for name in (*vars(one), *inspect.get_annotations(one)) if not name.startswith("_")}
        missing = sorted(name for name in public if not re.search(rf"\b{name}\b", guide))
        assert not missing, f"adapters/README.md does not name {missing} of {one.__name__}"


def test_two_of_its_engines_are_proved_on_every_rung(isotune, house) -> None:
    done = isotune("parity", "example:random-features", "example@einsum:random-features", "--size", "33x45", "--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["error"] is None
    rungs = {rung["name"]: rung for rung in result["rungs"]}
    assert {"features", "layers", "gradients", "sgd 10 steps", "adamw slots", "rmsprop logits"} <= set(rungs)
    assert all(rung["tensors"] >= 1 and rung["error"] < 1e-12 for rung in rungs.values())
    assert result["question"]["versions"]["isotune-example"] == "1.0"


def test_an_investigation_names_the_causes_and_prints_its_own_lines(isotune, house) -> None:
    done = isotune(
        "investigate", "example:random-features", "example@einsum:random-features", "--checkpoint", "random:0",
        "--conventions", "identical", "--right-conventions", "identical,input_scaling=caffe,momentum_form=rate-inside",
        "--dataset", "digits", "--images", "4", "--steps", "3", "--out", "found", "--json",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    causes = {
        rung["name"]: [flip["axis"] for flip in rung["cause"]["flips"]] for rung in found["rungs"] if rung["cause"]
    }
    assert causes == {"scaled input": ["input_scaling"], "one step": ["momentum_form"]}
    assert {side["engine"] for side in found["environment"].values()} == {"numpy", "einsum"}
    (report,) = (house / "found").glob("*.md")
    assert "model.conventions.momentum_form = 'rate-inside'" in report.read_text(encoding="utf-8")


def install(version: str, packages: Path, place: Path) -> dict[str, str]:
    """An environment in which another version of the package is installed: this one, with a model more than 1.0."""
    site = place / f"site-{version}"
    shutil.copytree(packages, site, ignore=shutil.ignore_patterns("__pycache__"))
    module, about = site / "isotune_example.py", site / "isotune_example-1.0.dist-info" / "METADATA"
    more = '[ModelInfo("random-features", "random_features", (CHECKPOINT,), size=64)'
    for file, was, now in [
        (module, more, f"{more}, ModelInfo('new-in-{version}', 'new', ())"),
        (about, "\nVersion: 1.0\n", f"\nVersion: {version}\n"),
    ]:
        text = file.read_text(encoding="utf-8")
        assert was in text
        file.write_text(text.replace(was, now), encoding="utf-8")
    about.parent.rename(site / f"isotune_example-{version}.dist-info")
    return {"PYTHONPATH": str(site)}


def test_another_version_of_it_makes_records_proofs_and_the_catalogue_stale(isotune, packages, house, tmp_path) -> None:
    run = ("run", "--models", "example:random-features", "--datasets", "digits", "--protocols", "quick-fine-tune")
    run += ("--conventions", "identical", "--checkpoint", "random:0", "--seeds", "1", "--store", "records")
    prove = ("parity", "example:random-features", "example@einsum:random-features", "--size", "33", "--json")
    before, after = install("1.1", packages, tmp_path), install("1.2", packages, tmp_path)
    seen = []
    for environment in (before, before, after):
        assert isotune(*run, **environment).returncode == 0
        kept = [json.loads(file.read_text()) for file in (house / "records").rglob("record.json")]
        record = max(kept, key=lambda record: record["started"])
        proof = json.loads(isotune(*prove, **environment).stdout)["results"][0]
        listed = json.loads(isotune("models", "--adapter", "example", "--json", **environment).stdout)
        seen.append((record, proof, [entry["model"] for entry in listed]))
    first, again, other = seen
    assert again[0] == first[0], "nothing changed: it was computed again"
    assert again[1] == first[1]
    assert [record["environment"]["isotune-example"] for record, _, _ in seen] == ["1.1", "1.1", "1.2"]
    assert [proof["question"]["versions"]["isotune-example"] for _, proof, _ in seen] == ["1.1", "1.1", "1.2"]
    assert len(kept) == 2, "the record of the other version stays"
    assert other[0]["metrics"] == first[0]["metrics"]
    assert [models[-1] for _, _, models in seen] == ["example:new-in-1.1"] * 2 + ["example:new-in-1.2"]


def test_its_models_are_listed_anew_when_its_code_changes_and_its_version_does_not(isotune, packages, tmp_path) -> None:
    environment = install("1.3", packages, tmp_path)
    module = tmp_path / "site-1.3" / "isotune_example.py"

    def listed() -> list[str]:
        done = isotune("models", "--adapter", "example", "--json", **environment)
        assert done.returncode == 0, done.stderr
        return [entry["model"] for entry in json.loads(done.stdout)]

    assert listed()[-1] == "example:new-in-1.3"
    module.write_text(module.read_text(encoding="utf-8").replace("new-in-1.3", "edited"), encoding="utf-8")
    assert listed()[-1] == "example:edited"


REPORT = """
import sys
from isotune import cli
sys.argv = ["isotune", "report", "records", "--out", "reports"]
try:
    cli.main()
except SystemExit as ended:
    assert not ended.code, ended.code
from isotune.report.figures import style
from isotune import names
print([style.colour("example"), names.title("example@einsum"), names.title("keras@jax"), style.colour("timm")])
frameworks = {"torch", "torchvision", "timm", "keras", "tensorflow", "jax"} & set(sys.modules)
assert not frameworks, frameworks
"""


def test_a_report_has_its_name_and_colour_and_imports_no_framework(isotune, house) -> None:
    models = "example:random-features,example@einsum:random-features"
    run = ("run", "--models", models, "--datasets", "digits", "--protocols", "quick-fine-tune", "--seeds", "1")
    assert isotune(*run, "--conventions", "identical", "--checkpoint", "random:0", "--store", "records").returncode == 0
    said = python(REPORT, dict(os.environ))
    assert said.splitlines()[-1] == "['#7F5AA8', 'Example on einsum', 'Keras on jax', '#0072B2']"
    (report,) = (house / "reports").glob("*.md")
    lines = report.read_text(encoding="utf-8").replace("\\", "")
    assert "engine: einsum (Example on einsum); numpy (Example)" in lines
    assert "isotune-example: 1.0" in lines


def test_the_doctor_says_what_it_needs(here, monkeypatch) -> None:
    """Beside one of isotune's own, which is a start of a framework and not of all."""
    installed = names.adapters()
    monkeypatch.setattr(names, "adapters", lambda: {name: installed[name] for name in ("example", "torchvision")})
    status, said, told = here("doctor", "--noise", "0", "--json")
    assert status == 0, told
    facts = json.loads(said)
    assert facts["adapters"]["example"].startswith("engine numpy")
    assert facts["adapters"]["torchvision"].startswith("engine torch, device cpu")
    assert "Example's weights" in facts["network"]


def test_a_package_that_it_needs_and_is_not_installed_is_named(monkeypatch) -> None:
    engines = {"numpy": Engine(packages={"no_such_package": "isotune-example[fast]"})}
    monkeypatch.setattr(example.ExampleAdapter, "engines", engines)
    with pytest.raises(MissingExtra, match=r"'no_such_package' is not installed; .* 'isotune-example\[fast\]'"):
        example.ExampleAdapter()


def build(**changes):
    asked = {"classes": 5, "checkpoint": None, "conventions": Conventions(), "numeric_mode": "float64"}
    model = example.ExampleAdapter().build("random-features", **(asked | changes))
    model.load(head_weights(model.tensors["head.kernel"].shape[0], 5, "uniform-fan-in", 0))
    return model


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    stream = np.random.default_rng(0)
    return stream.integers(0, 256, (6, 19, 24, 3), dtype=np.uint8), stream.integers(0, 5, 6)


def test_its_gradients_are_those_of_its_loss(batch) -> None:
    model = build(options={"width": "16"})
    gradients = model.gradients(*batch, label_smoothing=0.1)
    stream = np.random.default_rng(1)
    for key in model.tensors:
        direction, step = stream.normal(size=model.tensors[key].shape), 1e-6
        sides = []
        for sign in (1, -1):
            moved = build(options={"width": "16"})
            moved.tensors[key] = moved.tensors[key] + sign * step * direction
            sides.append(float(moved.gradients(*batch, label_smoothing=0.1)["loss"]))
        expected = (sides[0] - sides[1]) / (2 * step)
        assert (gradients[key] * direction).sum() == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_its_steps_lower_the_loss_and_leave_what_is_frozen(batch) -> None:
    model = build()
    before = model.weights()
    trainer = model.trainer(Recipe(SGD(momentum=0.9, nesterov=True), frozenset({"head"})))
    losses = [trainer.step(*batch, 0.01) for _ in range(20)]
    assert losses[-1] < losses[0] / 2
    np.testing.assert_array_equal(model.tensors["000.dense.kernel"], before["000.dense.kernel"])
    assert set(trainer.state()) == {"head.kernel/velocity", "head.bias/velocity"}


def test_it_keeps_what_it_was_given_and_refuses_the_rest() -> None:
    layout = {"000.dense.kernel": (192, 16), "000.dense.bias": (16,)}
    weights = random_weights(layout, 7)
    model = build(checkpoint=weights, options={"width": "16"})
    np.testing.assert_array_equal(model.weights()["000.dense.kernel"], weights["000.dense.kernel"])
    for wrong, said in [
        ({"checkpoint": weights, "options": {"width": "17"}}, r"\(192, 16\) in the checkpoint"),
        ({"checkpoint": "drwan"}, "did you mean 'drawn'"),
        ({"options": {"widht": "3"}}, "did you mean 'width'"),
        ({"numeric_mode": "bfloat16"}, "float32 and float64"),
    ]:
        with pytest.raises(UsageError, match=said):
            build(**wrong)
