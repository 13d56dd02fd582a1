"""The settings of a layer that a diagram shows."""

from __future__ import annotations

from typing import Any

import keras

# In the order in which they are shown, widths first, as in the literature.
_SIZES = ("units", "filters", "input_dim", "output_dim", "num_heads", "key_dim")
_WINDOWS = ("kernel_size", "pool_size", "size", "strides")


def main_settings(operation: Any) -> str:
    """The main settings of a layer, in a few words.

    Args:
        operation: a layer or operation.

    Returns:
        A text such as ``"128, relu"`` or ``"32, 3x3, relu"``; empty if there is nothing to show.
    """
    if not isinstance(operation, keras.Layer):
        return ""
    held = operation.layer if isinstance(operation, keras.layers.Wrapper) else operation
    shown = [type(held).__name__] if held is not operation else []
    shown += [_size(name, value) for name in _SIZES if isinstance(value := _get(held, name), int)]
    shown += [
        _window(name, value)
        for name in _WINDOWS
        if isinstance(value := _get(held, name), tuple | list)
        and _is_worth_showing(name, value, held)
    ]
    activation = _get(held, "activation")
    name = getattr(activation, "__name__", None) or type(activation).__name__
    if activation is not None and name != "linear":
        shown.append(name)
    return ", ".join(shown)


def _get(layer: keras.Layer, name: str) -> Any:
    return getattr(layer, name, None)


def _size(name: str, value: int) -> str:
    words = {"num_heads": f"{value} heads", "key_dim": f"key size {value}"}
    return words.get(name, str(value))


def _window(name: str, value: Any) -> str:
    text = "x".join(map(str, value))
    return f"strides {text}" if name == "strides" else text


def _is_worth_showing(name: str, value: Any, layer: keras.Layer) -> bool:
    """Whether strides differ from the usual ones."""
    if name != "strides":
        return True
    usual = _get(layer, "pool_size") or (1,) * len(value)
    return tuple(value) != tuple(usual)
