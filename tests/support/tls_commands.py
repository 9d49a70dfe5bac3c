"""Run the commands with TLS between them."""

import contextlib
import sys
from collections.abc import Iterator

import pytest

from tests.support.programs import SECRET, running

HOST = "127.0.0.1"
ENV = {"NETJUMPER_SECRET": SECRET}
needs_psk = pytest.mark.skipif(sys.version_info < (3, 13), reason="needs Python 3.13")


@contextlib.contextmanager
def jump_server(*arguments: object) -> Iterator[str]:
    """Run a jump server with TLS; yield its address."""
    with running("netjumper", "--listen-tls", f"{HOST}:0", *map(str, arguments), env=ENV) as it:
        yield it.address("netjumper with TLS")
