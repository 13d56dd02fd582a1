"""Starting Keras, on the command line and in notebooks, without its chatter."""

from __future__ import annotations

import logging
import os
import sys
import tempfile

from dropout_zoo.models.registry import list_models, model_entry

_CONVOLUTIONAL = ("CNN", "wide ResNet")


def start_keras(announce: bool = True, model: str = "") -> None:
    """Import Keras and start its backend, which takes seconds, and say so.

    The backend is set up for one training loop a core. It writes to standard error from below
    Python; that is shown only if it fails.

    For a registered model with convolutions TensorFlow is told to use oneDNN's kernels. Where a
    processor has no instructions made for neural networks it does not by default, and they train
    the documented CNN in four fifths of the time; dense nets they would slow down. The environment
    variable ``TF_ENABLE_ONEDNN_OPTS``, 0 or 1, has the last word.

    Args:
        announce: whether to say so, on standard error.
        model: what is going to be trained, as the command line names it.

    Raises:
        ImportError: Keras or its backend cannot be imported.
    """
    if "keras" in sys.modules:
        return
    if announce:
        print("Starting Keras and its backend ...", file=sys.stderr, flush=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if model in list_models() and model_entry(model).family in _CONVOLUTIONAL:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with tempfile.TemporaryFile() as chatter:
        standard_error = os.dup(2)
        os.dup2(chatter.fileno(), 2)
        try:
            import keras
            import keras_tuner  # noqa: F401

            if keras.backend.backend() == "tensorflow":
                from dropout_zoo.training.engine.tensorflow.threads import prepare_threads

                prepare_threads()
                # It warns of retracing, which many different models make it do.
                logging.getLogger("tensorflow").setLevel(logging.ERROR)
            keras.ops.zeros(())  # starts the runtime, which looks for devices aloud
        except BaseException:
            os.dup2(standard_error, 2)
            chatter.seek(0)
            sys.stderr.write(chatter.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
