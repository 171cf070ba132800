"""Restoration metrics by hand arithmetic and against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gatekeeper.errors import InputError
from gatekeeper.metrics.restoration import help_harm, psnr, ssim


def image_pair(shape, *, dtype=np.float64):
    rng = np.random.default_rng(0)
    clean = np.clip(rng.random(shape).cumsum(-1) / shape[-1], 0, 1)
    return clean.astype(dtype), np.clip(clean + rng.normal(0, 0.1, shape), 0, 1).astype(dtype)


def test_psnr_by_hand():
    assert psnr([[0.5, 0.5]], [[0.4, 0.6]]) == pytest.approx(20.0)
    assert psnr(np.zeros((3, 4, 4)), np.ones((3, 4, 4))) == 0.0
    assert psnr([[0.3]], [[0.3]]) == math.inf


def test_psnr_is_not_rounded_to_bytes():
    # The whole difference is a quarter of a grey level; rounded to bytes it would be infinite.
    error = 0.25 / 255
    assert psnr(np.full((8, 8), 0.5), np.full((8, 8), 0.5 + error)) == pytest.approx(
        -20 * math.log10(error)
    )


def test_psnr_refuses_bytes_that_would_wrap_around():
    with pytest.raises(InputError, match="uint8"):
        psnr(np.array([[3]], dtype=np.uint8), np.array([[5]], dtype=np.uint8))


def test_psnr_is_that_of_scikit_image():
    skimage_metrics = pytest.importorskip("skimage.metrics")
    clean, noisy = image_pair((3, 28, 28))
    expected = skimage_metrics.peak_signal_noise_ratio(clean, noisy, data_range=1.0)
    assert psnr(clean, noisy) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(28, 28), (3, 28, 40), (11, 11)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ssim_is_that_of_scikit_image(shape, dtype):
    skimage_metrics = pytest.importorskip("skimage.metrics")
    clean, noisy = image_pair(shape, dtype=dtype)
    expected = skimage_metrics.structural_similarity(
        clean.astype(np.float64),
        noisy.astype(np.float64),
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=0 if len(shape) == 3 else None,
    )
    assert 0.1 < expected < 0.99
    assert ssim(clean, noisy) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_flat_images_is_the_luminance_term():
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(np.full((16, 16), 0.2), np.full((16, 16), 0.6)) == pytest.approx(expected)


def test_ssim_of_identical_and_of_inverted_images():
    clean, _ = image_pair((16, 16))
    board = np.indices((16, 16)).sum(0) % 2.0
    assert ssim(clean, clean) == pytest.approx(1.0)
    assert ssim(board, 1.0 - board) < -0.9


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(InputError, match="at least 11 px"):
        ssim(np.zeros((3, 8, 28)), np.zeros((3, 8, 28)))


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((16, 16)), np.zeros((16, 17)), "one shape"),
        (np.zeros((2, 3, 16, 16)), np.zeros((2, 3, 16, 16)), "shape"),
        (np.zeros((16, 16)), np.full((16, 16), 1.5), "b must lie in"),
        (np.full((16, 16), -0.1), np.zeros((16, 16)), "a must lie in"),
        (np.full((16, 16), np.nan), np.zeros((16, 16)), "a must lie in"),
        (np.zeros((0, 16)), np.zeros((0, 16)), "shape"),
    ],
)
def test_bad_images_are_refused(metric, a, b, message):
    with pytest.raises(InputError, match=message):
        metric(a, b)


def test_help_harm_by_hand():
    raw = [False] * 30 + [True] * 2 + [True] * 50 + [False] * 9
    final = [True] * 30 + [False] * 2 + [True] * 50 + [False] * 9
    result = help_harm(raw, final)
    share = stats.binomtest(30, 32).proportion_ci(0.95, method="exact")
    assert (result.help, result.harm, result.ratio) == (30, 2, 15.0)
    assert result.low == pytest.approx(share.low / (1 - share.low))
    assert result.high == pytest.approx(share.high / (1 - share.high))


def test_help_without_harm_and_harm_without_help():
    good = help_harm([False] * 5, [True] * 5)
    assert (good.ratio, good.high) == (math.inf, math.inf)
    # (1 - level) / 2 = p^5 gives the lower end of the share.
    low = 0.025 ** (1 / 5)
    assert good.low == pytest.approx(low / (1 - low))
    bad = help_harm([True] * 5, [False] * 5)
    assert (bad.ratio, bad.low) == (0.0, 0.0)
    assert bad.high == pytest.approx((1 - low) / low)


def test_nothing_changed_is_no_evidence():
    result = help_harm([True, False], [True, False])
    assert (result.help, result.harm) == (0, 0)
    assert (result.low, result.high) == (0.0, math.inf)


def test_a_higher_level_widens_the_interval():
    raw, final = [False] * 8 + [True] * 2, [True] * 8 + [False] * 2
    usual, strict = (help_harm(raw, final, confidence_level=level) for level in (0.95, 0.99))
    assert strict.low < usual.low < usual.ratio < usual.high < strict.high


@pytest.mark.parametrize(
    ("raw", "final"), [([], []), ([True], [True, False]), ([1], [0]), ([[True]], [[True]])]
)
def test_help_harm_refuses_what_does_not_line_up(raw, final):
    with pytest.raises(InputError):
        help_harm(raw, final)
