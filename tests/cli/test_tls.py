"""The commands with TLS between them."""

import contextlib
import socket
import ssl
import sys
from collections.abc import Iterator

import pytest
import trustme

from netjumper.cli import bridge, server
from netjumper.tls.context import pin_of
from tests.support.programs import SECRET, Program, installed, run, running, web_server

HOST = "127.0.0.1"
ENV = {"NETJUMPER_SECRET": SECRET}
needs_psk = pytest.mark.skipif(sys.version_info < (3, 13), reason="needs Python 3.13")
without_psk = pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python has it")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def certificates(authority, tmp_path):
    """Return the directory with certificates of a server and a client, and of their CA."""
    for name, owner in {"server": HOST, "client": "alice"}.items():
        issued = authority.issue_cert(owner)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
        (tmp_path / f"{name}.pem").chmod(0o600)
        der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
        (tmp_path / f"{name}.pin").write_text(pin_of(der).hex())
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return tmp_path


@contextlib.contextmanager
def jump_server(*arguments: object) -> Iterator[str]:
    """Run a jump server with TLS; yields its address."""
    with running("netjumper", "--listen-tls", f"{HOST}:0", *map(str, arguments), env=ENV) as it:
        yield it.address("netjumper with TLS")


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
        assert "you asked for /page" in fetched(proxy)
        bridge.wait_for(rf"through jump host {jump} \(TLS\)")


@needs_psk
@pytest.mark.needs("curl")
def test_wrong_secret_is_reported():
    with jump_server() as jump, bridge_to(f"netjumper+tls://:another@{jump}") as (bridge, proxy):
        assert "The bridge could not use its jump host" in fetched(proxy)
        bridge.wait_for(rf"WARNING .*WrongSecret: jump host {jump}: our key is not known ")


@pytest.mark.needs("curl")
def test_curl_fetches_through_a_pinned_certificate(certificates):
    pin = (certificates / "server.pin").read_text()
    with jump_server("--certificate-file", certificates / "server.pem") as jump:
        with bridge_to(f"netjumper+tls://{jump}?pin={pin}") as (_, proxy):
            assert "you asked for /page" in fetched(proxy)
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
            assert "you asked for /page" in fetched(proxy)
        with bridge_to(url, *known) as (_, proxy):
            assert "The bridge could not use its jump host" in fetched(proxy)
        with bridge_to(f"{url}?name=other.example", *known) as (_, proxy):
            assert "it is not who it should be: Hostname mismatch" in fetched(proxy)


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
            assert "you asked for /page" in fetched(proxy)


# --- doctor and healthcheck ------------------------------------------------------------------


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    """Return the exit code, the reported steps, and the output."""
    code = bridge.main(["doctor", *arguments])
    out = capsys.readouterr().out
    return code, [line.split()[1] for line in out.splitlines() if " ms " in line], out


@pytest.mark.usefixtures("secret")
def test_doctor_tests_a_tls_jump_host(certificates, capsys):
    pin = (certificates / "server.pin").read_text()
    files = ["--certificate-file", certificates / "server.pem"]
    with jump_server(*files) as jump, web_server() as port:
        url = f"netjumper+tls://{jump}?pin={pin}"
        code, steps, out = doctor(capsys, "--jump", url, f"http://{HOST}:{port}/blocks/1")
        assert (code, out.count("FAILED")) == (0, 0)
        assert steps == ["name", "connect", "tls", "challenge", "secret", "target", "throughput"]
        assert "B/s over " in out


@pytest.mark.usefixtures("secret")
def test_doctor_reports_an_untrusted_jump_host_with_advice(certificates, capsys):
    other = (certificates / "client.pin").read_text()
    with jump_server("--certificate-file", certificates / "server.pem") as jump:
        code, steps, out = doctor(capsys, "--jump", f"netjumper+tls://{jump}?pin={other}")
    assert (code, steps[-1]) == (8, "tls")
    assert f"JumpHostUntrusted: jump host {jump}: it is not who it should be" in out
    assert "somebody may be in between" in " ".join(out.split())


@pytest.mark.usefixtures("secret")
def test_doctor_times_out_in_the_tls_handshake(certificates, capsys):
    pin = (certificates / "server.pin").read_text()
    with socket.create_server((HOST, 0)) as silent:
        url = f"netjumper+tls://{HOST}:{silent.getsockname()[1]}?pin={pin}"
        code, steps, out = doctor(capsys, "--jump", url, "--jump-timeout", "0.05")
    assert (code, steps[-1]) == (8, "tls")
    assert "JumpHostTimeout" in out


@pytest.mark.parametrize("credential", [pytest.param("secret", marks=needs_psk), "certificate"])
@pytest.mark.usefixtures("secret")
def test_healthcheck_accepts_a_tls_listener(credential, certificates, capsys):
    files = (
        ["--certificate-file", certificates / "server.pem"] if credential == "certificate" else []
    )
    with jump_server(*files) as jump:
        assert server.main(["healthcheck", "--listen-tls", jump]) == 0
    assert capsys.readouterr().out == f"healthy: netjumper with TLS on {jump}\n"


@pytest.mark.usefixtures("secret")
def test_healthcheck_refuses_a_listener_without_tls(capsys):
    with running("netjumper", "--listen", f"{HOST}:0", env=ENV) as it:
        jump = it.address("netjumper")
        assert server.main(["healthcheck", "--listen-tls", jump]) == 1
    message = f"netjumper: netjumper with TLS on {jump}: what answers there is no netjumper\n"
    assert capsys.readouterr().err == message


# --- settings -----------------------------------------------------------------------------


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("netjumper: ").removeprefix("netjumper-bridge: ")


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)


@without_psk
def test_python_without_psk_is_reported_with_an_alternative(secret, capsys):
    assert server.main(["--listen-tls", ":0", "--check"]) == 2
    assert error_of(capsys) == (
        "--listen-tls: TLS by the secret alone needs Python 3.13 or newer; pin a certificate "
        "instead (`netjumper keygen --tls` makes one)\n"
    )
    assert bridge.main(["--jump", "netjumper+tls://home.example.net", "--check"]) == 2
    assert error_of(capsys).startswith(
        "--jump: home.example.net:9527: TLS by the secret alone needs "
    )


def test_listen_tls_alone_opens_no_unencrypted_listener(certificates):
    with running(
        "netjumper", "--listen-tls", f"{HOST}:0",
        "--certificate-file", str(certificates / "server.pem"), env=ENV,
    ) as it:  # fmt: skip
        it.address("netjumper with TLS")
        assert sum("listening for" in line for line in it.lines) == 1


def test_certificate_without_a_tls_listener_is_refused(secret, capsys, certificates):
    file = str(certificates / "server.pem")
    assert server.main(["--certificate-file", file, "--check"]) == 2
    assert error_of(capsys) == ("--certificate-file: no listener uses TLS; set listen_tls\n")


def test_client_ca_file_requires_certificate_file(secret, capsys, certificates):
    file = str(certificates / "authority.pem")
    assert server.main(["--listen-tls", ":0", "--client-ca-file", file, "--check"]) == 2
    assert error_of(capsys) == ("--client-ca-file: client_ca_file requires certificate_file\n")


def test_file_that_is_not_a_certificate_is_refused(secret, capsys, certificates):
    (certificates / "server.pin").chmod(0o600)
    file = str(certificates / "server.pin")
    assert server.main(["--listen-tls", ":0", "--certificate-file", file, "--check"]) == 2
    assert error_of(capsys) == (
        f"--certificate-file: {file}: expected a certificate in PEM, followed by its key\n"
    )
    arguments = ["--jump", "netjumper+tls://home.example.net", "--ca-file", file, "--check"]
    assert bridge.main(arguments) == 2
    assert error_of(capsys).startswith(f"--ca-file: {file}: expected a certif")
    arguments[2:4] = ["--ca-file", str(certificates / "authority.pem"), "--certificate-file", file]
    assert bridge.main(arguments) == 2
    assert error_of(capsys).startswith(f"--certificate-file: {file}: expected a certif")


@pytest.mark.usefixtures("secret")
def test_missing_ca_file_is_reported_with_its_setting(capsys, certificates):
    server_pem, missing = str(certificates / "server.pem"), str(certificates / "missing.pem")
    files = ["--certificate-file", server_pem, "--client-ca-file", missing]
    assert server.main(["--listen-tls", ":0", *files, "--check"]) == 2
    assert error_of(capsys) == f"--client-ca-file: {missing}: No such file or directory\n"


UNUSED_FILE_MESSAGES = {
    "ca_file": (
        "no jump host is verified with this CA; write netjumper+tls://HOST without pin and ca"
    ),
    "certificate_file": (
        "no jump host gets this certificate; write netjumper+tls://HOST with pin or ca=system, "
        "or set ca_file"
    ),
}


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("127.0.0.1:7731", "ca_file"),
        ("127.0.0.1:7731", "certificate_file"),
        ("netjumper+tls://h?pin=" + "0" * 64, "ca_file"),
        ("netjumper+tls://h?ca=system", "ca_file"),
        ("netjumper+tls://h", "certificate_file"),
    ],
)
@pytest.mark.usefixtures("secret")
def test_tls_file_that_no_jump_host_uses_is_refused(capsys, certificates, url, key):
    file = certificates / {"ca_file": "authority.pem", "certificate_file": "client.pem"}[key]
    flag = f"--{key.replace('_', '-')}"
    assert bridge.main(["--jump", url, flag, str(file), "--check"]) == 2
    assert error_of(capsys) == f"{flag}: {UNUSED_FILE_MESSAGES[key]}\n"


@pytest.mark.parametrize(
    ("urls", "keys"),
    [
        (["netjumper+tls://h?pin=" + "0" * 64], ["certificate_file"]),
        (["netjumper+tls://h?ca=system"], ["certificate_file"]),
        (["netjumper+tls://h"], ["ca_file", "certificate_file"]),
        (["netjumper+tls://h", "netjumper+tls://i?ca=system"], ["ca_file"]),
    ],
)
@pytest.mark.usefixtures("secret")
def test_tls_file_that_one_jump_host_uses_is_accepted(capsys, certificates, urls, keys):
    names = {"ca_file": "authority.pem", "certificate_file": "client.pem"}
    jump = [word for url in urls for word in ("--jump", url)]
    files = [
        word for it in keys for word in (f"--{it.replace('_', '-')}", str(certificates / names[it]))
    ]
    assert bridge.main([*jump, *files, "--check"]) == 0
    assert error_of(capsys) == ""


@pytest.mark.parametrize("other", [["--jump", "h:1"], ["--embedded"]])
@pytest.mark.usefixtures("secret")
def test_unused_ca_file_of_the_settings_file_is_accepted(capsys, certificates, private, other):
    settings = '[bridge]\njump = ["netjumper+tls://h"]\nca_file = "authority.pem"\n'
    config = ["--config", str(private("config.toml", settings))]
    assert bridge.main([*config, *other, "--check"]) == 0
    assert bridge.main([*config, *other, "--ca-file", "authority.pem", "--check"]) == 2


def test_unencrypted_jump_host_beside_a_tls_one_causes_a_warning():
    jump = ["--jump", "netjumper+tls://h?ca=system", "--jump", "192.0.2.1:9527"]
    done = run([installed("netjumper-bridge"), *jump, "--check"], ENV)
    (line,) = done.stderr.decode().splitlines()
    assert done.returncode == 0
    assert (
        "WARNING requests to jump host 192.0.2.1:9527 are unencrypted, although others have TLS"
        in line
    )
    only = run([installed("netjumper-bridge"), *jump[2:], "--check"], ENV)
    assert (only.returncode, only.stderr) == (0, b"")


@needs_psk
@pytest.mark.needs("curl")
def test_each_client_has_its_own_key(private):
    text = '[alice]\nsecrets = ["one", "two"]\n[bob]\nsecrets = ["three"]\n'
    with jump_server("--clients-file", private("clients.toml", text)) as jump:
        for user, accepted in {"alice:one": True, "alice:two": True, "bob:one": False}.items():
            with bridge_to(f"netjumper+tls://{user}@{jump}") as (_, proxy):
                assert ("you asked for /page" in fetched(proxy)) is accepted


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
        with bridge_to(f"netjumper+tls://:another@{jump}"):
            it.wait_for("WARNING .*AuthenticationError: TLS failed: the key that is offered is not")
            it.wait_for(f"WARNING banned {HOST} for 60 s after 1 failed authentication, last from")


@pytest.mark.parametrize("side", ["netjumper", "netjumper-bridge"])
def test_key_that_others_can_read_is_refused(certificates, capsys, side, monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    file = certificates / "server.pem"
    file.chmod(0o644)
    more = ["--listen-tls", f"{HOST}:0"] if side == "netjumper" else ["--jump", "192.0.2.1:1"]
    command = server if side == "netjumper" else bridge
    assert command.main(["--certificate-file", str(file), *more, "--check"]) == 2
    message = (
        f"{side}: --certificate-file: others can read the secret in {file}; type: chmod 600 {file}"
    )
    assert capsys.readouterr().err.strip() == message


@pytest.mark.parametrize("name", ["x" * 300, "none.pem"])
def test_missing_certificate_file_is_reported_in_one_line(monkeypatch, capsys, tmp_path, name):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    file = tmp_path / name
    arguments = ["--listen-tls", ":0", "--certificate-file", str(file), "--check"]
    assert server.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"netjumper: --certificate-file: {file}: ")
    assert "name too long" in line or "No such file" in line


@pytest.mark.parametrize("side", ["netjumper", "netjumper-bridge"])
def test_directory_instead_of_a_certificate_is_refused(secret, capsys, tmp_path, side):
    tls = (
        ["--listen-tls", ":0"] if side == "netjumper" else ["--jump", "netjumper+tls://h?ca=system"]
    )
    command = server if side == "netjumper" else bridge
    assert command.main([*tls, "--certificate-file", str(tmp_path), "--check"]) == 2
    assert error_of(capsys) == (
        f"--certificate-file: {tmp_path} is a directory; expected a file in PEM\n"
    )
