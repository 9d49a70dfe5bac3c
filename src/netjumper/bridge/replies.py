"""What a program on the rented server is told: one table from errors to every protocol's code."""

from dataclasses import dataclass
from enum import IntEnum

from netjumper import errors


class ReplyCode(IntEnum):
    """The REP field of a SOCKS5 reply (RFC 1928 section 6)."""

    SUCCEEDED = 0x00
    GENERAL_FAILURE = 0x01
    NOT_ALLOWED = 0x02
    NETWORK_UNREACHABLE = 0x03
    HOST_UNREACHABLE = 0x04
    CONNECTION_REFUSED = 0x05
    TTL_EXPIRED = 0x06
    COMMAND_NOT_SUPPORTED = 0x07
    ADDRESS_TYPE_NOT_SUPPORTED = 0x08


@dataclass(frozen=True, slots=True)
class Reply:
    """How one kind of failure is told.

    Attributes:
        error: the kind.
        socks: the SOCKS5 reply code; SOCKS4 knows one failure only.
        http: the status code.
        proxy_error: the error type of the `Proxy-Status` field (RFC 9209 section 2.3).
        hop: who met the failure.
        sentence: the start of the line a person reads.
    """

    error: type[BaseException]
    socks: ReplyCode
    http: int
    proxy_error: str
    hop: str
    sentence: str


BRIDGE, JUMP_SERVER = "netjumper-bridge", "netjumper"

_CANNOT = "The jump server could not reach the target"
_NO_ANSWER = "There is no usable answer from"
_JUMP = "The bridge could not get through its jump host to"

REPLIES = (
    Reply(errors.TargetRefused, ReplyCode.CONNECTION_REFUSED, 502, "connection_refused",
          JUMP_SERVER, _CANNOT),
    Reply(errors.TargetTimeout, ReplyCode.TTL_EXPIRED, 504, "connection_timeout",
          JUMP_SERVER, _CANNOT),
    Reply(errors.NetworkUnreachable, ReplyCode.NETWORK_UNREACHABLE, 502,
          "destination_ip_unroutable", JUMP_SERVER, _CANNOT),
    Reply(errors.HostUnreachable, ReplyCode.HOST_UNREACHABLE, 502, "destination_unavailable",
          JUMP_SERVER, _CANNOT),
    Reply(errors.NameNotFound, ReplyCode.HOST_UNREACHABLE, 502, "dns_error",
          JUMP_SERVER, _CANNOT),
    Reply(errors.NameLookupFailed, ReplyCode.HOST_UNREACHABLE, 502, "dns_error",
          JUMP_SERVER, _CANNOT),
    Reply(errors.TargetDenied, ReplyCode.NOT_ALLOWED, 403, "destination_ip_prohibited",
          JUMP_SERVER, "The jump server refuses to connect to this target"),
    Reply(errors.OutOfResources, ReplyCode.GENERAL_FAILURE, 503, "proxy_internal_error",
          JUMP_SERVER, "The jump server has no room for a connection to the target"),
    Reply(errors.TooManyTunnels, ReplyCode.GENERAL_FAILURE, 503, "connection_limit_reached",
          JUMP_SERVER, "The jump server has too many tunnels open"),
    Reply(errors.TargetError, ReplyCode.GENERAL_FAILURE, 502, "destination_unavailable",
          JUMP_SERVER, _CANNOT),
    Reply(errors.JumpHostUntrusted, ReplyCode.GENERAL_FAILURE, 502, "tls_certificate_error",
          BRIDGE, _JUMP),
    Reply(errors.WrongSecret, ReplyCode.GENERAL_FAILURE, 503, "proxy_configuration_error",
          BRIDGE, _JUMP),
    Reply(errors.JumpHostTimeout, ReplyCode.GENERAL_FAILURE, 504, "connection_timeout",
          BRIDGE, _JUMP),
    Reply(errors.JumpHostUnreachable, ReplyCode.GENERAL_FAILURE, 503, "destination_unavailable",
          BRIDGE, _JUMP),
    Reply(errors.JumpHostError, ReplyCode.GENERAL_FAILURE, 502, "connection_terminated",
          BRIDGE, _JUMP),
    Reply(errors.AddressError, ReplyCode.GENERAL_FAILURE, 400, "http_request_error",
          BRIDGE, "The target is not valid"),
    Reply(errors.AnswerCut, ReplyCode.GENERAL_FAILURE, 502, "http_response_incomplete",
          BRIDGE, _NO_ANSWER),
    Reply(errors.AnswerTimeout, ReplyCode.GENERAL_FAILURE, 504, "http_response_timeout",
          BRIDGE, _NO_ANSWER),
    Reply(errors.TargetBroke, ReplyCode.GENERAL_FAILURE, 502, "http_protocol_error",
          BRIDGE, _NO_ANSWER),
    Reply(Exception, ReplyCode.GENERAL_FAILURE, 502, "proxy_internal_error",
          BRIDGE, "The bridge could not serve the request"),
)  # fmt: skip
"""An error is told as the first kind that it is."""


def reply_for(error: BaseException) -> Reply:
    """Return how `error` is told."""
    return next(reply for reply in REPLIES if isinstance(error, reply.error))
