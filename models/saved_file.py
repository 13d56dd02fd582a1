"""What a `.keras` file declares, checked before anything in it is built or unpacked."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

CONFIG, WEIGHTS = "config.json", ("model.weights.h5", "model.weights.npz")

LONGEST_CONFIG = 32 * 1024**2
"""Largest size of the configuration in bytes; those of published models have up to a few MB."""

MAX_CALLS = 20_000
"""Largest number of calls of layers in a model, nested models included; a call takes about 1 ms."""

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
    calls = _calls_in(config)
    if calls > MAX_CALLS:
        raise ValueError(
            f"expected at most {MAX_CALLS:,} calls of layers, counting those in models that are "
            f"called several times, received {calls:,}"
        )
    if weights.filename != WEIGHTS[0]:
        return weights.file_size  # a value takes a byte or more
    with archive.open(weights) as member, h5py.File(member) as file:
        arrays = _arrays_of(file)
        _check_expansion(sum(array.nbytes for array in arrays), stored)
        return sum(array.size for array in arrays)


def _inner_layers(layer: Any) -> list[Any]:
    """The configurations of the layers inside a layer."""
    config = layer.get("config") if isinstance(layer, dict) else None
    if not isinstance(config, dict):
        return []
    layers = config.get("layers")
    found = [*(layers if isinstance(layers, list) else []), config.get("layer")]
    return [each for each in found if each is not None]


def _calls_of(layer: Any) -> list[Any]:
    calls = layer.get("inbound_nodes") if isinstance(layer, dict) else None
    return calls if isinstance(calls, list) else []


def _calls_in(layer: Any) -> int:
    """Count the calls of layers in a configuration; they multiply where models are nested."""
    return max(1, len(_calls_of(layer))) * max(1, sum(map(_calls_in, _inner_layers(layer))))


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
