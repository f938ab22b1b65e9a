"""The repository holds what belongs there, and would build anywhere."""

import re

from tests.architecture.tree import ROOT, files, listing

AT_THE_ROOT = {
    ".ci",
    ".dockerignore",
    ".gitattributes",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "adapters",
    "benchmarks",
    "changelog.d",
    "contracts",
    "deploy",
    "docs",
    "examples",
    "orchestrator",
    "projections",
    "pyproject.toml",
    "requirements",
    "tests",
    "tools",
    "workers",
}

# Written in parts, so that this file does not hold what it looks for.
HOSTS = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry.npmjs" + ".org",
    "registry.yarnpkg" + ".com",
    "maven" + ".org",
    "maven.apache" + ".org",
    "deb.debian" + ".org",
    "proxy.golang" + ".org",
]
MACHINE_PATH = re.compile(r"(?<![\w.$}-])/" + r"(work|root|home|Users)/")


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in files():
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:  # not text
            continue
        if pattern.search(text):
            lines = enumerate(text.splitlines(), 1)
            found += [f"{path}:{number} {line.strip()}" for number, line in lines if pattern.search(line)]
    return found


def test_the_root_holds_nothing_unexpected() -> None:
    unexpected = sorted({path.parts[0] for path in files()} - AT_THE_ROOT)

    assert not unexpected, listing(unexpected)


def test_no_file_names_the_host_of_a_package_registry() -> None:
    found = lines_that_match(re.compile("|".join(map(re.escape, HOSTS))))

    assert not found, listing(found)


def test_no_file_names_a_path_of_one_machine() -> None:
    found = lines_that_match(MACHINE_PATH)

    assert not found, listing(found)
