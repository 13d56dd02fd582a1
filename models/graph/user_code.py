"""What is user-defined code, and what may hold some."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import keras
import numpy as np

# Packages whose classes and functions are the same for every model of a process.
_KNOWN_PACKAGES = (
    "_thread", "builtins", "collections", "dropout_zoo", "functools", "inspect", "jax", "jaxlib",
    "keras", "numpy", "operator", "tensorflow", "threading", "torch", "weakref",
)  # fmt: skip
# Those whose objects may call user-defined code without being user-defined.
_PACKAGES_THAT_WRAP = ("functools", "jax", "jaxlib", "numpy", "operator", "tensorflow", "torch")


def names_in_code(code: CodeType) -> set[str]:
    """The names of variables, attributes and modules in a function, and in those inside it."""
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return set(code.co_names).union(*map(names_in_code, inner))


def bytecode(code: CodeType) -> list[Any]:
    """The code of a function, and of those inside it, described alike in every process."""
    return [code.co_code.hex(), list(code.co_names), _constant(code.co_consts)]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):  # whose `repr` has its address
        return bytecode(value)
    if isinstance(value, tuple):
        return [_constant(each) for each in value]
    # The order of a set of strings differs between processes.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def enclosed_values(function: Any) -> list[Any]:
    """Return the values that a function encloses."""
    enclosed = []
    for cell in function.__closure__ or ():
        try:
            enclosed.append(cell.cell_contents)
        except ValueError:  # a cell without a value yet
            enclosed.append(None)
    return enclosed


def is_own(code: Any) -> bool:
    """Whether a class or function is user-defined."""
    return _package(code) not in _KNOWN_PACKAGES


def is_users_ufunc(function: np.ufunc) -> bool:
    """Whether a function of arrays is not NumPy's, but made by `np.frompyfunc`, say."""
    return vars(np).get(function.__name__) is not function


def is_own_module(module: ModuleType) -> bool:
    """Whether a module is neither Python's nor of a known package."""
    package = module.__name__.partition(".")[0]
    return package not in _KNOWN_PACKAGES and package not in sys.stdlib_module_names


def is_code(value: Any) -> bool:
    """Whether a global is a module, class or function, which programs do not change."""
    return isinstance(value, ModuleType | type | FunctionType | BuiltinFunctionType | np.ufunc)


def holds_own(value: Any) -> bool:
    """Whether an attribute of a Keras object holds user-defined code or objects."""
    entries = _entries(value)
    if entries is not None:
        return any(map(holds_own, entries))
    if isinstance(value, keras.Layer):
        return False  # read as a layer of the model
    if isinstance(value, functools.partial | MethodType):
        return holds_own(value.func if isinstance(value, functools.partial) else value.__func__)
    return is_own(value if isinstance(value, FunctionType | type) else type(value))


def wraps(value: Any) -> bool:
    """Whether an attribute holds a callable that may wrap user-defined code, as `tf.function`."""
    entries = _entries(value)
    if entries is not None:
        return any(map(wraps, entries))
    if isinstance(value, functools.partial):
        return True
    if isinstance(value, MethodType):
        return wraps(value.__func__) or wraps(value.__self__)
    if isinstance(value, FunctionType):
        return is_made_from_another(value)
    return callable(value) and _package(type(value)) in _PACKAGES_THAT_WRAP


def is_made_from_another(value: Any) -> bool:
    """Whether a function of a known package may enclose a user-defined one."""
    return (
        isinstance(value, FunctionType)
        and bool(value.__closure__)
        and "<locals>" in value.__qualname__
    )


def is_data(name: str, value: Any) -> bool:
    """Whether a member of a class is data, which `build` may change, rather than code."""
    return not (name.startswith("__") or callable(value) or hasattr(type(value), "__get__"))


def _package(code: Any) -> str:
    return (getattr(code, "__module__", None) or "").partition(".")[0]


def _entries(value: Any) -> Iterable[Any] | None:
    """What a container holds; None if the object is none."""
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple | set) else None
