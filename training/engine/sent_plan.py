"""A plan in a form that other processes load: pickled, with its arrays apart."""

from __future__ import annotations

import io
import mmap
import pickle
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import cloudpickle
import keras
import numpy as np

from dropout_zoo.models.graph.builders import as_call
from dropout_zoo.models.graph.cloning import is_built_again
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.keras_internals import compile_arguments
from dropout_zoo.training.members import Job
from dropout_zoo.training.plan import Plan

PackedPlan: TypeAlias = tuple[bytes, bytes, Sequence[np.ndarray]]
"""The classes and functions that the plan needs, the plan, and the bytes of its arrays."""

_PLAN, _ARRAYS = "plan.pickle", "arrays.bin"
_ALIGNMENT = 64  # bytes, as NumPy and PyTorch align arrays at most
# Where classes and functions come from that a worker has without being told.
_KNOWN = ("builtins", "dropout_zoo", "keras", "numpy")


def check_can_be_sent(plan: Plan) -> None:
    """Raise what pickling a plan raises, which may be anything."""
    pack_plan(plan)


def pack_plan(plan: Plan) -> PackedPlan:
    """Pickle a plan, without callbacks and without the weights of members.

    Args:
        plan: model, data and settings.

    Returns:
        The parts, which `load_packed_plan` takes. The arrays are not copied.

    Raises:
        Exception: a part of the plan cannot be pickled.
    """
    arrays: list[np.ndarray] = []

    def keep(buffer: pickle.PickleBuffer) -> None:
        content = buffer.raw()
        arrays.append(np.frombuffer(content, "uint8") if content.nbytes else np.empty(0, "uint8"))

    sent = replace(
        plan,
        settings=replace(plan.settings, callbacks=None),
        directory=Path(),
        folder=None,
        _starts={},
        _splits={},
    )
    with _with_own_modules():
        pickled = _dumps(sent, keep)
        needed: bytes = cloudpickle.dumps((_settings_of_keras(), _own_objects(plan.model)))
    return needed, pickled, arrays


class _Pickler(cloudpickle.Pickler):
    """Sends the function that builds a model, where Keras cannot send the model."""

    def reducer_override(self, obj: Any) -> Any:
        """Return how an object is sent; see `pickle.Pickler.reducer_override`."""
        if isinstance(obj, keras.Model) and is_built_again(obj):
            return as_call(obj)
        return super().reducer_override(obj)


def _dumps(thing: Any, buffer_callback: Callable[[pickle.PickleBuffer], None]) -> bytes:
    """As `cloudpickle.dumps`."""
    with io.BytesIO() as file:
        _Pickler(file, protocol=5, buffer_callback=buffer_callback).dump(thing)
        return file.getvalue()


def pack_job(job: Job) -> bytes:
    """Pickle a member, with a schedule of the user's own.

    Args:
        job: the member.

    Returns:
        What `pickle.loads` takes.

    Raises:
        Exception: it cannot be pickled.
    """
    with _with_own_modules():
        packed: bytes = cloudpickle.dumps(job)
    return packed


@contextmanager
def _with_own_modules() -> Iterator[None]:
    """Let modules that lie below the working directory travel with what is pickled.

    Other machines have installed packages, but not the files beside a program.
    """
    here, installed = Path.cwd(), Path(sysconfig.get_path("purelib"))
    found = []
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if name == "__main__" or path is None or name.partition(".")[0] in _KNOWN:
            continue
        if here in Path(path).parents and installed not in Path(path).parents:
            found.append(module)
    for module in found:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in found:
            cloudpickle.unregister_pickle_by_value(module)


def load_packed_plan(needed: bytes, pickled: bytes, arrays: Sequence[Any]) -> Plan:
    """Load a plan in a worker process, and set Keras up as in the process that sent it.

    Args:
        needed: the parts that `pack_plan` returned, like the next two arguments.
        pickled: the plan.
        arrays: its arrays, or other buffers with the same contents.

    Returns:
        The plan. The contents of its arrays are read-only if those of the buffers are.

    Raises:
        Exception: the classes of the user's own cannot be imported, or Keras cannot load the model.
    """
    settings, (registered, own) = pickle.loads(needed)
    for name, value in settings.items():
        getattr(keras.config, f"set_{name}")(value)
    for name, thing in registered.items():
        package, _, short = name.rpartition(">")
        keras.saving.register_keras_serializable(package, short)(thing)
    with keras.saving.custom_object_scope(own):
        plan: Plan = pickle.loads(pickled, buffers=arrays)
    return plan


def send_plan(plan: Plan, folder: Path) -> None:
    """Write a plan to files.

    Args:
        plan: model, data and settings.
        folder: an empty folder.

    Raises:
        Exception: a part of the plan cannot be pickled, or the files cannot be written.
    """
    needed, pickled, arrays = pack_plan(plan)
    places: list[tuple[int, int]] = []
    with open(folder / _ARRAYS, "wb") as file:
        for array in arrays:
            places.append((file.tell(), array.nbytes))
            file.write(array.data)
            file.write(b"\0" * (_ALIGNMENT - array.nbytes % _ALIGNMENT))
        file.write(b"\0")  # an empty file cannot be mapped
    with open(folder / _PLAN, "wb") as file:
        pickle.dump((needed, pickled, places), file)


def load_plan(folder: Path) -> Plan:
    """Load a plan from files in a worker process; see `load_packed_plan`.

    Args:
        folder: the folder that `send_plan` wrote to.

    Returns:
        The plan. The contents of its arrays are shared by all processes.

    Raises:
        Exception: as `load_packed_plan`.
    """
    with open(folder / _ARRAYS, "rb") as file:
        arrays = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    with open(folder / _PLAN, "rb") as file:
        needed, pickled, places = pickle.load(file)
    return load_packed_plan(
        needed, pickled, [arrays[start : start + size] for start, size in places]
    )


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
