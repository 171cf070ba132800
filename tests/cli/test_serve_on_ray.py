from __future__ import annotations

import argparse
from contextlib import contextmanager
from pathlib import Path

import pytest

from gatekeeper.cli.serve_on_ray import add_options, serve_on_ray
from gatekeeper.errors import InputError
from gatekeeper.settings import Settings


@pytest.fixture
def parse():
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args


def test_the_options_reach_the_cluster_and_the_service(parse, monkeypatch):
    told = {}

    @contextmanager
    def serving(bundle, options):
        told.update(bundle=bundle, options=options)
        yield "load"
        told["ended"] = True

    def serve(load, settings):
        assert "ended" not in told
        told.update(load=load, max_batch=settings.max_batch)
        return 7

    monkeypatch.setattr("gatekeeper.scale.ray_serving", serving)
    monkeypatch.setattr("gatekeeper.service.serve", serve)
    words = "--engine ray --address auto --replicas 3 --restore-replicas 2 --cpus 2 --gpus 0.5"
    arguments = parse([*words.split(), "--restore-gpus", "1"])
    assert serve_on_ray(arguments, Path("b"), Settings(max_batch=4)) == 7
    options = told["options"]
    assert (told["bundle"], told["load"], told["ended"]) == (Path("b"), "load", True)
    assert (options.address, options.replicas, options.restore_replicas) == ("auto", 3, 2)
    assert (options.cpus, options.gpus, options.restore_gpus) == (2.0, 0.5, 1.0)
    assert told["max_batch"] == 12


def test_a_number_out_of_range_is_told_before_anything_starts(parse):
    with pytest.raises(InputError, match="replicas"):
        serve_on_ray(parse(["--replicas", "0"]), Path("b"), Settings())


def test_the_local_engine_is_the_usual_one(parse):
    assert parse([]).engine == "local"
