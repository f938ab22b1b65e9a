"""What make installs is locked, with hashes, and the locks follow pyproject.toml."""

import json
import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.tree import ROOT, files, listing, settings

LOCKS = ("dev", "lock", "node", "run")


def locked(name: str) -> list[Requirement]:
    """What a lock file installs; a package is there once for each kind of machine that needs a version of its own."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if line and line[0] not in " #"]


def satisfied(asked: Requirement, lock: list[Requirement]) -> bool:
    versions = [
        str(requirement.specifier).removeprefix("==")
        for requirement in lock
        if canonicalize_name(requirement.name) == canonicalize_name(asked.name)
    ]
    return bool(versions) and all(asked.specifier.contains(version) for version in versions)


def test_every_python_package_is_locked_with_a_hash() -> None:
    for name in LOCKS:
        text = re.sub(r"(?m)^ *#.*\n", "", (ROOT / "requirements" / f"{name}.txt").read_text())
        packages = re.split(r"\n(?=\S)", text.strip())
        loose = [p for p in packages if not re.match(r"[\w.-]+==\S+", p) or "--hash=sha256:" not in p]
        assert packages
        assert not loose, listing(loose)


def test_every_node_package_is_locked_with_a_hash() -> None:
    locks = [path for path in files() if path.name == "package-lock.json"]
    assert locks
    for path in locks:
        packages = json.loads((ROOT / path).read_text())["packages"]
        loose = [name for name, package in packages.items() if name and "integrity" not in package]
        assert not loose, listing(loose)


def test_the_locks_hold_what_pyproject_asks_for() -> None:
    project = settings()["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    core: list[str] = project["dependencies"]
    adapters = [one for name in ("kafka", "nats", "postgres", "rabbitmq", "redis") for one in extras[name]]
    asked = {
        "dev": [*core, *adapters, *extras["test"], *extras["check"]],
        "run": [*core, *adapters],
        "node": extras["demo"],
    }

    missing = [
        f"{name}.txt: {requirement}"
        for name, requirements in asked.items()
        for requirement in map(Requirement, requirements)
        if not satisfied(requirement, locked(name))
    ]
    assert not missing, f"expected `make lock` to have run, but these are not locked: {listing(missing)}"
    assert set().union(*extras.values()) == {*extras["demo"], *asked["dev"]} - set(core)


def test_every_version_that_running_needs_is_the_one_that_was_tested() -> None:
    tested = {f"{requirement.name}{requirement.specifier}" for requirement in locked("dev")}

    assert {f"{requirement.name}{requirement.specifier}" for requirement in locked("run")} <= tested
