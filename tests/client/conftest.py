"""No test of the library may block a loop."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.support.blocking_calls import no_blocking_calls

BLOCKING_BY_DESIGN = "tests.client.test_blocking"
"""These tests call the blocking driver in the thread of the test's loop."""


@pytest.fixture(autouse=True)
def _no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    blocks = request.module.__name__ == BLOCKING_BY_DESIGN
    with contextlib.nullcontext() if blocks else no_blocking_calls():
        yield
