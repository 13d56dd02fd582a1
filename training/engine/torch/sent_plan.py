"""A plan in files, from which worker processes load it; its arrays are mapped into memory."""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import keras

from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.keras_internals import compile_arguments
from dropout_zoo.training.plan import Plan

_PLAN, _ARRAYS = "plan.pickle", "arrays.bin"
_ALIGNMENT = 64  # bytes, as NumPy and PyTorch align arrays at most
# Where classes and functions come from that a worker has without being told.
_KNOWN = ("builtins", "dropout_zoo", "keras", "numpy")


def check_can_be_sent(plan: Plan) -> None:
    """Raise what pickling a plan raises, which may be anything."""
    _pickled(plan, lambda buffer: None)
    cloudpickle.dumps(_own_objects(plan.model))


def send_plan(plan: Plan, folder: Path) -> None:
    """Write a plan to files, without callbacks and without the weights of members.

    Args:
        plan: model, data and settings.
        folder: an empty folder.

    Raises:
        Exception: a part of the plan cannot be pickled, or the files cannot be written.
    """
    places: list[tuple[int, int]] = []
    with open(folder / _ARRAYS, "wb") as file:

        def write(buffer: pickle.PickleBuffer) -> None:
            with buffer.raw() as content:
                places.append((file.tell(), content.nbytes))
                file.write(content)
                file.write(b"\0" * (_ALIGNMENT - content.nbytes % _ALIGNMENT))

        content = _pickled(plan, write)
        file.write(b"\0")  # an empty file cannot be mapped
    with open(folder / _PLAN, "wb") as file:
        pickle.dump(places, file)
        cloudpickle.dump((_settings_of_keras(), _own_objects(plan.model)), file)
        file.write(content)


def load_plan(folder: Path) -> Plan:
    """Load a plan in a worker process, and set Keras up as in the process that sent it.

    Args:
        folder: the folder that `send_plan` wrote to.

    Returns:
        The plan. The contents of its arrays are read-only, and shared by all processes.

    Raises:
        Exception: the classes of the user's own cannot be imported, or Keras cannot load the model.
    """
    with open(folder / _ARRAYS, "rb") as file:
        arrays = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    with open(folder / _PLAN, "rb") as file:
        places = pickle.load(file)
        settings, (registered, own) = pickle.load(file)
        for name, value in settings.items():
            getattr(keras.config, f"set_{name}")(value)
        for name, thing in registered.items():
            package, _, short = name.rpartition(">")
            keras.saving.register_keras_serializable(package, short)(thing)
        with keras.saving.custom_object_scope(own):
            plan: Plan = pickle.load(
                file, buffers=[arrays[start : start + size] for start, size in places]
            )
    return plan


def _pickled(plan: Plan, buffer_callback: Any) -> bytes:
    sent = replace(
        plan,
        settings=replace(plan.settings, callbacks=None),
        directory=Path(),
        folder=None,
        _starts={},
        _splits={},
    )
    pickled: bytes = cloudpickle.dumps(sent, protocol=5, buffer_callback=buffer_callback)
    return pickled


def _settings_of_keras() -> dict[str, Any]:
    return {
        name: getattr(keras.config, name)() for name in ("floatx", "epsilon", "image_data_format")
    }


def _own_objects(model: keras.Model) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What Keras needs to load a model: what is registered, and other own classes and functions."""
    given = keras.tree.flatten(compile_arguments(model))
    layers = [model, *flat_layers(model)]
    things = [each if hasattr(each, "__name__") else type(each) for each in [*layers, *given]]
    own = {
        thing.__name__: thing
        for thing in things
        if str(thing.__module__).partition(".")[0] not in _KNOWN
    }
    registered = {
        name: thing for name, thing in keras.saving.get_custom_objects().items() if ">" in name
    }
    return registered, own
