"""Python's HTTP clients through a jump host, by the hooks that they have for it.

Each module needs the extra of its name. None of them connects to a target directly or through
another proxy, and none looks up a target's name.
"""

from netjumper.errors import NetjumperError


def missing(extra: str, error: ModuleNotFoundError) -> ImportError:
    """Return the error that says which extra to install."""
    return ImportError(
        f"netjumper.integrations.{extra} needs an extra: pip install 'netjumper[{extra}]' ({error})"
    )


def timed_out(error: NetjumperError) -> bool:
    """Return whether there is no tunnel because of a timeout, that of the dial included."""
    # A jump host that does not accept the connection is unreachable, for whatever reason.
    return isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)
