"""Certificates per group of conditions, issued together as one claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import check_confidence_level
from gatekeeper.risk_control.binomial import (
    binomial_tails,
    risk_upper_bound,
    why_not_certified,
)
from gatekeeper.risk_control.multiple import adjusted_by_holm
from gatekeeper.types import BoolArray, IntArray

SEVERITY_BANDS: Mapping[str, tuple[int, ...]] = {
    "severity 1-2": (1, 2),
    "severity 3": (3,),
    "severity 4-5": (4, 5),
}
"""Name of each band, and the severities in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCertificate:
    """What one claim says about one of its groups.

    Attributes:
        name: Name of the group.
        n_images: Images of the group, accepted or not.
        n_accepted: Accepted answers.
        n_wrong: Wrong answers among them.
        p_value: Of "the group's risk is above the target", in [0, 1], for this group alone.
        adjusted_p_value: The same for the claim as a whole, in [0, 1].
        upper_bound: Of the group's risk, in [0, 1]; the bounds of all groups hold together.
        certified: Whether the risk is at most the target, jointly with all that are certified.
        reason: Why it cannot certify, as a sentence; None where it is certified.
    """

    name: str
    n_images: int
    n_accepted: int
    n_wrong: int
    p_value: float
    adjusted_p_value: float
    upper_bound: float
    certified: bool
    reason: str | None


def condition_groups(
    families: Sequence[Sequence[str]], severities: npt.ArrayLike
) -> dict[str, BoolArray]:
    """The groups that a certificate speaks about: clean, each family, each severity band.

    Args:
        families: Families of each row's condition, N sequences; none for a clean row. A
            composition belongs to the group of each of its families.
        severities: Severity of each row, whole numbers, shape (N,), 1…5; of clean rows not
            looked at.

    Returns:
        Name -> which rows are in the group, shape (N,); groups without rows are left out. Groups
        overlap: a row is in its families' groups and in its severity's.

    Raises:
        InputError: the lengths differ, or a row that is not clean has no severity in 1…5.
    """
    severity = np.asarray(severities)
    if severity.shape != (len(families),):
        raise InputError(
            f"expected one severity per row, got {severity.shape} for {len(families)} rows"
        )
    clean = np.array([not names for names in families], dtype=np.bool_)
    known = [level for band in SEVERITY_BANDS.values() for level in band]
    if not np.isin(severity[~clean], known).all():
        raise InputError(f"severities of corrupted rows must be among {known}")
    groups = {"clean": clean}
    for family in sorted({name for names in families for name in names}):
        groups[f"family {family}"] = np.array([family in names for names in families])
    for band, levels in SEVERITY_BANDS.items():
        groups[band] = ~clean & np.isin(severity, levels)
    return {name: rows for name, rows in groups.items() if rows.any()}


def group_certificates(
    accepted: npt.ArrayLike,
    wrong: npt.ArrayLike,
    groups: Mapping[str, npt.ArrayLike],
    target_risk: float,
    confidence_level: float,
) -> tuple[GroupCertificate, ...]:
    """Which groups' risks are at most the target, all statements holding together.

    A group's p-value is the exact binomial tail of its counts. Of a policy that was fixed before
    *certify* was read, the p-values are adjusted by Holm: no assumption about how the groups
    depend on one another, so they may share images.

    A policy that was chosen by walking a path on the same rows has seen their errors. Hand in all
    steps that were walked, the chosen one last: a group's p-value is then the largest along them
    (its own fixed-sequence test, which holds at any step however that was chosen), and the groups
    share the level by Bonferroni, because Holm's limits would depend on the choice.

    Args:
        accepted: Whether each image is accepted, boolean, shape (N,) for a policy fixed
            beforehand, or (N, M), one column per step from the frozen start of the path to the
            chosen step. One row per base image, in all groups together.
        wrong: Whether the answer that counts is wrong, boolean, same shape; where nothing is
            accepted it is not looked at.
        groups: Name -> which rows are in the group, boolean, shape (N,); may overlap. Fixed
            without looking at the answers.
        target_risk: Selective risk to stay at or below in each group, in (0, 1).
        confidence_level: Probability that every certified statement is true, in (0, 1).

    Returns:
        One certificate per group, in the order given. The upper bounds are one-sided
        Clopper-Pearson bounds at level 1 - (1 - confidence_level) / number of groups: for a fixed
        policy they hold together with the level. Holm may certify a group whose bound is above
        the target. After a walk a bound is the largest along the steps: at most the target exactly
        where the group is certified, which is then all that is guaranteed.

    Raises:
        InputError: there is no group, a shape or type is not as described, or the target or the
            level is outside its range.

    Source:
        Holm 1979; Clopper & Pearson 1934; fixed-sequence testing as in Angelopoulos et al. 2021
        (arXiv:2110.01052). The uniformity over steps follows from each step's test including all
        tests before it.
    """
    level = check_confidence_level(confidence_level)
    yes, errors = _steps(accepted, wrong)
    masks = _masks(groups, n=len(yes))
    n_accepted, n_wrong = _sums(masks, yes), _sums(masks, yes & errors)
    shape = n_accepted.shape
    tails = binomial_tails(n_wrong.ravel(), n_accepted.ravel(), target_risk).reshape(shape)
    p_values = tails.max(axis=1)
    # By its shape and not by its length: how far a walk went depends on the data.
    walked = np.ndim(accepted) == 2
    adjusted = np.minimum(p_values * len(masks), 1.0) if walked else adjusted_by_holm(p_values)
    share = 1.0 - (1.0 - level) / len(masks)
    return tuple(
        _certificate(
            name,
            int(masks[row].sum()),
            (n_wrong[row], n_accepted[row]),
            p_values=(float(p_values[row]), float(adjusted[row])),
            target_risk=target_risk,
            levels=(level, share),
        )
        for row, name in enumerate(groups)
    )


def _certificate(
    name: str,
    n_images: int,
    counts: tuple[IntArray, IntArray],
    *,
    p_values: tuple[float, float],
    target_risk: float,
    levels: tuple[float, float],
) -> GroupCertificate:
    """One group's certificate; ``levels`` are those of the claim and of one of its bounds."""
    wrong, accepted = counts
    bounds = [
        risk_upper_bound(int(k), int(n), levels[1]) for k, n in zip(wrong, accepted, strict=True)
    ]
    certified = p_values[1] <= 1.0 - levels[0]
    # The step that is furthest from being certified explains; with one step it is the policy's.
    weakest = int(np.argmax(bounds))
    reason = None
    if not certified:
        reason = why_not_certified(
            int(wrong[weakest]),
            int(accepted[weakest]),
            target_risk=target_risk,
            confidence_level=levels[1],
            where=f"in the group {name!r}",
        )
    return GroupCertificate(
        name=name,
        n_images=n_images,
        n_accepted=int(accepted[-1]),
        n_wrong=int(wrong[-1]),
        p_value=p_values[0],
        adjusted_p_value=p_values[1],
        upper_bound=bounds[weakest],
        certified=certified,
        reason=reason,
    )


def _sums(masks: BoolArray, flags: BoolArray) -> IntArray:
    """Flags per group and step, (G, M); in floating point, which is exact here and fast."""
    return np.rint(masks.astype(np.float64) @ flags.astype(np.float64)).astype(np.int64)


def _steps(accepted: npt.ArrayLike, wrong: npt.ArrayLike) -> tuple[BoolArray, BoolArray]:
    """Both as (N, M) booleans."""
    yes, errors = np.asarray(accepted), np.asarray(wrong)
    if yes.shape != errors.shape or yes.ndim not in (1, 2) or yes.size == 0:
        raise InputError(
            "accepted and wrong must both have shape (N,) or (N, M), got "
            f"{yes.shape} and {errors.shape}"
        )
    if yes.dtype != np.bool_ or errors.dtype != np.bool_:
        raise InputError(f"accepted and wrong must be boolean, got {yes.dtype} and {errors.dtype}")
    return yes.reshape(len(yes), -1), errors.reshape(len(yes), -1)


def _masks(groups: Mapping[str, npt.ArrayLike], *, n: int) -> BoolArray:
    """Rows of each group, (G, N)."""
    if not groups:
        raise InputError("expected at least one group to certify, got none")
    masks = []
    for name, rows in groups.items():
        mask = np.asarray(rows)
        if mask.shape != (n,) or mask.dtype != np.bool_:
            raise InputError(
                f"the group {name!r} must be boolean of shape ({n},), got {mask.dtype} of shape "
                f"{mask.shape}"
            )
        masks.append(mask)
    return np.stack(masks)
