"""The blur kernels: sum, moments and frequency response against what analysis says."""

import math

import numpy as np
import pytest

from degrade_engine.engine.classical import kernels, operations
from degrade_engine.engine.classical.theta import Blur
from degrade_engine.engine.errors import DegradeError


def covariance(kernel):
    size = len(kernel)
    steps = np.arange(size) - size // 2
    x, y = np.meshgrid(steps, steps)
    k = kernel.astype(np.float64)
    return np.array([[(k * x * x).sum(), (k * x * y).sum()], [(k * x * y).sum(), (k * y * y).sum()]])


@pytest.mark.parametrize("size", [7, 21])
@pytest.mark.parametrize(
    "kernel",
    [
        lambda n: kernels.gaussian(n, 1.3),
        lambda n: kernels.gaussian(n, 0.0),
        lambda n: kernels.gaussian(n, 2.5, 0.3, 0.7),
        lambda n: kernels.gaussian(n, 2.5, 0.3, 0.7, beta=0.5),
        lambda n: kernels.gaussian(n, 0.2, beta=4.0),
        lambda n: kernels.plateau(n, 3.0, 0.2, -2.0, beta=2.0),
        lambda n: kernels.sinc(n, math.pi / 3),
        kernels.pulse,
    ],
)
def test_sums_to_one_and_is_point_symmetric(kernel, size):
    k = kernel(size)
    assert k.dtype == np.float32 and k.shape == (size, size)
    assert abs(k.astype(np.float64).sum() - 1.0) < 1e-6
    np.testing.assert_allclose(k, k[::-1, ::-1], atol=1e-8)


def test_gaussian_has_its_covariance():
    c, s = math.cos(0.6), math.sin(0.6)
    u = np.array([[c, -s], [s, c]])
    wanted = u @ np.diag([2.0**2, 1.2**2]) @ u.T
    np.testing.assert_allclose(covariance(kernels.gaussian(41, 2.0, 1.2, 0.6)), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("beta", [0.7, 1.0, 2.0, 4.0])
def test_generalised_gaussian_has_its_variance(beta):
    sigma = 4.0  # E[x^2] = sigma^2 2^(1/beta) gamma(2/beta) / (2 gamma(1/beta)) for exp(-q^beta / 2) in the plane
    wanted = sigma**2 * 2 ** (1 / beta) * math.gamma(2 / beta) / (2 * math.gamma(1 / beta))
    found = covariance(kernels.gaussian(161, sigma, beta=beta))
    np.testing.assert_allclose(np.diag(found), [wanted, wanted], rtol=2e-3)


def test_plateau_is_half_high_one_sigma_out_and_flatter_for_a_larger_beta():
    k = kernels.plateau(21, 3.0, beta=1.7)
    assert k[10, 13] / k[10, 10] == pytest.approx(0.5, rel=1e-6)
    assert (
        k[10, 11] / k[10, 10] < kernels.plateau(21, 3.0, beta=3.0)[10, 11] / kernels.plateau(21, 3.0, beta=3.0)[10, 10]
    )


def test_rotation_by_a_quarter_turn_swaps_the_axes():
    turned = kernels.gaussian(21, 2.0, 0.8, math.pi / 2)
    np.testing.assert_allclose(turned, kernels.gaussian(21, 0.8, 2.0), atol=1e-8)


def test_sinc_passes_what_is_below_its_cutoff_and_stops_what_is_above():
    cutoff = math.pi / 2
    response = np.abs(np.fft.fft2(kernels.sinc(101, cutoff), (404, 404)))
    frequency = np.fft.fftfreq(404) * 2 * np.pi
    rho = np.hypot(*np.meshgrid(frequency, frequency))
    assert abs(response[rho < 0.8 * cutoff] - 1).max() < 0.06
    assert response[(rho > 1.2 * cutoff) & (rho < math.pi)].max() < 0.06
    assert response[rho < 0.8 * cutoff].mean() == pytest.approx(1.0, abs=0.02)  # it rings


def test_bessel_against_published_values():
    # Abramowitz and Stegun, table 9.1 and its zeros (table 9.5)
    x = np.array([0.0, 1.0, 5.0, 10.0, 3.8317059702, 10.1734681351, 41.617094212814])
    wanted = [0.0, 0.4400505857, -0.3275791376, 0.0434727462, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(kernels.bessel_j1(x), wanted, atol=1e-9)


@pytest.mark.parametrize(
    "call", [lambda: kernels.gaussian(8, 1.0), lambda: kernels.sinc(7, 0.0), lambda: kernels.pulse(0)]
)
def test_refusals(call):
    with pytest.raises(DegradeError):
        call()


def test_denormals_are_dropped_where_opencv_sums_in_the_same_order():
    tiny = np.float32(1e-40)
    taps = np.array([tiny, 0.25, 0.5, 0.25, 0.25], np.float32)
    assert kernels.without_denormals(taps).tolist() == [0.0, 0.25, 0.5, 0.25, 0.25]
    lopsided = np.array([tiny, 0.25, 0.5, 0.25, 0.0], np.float32)  # without it, it is symmetric
    assert np.array_equal(kernels.without_denormals(lopsided), lopsided)
    turned = np.array([tiny, -0.5, 0.0, 0.5, 0.0], np.float32)
    assert np.array_equal(kernels.without_denormals(turned), turned)
    assert kernels.without_denormals(np.full((3, 3), tiny)).max() == 0.0  # a kernel of two axes is summed tap by tap


def test_blurs_have_no_denormal_tap():
    blur = Blur("aniso", 21, 0.432, 1.294, 2.2087)
    smallest = np.finfo(np.float32).tiny
    exact = kernels.products(operations._exactly(blur), most=8)
    assert any(0 < abs(tap) < smallest for term in exact for side in term for tap in side)
    assert not any(0 < abs(tap) < smallest for term in operations.separable(blur) for side in term for tap in side)
