"""The project: what is installed, what the core imports, what the Makefile says, that the papers agree."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from isotune import names

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def _folder(package: str) -> str:
    """Where setuptools takes a package from: its own entry in package-dir, or its parent's."""
    if (known := SETUPTOOLS["package-dir"].get(package)) or "." not in package:
        return known or package
    parent, _, name = package.rpartition(".")
    return f"{_folder(parent)}/{name}"


FOLDERS = {package: _folder(package) for package in SETUPTOOLS["packages"]}
HEAVY = ["torch", "torchvision", "timm", "tensorflow", "keras", "jax", "pandas", "matplotlib", "scipy", "sklearn"]


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """Names of the files in a wheel built from the checkout."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    tracked = sorted({folder.split("/")[0] for folder in FOLDERS.values()})
    done = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *tracked)
    if done.returncode:
        pytest.skip("needs a git checkout")
    for name in [*filter(None, done.stdout.split("\0")), "pyproject.toml", "README.md", "LICENSE"]:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = run(*pip, "--disable-pip-version-check", "--wheel-dir", place, source)
    assert done.returncode == 0, done.stderr
    (built,) = place.glob("*.whl")
    with zipfile.ZipFile(built) as file:
        return set(file.namelist())


def test_the_wheel_holds_every_module_and_data_file(wheel: set[str]) -> None:
    for package, folder in FOLDERS.items():
        for file in (ROOT / folder).iterdir():
            if file.suffix in (".py", ".toml", ".csv", ".j2", ".typed"):
                assert f"{package.replace('.', '/')}/{file.name}" in wheel


def test_every_folder_of_modules_is_a_package_that_is_installed() -> None:
    for folder in {folder.split("/")[0] for folder in FOLDERS.values()} - {"benchmarks"}:
        for module in (ROOT / folder).rglob("*.py"):
            assert str(module.parent.relative_to(ROOT)) in FOLDERS.values()


def test_the_wheel_takes_no_generic_name(wheel: set[str]) -> None:
    assert {name.split("/")[0] for name in wheel} == {"isotune", f"isotune-{PROJECT['project']['version']}.dist-info"}
    assert not [name for name in wheel if re.search(r"(^|/)(tests|test_\w+|conftest)(/|\.py$)", name)]


def test_the_wheel_carries_the_licence(wheel: set[str]) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_every_adapter_that_is_declared_has_its_module(wheel: set[str]) -> None:
    for target in PROJECT["project"]["entry-points"][names.GROUP].values():
        assert target.partition(":")[0].replace(".", "/") + ".py" in wheel


def test_the_command_line_imports_no_framework() -> None:
    pytest.importorskip("isotune.cli")
    code = f"import sys, isotune.cli; print([name for name in {HEAVY} if name in sys.modules])"
    done = run(sys.executable, "-c", code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    "module", sorted(str(path.relative_to(ROOT / "isotune")) for path in (ROOT / "isotune").rglob("*.py"))
)
def test_no_module_of_the_core_imports_a_framework(module: str) -> None:
    tree = ast.parse((ROOT / "isotune" / module).read_text(encoding="utf-8"))
    imported = [name.name for line in tree.body if isinstance(line, ast.Import) for name in line.names]
    imported += [line.module or "" for line in tree.body if isinstance(line, ast.ImportFrom)]
    assert not {name.partition(".")[0] for name in imported} & {
        "torch", "torchvision", "timm", "tensorflow", "keras", "jax"
    }  # fmt: skip
    assert not [name for name in imported if name.startswith("isotune.adapters")]


def test_what_is_installed_meets_what_is_asked() -> None:
    project = PROJECT["project"]
    asked = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    for requirement in map(Requirement, asked):
        assert not [clause for clause in requirement.specifier if clause.operator in ("==", "<", "<=", "~=")]
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        assert requirement.specifier.contains(installed, prereleases=True), requirement


def test_the_extra_all_is_all_but_what_developers_need() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert Requirement(everything).extras == set(extras) - {"all", "dev", "docs"}


def test_the_licence_is_apaches_own_text() -> None:
    text = (ROOT / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_citation_is_of_this_version_and_licence() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['project']['version']}\n" in citation
    assert f"\nlicense: {PROJECT['project']['license']}\n" in citation


def make(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run("make", "--no-print-directory", *arguments, MAKEFLAGS="")


@pytest.mark.parametrize("target", ["bench", "test", "lint"])
def test_make_sets_up_the_environment_only_when_it_is_not_there(tmp_path, target: str) -> None:
    fresh = make("--dry-run", target, f"VENV={tmp_path}/venv", f"PYTHON={sys.executable}").stdout
    assert f"{sys.executable} -m venv {tmp_path}/venv" in fresh
    assert "--editable '.[torch,keras,offline,dev]'" in fresh
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / ".installed").touch()
    assert "-m venv" not in make("--dry-run", target, f"VENV={tmp_path}/venv").stdout
    os.utime(tmp_path / "venv" / ".installed", (0, 0))  # older than pyproject.toml
    assert "--editable" in make("--dry-run", target, f"VENV={tmp_path}/venv").stdout


def test_make_bench_measures_and_then_reports(tmp_path) -> None:
    lines = make("--dry-run", "bench", f"VENV={tmp_path}").stdout.splitlines()
    assert lines[-3:] == [
        f"{tmp_path}/bin/python -m pytest benchmarks/ --verify --benchmark-json=.isotune/benchmark.json",
        f"{tmp_path}/bin/isotune report .isotune/benchmark.json --out reports --replace",
        f'echo "the commands are in {tmp_path}/bin: source {tmp_path}/bin/activate, then isotune --help"',
    ]


@pytest.mark.parametrize("target", ["test", "test-all"])
def test_make_test_lints_and_then_tests(tmp_path, target: str) -> None:
    told = make("--dry-run", target, f"VENV={tmp_path}").stdout
    order = [told.index(part) for part in ("/bin/ruff check", "/bin/ruff format --check", "/bin/mypy", "-m pytest")]
    assert order == sorted(order)
    assert ('-m "not slow"' in told) == (target == "test")


def test_make_refuses_an_old_python_in_one_line(tmp_path) -> None:
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for python, said in [(old, "isotune needs Python 3.11 or newer"), ("python-none", "there is no python-none")]:
        done = make("lint", f"VENV={tmp_path}/venv", f"PYTHON={python}")
        assert done.returncode == 2
        assert done.stderr.splitlines()[0].startswith(said)
        assert len(done.stderr.splitlines()) == 2  # the second is make's own
        assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("there", [True, False])
def test_ci_installs_what_is_missing_and_lets_no_test_be_skipped(tmp_path, there: bool) -> None:
    bash = shutil.which("bash")
    assert bash
    log = tmp_path / "log"
    for tool in ("dirname", "id"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    stubs = {"apt-get": f'echo apt-get "$@" >>{log}', "make": f'echo make "$@" "$ISOTUNE_NO_SKIPS" >>{log}'}
    for name, line in (stubs | {"sudo": '"$@"'} | ({"chromium": "true"} if there else {})).items():
        (tmp_path / name).write_text(f"#!{bash}\n{line}\n")
        (tmp_path / name).chmod(0o755)
    done = run(bash, ROOT / ".ci" / "run", PATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    *installing, tested = log.read_text().splitlines()
    assert tested == "make test 1"
    assert any("chromium" in line.split() for line in installing) != there


@pytest.mark.parametrize("where", ["in-a-test", "in-a-module"])
def test_what_is_skipped_fails_where_nothing_may_be(tmp_path, where: str) -> None:
    skip = "pytest.skip('needs: a browser', allow_module_level=True)"
    body = f"def test_it():\n    {skip}\n" if where == "in-a-test" else f"{skip}\ndef test_it(): ...\n"
    (tmp_path / "test_a.py").write_text(f"import pytest\n{body}")
    (tmp_path / "pytest.ini").touch()
    path = os.pathsep.join(str(ROOT / folder) for folder in ("tests", "benchmarks/validation"))
    pytest_here = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", tmp_path]
    done = run(*pytest_here, PYTHONPATH=path, ISOTUNE_NO_SKIPS="1")
    assert done.returncode != 0
    assert "test_a.py" in done.stdout
    assert "needs: a browser" in done.stdout
    done = run(*pytest_here, PYTHONPATH=path, ISOTUNE_NO_SKIPS="")
    assert done.returncode in (0, 5), done.stdout
    assert "1 skipped" in done.stdout
