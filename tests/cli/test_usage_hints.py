"""Commands to try next, which a service prints when it starts."""

from netjumper.cli.usage_hints import bridge_lines, server_lines

LISTENING = [
    ("socks", "127.0.0.1:1080"),
    ("http", "[::1]:8118"),
    ("mixed", "0.0.0.0:3128"),
    ("socks", "unix:/run/netjumper/socks"),
]


def exported(url):
    return f"export http_proxy={url} https_proxy={url} HTTPS_PROXY={url}"


def test_hints_name_every_tcp_listener_of_the_bridge():
    assert bridge_lines(LISTENING, password=False) == [
        "curl --socks5-hostname 127.0.0.1:1080 https://example.org/",
        exported("http://[::1]:8118"),
        "curl --socks5-hostname 127.0.0.1:3128 https://example.org/",
        exported("http://127.0.0.1:3128"),
    ]


def test_hints_have_a_placeholder_instead_of_the_password():
    assert bridge_lines(LISTENING[:2], password=True) == [
        "curl --proxy-user USER:PASSWORD --socks5-hostname 127.0.0.1:1080 https://example.org/",
        exported("http://USER:PASSWORD@[::1]:8118"),
    ]


def test_hint_for_a_server_with_a_certificate_has_its_pin():
    listening = [("tls", "192.0.2.7:1"), ("netjumper", "192.0.2.7:2")]
    assert server_lines(listening, "00ff") == [
        "netjumper-bridge --jump 'netjumper+tls://192.0.2.7:1?pin=00ff' --secret-file FILE",
        "netjumper-bridge --jump 192.0.2.7:2 --secret-file FILE",
    ]


def test_hints_of_the_server_show_the_command_for_the_bridge():
    listening = [("netjumper", "[::]:9527"), ("netjumper", "192.0.2.7:1"), ("netjumper", "unix:/x")]
    assert server_lines(listening) == [
        "netjumper-bridge --jump ADDRESS-OF-THIS-MACHINE:9527 --secret-file FILE",
        "netjumper-bridge --jump 192.0.2.7:1 --secret-file FILE",
    ]
