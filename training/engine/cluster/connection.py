"""The connection of this process to a Ray cluster."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dropout_zoo.training.engine.cluster_address import local_nodes
from dropout_zoo.training.engine.cores import usable_cores

_LOOPBACK = "127.0.0.1"
_ATTEMPTS = 4  # to start a node on this machine
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

    from dropout_zoo.training.engine.cluster.ray_internals import silence_messages

    logging.getLogger("ray").setLevel(logging.ERROR)
    silence_messages()
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

    cluster = _patiently(lambda: Cluster(initialize_head=True, head_node_args=_local_node(count)))
    for _ in range(count - 1):
        _patiently(lambda: cluster.add_node(**_local_node(count)))
    return cluster


def _patiently(start: Callable[[], Any]) -> Any:
    """Start a node, again where Ray gives up on it: it allows 15 s, however busy a machine is."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(Exception):  # Ray raises nothing more specific
            return start()
    return start()


def _local_node(count: int) -> dict[str, Any]:
    """The arguments of one of several nodes on this machine."""
    return {
        "num_cpus": max(1, usable_cores() // count),
        "node_ip_address": _LOOPBACK,
        "include_dashboard": False,
        # Otherwise Ray waits until its agents have found some.
        **{name: _free_port() for name in ("metrics_agent_port", "runtime_env_agent_port")},
        **{name: _free_port() for name in ("dashboard_agent_listen_port", "metrics_export_port")},
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_LOOPBACK, 0))
        port: int = found.getsockname()[1]
        return port


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
