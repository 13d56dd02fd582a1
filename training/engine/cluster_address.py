"""The address of a cluster: which forms it has, without connecting to it."""

from __future__ import annotations

import importlib.util
import re

_LOCAL = re.compile(r"local(?::([1-9][0-9]{0,2}))?")
_DEFAULT_NODES = 2  # of a local cluster


def check_address(address: str) -> None:
    """Check an address, and that Ray is installed, without connecting.

    Args:
        address: ``"auto"``, ``"host:port"`` or ``"local:N"``.

    Raises:
        ValueError: there is no such form, or Ray is not installed.
    """
    if address.startswith("ray://"):
        raise ValueError(
            f"expected cluster to be 'auto' or the host:port of the head, received {address!r}, "
            "through which data and results would be lost with the connection; run the command on "
            "a node of the cluster, best on its head"
        )
    if local_nodes(address) is None and address != "auto" and not _is_host(address):
        raise ValueError(
            "expected cluster to be 'auto', the host:port of the head, or 'local:N' for N nodes "
            f"on this machine, received {address!r}"
        )
    for package in ("ray", "cloudpickle"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"expected the package {package} for cluster={address!r}, received an environment "
                "without it; run pip install 'dropout-zoo[ray]'"
            )


def _is_host(address: str) -> bool:
    host, colon, port = address.rpartition(":")
    return bool(host not in ("", "local") and colon and port.isdigit()) and "/" not in host


def local_nodes(address: str) -> int | None:
    """Return how many nodes to start on this machine; None for the address of a cluster.

    Args:
        address: as in `check_address`.
    """
    local = _LOCAL.fullmatch(address)
    return None if local is None else int(local[1] or _DEFAULT_NODES)
