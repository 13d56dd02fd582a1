"""How many threads TensorFlow uses: one a loop, and kernels that keep to theirs."""

from __future__ import annotations

import os
from contextlib import suppress


def usable_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def prepare_threads(workers: int | None = None) -> bool:
    """Set TensorFlow up for one training loop a core; to be called before any model is made.

    TensorFlow takes the setting only until its runtime starts, which the first variable makes it
    do. Afterwards this changes nothing.

    Args:
        workers: number of loops; None for one a usable core.

    Returns:
        Whether TensorFlow's kernels are single-threaded now.
    """
    import tensorflow as tf

    threading = tf.config.threading
    with suppress(RuntimeError):  # the runtime has started
        if threading.get_intra_op_parallelism_threads() == 0:
            threading.set_intra_op_parallelism_threads(1)
        if threading.get_inter_op_parallelism_threads() == 0:
            threading.set_inter_op_parallelism_threads(workers or usable_cores())
    return threading.get_intra_op_parallelism_threads() == 1
