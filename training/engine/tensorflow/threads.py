"""How many threads TensorFlow uses: one per training loop, each kernel on a single thread."""

from __future__ import annotations

from contextlib import suppress

from dropout_zoo.training.engine.cores import usable_cores


def prepare_threads(workers: int | None = None) -> bool:
    """Set up TensorFlow for one training loop per core; call it before creating any model.

    TensorFlow accepts these settings only until its runtime starts, which the first variable
    triggers. After that, this function changes nothing.

    Args:
        workers: number of training loops; None for one per usable core.

    Returns:
        Whether TensorFlow's kernels are single-threaded.

    Example:
        >>> from dropout_zoo.training import prepare_threads
        >>> single_threaded = prepare_threads()
    """
    import tensorflow as tf

    threading = tf.config.threading
    with suppress(RuntimeError):  # the runtime has started
        if threading.get_intra_op_parallelism_threads() == 0:
            threading.set_intra_op_parallelism_threads(1)
        if threading.get_inter_op_parallelism_threads() == 0:
            threading.set_inter_op_parallelism_threads(workers or usable_cores())
    return bool(threading.get_intra_op_parallelism_threads() == 1)
