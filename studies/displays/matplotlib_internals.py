"""Private names of Matplotlib that this project uses, all in one place.

Each is tested in `tests/studies/displays/test_matplotlib_internals.py`, so that a version of
Matplotlib that changes one fails there with a clear message.
"""

# What the public Axes.secondary_xaxis returns. The class has no public name; only annotations and
# isinstance need it.
from matplotlib.axes._secondary_axes import SecondaryAxis

__all__ = ["SecondaryAxis"]
