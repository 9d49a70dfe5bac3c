"""What a service that runs says of itself; tests/cli/test_running.py runs it."""

import pytest

from netjumper.daemon import serve


@pytest.mark.parametrize(("number", "text"), [(0, "0 tunnels"), (1, "1 tunnel"), (2, "2 tunnels")])
def test_things_are_counted_in_english(number, text):
    assert serve.counted(number, "tunnel") == text
