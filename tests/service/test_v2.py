"""The Open Inference Protocol: stock clients, curl, and everything that can be wrong."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from fastapi.testclient import TestClient
from PIL import Image
from tritonclient.utils import InferenceServerException

import gatekeeper
from gatekeeper.pipeline import Gatekeeper
from tests.service.conftest import encoded
from tests.service.test_server import running
from tests.small_gate import small, stream_images

MODEL = "/v2/models/gatekeeper"
INFER = f"{MODEL}/infer"


def binary_request(*files: bytes, **more: Any) -> tuple[bytes, dict[str, str]]:
    data = b"".join(len(each).to_bytes(4, "little") + each for each in files)
    head = json.dumps(
        {
            "inputs": [
                {"name": "image", "shape": [len(files)], "datatype": "BYTES",
                 "parameters": {"binary_data_size": len(data)}}
            ],
            **more,
        }
    ).encode()  # fmt: skip
    return head + data, {"Inference-Header-Content-Length": str(len(head))}


def post(client: TestClient, node: Any) -> Any:
    return client.post(INFER, content=json.dumps(node))


def outputs(answer: Any) -> dict[str, Any]:
    return {output["name"]: output["data"] for output in answer.json()["outputs"]}


def files(*images: bytes) -> dict[str, Any]:
    """A JSON request."""
    return {
        "inputs": [
            {"name": "image", "shape": [len(images)], "datatype": "BYTES",
             "parameters": {"content_type": "base64"},
             "data": [base64.b64encode(each).decode() for each in images]}
        ]
    }  # fmt: skip


# --- metadata and health ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server(client: TestClient, path: str) -> None:
    assert client.get(path).json() == {
        "name": "gatekeeper",
        "version": gatekeeper.__version__,
        "extensions": ["binary_tensor_data", "classification"],
    }


def test_health(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
    for path in (MODEL, f"{MODEL}/versions/1"):
        answer = client.get(f"{path}/ready")
        assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert client.get(f"{MODEL}/ready").json()["name"] == "gatekeeper"


def test_not_ready(start: Callable[..., TestClient], fake: Any) -> None:
    fake.gate.clear()
    client = start(lambda: fake)
    for path in ("/v2/health/ready", f"{MODEL}/ready"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert client.get("/v2/health/live").status_code == 200
    refused = post(client, files(encoded()))
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert "still being verified" in refused.json()["error"]
    fake.gate.set()


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/1"])
def test_model(client: TestClient, path: str) -> None:
    model = client.get(path).json()
    assert (model["name"], model["versions"], model["platform"]) == (
        "gatekeeper", ["1"], "gatekeeper",
    )  # fmt: skip
    assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert [output["name"] for output in model["outputs"]] == [
        "action", "label", "class_name", "reliability", "raw_reliability", "reason",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v2/models/other", "expected the model 'gatekeeper', got 'other'"),
        (f"{MODEL}/versions/2", "expected version '1', got '2'"),
        (f"{MODEL}/versions/2/ready", "expected version '1'"),
        ("/v2/models/..%2f..", "Not Found"),
        ("/v2/models/%2e%2e/ready", ""),
        ("/v2/models//ready", ""),
        (f"/v2/models/{'a' * 5000}", "expected the model 'gatekeeper'"),
        ("/v2/nowhere", "Not Found"),
    ],
)
def test_unknown_models(client: TestClient, path: str, words: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert words in answer.json()["error"]


# --- inference ----------------------------------------------------------------------------------


def test_files_as_json(client: TestClient) -> None:
    node = {**files(encoded(grey=255), encoded(grey=0)), "id": "abc"}
    answer = post(client, node)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["id"], body["model_name"], body["model_version"]) == ("abc", "gatekeeper", "1")
    assert body["parameters"] == {
        "bundle": "b" * 64, "classifier": "fake@1", "certified": True, "gear": "full",
        "degraded": "",
    }  # fmt: skip
    found = outputs(answer)
    assert found["action"] == ["accept", "abstain"]
    assert (found["label"], found["class_name"]) == ([1, -1], ["bag", ""])
    np.testing.assert_allclose(found["reliability"], [0.96, 0.5])
    np.testing.assert_allclose(found["raw_reliability"], [0.97, 0.3])
    assert json.loads(found["reason"][1])["code"] == "GK220"


def test_a_bad_file_has_a_row_of_its_own(client: TestClient) -> None:
    found = outputs(post(client, files(encoded(), b"no image", encoded())))
    assert found["action"] == ["accept", "error", "accept"]
    assert found["label"] == [1, -1, 1]
    reason = json.loads(found["reason"][1])
    assert (reason["code"], reason["reason"]) == ("undecodable_image", "unsupported_format")


def test_only_bad_files_are_an_error(client: TestClient) -> None:
    answer = post(client, files(b"no image", b"none either"))
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("expected one of JPEG, PNG, WEBP")


@pytest.mark.parametrize(("datatype", "bright"), [("UINT8", 255), ("FP32", 1.0), ("FP32", 1)])
def test_pixels(client: TestClient, datatype: str, bright: float) -> None:
    pixels = [[[[bright] * 3] * 4] * 3, [[[0] * 3] * 4] * 3]
    node = {"inputs": [{"name": "image", "shape": [2, 3, 4, 3], "datatype": datatype,
                        "data": pixels}]}  # fmt: skip
    assert outputs(post(client, node))["action"] == ["accept", "abstain"]


def test_pixels_that_are_no_numbers_fail_alone(client: TestClient) -> None:
    pixels = np.ones((3, 2, 2, 3), dtype="<f4")
    pixels[1, 0, 0, 0] = np.nan
    head = json.dumps(
        {"inputs": [{"name": "image", "shape": [3, 2, 2, 3], "datatype": "FP32",
                     "parameters": {"binary_data_size": pixels.nbytes}}]}
    ).encode()  # fmt: skip
    answer = client.post(
        INFER, content=head + pixels.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(head))},
    )  # fmt: skip
    assert outputs(answer)["action"] == ["accept", "error", "accept"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed(client: TestClient, encoding: str) -> None:
    import zlib

    data = json.dumps(files(encoded())).encode()
    packed = gzip.compress(data) if encoding == "gzip" else zlib.compress(data)
    answer = client.post(INFER, content=packed, headers={"Content-Encoding": encoding})
    assert outputs(answer)["action"] == ["accept"]


def test_a_bomb(client: TestClient) -> None:
    bomb = gzip.compress(bytes(1_000_000))
    answer = client.post(INFER, content=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413
    assert "when unpacked" in answer.json()["error"]


def test_a_raw_request(client: TestClient) -> None:
    answer = client.post(INFER, content=encoded(), headers={"Inference-Header-Content-Length": "0"})
    length = int(answer.headers["Inference-Header-Content-Length"])
    assert answer.headers["Content-Type"] == "application/octet-stream"
    head = json.loads(answer.content[:length])
    assert head["outputs"][0]["parameters"]["binary_data_size"] == 10
    assert answer.content[length : length + 10] == b"\6\0\0\0accept"


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({}, "expected at least one input"),
        ({"inputs": [{"name": "a", "shape": [1], "datatype": "BYTES", "data": ["x"]}]},
         "expected one input named 'image'"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["x"]}]},
         "declare it"),
        ({**files(encoded()), "outputs": [{"name": "logits"}]}, "expected outputs among action"),
        (files(*[b"x"] * 65), "expected at most 64 images in a request, got 65"),
    ],
)  # fmt: skip
def test_refusals(client: TestClient, node: Any, words: str) -> None:
    answer = post(client, node)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_bodies_that_are_no_requests(client: TestClient) -> None:
    for content in (b"", b"[", b"[" * 1000, b"\xff", b'{"inputs": NaN}', b'"\\ud800"'):
        answer = client.post(INFER, content=content)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("expected")
    assert client.post(INFER, content=b"x" * 4001).status_code == 413
    assert client.get(INFER).status_code == 405
    assert client.get(INFER).json()["error"].startswith("Method Not Allowed")


def test_timeout_is_a_deadline(
    client: TestClient, fake: Any, eventually: Callable[..., None]
) -> None:
    fake.gate.clear()
    answer = post(client, {**files(encoded()), "parameters": {"timeout": 100_000}})
    assert answer.status_code == 504
    assert "within the deadline" in answer.json()["error"]
    fake.gate.set()
    assert post(client, files(encoded())).status_code == 200


# --- stock clients on a real server -------------------------------------------------------------


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A real server over the small gate."""
    fitted = Gatekeeper(small().result.fitted, "c" * 64)
    with running(lambda: fitted) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    found = []
    for image in stream_images(4):
        out = BytesIO()
        pixels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(out, "PNG")
        found.append(out.getvalue())
    return found


def image_input(kind: Any, pictures: list[bytes], binary: bool = True) -> Any:
    given = kind.InferInput("image", [len(pictures)], "BYTES")
    given.set_data_from_numpy(np.array(pictures, dtype=np.object_), binary_data=binary)
    return given


def expected_actions(pictures: list[bytes]) -> list[str]:
    gate = Gatekeeper(small().result.fitted, "c" * 64)
    return [gate.decide_one(each).action.value for each in pictures]


def test_the_stock_client(
    address: str, pictures: list[bytes], eventually: Callable[..., None]
) -> None:
    with triton.InferenceServerClient(address) as client:
        eventually(client.is_server_ready)
        assert client.is_server_live()
        assert client.is_model_ready("gatekeeper")
        assert client.is_model_ready("gatekeeper", "1")
        assert client.get_server_metadata()["name"] == "gatekeeper"
        names = [o["name"] for o in client.get_model_metadata("gatekeeper")["outputs"]]
        assert names[-1] == "probabilities"
        result = client.infer(
            "gatekeeper", [image_input(triton, pictures)], request_id="7", timeout=9_000_000
        )
        assert result.get_response()["id"] == "7"
        actions = [each.decode() for each in result.as_numpy("action")]
        assert actions == expected_actions(pictures)
        rows = result.as_numpy("probabilities")
        assert rows.shape == (4, 10)
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
        for compression in ("gzip", "deflate"):
            again = client.infer(
                "gatekeeper", [image_input(triton, pictures)], model_version="1",
                request_compression_algorithm=compression,
                outputs=[triton.InferRequestedOutput("reliability", binary_data=False),
                         triton.InferRequestedOutput("probabilities", class_count=2)],
            )  # fmt: skip
            np.testing.assert_allclose(
                again.as_numpy("reliability"), result.as_numpy("reliability"), atol=1e-5
            )
            best = again.as_numpy("probabilities")[0, 0].decode().split(":")
            assert int(best[1]) == rows[0].argmax()
            assert best[2] == str(rows[0].argmax())


def test_the_stock_client_understands_refusals(address: str, pictures: list[bytes]) -> None:
    with triton.InferenceServerClient(address) as client:
        with pytest.raises(InferenceServerException, match="expected the model 'gatekeeper'"):
            client.get_model_metadata("other")
        with pytest.raises(InferenceServerException, match="expected version '1', got '9'"):
            client.infer("gatekeeper", [image_input(triton, pictures)], model_version="9")
        with pytest.raises(InferenceServerException, match="expected one of JPEG, PNG, WEBP"):
            client.infer("gatekeeper", [image_input(triton, [b"no image"])])
        with pytest.raises(InferenceServerException, match="got no content_type"):
            client.infer("gatekeeper", [image_input(triton, [b"aGk="], binary=False)])


def test_the_stock_client_on_asyncio(address: str, pictures: list[bytes]) -> None:
    async def scenario() -> list[list[str]]:
        async with triton_aio.InferenceServerClient(address) as client:
            assert await client.is_server_ready()
            given = [image_input(triton_aio, [each]) for each in pictures]
            results = await asyncio.gather(*(client.infer("gatekeeper", [each]) for each in given))
            return [result.as_numpy("action").tolist() for result in results]

    assert asyncio.run(scenario()) == [[a.encode()] for a in expected_actions(pictures)]


CURL = shutil.which("curl")


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl(address: str, pictures: list[bytes], tmp_path: Any) -> None:
    def curl(*arguments: str) -> Any:
        done = subprocess.run(
            [str(CURL), "-sS", *arguments], capture_output=True, check=True, timeout=60
        )
        return json.loads(done.stdout)

    base = f"http://{address}/v2"
    assert curl(f"{base}/health/ready")["ready"] is True
    assert curl(f"{base}/models/gatekeeper")["versions"] == ["1"]
    request = tmp_path / "request.json"
    request.write_text(json.dumps({**files(*pictures), "outputs": [{"name": "action"}]}))
    answer = curl("-d", f"@{request}", f"{base}/models/gatekeeper/infer")
    assert answer["outputs"] == [
        {"name": "action", "shape": [4], "datatype": "BYTES", "data": expected_actions(pictures)}
    ]
    body, headers = binary_request(
        *pictures, outputs=[{"name": "label", "parameters": {"binary_data": False}}]
    )
    (tmp_path / "request.bin").write_bytes(body)
    [(name, value)] = headers.items()
    answer = curl(
        "-H", f"{name}: {value}", "-H", "Content-Type: application/octet-stream",
        "--data-binary", f"@{tmp_path / 'request.bin'}", f"{base}/models/gatekeeper/infer",
    )  # fmt: skip
    assert len(answer["outputs"][0]["data"]) == 4
    assert "error" in curl(f"{base}/models/other")
