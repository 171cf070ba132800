"""The manifest: what it lists, and that any difference from it is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gatekeeper.errors import BundleError
from gatekeeper.manifest import MANIFEST, file_digest, verify_manifest, write_manifest


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "b.json").write_bytes(b"{}")
    (tmp_path / "a.safetensors").write_bytes(b"weights")
    write_manifest(tmp_path)
    return tmp_path


def test_the_manifest_lists_every_file_as_sha256sum_does(directory: Path) -> None:
    expected = (
        f"{hashlib.sha256(b'weights').hexdigest()}  a.safetensors\n"
        f"{hashlib.sha256(b'{}').hexdigest()}  b.json\n"
    )
    assert (directory / MANIFEST).read_text(encoding="ascii") == expected
    identity = hashlib.sha256(expected.encode()).hexdigest()
    assert verify_manifest(directory) == identity
    assert write_manifest(directory) == identity


def test_digest_of_a_file(directory: Path) -> None:
    assert file_digest(directory / "b.json") == hashlib.sha256(b"{}").hexdigest()


def test_every_changed_byte_is_seen(directory: Path) -> None:
    path = directory / "a.safetensors"
    for place in range(7):
        content = bytearray(b"weights")
        content[place] ^= 1
        path.write_bytes(content)
        with pytest.raises(BundleError, match=r"a\.safetensors in the bundle .* was changed"):
            verify_manifest(directory)


def test_a_missing_file_is_named(directory: Path) -> None:
    (directory / "b.json").unlink()
    with pytest.raises(BundleError, match=r"lacks b\.json"):
        verify_manifest(directory)


def test_an_extra_file_is_named(directory: Path) -> None:
    (directory / "code.py").write_text("print()")
    with pytest.raises(BundleError, match=r"holds code\.py, which its manifest does not list"):
        verify_manifest(directory)


def test_an_extra_folder_is_named(directory: Path) -> None:
    (directory / "more").mkdir()
    with pytest.raises(BundleError, match="holds more"):
        verify_manifest(directory)


def test_no_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"expected a bundle with MANIFEST\.sha256"):
        verify_manifest(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists nothing"),
        ("not a line\n", "damaged at 'not a line'"),
        (f"{'0' * 64}  ../secret\n", "damaged"),
        (f"{'0' * 64}  folder/file\n", "damaged"),
        (f"{'0' * 64}  /etc/passwd\n", "damaged"),
        (f"{'0' * 63}  a.json\n", "damaged"),
    ],
)
def test_a_damaged_manifest_is_refused(directory: Path, text: str, message: str) -> None:
    (directory / MANIFEST).write_text(text, encoding="ascii")
    with pytest.raises(BundleError, match=message):
        verify_manifest(directory)
