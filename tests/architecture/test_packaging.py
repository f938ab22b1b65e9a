"""One distribution, a portion of the namespace in each folder, and nothing left out of it."""

import importlib
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.architecture.tree import ROOT, files, listing, portions, run, settings

EXPECTED_PORTIONS = {"contracts", "orchestrator", "projections", "adapters/recorders", "workers/python"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    built = run(ROOT, sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    assert built.returncode == 0, built.stdout
    return next(folder.glob("*.whl"))


def test_the_only_top_level_name_of_the_wheel_is_stepbus(wheel: Path) -> None:
    names = {PurePosixPath(name).parts[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {name for name in names if not name.endswith(".dist-info")} == {"stepbus"}


def test_every_file_of_every_folder_is_in_the_wheel(wheel: Path) -> None:
    expected = {str(path)[str(path).index("/stepbus/") + 1 :] for path in files() if "/stepbus/" in str(path)}

    assert EXPECTED_PORTIONS.issubset(portions())
    missing = sorted(expected.difference(zipfile.ZipFile(wheel).namelist()))
    assert not missing, listing(missing)


def test_every_module_can_be_imported_from_the_unpacked_wheel(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    ours = [str(ROOT / portion) for portion in portions()]
    code = f"""
import importlib, pathlib, sys
sys.path[:] = [{str(tmp_path)!r}] + [path for path in sys.path if path not in {ours!r}]
for path in sorted(pathlib.Path("stepbus").rglob("*.py")):
    parts = path.with_suffix("").parts
    if parts[-1] != "__main__":
        module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        assert module.__file__.startswith({str(tmp_path)!r}), module.__file__
"""
    imported = run(tmp_path, sys.executable, "-c", code)
    assert imported.returncode == 0, imported.stdout


@pytest.mark.parametrize("name", ["dev-mode-dirs", "sources", "only-include", "mypy_path", "coverage source"])
def test_every_list_of_folders_names_every_folder(name: str) -> None:
    tool = settings()["tool"]
    wheel = tool["hatch"]["build"]["targets"]["wheel"]
    lists: dict[str, list[str]] = {
        "dev-mode-dirs": tool["hatch"]["build"]["dev-mode-dirs"],
        "sources": wheel["sources"],
        "only-include": [folder.removesuffix("/stepbus") for folder in wheel["only-include"]],
        "mypy_path": [p for p in tool["mypy"]["mypy_path"].split(":") if not p.startswith("examples/")],
        "coverage source": [p for p in portions() if any(is_within(p, s) for s in tool["coverage"]["run"]["source"])],
    }

    assert sorted(lists[name]) == sorted(portions())


def test_mypy_is_given_every_python_file() -> None:
    given = settings()["tool"]["mypy"]["files"]

    forgotten = [path for path in files() if path.suffix == ".py" and not any(is_within(path, g) for g in given)]
    assert not forgotten, listing(forgotten)


def test_import_linter_is_given_every_package() -> None:
    packages = {
        ".".join(PurePosixPath(str(path)[str(path).index("/stepbus/") + 1 :]).parent.parts)
        for path in files()
        if path.name == "py.typed"
    }

    assert set(settings()["tool"]["importlinter"]["root_packages"]) == packages


def test_every_package_says_that_it_is_typed_and_no_namespace_has_an_init_file() -> None:
    for portion in portions():
        folder = ROOT / portion / "stepbus"
        assert not (folder / "__init__.py").exists()
        if portion.startswith("adapters/"):
            folder /= "adapters"
            assert not (folder / "__init__.py").exists()
        (package,) = (child for child in folder.iterdir() if child.is_dir() and child.name != "__pycache__")
        assert (package / "py.typed").is_file(), package


@pytest.mark.parametrize(
    "reference",
    sorted(
        {
            *(r for group in settings()["project"]["entry-points"].values() for r in group.values()),
            *settings()["project"]["scripts"].values(),
        }
    ),
)
def test_every_entry_point_leads_to_something_that_can_be_called(reference: str) -> None:
    module, _, name = reference.partition(":")

    assert callable(getattr(importlib.import_module(module), name))


def test_the_metadata_names_the_readme() -> None:
    assert settings()["project"].get("readme") == "README.md"


def is_within(path: str | PurePosixPath, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)
