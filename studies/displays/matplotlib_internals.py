"""The private parts of matplotlib that displays use; `test_matplotlib_internals` checks each."""

# What the public Axes.secondary_xaxis returns. The class has no public name; only annotations and
# isinstance need it.
from matplotlib.axes._secondary_axes import SecondaryAxis

__all__ = ["SecondaryAxis"]
