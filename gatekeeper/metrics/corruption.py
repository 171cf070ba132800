"""Corruption error: how much more a classifier errs under corruptions than a chosen reference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import check_share, score_array
from gatekeeper.types import FloatArray


def corruption_errors(
    errors: Mapping[str, npt.ArrayLike], reference: Mapping[str, npt.ArrayLike]
) -> dict[str, float]:
    """Error under each corruption ÷ that of the reference, both summed over the severities.

    Args:
        errors: Corruption -> error rate at each severity, shape (S,), in [0, 1].
        reference: The same of the reference classifier, on the same corruptions and severities.

    Returns:
        Corruption -> ratio, at least 0, lower is better; 1 is as good as the reference.

    Raises:
        InputError: no corruption, other corruptions or severities in the reference, an error
            outside [0, 1], or a reference that never errs under a corruption.

    Source:
        Hendrycks & Dietterich 2019 (arXiv:1903.12261), section 4.3; the reference there is AlexNet
        on ImageNet, here it is the caller's choice, because no other data set has an AlexNet.
    """
    return _ratios(_lined_up(errors, reference), clean_error=0.0, reference_clean_error=0.0)


def mean_corruption_error(
    errors: Mapping[str, npt.ArrayLike], reference: Mapping[str, npt.ArrayLike]
) -> float:
    """Mean over the corruptions of :func:`corruption_errors` (mCE).

    Args:
        errors: As there.
        reference: As there.

    Returns:
        At least 0, lower is better; 1 for the reference itself. A fraction: 0.767, not 76.7.

    Raises:
        InputError: as :func:`corruption_errors`.

    Example:
        >>> round(mean_corruption_error({"fog": [0.2, 0.4]}, {"fog": [0.5, 0.7]}), 3)
        0.5
    """
    return float(np.mean(list(corruption_errors(errors, reference).values())))


def relative_mean_corruption_error(
    errors: Mapping[str, npt.ArrayLike],
    reference: Mapping[str, npt.ArrayLike],
    *,
    clean_error: float,
    reference_clean_error: float,
) -> float:
    """Mean over the corruptions of what each adds to the clean error ÷ what it adds there.

    Args:
        errors: As in :func:`corruption_errors`.
        reference: As there.
        clean_error: Error rate on clean images, in [0, 1].
        reference_clean_error: The reference's, in [0, 1].

    Returns:
        Lower is better; 1 for the reference itself, 0 where corruptions cost nothing, below 0 where
        they help.

    Raises:
        InputError: as :func:`corruption_errors`, or a corruption that adds nothing to the error of
            the reference.

    Source:
        Hendrycks & Dietterich 2019 (arXiv:1903.12261), section 4.3.
    """
    check_share(clean_error, name="clean_error")
    check_share(reference_clean_error, name="reference_clean_error")
    pairs = _lined_up(errors, reference)
    ratios = _ratios(pairs, clean_error=clean_error, reference_clean_error=reference_clean_error)
    return float(np.mean(list(ratios.values())))


def _lined_up(
    errors: Mapping[str, npt.ArrayLike], reference: Mapping[str, npt.ArrayLike]
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Corruption -> both error rates, (S,) each."""
    if not errors or set(errors) != set(reference):
        raise InputError(
            "expected the same corruptions for the classifier and the reference, at least one; got "
            f"{', '.join(sorted(errors)) or 'none'} and {', '.join(sorted(reference)) or 'none'}"
        )
    pairs: dict[str, tuple[FloatArray, FloatArray]] = {}
    for name in errors:
        ours = score_array(errors[name], name=f"errors under {name}")
        theirs = score_array(reference[name], name=f"reference errors under {name}")
        if len(ours) != len(theirs):
            raise InputError(
                f"expected as many severities of {name} for both, got {len(ours)} and {len(theirs)}"
            )
        for value in (*ours, *theirs):
            check_share(float(value), name=f"an error under {name}")
        pairs[name] = ours, theirs
    return pairs


def _ratios(
    pairs: Mapping[str, tuple[FloatArray, FloatArray]],
    *,
    clean_error: float,
    reference_clean_error: float,
) -> dict[str, float]:
    ratios = {}
    for name, (ours, theirs) in pairs.items():
        added = float(np.sum(theirs - reference_clean_error))
        if added <= 0.0:
            raise InputError(
                f"the reference must err more under {name} than without, got {added:g} more over "
                "all severities; choose a weaker reference or leave the corruption out"
            )
        ratios[name] = float(np.sum(ours - clean_error)) / added
    return ratios
