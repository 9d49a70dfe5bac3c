"""The table from error types to the reply codes of SOCKS and HTTP."""

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
    """The reply to one type of error.

    Attributes:
        error: the type.
        socks: the SOCKS5 reply code; SOCKS4 has only one code for failures.
        http: the HTTP status code.
        proxy_error: the error type of the `Proxy-Status` field (RFC 9209 section 2.3).
        hop: the program that met the failure, for `Proxy-Status`.
        sentence: the start of the text for a person.
    """

    error: type[BaseException]
    socks: ReplyCode
    http: int
    proxy_error: str
    hop: str
    sentence: str


BRIDGE, JUMP_SERVER = "netjumper-bridge", "netjumper"
"""The names of the hops in `Proxy-Status`."""

_NOT_REACHED = "The jump server could not reach the target"
_NO_ANSWER = "No valid answer from"
_NO_JUMP_HOST = "The bridge could not use its jump host to reach"

REPLIES = (
    Reply(errors.TargetRefused, ReplyCode.CONNECTION_REFUSED, 502, "connection_refused",
          JUMP_SERVER, _NOT_REACHED),
    Reply(errors.TargetTimeout, ReplyCode.TTL_EXPIRED, 504, "connection_timeout",
          JUMP_SERVER, _NOT_REACHED),
    Reply(errors.NetworkUnreachable, ReplyCode.NETWORK_UNREACHABLE, 502,
          "destination_ip_unroutable", JUMP_SERVER, _NOT_REACHED),
    Reply(errors.HostUnreachable, ReplyCode.HOST_UNREACHABLE, 502, "destination_unavailable",
          JUMP_SERVER, _NOT_REACHED),
    Reply(errors.NameNotFound, ReplyCode.HOST_UNREACHABLE, 502, "dns_error",
          JUMP_SERVER, _NOT_REACHED),
    Reply(errors.NameLookupFailed, ReplyCode.HOST_UNREACHABLE, 502, "dns_error",
          JUMP_SERVER, _NOT_REACHED),
    Reply(errors.TargetDenied, ReplyCode.NOT_ALLOWED, 403, "destination_ip_prohibited",
          JUMP_SERVER, "The jump server refuses to connect to this target"),
    Reply(errors.OutOfResources, ReplyCode.GENERAL_FAILURE, 503, "proxy_internal_error",
          JUMP_SERVER, "The jump server lacks the resources to connect to the target"),
    Reply(errors.TooManyTunnels, ReplyCode.GENERAL_FAILURE, 503, "connection_limit_reached",
          JUMP_SERVER, "The jump server has too many open tunnels to connect to the target"),
    Reply(errors.TargetError, ReplyCode.GENERAL_FAILURE, 502, "destination_unavailable",
          JUMP_SERVER, _NOT_REACHED),
    Reply(errors.JumpHostUntrusted, ReplyCode.GENERAL_FAILURE, 502, "tls_certificate_error",
          BRIDGE, _NO_JUMP_HOST),
    Reply(errors.WrongSecret, ReplyCode.GENERAL_FAILURE, 503, "proxy_configuration_error",
          BRIDGE, _NO_JUMP_HOST),
    Reply(errors.JumpHostTimeout, ReplyCode.GENERAL_FAILURE, 504, "connection_timeout",
          BRIDGE, _NO_JUMP_HOST),
    Reply(errors.JumpHostUnreachable, ReplyCode.GENERAL_FAILURE, 503, "destination_unavailable",
          BRIDGE, _NO_JUMP_HOST),
    Reply(errors.JumpHostError, ReplyCode.GENERAL_FAILURE, 502, "connection_terminated",
          BRIDGE, _NO_JUMP_HOST),
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
"""The first row whose type an error has gives its reply."""


def reply_for(error: BaseException) -> Reply:
    """Return the reply to `error`."""
    return next(reply for reply in REPLIES if isinstance(error, reply.error))
