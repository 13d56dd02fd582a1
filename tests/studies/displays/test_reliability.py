"""The reliability curve: every calibration is drawn with its intervals."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.container import ErrorbarContainer

from dropout_zoo.studies import ReliabilityDisplay, calibration, monte_carlo


def test_the_reliability_curve_shows_every_calibration(trained, few_digits):
    x, y = few_digits.validation
    both = {
        "weight scaling": calibration(trained.predict(x, verbose=0), y, bins=5),
        "average of 10 passes": calibration(monte_carlo(trained, x, 10).mean, y, bins=5),
    }
    axis = ReliabilityDisplay.from_result(both).plot().ax_
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels[0] == "perfectly calibrated"
    bars = [bar for bar in axis.containers if isinstance(bar, ErrorbarContainer)]
    for (name, each), label, bar in zip(both.items(), labels[1:], bars, strict=True):
        assert label == f"{name} (ECE {each.error:.3f})"
        points = bar.lines[0].get_xydata().astype(float)
        np.testing.assert_allclose(points, each.bins[["confidence", "accuracy"]])
        [whiskers] = bar.lines[2]
        ends = [segment[:, 1] for segment in whiskers.get_segments()]
        np.testing.assert_allclose(ends, each.bins[["low", "high"]])
    assert axis.get_xlabel() == "confidence (probability of the predicted class)"
    assert axis.get_ylabel() == "accuracy"
    assert (axis.get_xlim(), axis.get_ylim()) == ((0, 1), (0, 1))
    plt.close(axis.figure)
