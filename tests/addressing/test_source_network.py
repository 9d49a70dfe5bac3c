"""What counts as one source."""

import pytest

from netjumper.addressing.source_network import ip_of, source_of


@pytest.mark.parametrize(
    ("peer", "ip", "source"),
    [
        ("192.0.2.1:1000", "192.0.2.1", "192.0.2.1"),
        ("[2001:db8:1:2:3::4]:1000", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::ffff]:2000", "2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", "fe80::/64"),
        ("[::ffff:0:c000:201]:1", "::ffff:0:c000:201", "::ffff:0:c000:201"),
        ("[64:ff9b::c000:201]:1", "64:ff9b::c000:201", "64:ff9b::c000:201"),
        ("unix", "", ""),
    ],
)
def test_the_source_of_a_peer(peer: str, ip: str, source: str) -> None:
    assert (ip_of(peer), source_of(peer)) == (ip, source)
