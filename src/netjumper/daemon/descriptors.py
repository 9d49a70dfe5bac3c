"""The limit on open descriptors."""

import contextlib
import importlib
from collections.abc import Iterator

LOW_DESCRIPTOR_LIMIT = 4096
"""Linux's hard limit unless it is configured otherwise."""


def raise_descriptor_limit() -> int | None:
    """Raise the limit on open descriptors to the highest that the system allows.

    Returns:
        The limit before; None if the system has none.
    """
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS reports "unlimited" and allows fewer
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return int(soft)


def max_descriptors() -> int | None:
    """Return how many can be open after the limit is raised; None if the system has no limit."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = soft if hard == resource.RLIM_INFINITY else hard
    return None if limit == resource.RLIM_INFINITY else int(limit)


def descriptor_warning(each: int) -> str:
    """Return a warning if only few descriptors can be open; empty otherwise.

    Args:
        each: how many descriptors a tunnel takes.
    """
    limit = max_descriptors()
    if limit is None or limit >= LOW_DESCRIPTOR_LIMIT:
        return ""
    return (
        f"only {limit:,} descriptors can be open at a time, enough for {limit // each:,} tunnels "
        "at most; raise the limit (LimitNOFILE= in systemd, --ulimit nofile= for a container, "
        "otherwise ulimit -Hn)"
    )


@contextlib.contextmanager
def descriptor_limit(limit: int | None) -> Iterator[None]:
    """Set another soft limit for programs that are started within this context; None keeps it."""
    if limit is None:
        yield
        return
    resource = importlib.import_module("resource")
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, own[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, own)
