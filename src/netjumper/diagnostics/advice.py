"""Advice about a failed step; `netjumper-bridge doctor` prints it at its end."""

import re

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
from netjumper.tls.errors import refusal_of


def advice(step: str, error: NetjumperError) -> str:
    """Return what to do when `step` failed with `error`."""
    if step == "connect" and isinstance(error.__cause__, ConnectionRefusedError):
        return (
            "The machine is there, and nothing listens on that port. Start the jump server "
            "(netjumper), and have the home router forward the port to it."
        )
    if step == "tls" and refusal_of(error.__cause__):
        return (
            "The jump server is there, and lets in who shows a certificate of the authority in its "
            "client_ca_file. Give --certificate-file FILE, with one of that authority's that "
            "is valid now and the key behind it; its log says what was wrong."
        )
    if step == "challenge" and isinstance(error, JumpHostTimeout):
        return (
            "Something took the connection and says nothing. A jump server sends 33 bytes at "
            "once: check that the port is its own and not a web server's, and that no middlebox "
            "in between holds the connection."
        )
    if step == "secret" and isinstance(error, WrongSecret) and _HAS_ENDED.search(str(error)):
        return (
            "The jump server is there and the secret is right, but this client's time is over. "
            "Whoever keeps the jump server can set a later date: expires in its clients_file."
        )
    if step == "secret" and isinstance(error, WrongSecret):
        return (
            "The jump server is there, and the two sides' secrets differ. Compare the sha256sum of "
            "both files. In NETJUMPER_SECRET a stray space or newline counts."
        )
    if step == "target" and isinstance(error, TargetError):
        return _ABOUT_TARGETS.get(type(error), _TARGET_UNREACHABLE)
    return _ABOUT_STEPS[step]


_HAS_ENDED = re.compile(r": access of .* ended \d")
"""The text by which a netjumper jump server refuses it (`netjumper.server.clients`)."""
_ABOUT_STEPS = {
    "name": (
        "The jump host's name cannot be looked up on this machine. Check its spelling, the "
        "dynamic DNS entry of the home connection, and this machine's name server; or give --jump "
        "an IP address."
    ),
    "connect": (
        "No answer comes from that address. Check the address, a firewall in between, and that "
        "the machine at home is up; a home connection's address may have changed. If connections "
        "are reset, this address was perhaps shut out after wrong answers: the log there says so."
    ),
    "tls": (
        "Something answers there, and it is not the jump server with the certificate, or the "
        "secret, that is expected. Check that both sides have the same secret, or the pin; and "
        "that the port is the one of listen_tls. If all of that is right, somebody may be in "
        "between."
    ),
    "challenge": (
        "What answers there does not speak the netjumper protocol: check the port. If it is the "
        "jump server's, look at its log: it was overloaded, or it has shut this address out after "
        "wrong answers. Or a firewall in between cuts the connection."
    ),
    "secret": (
        "It sent a challenge and then did not judge the answer. The path loses what is sent, or "
        "something else than a jump server answers on that port. Try again, and look at the log of "
        "the jump server."
    ),
    "target": (
        "The jump server accepted the secret and then did not say what became of the target. "
        "Look at its log, and whether the connection is stable."
    ),
}
_TARGET_UNREACHABLE = (
    "The jump server is fine; from there the target cannot be reached. Try another target, and "
    "try this one on the machine of the jump server."
)
_ABOUT_TARGETS: dict[type[NetjumperError], str] = {
    TargetRefused: (
        "The jump server is fine; the target's machine refuses connections on that port. Check "
        "the port, and that the program there runs."
    ),
    NameNotFound: (
        "The jump server is fine; as seen from there, the target's name does not exist. Check its "
        "spelling. If it is right, check DNS on that machine."
    ),
    NameLookupFailed: (
        "The jump server is fine; its own name server does not answer. Check DNS on that machine."
    ),
    TooManyTunnels: (
        "The jump server is fine; it has, or you have, as many tunnels open as its settings let "
        "there be."
    ),
    TargetDenied: (
        "The jump server is fine; it, or a firewall on its machine, does not allow that target."
    ),
}
