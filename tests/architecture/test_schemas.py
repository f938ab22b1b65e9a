"""What is generated from the contracts is what the contracts generate, and golden documents stay as they are."""

import hashlib
import json
from pathlib import Path

from tests.architecture.tree import ROOT, copy_to, files, listing, run_in_copy

GOLDEN = "contracts/stepbus/contracts/golden"


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_generating_the_schemas_changes_nothing(tmp_path: Path) -> None:
    copy = copy_to(tmp_path)
    before = contents(copy)

    generated = run_in_copy(copy, "import runpy; runpy.run_module('stepbus.contracts.schemas', run_name='__main__')")

    assert generated.returncode == 0, generated.stdout
    after = contents(copy)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    assert not changed, f"expected `make schemas` to change nothing, but it changes {listing(changed)}"


def test_every_golden_document_has_the_digest_that_the_manifest_gives() -> None:
    manifest: dict[str, str] = json.loads((ROOT / GOLDEN / "MANIFEST.json").read_text())

    digests = {
        str(path.relative_to(GOLDEN)): hashlib.sha256((ROOT / path).read_bytes()).hexdigest()
        for path in files()
        if path.is_relative_to(GOLDEN) and path.name != "MANIFEST.json"
    }
    assert digests
    assert digests == manifest
