"""Python's HTTP clients, led through a jump host by the hooks that they offer for it.

Each module needs the extra of its own name. None of them ever goes to a target directly or
through another proxy, and none looks a target's name up.
"""

from netjumper.errors import NetjumperError


def missing(extra: str, error: ModuleNotFoundError) -> ImportError:
    """Return the error that says which extra to install."""
    return ImportError(
        f"netjumper.integrations.{extra} needs an extra: pip install 'netjumper[{extra}]' ({error})"
    )


def timed_out(error: NetjumperError) -> bool:
    """Return whether no tunnel came about because time was up, the dial's included."""
    # A jump host that does not even take the connection is unreachable, whatever the reason.
    return isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)
