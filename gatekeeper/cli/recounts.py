"""``gatekeeper registry verify`` with data: certificates counted again, number by number."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper.errors import DataError, GatekeeperError

if TYPE_CHECKING:
    from gatekeeper.evaluation import Recount

PASS, FAIL, NO_DATA = "PASS", "FAIL", "data not here"
_CODES = {PASS: 0, FAIL: 1, NO_DATA: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What came of one certificate.

    Attributes:
        name: The bundle as it was named.
        outcome: ``PASS``, ``FAIL`` or ``data not here``; never PASS where nothing was counted.
        problem: Why not PASS; "" for PASS.
        recounts: Numbers that were counted again.
        left_out: Numbers that were not, and what they would need.
    """

    name: str
    outcome: str
    problem: str
    recounts: tuple[Recount, ...] = ()
    left_out: tuple[str, ...] = ()


def verify_certificates(arguments: argparse.Namespace) -> int:
    """Count one bundle's certificate again, or all that ship; returns the exit code."""
    found = [
        _verify(name, directory, certificate, arguments)
        for name, directory, certificate in _certificates(arguments.bundle)
    ]
    if arguments.json:
        json.dump([_body(each) for each in found], sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        for each in found:
            sys.stdout.write(f"{_line(each)}\n")
    outcomes = {each.outcome for each in found}
    worst = next(outcome for outcome in (FAIL, NO_DATA, PASS) if outcome in outcomes)
    return _CODES[worst]


def _certificates(bundle: str | None) -> Iterator[tuple[str, Path, Mapping[str, Any] | None]]:
    """Name, bundle and published certificate; None where the bundle's own is all there is."""
    from gatekeeper.cli.bundles import resolve_bundle
    from gatekeeper.paths import shipped_root

    if bundle is not None:
        directory = resolve_bundle(bundle)
        yield bundle, directory, _published(directory)
        return
    files = sorted((shipped_root() / "calibration").glob("*/certificate.json"))
    if not files:
        raise DataError("expected certificates in calibration/, got none: nothing can be verified")
    for file in files:
        directory = file.parent / "bundle"
        yield f"shipped:{file.parent.name}", directory, _published(directory)


def _published(bundle: Path) -> Mapping[str, Any] | None:
    file = bundle.parent / "certificate.json"
    if not file.is_file():
        return None
    published: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return published


def _verify(
    name: str,
    directory: Path,
    published: Mapping[str, Any] | None,
    arguments: argparse.Namespace,
) -> Verified:
    from gatekeeper.bundle import load_bundle
    from gatekeeper.cli.progress import Bars
    from gatekeeper.evaluation import not_recomputed, recount_certificate
    from gatekeeper.golden import check_golden
    from gatekeeper.images import load_dataset

    try:
        check_golden(directory)
        fitted, _ = load_bundle(directory)
    except GatekeeperError as error:
        return Verified(name=name, outcome=FAIL, problem=str(error))
    certificate = published or fitted.certificate
    try:
        data = load_dataset(
            arguments.data or str(certificate["dataset"]),
            data_dir=arguments.data_dir,
            image_size=fitted.image_size,
            announce=_say,
        )
        with Bars() as bars:
            recounts = recount_certificate(fitted, certificate, data, progress=bars)
    except GatekeeperError as error:
        return Verified(name=name, outcome=NO_DATA, problem=str(error))
    wrong = [each for each in recounts if not each.same]
    problem = "; ".join(
        f"{each.name} is recorded as {each.recorded} and is {each.recomputed}" for each in wrong
    )
    outcome = FAIL if wrong else PASS
    return Verified(
        name=name,
        outcome=outcome,
        problem=problem,
        recounts=tuple(recounts),
        left_out=not_recomputed(certificate),
    )


def _line(verified: Verified) -> str:
    if verified.outcome == PASS:
        return (
            f"PASS: {verified.name}: hashes, golden set and {len(verified.recounts)} numbers of "
            f"the certificate, counted again; not counted again: {'; '.join(verified.left_out)}"
        )
    return f"{verified.outcome}: {verified.name}: {verified.problem}"


def _body(verified: Verified) -> dict[str, Any]:
    return {
        "bundle": verified.name,
        "outcome": verified.outcome,
        "problem": verified.problem or None,
        "recounts": [
            {
                "name": each.name,
                "recorded": each.recorded,
                "recomputed": each.recomputed,
                "same": each.same,
            }
            for each in verified.recounts
        ],
        "not_recomputed": list(verified.left_out),
    }


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
