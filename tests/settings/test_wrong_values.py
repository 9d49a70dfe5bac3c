"""Wrong values: the message names the setting and what is expected."""

import pytest

from tests.support.loading import only_refusal, refusal


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dial_timeout = '5'", ("dial_timeout: expected a number of seconds greater than 0, "
         "not '5'")),
        ("dial_timeout = true", ("dial_timeout: expected a number of seconds greater than 0, "
         "not true")),
        ("idle_timeout = -1", "idle_timeout: expected a number of seconds, 0 or more, not -1"),
        ("idle_timeout = inf", "idle_timeout: expected a number of seconds, 0 or more, not inf"),
        ("idle_timeout = nan", "idle_timeout: expected a number of seconds, 0 or more, not nan"),
        ("socks = '127.0.0.1:1'", ("socks: expected a list of HOST:PORT, [IPV6]:PORT, :PORT or "
         "unix:/path, not '127.0.0.1:1'")),
        ("socks = [1080]", ("socks: expected a list of HOST:PORT, [IPV6]:PORT, :PORT or "
         "unix:/path, not [1080]")),
        ("jump = 9527", ("jump: expected a list of HOST:PORT, HOST:PORT=WEIGHT, netjumper:// or "
         "netjumper+tls://")),
        ("jump = ['netjumper://a:s3cret-of-18-bytes@h', 5]", ("jump: expected a list of HOST:PORT, "
         "HOST:PORT=WEIGHT, netjumper:// or netjumper+tls://")),
        ("auth_file = 1", "auth_file: expected the path of a file, not 1"),
        ("auth_file = ''", "auth_file: the name of the file is empty; expected the path of a file"),
        ("embedded = 'yes'", "embedded: expected true or false, not 'yes'"),
        ("log_level = 'loud'", "log_level: expected debug, info, warning or error, not 'loud'"),
        ("log_format = 'xml'", "log_format: expected auto, rich, plain or json, not 'xml'"),
        ("secret = 4711", "secret: expected text"),
        ("auth = ['s3cret-of-18-bytes']", "auth: expected user:password"),
    ],
)  # fmt: skip
def test_wrong_value_in_the_file_is_reported_with_the_expected_one(line, message, private):
    path = private("c.toml", f"[bridge]\n{line}\n")
    assert only_refusal(config=path) == f"{path}:2: [bridge] {message}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dial-timeout", "soon"], ("--dial-timeout: expected a number of seconds greater than "
         "0, not 'soon'")),
        (["--socks", "nowhere"], ("--socks: 'nowhere' has no port; write nowhere:PORT; "
         "expected HOST:PORT, [IPV6]:PORT, :PORT or unix:/path")),
        (["--socks", "socks5://h:1"], ("--socks: 'socks5://h:1': write HOST:PORT without "
         "socks5://; "
         "expected HOST:PORT, [IPV6]:PORT, :PORT or unix:/path")),
        (["--http", "127.0.0.1"], ("--http: '127.0.0.1' has no port; write 127.0.0.1:PORT; "
         "expected HOST:PORT, [IPV6]:PORT, :PORT or unix:/path")),
        (["--mixed", "[::1]"], ("--mixed: '[::1]' has no port; write [::1]:PORT; "
         "expected HOST:PORT, [IPV6]:PORT, :PORT or unix:/path")),
        (["--mixed", "99999"], ("--mixed: port '99999' is not a number from 1 to 65535; "
         "expected HOST:PORT, [IPV6]:PORT, :PORT or unix:/path")),
        (["--jump", "https://home"], ("--jump: this is another kind of URL; "
         "expected HOST:PORT, HOST:PORT=WEIGHT, netjumper:// or netjumper+tls://")),
        (["--max-parked", "many"], ("--max-parked: expected a whole number, 0 or more, "
         "not 'many'")),
        (["--min-parked", "1.5"], ("--min-parked: expected a whole number, 0 or more, "
         "not '1.5'")),
        (["--embedded", "--min-parked", "129"], "--min-parked: 129 is more than max_parked, 128"),
        (["--jump", "home"], ("--jump: 'home' has no port; write home:9527; "
         "expected HOST:PORT, HOST:PORT=WEIGHT, netjumper:// or netjumper+tls://")),
    ],
)  # fmt: skip
def test_wrong_flag_is_reported_with_the_expected_value(arguments, message):
    assert only_refusal(*arguments) == message


def test_wrong_variable_is_reported_with_its_name(monkeypatch):
    monkeypatch.setenv("NETJUMPER_GRACE_PERIOD", "later\n")
    assert only_refusal() == (
        "environment variable NETJUMPER_GRACE_PERIOD: "
        "expected a number of seconds, 0 or more, not 'later\\n'"
    )


def test_empty_variable_is_a_wrong_value(private, monkeypatch):
    path = private("c.toml", "[bridge]\nauth = 'user:password'\n")
    monkeypatch.setenv("NETJUMPER_AUTH", "")
    message = only_refusal("--embedded", config=path)
    assert message == "environment variable NETJUMPER_AUTH: expected user:password"


def test_every_wrong_value_is_reported(monkeypatch):
    monkeypatch.setenv("NETJUMPER_DIAL_TIMEOUT", "x")
    assert len(refusal("--idle-timeout", "y", "--jump", "z")) == 3
