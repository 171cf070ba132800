"""What the certificate says of the policy, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gatekeeper.fitting import policy_said
from gatekeeper.gate import Gate
from gatekeeper.recipe import parse_recipe
from gatekeeper.risk_control import Certification
from tests import small_gate

GATE = Gate(accept_raw_at=0.9, accept_restored_at=0.95, switch_margin=0.1)


def verdict() -> Certification:
    return Certification(
        certified=True, index=3, n_accepted=30, n_wrong=1, tail=0.01, upper_bound=0.04, reason="r"
    )


def test_coverage_is_what_was_accepted_and_nothing_without_a_certificate() -> None:
    recipe = parse_recipe(small_gate.RECIPE, source="small", folder=Path())
    said = policy_said(recipe, GATE, verdict(), 120)
    assert said["certified_coverage"] == 0.25
    assert (said["accept_raw_at"], said["accept_restored_at"], said["switch_margin"]) == (
        0.9, 0.95, 0.1,
    )  # fmt: skip
    assert (said["n_certify"], said["n_accepted"], said["n_wrong"]) == (120, 30, 1)
    assert said["seen"] == list(recipe.conditions.seen)
    none = policy_said(recipe, GATE, replace(verdict(), certified=False), 120)
    assert (none["certified"], none["certified_coverage"]) == (False, 0.0)


def test_what_is_held_out_is_named_as_not_covered() -> None:
    recipe = parse_recipe(small_gate.RECIPE, source="small", folder=Path())
    for held_out, expected in (
        (("speckle",), "any other traffic, such as speckle"), ((), "any other traffic"),
    ):  # fmt: skip
        conditions = recipe.conditions.model_copy(update={"held_out": held_out})
        said = policy_said(recipe.model_copy(update={"conditions": conditions}), GATE, verdict(), 9)
        assert said["not_covered"] == expected
