"""The commands with TLS between them."""

import contextlib
import shlex
import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.support.programs import Program, installed, run, running, web_server
from tests.support.tls_commands import ENV, HOST, jump_server, needs_psk


@contextlib.contextmanager
def bridge_to(url: str, *arguments: object) -> Iterator[tuple[Program, str]]:
    """Run a bridge; yields it and its HTTP address."""
    listener = ["--http", f"{HOST}:0", "--jump", url, *map(str, arguments)]
    with running("netjumper-bridge", *listener, env=ENV) as it:
        yield it, it.address("HTTP")


def fetched(proxy: str) -> str:
    with web_server() as port:
        done = run(["curl", "-sS", "--proxy", f"http://{proxy}", f"http://{HOST}:{port}/page"])
    return done.stdout.decode() + done.stderr.decode()


@needs_psk
@pytest.mark.needs("curl")
def test_curl_fetches_through_tls_with_the_secret_only():
    with jump_server() as jump, bridge_to(f"netjumper+tls://{jump}") as (bridge, proxy):
        assert "you requested /page" in fetched(proxy)
        bridge.wait_for(rf"through jump host {jump} \(TLS\)")


@needs_psk
@pytest.mark.needs("curl")
def test_wrong_secret_is_reported():
    with (
        jump_server() as jump,
        bridge_to(f"netjumper+tls://:another-secret-of-theirs@{jump}") as (bridge, proxy),
    ):
        assert "The bridge could not use its jump host" in fetched(proxy)
        bridge.wait_for(rf"WARNING .*WrongSecret: jump host {jump}: key rejected; ")


@pytest.mark.needs("curl")
def test_curl_fetches_through_a_pinned_certificate(certificates):
    pin = (certificates / "server.pin").read_text()
    with jump_server("--certificate-file", certificates / "server.pem") as jump:
        with bridge_to(f"netjumper+tls://{jump}?pin={pin}") as (_, proxy):
            assert "you requested /page" in fetched(proxy)
        other = (certificates / "client.pin").read_text()
        with bridge_to(f"netjumper+tls://{jump}?pin={other}") as (bridge, proxy):
            assert "its certificate is not the pinned one" in fetched(proxy)
            bridge.wait_for("JumpHostUntrusted")


@pytest.mark.needs("curl")
def test_curl_fetches_with_ca_certificates_on_both_sides(certificates):
    files = {name: certificates / f"{name}.pem" for name in ("server", "client", "authority")}
    with jump_server(
        "--certificate-file", files["server"], "--client-ca-file", files["authority"]
    ) as jump:
        known = ["--ca-file", files["authority"]]
        url = f"netjumper+tls://{jump}"
        with bridge_to(url, *known, "--certificate-file", files["client"]) as (_, proxy):
            assert "you requested /page" in fetched(proxy)
        with bridge_to(url, *known) as (_, proxy):
            assert "The bridge could not use its jump host" in fetched(proxy)
        with bridge_to(f"{url}?name=other.example", *known) as (_, proxy):
            assert "certificate verification failed: Hostname mismatch" in fetched(proxy)


@pytest.mark.needs("curl")
def test_unencrypted_client_is_refused_by_a_tls_listener(certificates):
    files = ["--certificate-file", certificates / "server.pem"]
    server = jump_server(*files, "--handshake-timeout", "0.1")
    with server as jump, bridge_to(jump) as (_, proxy):
        assert "The bridge could not use its jump host" in fetched(proxy)


@pytest.mark.needs("curl")
def test_tls_client_reports_a_listener_without_tls(certificates):
    pin = (certificates / "server.pin").read_text()
    with running("netjumper", "--listen", f"{HOST}:0", env=ENV) as it:
        with bridge_to(f"netjumper+tls://{it.address('netjumper')}?pin={pin}") as (_, proxy):
            assert "it does not speak TLS there" in fetched(proxy)


@pytest.mark.needs("curl")
def test_tls_works_with_several_workers(certificates):
    pin = (certificates / "server.pin").read_text()
    files = ["--certificate-file", certificates / "server.pem", "--workers", 2]
    with jump_server(*files) as jump, bridge_to(f"netjumper+tls://{jump}?pin={pin}") as (_, proxy):
        for _ in range(4):
            assert "you requested /page" in fetched(proxy)


@pytest.mark.needs("curl")
def test_curl_fetches_with_a_key_in_a_file_of_its_own(certificates):
    key, begin, rest = (certificates / "server.pem").read_text().partition("-----BEGIN CERT")
    (certificates / "server.key").write_text(key)
    (certificates / "server.key").chmod(0o600)
    (certificates / "server.pem").write_text(begin + rest)
    pin = (certificates / "server.pin").read_text()
    files = ["--certificate-file", certificates / "server.pem"]
    with jump_server(*files, "--key-file", certificates / "server.key") as jump:
        with bridge_to(f"netjumper+tls://{jump}?pin={pin}") as (_, proxy):
            assert "you requested /page" in fetched(proxy)


def test_deep_health_check_uses_tls(certificates):
    pin = (certificates / "server.pin").read_text()
    with jump_server("--certificate-file", certificates / "server.pem") as jump:
        url = f"netjumper+tls://{jump}?pin={pin}"
        with bridge_to(url) as (_, proxy):
            words = [
                installed("netjumper-bridge"),
                "healthcheck",
                "--deep",
                "--http",
                proxy,
                "--jump",
                url,
            ]
            done = run(words, env=ENV)
    assert done.stdout.decode().endswith(f"jump host {jump} accepts the secret\n")


def test_listen_tls_alone_opens_no_unencrypted_listener(certificates):
    with running(
        "netjumper", "--listen-tls", f"{HOST}:0",
        "--certificate-file", str(certificates / "server.pem"), env=ENV,
    ) as it:  # fmt: skip
        it.address("netjumper with TLS")
        assert sum("listening for" in line for line in it.lines) == 1


@pytest.mark.needs("curl")
def test_command_that_the_server_prints_for_the_bridge_works(certificates):
    files = ["--certificate-file", str(certificates / "server.pem"), "--allow", "127.0.0.0/8"]
    with running("netjumper", "--listen-tls", f"{HOST}:0", *files, env=ENV) as server:
        (hint,) = server.wait_for(r"try: netjumper-bridge --jump (\S+) --secret-file FILE$")
        (jump,) = shlex.split(hint[1])
        with bridge_to(jump) as (_, proxy):
            assert "you requested /page" in fetched(proxy)


@needs_psk
@pytest.mark.needs("curl")
def test_each_client_has_its_own_key(private):
    alice = '[alice]\nsecrets = ["secret-of-number-one", "secret-of-number-two"]\n'
    text = alice + '[bob]\nsecrets = ["secret-of-number-three"]\n'
    with jump_server("--clients-file", private("clients.toml", text)) as jump:
        for user, accepted in {
            "alice:secret-of-number-one": True,
            "alice:secret-of-number-two": True,
            "bob:secret-of-number-one": False,
        }.items():
            with bridge_to(f"netjumper+tls://{user}@{jump}") as (_, proxy):
                assert ("you requested /page" in fetched(proxy)) is accepted


@needs_psk
def test_wrong_key_in_tls_is_banned_and_a_missing_key_is_not():
    listener = ["--max-auth-failures", "1", "--listen-tls", f"{HOST}:0"]
    with running("netjumper", *listener, env=ENV) as it:
        jump = it.address("netjumper with TLS")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for count in range(1, 4):  # a browser, say
            with socket.create_connection((HOST, int(jump.rpartition(":")[2]))) as sock:
                with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
                    context.wrap_socket(sock)
            it.wait_for("WARNING .*TLS failed: no key was offered", count)
        with bridge_to(f"netjumper+tls://:another-secret-of-theirs@{jump}"):
            it.wait_for("WARNING .*AuthenticationError: TLS failed: the offered key is unknown")
            it.wait_for(f"WARNING banned {HOST} for 60 s after 1 failed authentication, last from")
