"""``gatekeeper registry verify`` with data: certificates counted again, number by number."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper.errors import BundleError, DataError, GatekeeperError

if TYPE_CHECKING:
    from gatekeeper.bundle import FittedGate
    from gatekeeper.evaluation import Recount
    from gatekeeper.images import Dataset
    from gatekeeper.recipe import Recipe

PASS, FAIL, NO_DATA = "PASS", "FAIL", "data not here"
_CODES = {PASS: 0, FAIL: 1, NO_DATA: 2}
_NEEDED = ("dataset", "seed", "splits", "target_risk", "confidence_level", "switch_margin")


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
    try:
        published: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(
            f"expected JSON in {file}, got {error}: copy the certificate of the run again"
        ) from error
    return published


def _verify(
    name: str,
    directory: Path,
    published: Mapping[str, Any] | None,
    arguments: argparse.Namespace,
) -> Verified:
    from gatekeeper.bundle import load_bundle
    from gatekeeper.cli.refits import recipe_of
    from gatekeeper.golden import check_golden
    from gatekeeper.images import load_dataset

    try:
        check_golden(directory)
        fitted, _ = load_bundle(directory)
    except GatekeeperError as error:
        return Verified(name=name, outcome=FAIL, problem=str(error))
    certificate = published or fitted.certificate
    if lacking := [key for key in _NEEDED if certificate.get(key) is None]:
        return Verified(
            name=name, outcome=FAIL, problem=f"the certificate lacks {', '.join(lacking)}"
        )
    recipe = recipe_of(fitted.name, directory, arguments.recipe)
    try:
        data = load_dataset(
            arguments.data or str(certificate["dataset"]),
            data_dir=arguments.data_dir,
            image_size=fitted.image_size,
            announce=_say,
        )
        recounts = _recounts(fitted, certificate, data, recipe)
    except DataError as error:
        return Verified(name=name, outcome=NO_DATA, problem=str(error))
    wrong = [each for each in recounts if not each.same]
    problem = "; ".join(
        f"{each.name} is recorded as {each.recorded} and is {each.recomputed}" for each in wrong
    )
    return Verified(
        name=name,
        outcome=FAIL if wrong else PASS,
        problem=problem,
        recounts=tuple(recounts),
        left_out=_left_out(certificate, recipe),
    )


def _recounts(
    fitted: FittedGate, certificate: Mapping[str, Any], data: Dataset, recipe: Recipe | None
) -> list[Recount]:
    from gatekeeper.cli.progress import Bars
    from gatekeeper.cli.refits import recount_refits
    from gatekeeper.evaluation import recount_certificate

    policy = None if recipe is None else recipe.policy
    with Bars() as bars:
        found = recount_certificate(fitted, certificate, data, policy=policy, progress=bars)
        if recipe is not None:
            found += recount_refits(fitted, certificate, data, recipe, progress=bars)
    return found


def _left_out(certificate: Mapping[str, Any], recipe: Recipe | None) -> tuple[str, ...]:
    from gatekeeper.cli.refits import not_refitted
    from gatekeeper.evaluation import not_recomputed

    if recipe is not None:
        return ()
    return not_recomputed(certificate) + not_refitted(certificate)


def _line(verified: Verified) -> str:
    if verified.outcome == PASS:
        counted = (
            f"PASS: {verified.name}: hashes, golden set and {len(verified.recounts)} numbers of "
            "the certificate, counted again"
        )
        if not verified.left_out:
            return counted
        needs = "; ".join(verified.left_out)
        return f"{counted}; not counted again without --recipe: {needs}"
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
