"""How much memory a program of JAX needs, estimated without compiling it."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import jax
from jax.extend.core import Literal


def peak_bytes(jaxpr: Any) -> int:
    """Return the size of the values that a program holds at most at one time.

    The operations are taken in the order of the program, and a value is held from the operation
    that computes it to the last one that reads it. XLA fuses operations and so keeps less; scratch
    memory of its kernels is not counted.

    Args:
        jaxpr: the program.

    Returns:
        Bytes, the arguments of the program left out.
    """
    last_read: dict[Any, int] = {}
    for number, equation in enumerate(jaxpr.eqns):
        used = [*equation.invars, *equation.outvars]
        last_read |= {value: number for value in used if not isinstance(value, Literal)}
    results = {value for value in jaxpr.outvars if not isinstance(value, Literal)}
    freed = defaultdict(list)
    for value, number in last_read.items():
        if value not in results:
            freed[number].append(value)
    computed: set[Any] = set()
    held = most = 0
    for number, equation in enumerate(jaxpr.eqns):
        computed.update(equation.outvars)
        inner = jax.tree.leaves(list(equation.params.values()))
        within = [peak_bytes(program.jaxpr) for program in inner if hasattr(program, "jaxpr")]
        made = _bytes_of(equation.outvars)
        most = max(most, held + max([made, *within]))
        held += made - _bytes_of([value for value in freed[number] if value in computed])
    return most


def _bytes_of(values: list[Any]) -> int:
    return sum(math.prod(value.aval.shape) * value.aval.dtype.itemsize for value in values)
