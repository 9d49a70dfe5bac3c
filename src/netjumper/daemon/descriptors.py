"""How many descriptors the process may have open."""

import contextlib
import importlib
from collections.abc import Iterator

LOW_DESCRIPTOR_LIMIT = 4096
"""Linux gives as many where nobody has set another limit."""


def raise_descriptor_limit() -> int | None:
    """Allow as many open descriptors as the system lets us have; a tunnel takes two.

    Returns:
        The limit that there was; None where there is no such limit.
    """
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return int(soft)


def max_descriptors() -> int | None:
    """Return how many can be open once the limit is raised; None where there is no such limit."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = soft if hard == resource.RLIM_INFINITY else hard
    return None if limit == resource.RLIM_INFINITY else int(limit)


def descriptor_warning(each: int) -> str:
    """Return a warning where only few descriptors can be open at a time, else nothing.

    Args:
        each: how many a tunnel takes.
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
    """Have what is started meanwhile get another limit than ours; None leaves it."""
    if limit is None:
        yield
        return
    resource = importlib.import_module("resource")
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, ours[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, ours)
