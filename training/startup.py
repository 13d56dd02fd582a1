"""Importing Keras and starting its backend, without the messages that they print."""

from __future__ import annotations

import gc
import logging
import os
import sys
import tempfile

from dropout_zoo.models.registry import list_models, model_entry
from dropout_zoo.training.engine.interrupts import interrupts_held

_CONVOLUTIONAL_FAMILIES = ("CNN", "wide ResNet")


def start_keras(announce: bool = True, model: str = "") -> None:
    """Import Keras and start its backend, set up for one training run per core.

    Call it before anything else imports Keras, so that what the backend writes to standard error is
    shown only if it fails. Where Keras is imported already, it only prepares TensorFlow's threads,
    which works only before the first model or tensor is created.

    For a registered model with convolutions, TensorFlow is told to use the kernels of oneDNN. They
    train the documented CNN in four fifths of the time on processors for which TensorFlow does not
    use them by default, but slow dense models down. The environment variable
    ``TF_ENABLE_ONEDNN_OPTS``, 0 or 1, takes precedence.

    Args:
        announce: whether to print a line to standard error, because it takes seconds.
        model: name of the registered model that will be trained, if it is one.

    Raises:
        ImportError: Keras or its backend cannot be imported.

    Example:
        >>> from dropout_zoo.training import start_keras
        >>> start_keras(announce=False)
    """
    if "keras" in sys.modules:
        _prepare_backend()
        return
    if announce:
        print("Starting Keras and its backend ...", file=sys.stderr, flush=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if model in list_models() and model_entry(model).family in _CONVOLUTIONAL_FAMILIES:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with tempfile.TemporaryFile() as messages:
        standard_error = os.dup(2)  # the backend writes to it from below Python
        os.dup2(messages.fileno(), 2)
        # The imports make a million objects that stay: searching them for garbage takes seconds.
        collects = gc.isenabled()
        gc.disable()
        try:
            with interrupts_held():
                import keras
                import keras_tuner  # noqa: F401 - it imports TensorFlow with any backend

                _prepare_backend()
                keras.ops.zeros(())  # starts the runtime, which looks for devices
        except KeyboardInterrupt:
            raise  # of which the messages are not the cause
        except BaseException:
            os.dup2(standard_error, 2)
            messages.seek(0)
            sys.stderr.write(messages.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
            gc.freeze()
            if collects:
                gc.enable()


def _prepare_backend() -> None:
    import keras

    if keras.backend.backend() == "tensorflow":
        from dropout_zoo.training.engine.tensorflow.threads import prepare_threads

        prepare_threads()
        # It warns of retracing, which is expected where many models are trained.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
