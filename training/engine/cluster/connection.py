"""The connection of this process to a Ray cluster."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dropout_zoo.training.engine.cluster_address import local_nodes
from dropout_zoo.training.engine.cores import usable_cores

_LOOPBACK = "127.0.0.1"
_connected: dict[str, Any] = {}  # by address; the value is the local cluster, if it is one


def connect(address: str) -> None:
    """Connect this process to a cluster, once; a local one is started.

    Args:
        address: as in `check_address`.

    Raises:
        RuntimeError: there is no cluster, or it cannot be reached.
    """
    if address in _connected:
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    local = local_nodes(address)
    if local:
        _prepare_local()
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    with _own_signal_handlers():
        try:
            cluster = _start_local(local) if local else None
            ray.init(
                cluster.address if cluster else address,
                ignore_reinit_error=True,
                **({"_node_ip_address": _LOOPBACK} if cluster else {}),
                log_to_driver=False,
                logging_level="error",
            )
        except Exception as error:  # a RayError, or one of gRPC, Redis or the operating system
            raise RuntimeError(
                f"expected a Ray cluster at {address!r}, received {type(error).__name__}: "
                f"{' '.join(str(error).split())}; see docs/cluster.md for addresses and tokens"
            ) from error
    atexit.register(ray.shutdown)  # before the nodes end, whose loss it would report
    _connected[address] = cluster


def _prepare_local() -> None:
    """Set Ray up for nodes that other machines, and other users of this one, cannot reach."""
    if "ray" in sys.modules:  # it has read the variables
        raise RuntimeError(
            "expected Ray not to be imported before a local cluster is started, received a program "
            "that has imported it; start a cluster with 'ray start' and pass its address"
        )
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Elsewhere than on Windows and macOS, Ray would look for the address of this machine in
        # the network, and listen there.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


def _start_local(count: int) -> Any:
    """Nodes on this machine that share its cores, reached by the loopback address alone."""
    from ray.cluster_utils import Cluster

    shared = {"node_ip_address": _LOOPBACK, "include_dashboard": False}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, **shared},
    )
    for _ in range(count):
        cluster.add_node(num_cpus=max(1, usable_cores() // count), **shared)
    return cluster


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Keep the handlers of this program, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
