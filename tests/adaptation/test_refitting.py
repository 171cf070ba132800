"""Looks put together, and tables of two sources."""

from __future__ import annotations

import numpy as np

from gatekeeper.adaptation.dealing import deal
from gatekeeper.adaptation.recipe import Shares
from gatekeeper.adaptation.refitting import TwoSources, joined_looks
from gatekeeper.evidence import TableBuilder, draw_plan
from tests import small_gate
from tests.adaptation.conftest import capture


def sources() -> tuple[TwoSources, object]:
    captured = capture(small_gate.splits().test[:20], [""], labelled=False)
    traffic = deal(
        captured,
        None,
        champion="",
        class_names=small_gate.digits().class_names,
        shares=Shares(),
        seed=0,
    ).traffic
    builder = TableBuilder(small_gate.digits(), small_gate.classifier(), small_gate.restorers())
    return TwoSources(builder, traffic.data), traffic


def test_a_plan_of_the_traffic_looks_at_the_traffic() -> None:
    builder, traffic = sources()
    plan = traffic.plan("seen", np.arange(4), seed=0)
    table = builder.raw(plan)
    expected = small_gate.classifier().look(traffic.data.batch(np.arange(4))).logits
    np.testing.assert_allclose(table.evidence.logits, expected, rtol=1e-5, atol=1e-5)
    assert table.digests.tolist() == traffic.data.digests[:4].tolist()
    restored = builder.restored(table, np.array([2]), np.array(["median"]))
    images = small_gate.restorers()["median"].restore(
        traffic.data.batch(np.array([2])), seeds=plan.seeds[2:3]
    )
    np.testing.assert_allclose(
        restored.evidence.logits, small_gate.classifier().look(images).logits, rtol=1e-5, atol=1e-5
    )
    assert len(builder.raw(traffic.plan("learn", np.arange(0), seed=0))) == 0


def test_other_plans_look_at_the_champions_data() -> None:
    builder, _ = sources()
    data, rows = small_gate.digits(), small_gate.splits().fit[:3]
    plan = draw_plan(data, "fit", rows, corruptions=[], clean_share=1.0, seed=0, purpose="x")
    expected = small_gate.classifier().look(data.batch(rows)).logits
    np.testing.assert_allclose(builder.raw(plan).evidence.logits, expected, rtol=1e-5, atol=1e-5)


def test_joined_looks_keep_their_first_looks() -> None:
    builder, traffic = sources()
    table = builder.raw(traffic.plan("seen", np.arange(6), seed=0))
    whole = builder.restored(table, np.arange(6), np.full(6, "median")).evidence
    parts = joined_looks(whole.take(np.arange(2)), whole.take(np.arange(2, 6)))
    np.testing.assert_array_equal(parts.logits, whole.logits)
    np.testing.assert_array_equal(parts.features, whole.features)
    np.testing.assert_array_equal(parts.seeds, whole.seeds)
    assert parts.restorer.tolist() == ["median"] * 6
    np.testing.assert_array_equal(parts.raw.logits, table.evidence.logits)
