"""The private parts of matplotlib that displays use; `test_matplotlib_internals` checks each."""

from matplotlib.axes._secondary_axes import SecondaryAxis  # returned by Axes.secondary_xaxis, which

# is public, but the class has no public name; only annotations and isinstance need it.

__all__ = ["SecondaryAxis"]
