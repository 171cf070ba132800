"""Ray Serve behind the service: spreading a batch, and the real thing on a cluster."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.engine import Doubted, NotFiniteError, StageError, stages_of
from gatekeeper.errors import InputError
from gatekeeper.images import fit_to, load_dataset
from gatekeeper.paths import shipped
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.scale import RayGatekeeper, RayServeOptions, ray_serving, settings_for
from gatekeeper.settings import Settings

# What Ray itself leaves behind.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BUNDLE = shipped("calibration", "small-resnet-fashion-mnist") / "bundle"
N = 12


@pytest.fixture(scope="module")
def gate():
    return Gatekeeper.load(BUNDLE, device="cpu")


@pytest.fixture(scope="module")
def images(gate):
    """Digits, every other one noisy."""
    pixels = load_dataset("digits", announce=lambda line: None).batch(np.arange(N))
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, pixels.shape)).float()
    noise[::2] = 0
    return fit_to((pixels + noise).clamp(0, 1).mul(255).round().div(255), gate.image_size)


class Answer:
    def __init__(self, value):
        self.value = value

    def result(self, timeout_s):
        assert timeout_s == 60.0
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


class Here:
    """Both stages in this process; notes how many images each call had."""

    def __init__(self, gate):
        self.stages = stages_of(gate)
        self.calls = []

    def first(self, pixels):
        self.calls.append(("first", len(pixels)))
        return Answer(list(self.stages.first(torch.from_numpy(pixels.copy()))))

    def second(self, doubted):
        self.calls.append(("second", len(doubted)))
        assert all(isinstance(each, Doubted) for each in doubted)
        return Answer(list(self.stages.second(doubted)))


def same(one, other):
    assert [(d.action, d.label, d.reason) for d in one] == [
        (d.action, d.label, d.reason) for d in other
    ]
    assert [d.reliability for d in one] == pytest.approx([d.reliability for d in other], abs=1e-5)
    assert [len(d.attempts) for d in one] == [len(d.attempts) for d in other]


def test_a_batch_is_spread_and_comes_back_in_order(gate, images):
    here = Here(gate)
    options = RayServeOptions(replicas=3, restore_replicas=2)
    spread = RayGatekeeper(gate, here.first, here.second, options)
    expected = gate.decide(images)
    same(spread.decide(images), expected)
    firsts = [n for stage, n in here.calls if stage == "first"]
    seconds = [n for stage, n in here.calls if stage == "second"]
    assert firsts == [4, 4, 4]
    assert sum(seconds) == sum(len(decision.attempts) > 1 for decision in expected) > 0


def test_fewer_images_than_replicas(gate, images):
    here = Here(gate)
    spread = RayGatekeeper(gate, here.first, here.second, RayServeOptions(replicas=5))
    same(spread.decide(images[:2]), gate.decide(images[:2]))
    assert [n for stage, n in here.calls if stage == "first"] == [1, 1]


def test_it_says_of_itself_what_the_bundle_says(gate):
    here = Here(gate)
    spread = RayGatekeeper(gate, here.first, here.second, RayServeOptions())
    for name in ("class_names", "model_id", "calibration_id", "certificate", "image_size"):
        assert getattr(spread, name) == getattr(gate, name)
    same([spread.canary()], [gate.canary()])


def test_what_fails_on_an_image_is_raised_for_the_engine_to_isolate(gate, images):
    here = Here(gate)

    def not_finite(pixels):
        return Answer([NotFiniteError("this image")] * len(pixels))

    spread = RayGatekeeper(gate, not_finite, here.second, RayServeOptions())
    with pytest.raises(NotFiniteError, match="this image"):
        spread.decide(images)
    late = RayGatekeeper(gate, lambda _: Answer(TimeoutError()), here.second, RayServeOptions())
    with pytest.raises(StageError, match="got TimeoutError"):
        late.decide(images)
    strange = RayGatekeeper(gate, lambda _: Answer(["?"]), here.second, RayServeOptions())
    with pytest.raises(StageError, match="got str"):
        strange.decide(images[:1])


def test_every_replica_gets_a_whole_batch():
    settings = settings_for(Settings(max_batch=16), RayServeOptions(replicas=4))
    assert settings.max_batch == 64


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0},
        {"restore_replicas": 0},
        {"max_queued": 0},
        {"cpus": 0},
        {"gpus": -1},
        {"restore_gpus": -0.5},
        {"answer_s": 0},
    ],
)
def test_numbers_out_of_range(wrong):
    with pytest.raises(InputError):
        RayServeOptions(**wrong)


def test_what_a_cluster_needs():
    options = RayServeOptions(replicas=2, restore_replicas=4, cpus=0.5, gpus=1, restore_gpus=0.25)
    assert (options.needs.cpus, options.needs.gpus) == (3.0, 3.0)


def png(image):
    out = BytesIO()
    pixels = image.mul(255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def wait_until(condition):
    tick = threading.Event()
    for _ in range(6000):
        if condition():
            return
        tick.wait(0.05)
    pytest.fail("waited for five minutes")


def test_a_cluster_that_is_busy_sheds_and_answers_all_that_it_let_in(gate, images):
    from starlette.testclient import TestClient

    from gatekeeper.service import create_app

    here, free = Here(gate), threading.Event()

    class Slow(Answer):
        def result(self, timeout_s):
            free.wait(60)
            return super().result(timeout_s)

    def first(pixels):
        return Slow(here.first(pixels).value)

    free.set()
    options = RayServeOptions()
    settings = Settings(deadline_s=60, hang_after_s=60, max_concurrent=3)
    with TestClient(
        create_app(settings, lambda: RayGatekeeper(gate, first, here.second, options))
    ) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        free.clear()

        def post(image):
            return client.post(
                "/v1/decide", content=png(image), headers={"Content-Type": "image/png"}
            )

        with ThreadPoolExecutor(3) as pool:
            let_in = [pool.submit(post, image) for image in images[:3]]
            wait_until(lambda: "gatekeeper_in_flight 3.0" in client.get("/metrics").text)
            shed = [post(image) for image in images[3:6]]
            free.set()
            answers = [each.result(60) for each in let_in]
    assert [each.status_code for each in shed] == [429] * 3
    assert all(int(each.headers["Retry-After"]) >= 1 for each in shed)
    assert [each.status_code for each in answers] == [200] * 3
    expected = gate.decide(images[:3])
    assert [each.json()["action"] for each in answers] == [d.action.value for d in expected]


def test_the_service_over_a_real_cluster(cluster, gate, images):
    from starlette.testclient import TestClient

    from gatekeeper.service import create_app

    deployed = []
    expected = gate.decide(images)
    with ray_serving(BUNDLE, RayServeOptions(cpus=0.5)) as load:

        def noted():  # called in the engine's thread, as by `gatekeeper serve`
            deployed.append(load())
            return deployed[0]

        with TestClient(create_app(Settings(deadline_s=60, hang_after_s=60), noted)) as client:
            wait_until(lambda: client.get("/readyz").status_code == 200)
            answer = client.post(
                "/v1/decide", content=png(images[1]), headers={"Content-Type": "image/png"}
            )
            got = deployed[0].decide(images)
    same(got, expected)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["action"], body["label"]) == (expected[1].action.value, expected[1].label)
    assert body["reliability"] == pytest.approx(expected[1].reliability, abs=1e-5)
