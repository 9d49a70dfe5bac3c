"""Advice about a failed step; `netjumper-bridge doctor` prints it at its end."""

import re

from netjumper.client.failures import RESET_UNHEARD
from netjumper.client.silence import TLS_HINT
from netjumper.errors import (
    JumpHostTimeout,
    NameLookupFailed,
    NameNotFound,
    NetjumperError,
    TargetDenied,
    TargetError,
    TargetRefused,
    TooManyTunnels,
    WrongSecret,
)
from netjumper.tls.errors import is_cut, is_no_tls, refusal_of


def advice(step: str, error: NetjumperError) -> str:
    """Return what to do when `step` failed with `error`."""
    if step == "connect" and isinstance(error.__cause__, ConnectionRefusedError):
        return (
            "The machine is up, but nothing listens on that port. Start the jump server "
            "(netjumper), and forward the port to it in the home router."
        )
    if step == "tls" and refusal_of(error.__cause__):
        return (
            "The jump server is up, and requires a client certificate from the authority in its "
            "client_ca_file. Set --certificate-file FILE to a PEM file with a valid certificate "
            "from that authority, followed by its key. The jump server's log has the reason."
        )
    if RESET_UNHEARD in str(error):
        return (
            "Something accepts connections on that port and resets them. If the jump server's log "
            "says that it banned this address, correct the secret here: the ban ends by itself, "
            "after at most 600 s. Otherwise a firewall on the path resets them."
        )
    cause = error.__cause__
    if step == "tls" and isinstance(cause, OSError) and is_no_tls(cause) and not is_cut(cause):
        return (
            "What answers on that port does not speak TLS. Most likely the port is that of the "
            "jump server's listen: use the port of its listen_tls. If it has none, start it with "
            "--listen-tls; a URL without TLS hides nothing from the networks on the path."
        )
    if step == "challenge" and TLS_HINT in str(error):
        return (
            "Something accepted the connection and said nothing. Most likely the port is one of "
            "the jump server's listen_tls, which waits for TLS: write netjumper+tls:// in --jump, "
            "as `netjumper share` prints it. Otherwise check that the port is the jump server's, "
            "not a web server's, and that no middlebox on the path holds the connection."
        )
    if step == "challenge" and isinstance(error, JumpHostTimeout):
        return (
            "Something accepted the connection and sends nothing. A jump server sends 33 bytes at "
            "once. Check that the port is the jump server's, not a web server's, and that no "
            "middlebox on the path holds the connection."
        )
    if step == "secret" and isinstance(error, WrongSecret):
        return _about_secret(error)
    if step == "target" and isinstance(error, TargetError):
        return _ABOUT_TARGETS.get(type(error), _TARGET_UNREACHABLE)
    return _ABOUT_STEPS[step]


def _about_secret(error: WrongSecret) -> str:
    if _HAS_ENDED.search(str(error)):
        return (
            "The jump server is up and the secret is right, but this client's access has expired. "
            "The operator of the jump server can set a later date: expires in its clients_file."
        )
    return (
        "The jump server is up, but the two sides have different secrets. Compare the "
        "sha256sum of both files. In NETJUMPER_SECRET a space or newline counts."
    )


_HAS_ENDED = re.compile(r": access of .* ended \d")
"""The text by which a netjumper jump server refuses it (`netjumper.server.clients`)."""
_ABOUT_STEPS = {
    "name": (
        "The jump host's name cannot be looked up on this machine. Check its spelling, the "
        "dynamic DNS entry of the home connection, and this machine's name server; or use an IP "
        "address in --jump."
    ),
    "connect": (
        "No answer comes from that address. Check the address, firewalls on the path, and that "
        "the machine at home is up; a home connection's address may have changed."
    ),
    "tls": (
        "The answer is not from a jump server with the expected certificate or secret. Check that "
        "both sides have the same secret, or the right pin, and that the port is the one of "
        "listen_tls. If all of that is right, an attacker may intercept the connection."
    ),
    "challenge": (
        "The answer is not in the netjumper protocol: check the port. If it is the jump server's, "
        "look at its log: it was overloaded. Or a firewall on the path ends the connection."
    ),
    "secret": (
        "It sent a challenge, but no verdict on the answer. The path loses packets, or another "
        "program than a jump server answers on that port. Try again, and look at the jump server's "
        "log."
    ),
    "target": (
        "The jump server accepted the secret, but did not report whether it reached the target. "
        "Look at its log, and check whether the connection is stable."
    ),
}
_TARGET_UNREACHABLE = (
    "The jump server works, but it cannot reach the target. Try another target, and try this one "
    "on the jump server's machine."
)
_ABOUT_TARGETS: dict[type[NetjumperError], str] = {
    TargetRefused: (
        "The jump server works, but the target's machine refuses connections on that port. Check "
        "the port, and that the program there runs."
    ),
    NameNotFound: (
        "The jump server works; as seen from there, the target's name does not exist. Check its "
        "spelling. If it is right, check DNS on that machine."
    ),
    NameLookupFailed: (
        "The jump server works, but its own name server does not answer. Check DNS on that machine."
    ),
    TooManyTunnels: (
        "The jump server works, but it or this client has as many tunnels open as its settings "
        "allow."
    ),
    TargetDenied: (
        "The jump server works, but it, or a firewall on its machine, denies that target."
    ),
}
