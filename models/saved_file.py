"""What a `.keras` file declares, checked before anything in it is built or unpacked."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

CONFIG, WEIGHTS = "config.json", ("model.weights.h5", "model.weights.npz")

LONGEST_CONFIG = 32 * 1024**2
"""Largest size of the configuration in bytes; those of published models have up to a few MB."""

LARGEST_VALUE = 32
"""Largest size of a value of an array in the configuration in bytes: a complex number takes 32."""

MAX_CALLS = 20_000
"""Largest number of calls of layers in a model, nested models included; a call takes about 1 ms."""

MAX_OBJECTS = 3_000
"""Largest number of layers, metrics and other objects; most take 2 to 20 ms to make and compile."""

MAX_CELLS = 500
"""Largest number of cells of recurrent layers; 500 take 10 s, and more of them ever longer."""

MAX_COUNTS = 1_000_000
"""Largest sum of the numbers named `num_...`, such as the thresholds of metrics."""

UNCOUNTED = ("num_bins", "num_tokens", "num_oov_indices")
"""Numbers that may be larger, since nothing of their size is made: they only bound hashes."""

QUICK_MODULES = ("keras.initializers", "keras.regularizers", "keras.constraints")
"""Modules of objects that take a hundredth of the time, of which each layer has several."""

SMALL = 256 * 1024**2
"""Size in bytes up to which any content is unpacked, however small the file."""

MAX_EXPANSION = 100
"""How many times the size of a file its content may have, above `SMALL`; Keras compresses none."""


def stored_values(path: Path) -> int:
    """Check the sizes that a `.keras` file declares, and count the values that its weights hold.

    Args:
        path: the file.

    Returns:
        The number of values in all arrays of the weights; 0 if it cannot be found out.

    Raises:
        ValueError: it is no archive of a model, or its content is too large; the message says what
            is wrong, without the name of the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _checked(archive, path.stat().st_size)
    except OSError as error:
        raise ValueError(f"expected a readable file, received {error.strerror or error}") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"expected an intact .keras archive, received {error}") from None


def _checked(archive: zipfile.ZipFile, stored: int) -> int:
    members = {member.filename: member for member in archive.infolist()}
    weights = next((members[name] for name in WEIGHTS if name in members), None)
    if CONFIG not in members or weights is None:
        raise ValueError(f"expected {CONFIG} and {WEIGHTS[0]} in it, received no such archive")
    for method in {each.compress_type for each in archive.infolist()}:
        # zipfile unpacks what others make of a few kB at once: gigabytes, whatever is declared.
        if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                "expected members stored or deflated, as Keras does, received compression method "
                f"{method}"
            )
    if members[CONFIG].file_size > LONGEST_CONFIG:
        raise ValueError(
            f"expected a configuration of at most {LONGEST_CONFIG:,} bytes, received "
            f"{members[CONFIG].file_size:,}"
        )
    _check_expansion(sum(member.file_size for member in members.values()), stored)
    config = json.loads(archive.read(CONFIG))
    name = _called_on_constants(config)
    if name is not None:
        raise ValueError(
            f"expected layers that are called on tensors, received {name} on constants"
        )
    _check_arrays(config)
    _check_counts(config)
    if weights.filename != WEIGHTS[0]:
        return weights.file_size  # a value takes a byte or more
    with archive.open(weights) as member, h5py.File(member) as file:
        arrays = _arrays_of(file)
        _check_expansion(sum(array.nbytes for array in arrays), stored)
        return sum(array.size for array in arrays)


def _check_arrays(config: Any) -> None:
    """Check the types of arrays in a configuration, since each value takes the size of the type."""
    for array in _dicts_in(config):
        if array.get("class_name") != "__numpy__" or not isinstance(array.get("config"), dict):
            continue
        kind = array["config"].get("dtype")
        # Without a type, or a length in it, all strings become as long as the longest.
        if not isinstance(kind, str) or not 0 < np.dtype(kind).itemsize <= LARGEST_VALUE:
            raise ValueError(
                f"expected arrays of values of at most {LARGEST_VALUE} bytes in {CONFIG}, "
                f"received the type {kind!r}"
            )


def _check_counts(config: Any) -> None:
    """Check how much there is to make, which takes time and memory besides the weights."""
    for limit, what, received in (
        (MAX_OBJECTS, "layers, metrics and other objects", _objects_in(config)),
        (MAX_CELLS, "cells of recurrent layers", _cells_in(config)),
        (MAX_COUNTS, "thresholds, classes and other numbers named num_..., together",
         _counts_in(config)),
        (MAX_CALLS, "calls of layers, counting those in models that are called several times,",
         _calls_in(config)),
    ):  # fmt: skip
        if received > limit:
            raise ValueError(f"expected at most {limit:,} {what}, received {received:,}")


def _calls_of(layer: dict[str, Any]) -> list[Any]:
    calls = layer.get("inbound_nodes")
    return calls if isinstance(calls, list) else []


def _calls_in(value: Any) -> int:
    """Count the calls of layers in a configuration; they multiply where models are nested."""
    if isinstance(value, list):
        return sum(map(_calls_in, value))
    if not isinstance(value, dict):
        return 0
    skipped = ("inbound_nodes", "compile_config")
    inner = sum(_calls_in(each) for key, each in value.items() if key not in skipped)
    return max(1, len(_calls_of(value))) * max(1, inner) if _is_object(value) else inner


def _is_object(value: dict[str, Any]) -> bool:
    """Whether a dictionary describes an object that takes long to make."""
    name, module = value.get("class_name"), value.get("module")
    if not isinstance(name, str) or name.startswith("__") or name == "function":
        return False
    quick = module in QUICK_MODULES or (module == "keras" and name == "DTypePolicy")
    return not quick or value.get("registered_name") is not None


def _objects_in(config: Any) -> int:
    return sum(
        _is_object(each) + _named_in(_without_optimizer(each.get("compile_config")))
        for each in _dicts_in(config)
    )


def _without_optimizer(compiled: Any) -> Any:
    if not isinstance(compiled, dict):
        return None
    return [value for key, value in compiled.items() if key != "optimizer"]


def _named_in(value: Any) -> int:
    """Count the metrics and losses that are given by their names."""
    if isinstance(value, dict):
        value = [] if "class_name" in value else list(value.values())
    return sum(map(_named_in, value)) if isinstance(value, list) else isinstance(value, str)


def _cells_in(config: Any) -> int:
    cells = (each.get("cells") for each in _dicts_in(config))
    return sum(len(each) for each in cells if isinstance(each, list))


def _counts_in(config: Any) -> int:
    return sum(
        value
        for each in _dicts_in(config)
        for name, value in each.items()
        if name.startswith("num_") and name not in UNCOUNTED
        if isinstance(value, int) and value > 0
    )


def _dicts_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all dictionaries in a configuration, at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _called_on_constants(config: Any) -> str | None:
    """Return the name of a layer that is called without a tensor: loading would compute it.

    Keras writes down only calls on tensors.
    """
    for layer in _dicts_in(config):
        if not all(map(_is_on_tensors, _calls_of(layer))):
            return repr(layer.get("name"))
    return None


def _is_on_tensors(call: Any) -> bool:
    if isinstance(call, dict):
        return _has_tensor([call.get("args"), call.get("kwargs")])
    return bool(call)  # before Keras 3, a list of the tensors, by the layers that they come from


def _has_tensor(argument: Any) -> bool:
    """Whether there is a tensor where Keras looks for one: not inside of other objects."""
    if isinstance(argument, list):
        return any(map(_has_tensor, argument))
    if not isinstance(argument, dict):
        return False
    if "class_name" in argument and "config" in argument:
        return bool(argument["class_name"] == "__keras_tensor__")
    return any(map(_has_tensor, argument.values()))


def _arrays_of(file: h5py.File) -> list[Any]:
    """Return the arrays in a file of weights, without following links."""
    found: list[Any] = []

    def note(name: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset):
            found.append(entry)

    file.visititems(note)
    return found


def _check_expansion(size: int, stored: int) -> None:
    if size > max(SMALL, MAX_EXPANSION * stored):
        raise ValueError(
            f"expected content of at most {MAX_EXPANSION} times the {stored:,} bytes of the file, "
            f"received {size:,} bytes"
        )
