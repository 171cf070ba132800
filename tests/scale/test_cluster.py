from __future__ import annotations

import importlib
import os

import pytest

from gatekeeper.errors import InputError
from gatekeeper.scale.cluster import Needs, _require, import_ray


def test_without_ray_the_sentence_names_the_extra(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(InputError, match=r"pip install 'vision-gatekeeper\[ray\]'"):
        import_ray()


def test_usage_reports_are_off_whatever_was_set(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.setattr(importlib, "import_module", lambda name: name)
    assert import_ray("ray.data") == "ray.data"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.parametrize(
    ("have", "sentence"),
    [
        ({"CPU": 2.0}, "3 CPUs.*got 2"),
        ({"CPU": 8.0}, "0.5 GPUs.*got 0"),
        ({"CPU": 8.0, "GPU": 0.25}, "0.5 GPUs.*got 0.25"),
    ],
)
def test_a_cluster_that_is_too_small_is_told_at_once(have, sentence):
    with pytest.raises(InputError, match=sentence):
        _require(have, Needs(cpus=3, gpus=0.5))


def test_a_cluster_that_is_large_enough_will_do():
    _require({"CPU": 3.0, "GPU": 0.5}, Needs(cpus=3, gpus=0.5))
