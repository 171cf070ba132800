"""What is offered to the review queue: pixels, the decision on them, and how they were drawn."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from PIL import Image
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.images import seeds_for, tensor_digests

ABSTAINED = "abstained"
"""Kind of an image that the gate abstained on; its label may train."""
ACCEPTED = "accepted"
"""Kind of an image from the random share of accepted answers; its label may also certify."""

_DRAWS = float(2**63)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """An image with the decision on it.

    Attributes:
        decision_id: By which feedback names the decision.
        image: Shape (3, H, W), float32, RGB, in [0, 1], as the classifier saw it.
        kind: :data:`ABSTAINED` or :data:`ACCEPTED`.
        probability: With which an accepted answer was drawn, in (0, 1]; 1 for an abstention, whose
            share is the queue's own.
        answer: Class index of the classifier's answer, None where there is none.
        reliability: The final one, in [0, 1].
        reason: Code of the decision's reason.
        bundle: Identity of the bundle that decided.

    Raises:
        InputError: the kind is neither, or the probability is outside (0, 1].
    """

    decision_id: str
    image: Tensor
    kind: str
    probability: float
    answer: int | None
    reliability: float
    reason: str
    bundle: str

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.kind not in {ABSTAINED, ACCEPTED}:
            raise InputError(f"expected kind {ABSTAINED} or {ACCEPTED}, got {self.kind!r}")
        if not 0.0 < self.probability <= 1.0:
            raise InputError(f"expected a probability in (0, 1], got {self.probability}")

    @property
    def digest(self) -> str:
        """Of the pixels; see :func:`gatekeeper.images.tensor_digests`."""
        return str(tensor_digests(self.image[None])[0])

    def png(self) -> bytes:
        """The pixels in 8 bits as a new PNG: nothing of the file that was sent goes with them."""
        levels = (self.image.detach().cpu() * 255).round().clamp(0, 255).byte()
        out = BytesIO()
        Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy()).save(out, "PNG")
        return out.getvalue()


def draw_of(digest: str) -> float:
    """A number in [0, 1) that is an image's own, however often and whenever it comes."""
    return float(seeds_for(0, [digest], "review")[0]) / _DRAWS
