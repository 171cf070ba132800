from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from gatekeeper.errors import InputError
from gatekeeper.tracking import LoggedVersion, TrackingStore

LogBundle = Callable[..., LoggedVersion]
ACCEPTED = {
    "action": "accept", "reason": "GK100", "label": 1, "class_name": "bag", "reliability": 0.97,
    "error": None,
}  # fmt: skip
ABSTAINED = {
    "action": "abstain", "reason": "GK200", "label": None, "class_name": None,
    "reliability": 0.25, "error": None,
}  # fmt: skip


@pytest.fixture
def model(store: TrackingStore, log_bundle: LogBundle) -> Any:
    """The model as an outsider loads it."""
    logged = log_bundle("outside")
    with store.calls("load"), store.activated():
        import mlflow

        return mlflow.pyfunc.load_model(logged.model_uri)


def test_outsiders_get_one_row_per_image(model: Any, png: bytes) -> None:
    frame = pd.DataFrame({"image": [png, png[:8], b"GIF89a", png]}, index=[4, 5, 6, 7])
    rows = model.predict(frame)
    assert list(rows.index) == [4, 5, 6, 7]
    got = rows.to_dict(orient="records")
    assert got[0] == got[3] == ACCEPTED
    assert got[1] == ABSTAINED
    assert got[2] == {
        **dict.fromkeys(ACCEPTED), "error": "expected an image, got something else"
    }  # fmt: skip


def test_base64_text_will_do_and_bad_text_is_an_error_in_its_row(model: Any, png: bytes) -> None:
    text = base64.b64encode(png).decode()
    got = model.predict(pd.DataFrame({"image": [text, "not base64!"]})).to_dict(orient="records")
    assert got[0] == ACCEPTED
    assert got[1]["error"].startswith("expected an image as base64 text")
    assert got[1]["action"] is None


def test_a_list_of_records_will_do(model: Any, png: bytes) -> None:
    assert model.predict([{"image": png}]).to_dict(orient="records") == [ACCEPTED]


def test_the_logged_example_can_be_posted(model: Any, png: bytes) -> None:
    from mlflow.pyfunc.scoring_server import invocations

    body = {"dataframe_records": [{"image": base64.b64encode(png).decode()}]}
    answer = invocations(
        json.dumps(body), "application/json", model, model.metadata.signature.inputs
    )
    assert answer.status == 200
    assert json.loads(answer.response) == {"predictions": [ACCEPTED]}


def test_a_column_of_another_name_is_refused(model: Any) -> None:
    with pytest.raises(InputError, match=r"expected a column 'image'.*\['picture'\]"):
        model.unwrap_python_model().predict(None, pd.DataFrame({"picture": [b""]}))


def test_what_is_neither_bytes_nor_text_is_an_error_in_its_row(model: Any, png: bytes) -> None:
    frame = pd.DataFrame({"image": [None, 3, png]}, dtype=object)
    got = model.unwrap_python_model().predict(None, frame).to_dict(orient="records")
    expected = "expected an image as bytes or base64 text, got "
    assert [row["error"] for row in got] == [expected + "NoneType", expected + "int", None]
    assert got[2] == ACCEPTED
