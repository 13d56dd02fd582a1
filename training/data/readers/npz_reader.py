"""Reader of array archives (`.npz`)."""

from __future__ import annotations

import math
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from dropout_zoo.training.data.array_checks import Array, DataError, RawExamples, RawPart
from dropout_zoo.training.data.readers.size_limits import STRING_BYTES, check_expansion, check_size
from dropout_zoo.training.data.tables.columns import LISTED_COLUMNS

TRAIN, VALIDATION, TEST = ("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test")
# The first that a file has is read. Keras lays out its datasets like the third.
LAYOUTS = (
    (*TRAIN, *VALIDATION, *TEST), (*TRAIN, *VALIDATION), (*TRAIN, *TEST), ("x", "y")
)  # fmt: skip
_LARGEST_AXIS = np.iinfo(np.intp).max


def read_npz(path: Path, *, max_bytes: int) -> RawExamples:
    """Read an array archive; pickled objects are never loaded.

    Args:
        path: a `.npz` file with `x_train`, `y_train`, `x_test` and `y_test`, as Keras lays out
            its datasets, with `x_val` and `y_val` besides or instead of the last two, or with `x`
            and `y`. Other arrays in it are not read.
        max_bytes: largest size of the arrays, uncompressed, in bytes.

    Returns:
        One part, or those of the file.

    Raises:
        DataError: the file is damaged, pickled or too large, or has another layout.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            layout = _find_layout(archive, path)
            members = [archive.getinfo(f"{name}.npy") for name in layout]
            declared = sum(member.file_size for member in members)
            check_size(str(path), declared, max_bytes)
            stored = _check_stored(path, members)
            check_expansion(str(path), declared, stored)
            arrays = [_read_member(archive, path, name, max_bytes) for name in layout]
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"{path}: expected a readable file, received {error.strerror or error}"
        ) from None
    except Exception as error:
        # The directory of a damaged archive may hold anything.
        raise DataError(f"{path}: {_why_no_archive(path, error)}") from None
    names = [f"{path}: {name}" for name in layout]
    return RawExamples(
        tuple(
            RawPart(names[i], arrays[i], names[i + 1], arrays[i + 1])
            for i in range(0, len(names), 2)
        ),
        validation=VALIDATION[0] in layout,
        pixels=any(x.dtype == np.uint8 for x in arrays[::2]),
    )


def _find_layout(archive: zipfile.ZipFile, path: Path) -> tuple[str, ...]:
    members = archive.namelist()
    found = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]
    layout = next((names for names in LAYOUTS if set(names) <= set(found)), None)
    if layout is None:
        raise DataError(
            f"{path}: expected arrays {', '.join(TRAIN)} with {', '.join(VALIDATION)} or "
            f"{', '.join(TEST)} or both, or x, y, received "
            f"{', '.join(found[:LISTED_COLUMNS]) or 'no arrays'}; save them with numpy.savez, by "
            "these names"
        )
    for pair in (VALIDATION, TEST):
        if len(set(pair) & set(found)) == 1 and "x" not in layout:
            raise DataError(
                f"{path}: expected {' and '.join(pair)}, or neither, received one of them; save "
                "the arrays again with numpy.savez"
            )
    twice = [name for name in layout if found.count(name) > 1]
    if twice:
        raise DataError(
            f"{path}: expected one array named {twice[0]}, received {found.count(twice[0])}; save "
            "the arrays again with numpy.savez"
        )
    return layout


def _check_stored(path: Path, members: list[zipfile.ZipInfo]) -> int:
    """Check how arrays are stored, and return their size in the file, in bytes."""
    for member in members:
        # zipfile unpacks what others make of a few kB at once: gigabytes, whatever is declared.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(
                f"{path}: {member.filename.removesuffix('.npy')}: expected an array stored or "
                f"deflated, as by numpy.savez, received compression method "
                f"{member.compress_type}; save the arrays again with numpy.savez"
            )
    stored = sum(member.compress_size for member in members)
    if stored > path.stat().st_size:
        raise DataError(
            f"{path}: expected arrays of at most {path.stat().st_size:,} bytes, the size of the "
            f"file, received {stored:,}; the file is damaged: save the arrays again with "
            "numpy.savez"
        )
    return stored


def _read_member(archive: zipfile.ZipFile, path: Path, name: str, max_bytes: int) -> Array:
    member = archive.getinfo(f"{name}.npy")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers that Python 2 or nobody wrote
            with archive.open(member) as file:
                shape, dtype = _read_header(file)
                _check_header(f"{path}: {name}", shape, dtype, member, max_bytes)
            with archive.open(member) as file:
                array: Array = npy.read_array(file, allow_pickle=False)
        if dtype.kind == "U":
            _check_characters(array)
        return array
    except DataError:
        raise
    except Exception as error:
        # NumPy parses the header as Python's tokenizer and literals do, and unpacks it by zipfile:
        # they raise SyntaxError, TokenError, TypeError, OverflowError, zlib.error and others.
        raise DataError(
            f"{path}: {name}: expected an intact array, received a truncated or damaged one: "
            f"{error}; save the arrays again with numpy.savez"
        ) from None


def _check_header(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], member: zipfile.ZipInfo, max_bytes: int
) -> None:
    """Check what the header of an array declares, since NumPy allocates it before it reads."""
    if dtype.hasobject:
        raise DataError(
            f"{name}: expected an array of numbers, received pickled Python objects, "
            "which are refused because loading them can run code; save numbers or strings"
        )
    if dtype.itemsize == 0 or not all(
        type(length) is int and 0 <= length <= _LARGEST_AXIS for length in shape
    ):
        raise DataError(
            f"{name}: expected lengths of 0 or larger and values of a size, received shape {shape} "
            f"of type {dtype}; save the arrays again with numpy.savez"
        )
    count = math.prod(shape)
    if count * dtype.itemsize > member.file_size:
        raise DataError(
            f"{name}: expected {count * dtype.itemsize:,} bytes for shape {shape}, "
            f"received {member.file_size:,}; the file is truncated: save it again"
        )
    # Numbers become float32, strings Python objects.
    size = count * (STRING_BYTES if dtype.kind in "SUT" else 4)
    check_size(name, size, max_bytes)
    check_expansion(name, max(size, member.file_size), member.compress_size)


def _check_characters(strings: Array) -> None:
    codes = strings.ravel(order="K").view(f"{strings.dtype.byteorder}u4")
    if codes.max(initial=0) > sys.maxunicode:
        raise ValueError(
            f"expected characters up to {sys.maxunicode:#x}, received {codes.max():#x}"
        )


def _read_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(file)
    else:
        raise ValueError(f"expected array format 1.0 or 2.0, received {version}")
    return shape, dtype


def _why_no_archive(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(6)
    if not start:
        return "expected a .npz archive, received an empty file; save x and y with numpy.savez"
    if start.startswith(b"\x80"):
        return (
            "expected a .npz archive, received a pickle, which is refused because loading it can "
            "run code; save the arrays with numpy.savez"
        )
    if start == b"\x93NUMPY":
        return "expected a .npz archive, received one .npy array; save x and y with numpy.savez"
    if start.startswith(b"PK"):
        return (
            f"expected an intact .npz archive, received a truncated or damaged one: {error}; save "
            "the arrays again with numpy.savez"
        )
    return "expected a .npz archive, received a file of another kind; save x and y with numpy.savez"
