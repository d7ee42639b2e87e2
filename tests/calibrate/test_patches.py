"""Second moments of patches, and what they are taken for when true inputs only resemble these."""

import numpy as np

from edgepack.calibrate.patches import Moments


def _moments(rows, n, seed=0):
    rng = np.random.default_rng(seed)
    drawn = (rng.standard_normal((1, rows, n)) @ rng.standard_normal((n, n)) + 3).astype(np.float32)
    moments = Moments()
    for part in np.array_split(drawn, 3, axis=1):
        moments.add(part)
    return drawn[0].astype(np.float64), moments


def test_moments_of_parts_are_those_of_all():
    drawn, moments = _moments(50, 6)
    gram, cross = moments.covariances
    np.testing.assert_allclose(moments.means[0][0], drawn.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(gram[0], np.cov(drawn.T, bias=True), atol=1e-3)
    np.testing.assert_array_equal(gram, cross)


def test_few_rows_say_little_about_dependence():
    off = ~np.eye(8, dtype=bool)
    for rows, kept in ((8, 1 / 2), (72, 9 / 10)):
        drawn, moments = _moments(rows, 8)
        plain, hedged = moments.covariances[0][0], moments.hedged_covariances(8)[0][0]
        np.testing.assert_allclose(hedged[off], kept * plain[off], rtol=1e-6, atol=1e-9)
        assert (np.diagonal(hedged) > np.diagonal(plain)).all()
        assert np.linalg.eigvalsh(hedged).min() > 0


def test_the_places_of_a_channel_drift_together():
    _, moments = _moments(500_000, 4)
    (mean,), _ = moments.means
    added = (moments.hedged_covariances(2)[0] - moments.covariances[0])[0]
    together = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]], bool)
    assert (added[together] > 0.2 * np.outer(mean, mean)[together]).all()
    np.testing.assert_allclose(added[~together], 0, atol=0.01)
