"""The gate as an mlflow model, for ``mlflow models serve`` and ``mlflow.pyfunc.load_model``.

mlflow copies this file beside the bundle and runs it (models from code): nothing is pickled.
The product's own service does not come this way; it reads the bundle, which is data only.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from gatekeeper.errors import InputError
from gatekeeper.tracking.store import quiet_mlflow

with quiet_mlflow():
    from mlflow.models import set_model
    from mlflow.pyfunc.model import PythonModel, PythonModelContext

if TYPE_CHECKING:
    from gatekeeper.pipeline import Gatekeeper

COLUMNS = ("action", "reason", "label", "class_name", "reliability", "error")


class GateModel(PythonModel):
    """One row of decision for each row of image."""

    gatekeeper: Gatekeeper

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle, every hash verified."""
        from gatekeeper.pipeline import Gatekeeper

        self.gatekeeper = Gatekeeper.load(Path(context.artifacts["bundle"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Decide on images, each on its own.

        Args:
            context: Not used; mlflow passes it.
            model_input: One column ``image``: encoded images as bytes, or base64 as text.
            params: Not used; mlflow passes it.

        Returns:
            One row per image with the columns ``COLUMNS``. What cannot be decoded has its
            sentence under ``error`` and None elsewhere; ``error`` is None otherwise.

        Raises:
            InputError: there is no column ``image``.
        """
        frame = pd.DataFrame(model_input)
        if "image" not in frame:
            raise InputError(
                f"expected a column 'image' of encoded images, got {list(map(str, frame.columns))}"
            )
        rows = [self._row(value) for value in frame["image"]]
        # dtype object: a missing label stays None and a present one stays an integer.
        return pd.DataFrame(rows, columns=list(COLUMNS), index=frame.index, dtype=object)

    def _row(self, value: object) -> dict[str, Any]:
        try:
            decision = self.gatekeeper.decide_one(_encoded(value))
        except InputError as error:
            return {**dict.fromkeys(COLUMNS), "error": str(error)}
        body = decision.to_json(self.gatekeeper.class_names)
        return {**{name: body[name] for name in COLUMNS if name != "error"}, "error": None}


def _encoded(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise InputError(
                f"expected an image as base64 text, got text that is not: {error}"
            ) from error
    raise InputError(f"expected an image as bytes or base64 text, got {type(value).__name__}")


set_model(GateModel())
