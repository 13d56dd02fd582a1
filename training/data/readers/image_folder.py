"""Reader of directories of images with one subdirectory per class."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from dropout_zoo.training.data.array_checks import (
    Array,
    DataError,
    RawExamples,
    RawPart,
    is_integer,
)
from dropout_zoo.training.data.readers.size_limits import MAX_EXPANSION, check_expansion, check_size

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
# Pillow reads more formats, but some of them (EPS) with external programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
GRAY_MODES = ("1", "L", "LA", "La")
COLOR_MODES = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")


class _Header(NamedTuple):
    size: tuple[int, int]
    gray: bool


def read_image_folder(
    path: Path, *, image_size: int | Sequence[int] | None, max_bytes: int
) -> RawExamples:
    """Read a directory of images with one subdirectory per class, named like the class.

    Hidden files and files without the extension of an image are ignored.

    Args:
        path: the directory. Links out of it are not allowed.
        image_size: ``(height, width)`` in pixels, or one number for both, to which all images are
            resized (bilinear); None if all have the same size.
        max_bytes: largest size of the decoded images as float32, in bytes.

    Returns:
        One part: pixels in [0, 1] of shape ``(images, height, width)`` if all are gray, otherwise
        ``(images, height, width, 3)``; transparency is dropped.

    Raises:
        DataError: the directory has no classes, or an image is damaged or does not fit.
    """
    target = None if image_size is None else _check_image_size(image_size)
    try:
        files, labels, class_names = _list_images(path)
    except (OSError, RuntimeError) as error:
        # Path.resolve raises RuntimeError for links that lead to themselves.
        raise DataError(f"{path}: expected a readable directory, received {error}") from None
    headers = [_read_header(file) for file in files]
    first = headers[0].size
    if target is None:
        for file, header in zip(files, headers, strict=True):
            if header.size != first:
                raise DataError(
                    f"{file}: expected {_in_words(first)} as in {files[0]}, received "
                    f"{_in_words(header.size)}; set image_size (--image-size) to resize all images"
                )
    width, height = target or first
    gray = all(header.gray for header in headers)
    shape = (len(files), height, width) if gray else (len(files), height, width, 3)
    check_size(str(path), 4 * math.prod(shape), max_bytes)
    if target is None:  # otherwise the size is the one that was asked for
        stored = sum(file.stat().st_size for file in files)
        # A byte becomes a float32, of four bytes.
        check_expansion(str(path), 4 * math.prod(shape), stored, most=4 * MAX_EXPANSION)
    x = np.empty(shape, dtype=np.float32)
    for i, (file, header) in enumerate(zip(files, headers, strict=True)):
        # With image_size, the result may be small although one image is too large to decode.
        check_size(str(file), 12 * math.prod(header.size), max_bytes)
        pixels = _decode(file, None if header.size == (width, height) else (width, height))
        x[i] = pixels if gray or pixels.ndim == 3 else pixels[:, :, None]
    part = RawPart(
        f"{path}: images", x, f"{path}: directory names", np.array(labels, dtype=np.int32)
    )
    return RawExamples((part,), class_names, pixels=True)


def _check_image_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    pair: list[Any] = (
        list(image_size) if isinstance(image_size, (tuple, list)) else [image_size] * 2
    )
    if len(pair) != 2 or not all(is_integer(side) and side > 0 for side in pair):
        raise ValueError(
            "expected image_size to be a positive number of pixels or a pair (height, width), "
            f"received {image_size!r}"
        )
    height, width = pair
    return int(width), int(height)


def _list_images(path: Path) -> tuple[list[Path], list[int], list[str]]:
    root = path.resolve()
    files: list[Path] = []
    labels: list[int] = []
    class_names: list[str] = []
    for folder in _visible(path, root):
        if not folder.is_dir():
            if folder.suffix.lower() in SUFFIXES:
                raise DataError(
                    f"{folder}: expected images inside one subdirectory per class, received an "
                    "image next to the subdirectories"
                )
            continue
        before = len(files)
        for file in _visible(folder, root):
            if file.is_dir():
                raise DataError(
                    f"{file}: expected images, received a directory inside that of a class"
                )
            if file.suffix.lower() in SUFFIXES:
                files.append(file)
                labels.append(len(class_names))
        if len(files) == before:
            raise DataError(f"{folder}: expected images ({' '.join(SUFFIXES)}), received none")
        class_names.append(folder.name)
    if not files:
        raise DataError(f"{path}: expected one subdirectory of images per class, received none")
    return files, labels, class_names


def _visible(folder: Path, root: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and not entry.resolve().is_relative_to(root):
            raise DataError(
                f"{entry}: expected files inside {root.name}, received a link out of it"
            )
        yield entry


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    if not file.is_file():
        raise DataError(f"{file}: expected an image, received something that is not a regular file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                yield image
    except DataError:
        raise
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, struct.error and others.
        raise DataError(
            f"{file}: expected an image, received a damaged file or another format: {error}"
        ) from None


def _read_header(file: Path) -> _Header:
    with _opened(file) as image:
        if getattr(image, "is_animated", False):  # n_frames would look for all of them
            raise DataError(
                f"{file}: expected a still image, received several in one file; save those that "
                "are examples in files of their own"
            )
        mode = image.mode
        if mode not in (*GRAY_MODES, *COLOR_MODES) and not mode.startswith("I;16"):
            raise DataError(
                f"{file}: expected an image of 8 or 16 bits per channel, received mode {mode}"
            )
        return _Header(image.size, mode in GRAY_MODES or mode.startswith("I;16"))


def _decode(file: Path, size: tuple[int, int] | None) -> Array:
    with _opened(file) as image:
        if image.mode.startswith("I;16"):
            converted, largest = image.convert("F"), 65535
        else:
            converted, largest = image.convert("L" if image.mode in GRAY_MODES else "RGB"), 255
        if size is not None:
            converted = converted.resize(size, Image.Resampling.BILINEAR)
        return np.asarray(converted, dtype=np.float32) / np.float32(largest)


def _in_words(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]} pixels"
