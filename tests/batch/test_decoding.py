from __future__ import annotations

import hashlib

import numpy as np
import torch

from gatekeeper.batch import Item
from gatekeeper.batch.decoding import decode_items, join_decoded
from gatekeeper.batch.references import FileReference
from gatekeeper.images import DecodeLimits, decode_image, fit_to


def item(path, position=0):
    return Item(position, path.name, FileReference(str(path)))


def test_bytes_divided_by_255_are_what_the_service_looks_at(tmp_path, rng):
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(rng.integers(0, 256, (13, 9, 3), dtype=np.uint8)).save(path)
    for size in ((13, 9), (6, 6), (20, 31)):
        decoded = decode_items([item(path)], size, DecodeLimits())
        served = fit_to(decode_image(path.read_bytes())[None], size)
        assert torch.equal(torch.from_numpy(decoded.pixels).float().div(255), served)
        [found] = decoded.received
        assert (found.height, found.width, found.error) == (13, 9, None)
        assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_broken_file_keeps_its_place(tmp_path, png):
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png", "d.png")]
    paths[0].write_bytes(png(10))
    paths[1].write_bytes(b"broken")
    paths[3].write_bytes(png(30))
    decoded = decode_items([item(path) for path in paths], (4, 4), DecodeLimits())
    assert [each.error and each.error[0] for each in decoded.received] == [
        None,
        "unsupported_format",
        "unreadable",
        None,
    ]
    assert [each.sha256 is None for each in decoded.received] == [False, False, True, False]
    assert decoded.pixels[:, 0, 0, 0].tolist() == [10, 30]
    assert all(each.decode_ms > 0 for each in decoded.received)


def test_nothing_but_broken_files_and_parts_together(tmp_path, png):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_bytes(png(7))
    none = decode_items([item(tmp_path / "a.png")], (4, 4), DecodeLimits())
    assert none.pixels.shape == (0, 3, 4, 4)
    one = decode_items([item(tmp_path / "b.png")], (4, 4), DecodeLimits())
    both = join_decoded([none, one])
    assert both.received == (*none.received, *one.received)
    assert np.array_equal(both.pixels, one.pixels)


def test_limits_hold(tmp_path, png):
    (tmp_path / "a.png").write_bytes(png(7, (8, 8)))
    limits = DecodeLimits(max_pixels=63)
    [found] = decode_items([item(tmp_path / "a.png")], (4, 4), limits).received
    assert found.error is not None
    assert found.error[0] == "too_many_pixels"
