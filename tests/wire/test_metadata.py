"""What a server says about itself."""

from __future__ import annotations

from gatekeeper.wire import VARIABLE, TensorSpec, model_metadata, server_metadata


def test_server() -> None:
    assert server_metadata("gatekeeper", "1.2") == {
        "name": "gatekeeper",
        "version": "1.2",
        "extensions": ["binary_tensor_data", "classification"],
    }


def test_model() -> None:
    image = TensorSpec(name="image", datatype="BYTES", shape=(VARIABLE,))
    assert model_metadata("m", "7", "p", inputs=[image], outputs=[]) == {
        "name": "m",
        "versions": ["7"],
        "platform": "p",
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [],
    }
