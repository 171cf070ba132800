"""Files from a web mirror, within a time limit. What arrives is checked by its reader."""

from __future__ import annotations

import time
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from gatekeeper.errors import DataError

_SILENCE_LIMIT_S = 5.0
_CHUNK = 1 << 20
_MAX_BYTES = 200_000_000


def download(base: str, names: tuple[str, ...], into: Path, *, time_limit_s: float) -> None:
    """Fetch files by name from one address into a folder.

    Args:
        base: Address, http or https, that the names are appended to.
        names: Names of the files.
        into: Where to put them; made where it does not exist.
        time_limit_s: For everything together; five seconds of silence end it too.

    Raises:
        DataError: the mirror cannot be reached, is too slow, or the folder cannot be written.
    """
    deadline = time.monotonic() + time_limit_s
    try:
        into.mkdir(parents=True, exist_ok=True)
        for name in names:
            aside = into / f"{name}.part"
            aside.write_bytes(_fetch(base + name, deadline))
            aside.replace(into / name)
    except (OSError, HTTPException) as error:
        raise DataError(f"{base} could not be fetched ({error})") from error


def _fetch(url: str, deadline: float) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise DataError(f"expected an address with http or https, got {url}")
    content = bytearray()
    with urlopen(url, timeout=_SILENCE_LIMIT_S) as answer:  # noqa: S310 - scheme checked above
        while chunk := answer.read(_CHUNK):
            content += chunk
            if time.monotonic() > deadline or len(content) > _MAX_BYTES:
                raise DataError(f"{url} is too slow or too large")
        promised = answer.headers.get("Content-Length")
    # Read in pieces, a connection that breaks off looks like the end.
    if promised is not None and promised != str(len(content)):
        raise DataError(f"{url} could not be fetched (got {len(content)} of {promised} bytes)")
    return bytes(content)
