"""Thresholds with a stated guarantee, or "cannot certify".

A path of thresholds is frozen on *calibrate*. On *certify*, which nothing else has read, each step
along it is tested for "selective risk above the target" with the exact binomial tail; the walk
stops at the first step that is not refuted. The last refuted step is certified: in at most
1 - confidence_level of all certify samples is its true risk above the target.

The counts must come from independent images, one row per image: corrupted copies of one image are
dependent and break the binomial.

Beside the one certificate of the whole traffic: certificates per group of conditions, issued
together as one claim, and the certify rows of another traffic mix, by rejection sampling.
"""

from __future__ import annotations

from gatekeeper.risk_control.binomial import (
    binomial_tail,
    min_accepted_to_certify,
    risk_upper_bound,
)
from gatekeeper.risk_control.fixed_sequence import (
    Certification,
    fixed_sequence_test,
    starting_point,
)
from gatekeeper.risk_control.groups import (
    GroupCertificate,
    condition_groups,
    group_certificates,
)
from gatekeeper.risk_control.mixes import resample_to_mix
from gatekeeper.risk_control.multiple import adjusted_by_holm, holm
from gatekeeper.risk_control.path import ThresholdPath

__all__ = [
    "Certification",
    "GroupCertificate",
    "ThresholdPath",
    "adjusted_by_holm",
    "binomial_tail",
    "condition_groups",
    "fixed_sequence_test",
    "group_certificates",
    "holm",
    "min_accepted_to_certify",
    "resample_to_mix",
    "risk_upper_bound",
    "starting_point",
]
