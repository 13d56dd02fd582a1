"""What this project expects of the private parts of Matplotlib."""

import matplotlib.pyplot as plt

from dropout_zoo.studies.displays.matplotlib_internals import SecondaryAxis


def test_a_secondary_axis_is_of_the_private_class():
    figure, axis = plt.subplots()
    twin = axis.secondary_xaxis("top")
    assert isinstance(twin, SecondaryAxis), (
        "this version of Matplotlib has changed matplotlib.axes._secondary_axes.SecondaryAxis; see "
        "dropout_zoo/studies/displays/matplotlib_internals.py"
    )
    plt.close(figure)
