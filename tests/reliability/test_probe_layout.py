"""The layout of probes: where each view's columns are, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from gatekeeper.errors import InputError
from gatekeeper.reliability import PROBE_VIEWS, ProbeLayout
from gatekeeper.reliability.probe_layout import view_log_probabilities
from tests.reliability.test_scores import evidence_of


def views_of(rng, n=4, n_classes=3, views=PROBE_VIEWS):
    return {view: special.log_softmax(rng.normal(size=(n, n_classes)), axis=1) for view in views}


def with_probes(probes, n_classes):
    probes = np.asarray(probes)
    return replace(evidence_of(np.zeros((len(probes), n_classes))), probes=probes)


def test_views_stand_side_by_side_in_the_declared_order(rng):
    layout = ProbeLayout(views=("smooth", "flip", "darker"), n_classes=3)
    views = views_of(rng, views=layout.views)
    probes = layout.join({view: views[view] for view in sorted(views)})
    assert (layout.width, probes.shape, probes.dtype) == (9, (4, 9), np.float32)
    for column, (view, k) in {0: ("smooth", 0), 5: ("flip", 2), 7: ("darker", 1)}.items():
        np.testing.assert_array_equal(probes[:, column], views[view][:, k].astype(np.float32))


def test_split_undoes_join(rng):
    layout = ProbeLayout(n_classes=3)
    views = views_of(rng)
    split = layout.split(layout.join(views))
    assert tuple(split) == PROBE_VIEWS
    for view, values in views.items():
        np.testing.assert_allclose(split[view], values, rtol=1e-6)


def test_scores_read_views_in_the_same_order(rng):
    layout = ProbeLayout(n_classes=3)
    views = views_of(rng)
    read = view_log_probabilities(with_probes(layout.join(views), 3), reader="this score")
    assert (read.shape, read.dtype) == ((4, 2, 3), np.float64)
    for place, view in enumerate(PROBE_VIEWS):
        np.testing.assert_allclose(read[:, place], views[view], rtol=1e-6)


def test_no_look_has_no_views():
    read = view_log_probabilities(with_probes(np.zeros((0, 6)), 3), reader="this score")
    assert read.shape == (0, 2, 3)


@pytest.mark.parametrize(("views", "n_classes"), [((), 3), (("flip", "flip"), 3), (("flip",), 1)])
def test_a_layout_without_meaning_is_refused(views, n_classes):
    with pytest.raises(InputError, match="at least one view, each once, and at least 2 classes"):
        ProbeLayout(views=views, n_classes=n_classes)


def test_views_that_are_not_those_of_the_layout_are_refused(rng):
    layout = ProbeLayout(n_classes=3)
    views = views_of(rng)
    with pytest.raises(InputError, match="expected the views flip, smooth, got flip"):
        layout.join({"flip": views["flip"]})
    with pytest.raises(InputError, match=r"every view to have shape \(B, 3\)"):
        layout.join({**views, "smooth": views["smooth"][:2]})
    with pytest.raises(InputError, match=r"every view to have shape \(B, 3\)"):
        layout.join({view: values[:, :2] for view, values in views.items()})
    with pytest.raises(InputError, match=r"probes of shape \(B, 6\), 3 columns for each of flip"):
        layout.split(np.zeros((4, 5)))


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        (np.zeros((2, 0)), r"this score reads probes and this evidence has none.*flip, smooth"),
        (np.zeros((2, 4)), "3 columns per view, one per class, got 4 columns"),
        (np.zeros((2, 3)), "sum to 1, got 2 of 2"),
        (np.full((1, 6), np.nan), "sum to 1, got 2 of 2"),
        (np.full((1, 3), 1e6), "sum to 1, got 1 of 1"),
        (np.log([[0.2, 0.3, 0.5, 0.2, 0.3, 0.4]]), "sum to 1, got 1 of 2.*log-softmax of each"),
    ],
)
def test_probes_that_are_no_log_softmax_are_refused(probes, message):
    with pytest.raises(InputError, match=message):
        view_log_probabilities(with_probes(probes, 3), reader="this score")
