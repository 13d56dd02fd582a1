"""What is used of matplotlib beyond its public names is still there."""

import matplotlib.pyplot as plt

from dropout_zoo.studies.displays.matplotlib_internals import SecondaryAxis


def test_a_secondary_axis_is_of_the_private_class():
    figure, axis = plt.subplots()
    twin = axis.secondary_xaxis("top")
    assert isinstance(twin, SecondaryAxis), (
        f"matplotlib {plt.matplotlib.__version__} returns a {type(twin)} from secondary_xaxis: "
        "change dropout_zoo.studies.displays.matplotlib_internals"
    )
    plt.close(figure)
