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
by_secret = pytest.mark.skipif(sys.version_info < (3, 13), reason="Python has it since 3.13")
too_old = pytest.mark.skipif(sys.version_info >= (3, 13), reason="it is there")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def certificates(authority, tmp_path):
    """The directory of a server's certificate, a client's, and their authority's."""
    for name, owner in {"server": HOST, "client": "alice"}.items():
        issued = authority.issue_cert(owner)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
        (tmp_path / f"{name}.pem").chmod(0o600)
        der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
        (tmp_path / f"{name}.pin").write_text(pin_of(der).hex())
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return tmp_path


@contextlib.contextmanager
def home(*arguments: object) -> Iterator[str]:
    """A jump server with TLS, and where it listens."""
    with running("netjumper", "--listen-tls", f"{HOST}:0", *map(str, arguments), env=ENV) as it:
        yield it.address("netjumper with TLS")


@contextlib.contextmanager
def rented(url: str, *arguments: object) -> Iterator[tuple[Program, str]]:
    """A bridge, and where it speaks HTTP."""
    door = ["--http", f"{HOST}:0", "--jump", url, *map(str, arguments)]
    with running("netjumper-bridge", *door, env=ENV) as it:
        yield it, it.address("HTTP")


def fetched(proxy: str) -> str:
    with web_server() as port:
        done = run(["curl", "-sS", "--proxy", f"http://{proxy}", f"http://{HOST}:{port}/page"])
    return done.stdout.decode() + done.stderr.decode()


@by_secret
@pytest.mark.needs("curl")
def test_curl_fetches_through_tls_by_the_secret_alone():
    with home() as jump, rented(f"netjumper+tls://{jump}") as (bridge, proxy):
        assert "you asked for /page" in fetched(proxy)
        bridge.wait_for(rf"through jump host {jump} \(TLS\)")


@by_secret
@pytest.mark.needs("curl")
def test_another_secret_is_told():
    with home() as jump, rented(f"netjumper+tls://:another@{jump}") as (bridge, proxy):
        assert "The bridge could not use its jump host" in fetched(proxy)
        bridge.wait_for(rf"WARNING .*WrongSecret: jump host {jump}: our key is not known ")


@pytest.mark.needs("curl")
def test_curl_fetches_through_a_pinned_certificate(certificates):
    pin = (certificates / "server.pin").read_text()
    with home("--certificate-file", certificates / "server.pem") as jump:
        with rented(f"netjumper+tls://{jump}?pin={pin}") as (_, proxy):
            assert "you asked for /page" in fetched(proxy)
        other = (certificates / "client.pin").read_text()
        with rented(f"netjumper+tls://{jump}?pin={other}") as (bridge, proxy):
            assert "its certificate is not the pinned one" in fetched(proxy)
            bridge.wait_for("JumpHostUntrusted")


@pytest.mark.needs("curl")
def test_curl_fetches_with_certificates_of_an_authority_on_both_sides(certificates):
    files = {name: certificates / f"{name}.pem" for name in ("server", "client", "authority")}
    with home(
        "--certificate-file", files["server"], "--client-ca-file", files["authority"]
    ) as jump:
        known = ["--ca-file", files["authority"]]
        url = f"netjumper+tls://{jump}"
        with rented(url, *known, "--certificate-file", files["client"]) as (_, proxy):
            assert "you asked for /page" in fetched(proxy)
        with rented(url, *known) as (_, proxy):
            assert "The bridge could not use its jump host" in fetched(proxy)
        with rented(f"{url}?name=other.example", *known) as (_, proxy):
            assert "it is not who it should be: Hostname mismatch" in fetched(proxy)


@pytest.mark.needs("curl")
def test_in_the_clear_nobody_comes_in_where_tls_is_spoken(certificates):
    home_ = home("--certificate-file", certificates / "server.pem", "--handshake-timeout", "0.1")
    with home_ as jump, rented(jump) as (_, proxy):
        assert "The bridge could not use its jump host" in fetched(proxy)


@pytest.mark.needs("curl")
def test_with_tls_nobody_is_met_where_there_is_none(certificates):
    pin = (certificates / "server.pin").read_text()
    with running("netjumper", "--listen", f"{HOST}:0", env=ENV) as it:
        with rented(f"netjumper+tls://{it.address('netjumper')}?pin={pin}") as (_, proxy):
            assert "it does not speak TLS there" in fetched(proxy)


@pytest.mark.needs("curl")
def test_it_is_spoken_in_several_processes_too(certificates):
    pin = (certificates / "server.pin").read_text()
    files = ["--certificate-file", certificates / "server.pem", "--workers", 2]
    with home(*files) as jump, rented(f"netjumper+tls://{jump}?pin={pin}") as (_, proxy):
        for _ in range(4):
            assert "you asked for /page" in fetched(proxy)


# --- looking at it ------------------------------------------------------------------------


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    """Return the exit code, the steps that were told, and all that was."""
    code = bridge.main(["doctor", *arguments])
    out = capsys.readouterr().out
    return code, [line.split()[1] for line in out.splitlines() if " ms " in line], out


@pytest.mark.usefixtures("secret")
def test_the_doctor_looks_through_it(certificates, capsys):
    pin = (certificates / "server.pin").read_text()
    with home("--certificate-file", certificates / "server.pem") as jump, web_server() as port:
        url = f"netjumper+tls://{jump}?pin={pin}"
        code, steps, out = doctor(capsys, "--jump", url, f"http://{HOST}:{port}/blocks/1")
        assert (code, out.count("FAILED")) == (0, 0)
        assert steps == ["name", "connect", "tls", "challenge", "secret", "target", "throughput"]
        assert "B/s over " in out


@pytest.mark.usefixtures("secret")
def test_the_doctor_tells_who_is_not_trusted_and_what_to_do(certificates, capsys):
    other = (certificates / "client.pin").read_text()
    with home("--certificate-file", certificates / "server.pem") as jump:
        code, steps, out = doctor(capsys, "--jump", f"netjumper+tls://{jump}?pin={other}")
    assert (code, steps[-1]) == (8, "tls")
    assert f"JumpHostUntrusted: jump host {jump}: it is not who it should be" in out
    assert "somebody may be in between" in " ".join(out.split())


@pytest.mark.usefixtures("secret")
def test_the_doctor_does_not_wait_for_ever(certificates, capsys):
    pin = (certificates / "server.pin").read_text()
    with socket.create_server((HOST, 0)) as silent:
        url = f"netjumper+tls://{HOST}:{silent.getsockname()[1]}?pin={pin}"
        code, steps, out = doctor(capsys, "--jump", url, "--jump-timeout", "0.05")
    assert (code, steps[-1]) == (8, "tls")
    assert "JumpHostTimeout" in out


@pytest.mark.parametrize("how", [pytest.param("secret", marks=by_secret), "certificate"])
@pytest.mark.usefixtures("secret")
def test_the_healthcheck_sees_that_it_answers(how, certificates, capsys):
    files = ["--certificate-file", certificates / "server.pem"] if how == "certificate" else []
    with home(*files) as jump:
        assert server.main(["healthcheck", "--listen-tls", jump]) == 0
    assert capsys.readouterr().out == f"healthy: netjumper with TLS on {jump}\n"


@pytest.mark.usefixtures("secret")
def test_the_healthcheck_sees_that_something_else_does(capsys):
    with running("netjumper", "--listen", f"{HOST}:0", env=ENV) as it:
        jump = it.address("netjumper")
        assert server.main(["healthcheck", "--listen-tls", jump]) == 1
    told = f"netjumper: netjumper with TLS on {jump}: what answers there is no netjumper\n"
    assert capsys.readouterr().err == told


# --- settings -----------------------------------------------------------------------------


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("netjumper: ").removeprefix("netjumper-bridge: ")


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)


@too_old
def test_a_python_that_is_too_old_is_told_what_else_there_is(secret, capsys):
    assert server.main(["--listen-tls", ":0", "--check"]) == 2
    assert told(capsys) == (
        "--listen-tls: TLS by the secret alone needs Python 3.13 or newer; pin a certificate "
        "instead (`netjumper keygen --tls` makes one)\n"
    )
    assert bridge.main(["--jump", "netjumper+tls://home.example.net", "--check"]) == 2
    assert told(capsys).startswith("--jump: home.example.net:9527: TLS by the secret alone needs ")


def test_with_tls_only_there_is_nothing_in_the_clear(certificates):
    with running(
        "netjumper", "--listen-tls", f"{HOST}:0",
        "--certificate-file", str(certificates / "server.pem"), env=ENV,
    ) as it:  # fmt: skip
        it.address("netjumper with TLS")
        assert sum("listening for" in line for line in it.lines) == 1


def test_a_certificate_that_nobody_is_shown_is_told(secret, capsys, certificates):
    file = str(certificates / "server.pem")
    assert server.main(["--certificate-file", file, "--check"]) == 2
    assert told(capsys) == ("--certificate-file: no listener uses TLS; set listen_tls\n")


def test_asking_for_certificates_without_showing_one_is_told(secret, capsys, certificates):
    file = str(certificates / "authority.pem")
    assert server.main(["--listen-tls", ":0", "--client-ca-file", file, "--check"]) == 2
    assert told(capsys) == ("--client-ca-file: client_ca_file requires certificate_file\n")


def test_a_file_that_is_no_certificate_is_told(secret, capsys, certificates):
    (certificates / "server.pin").chmod(0o600)
    file = str(certificates / "server.pin")
    assert server.main(["--listen-tls", ":0", "--certificate-file", file, "--check"]) == 2
    assert told(capsys) == (
        f"--certificate-file: {file}: expected a certificate in PEM, followed by its key\n"
    )
    arguments = ["--jump", "netjumper+tls://home.example.net", "--ca-file", file, "--check"]
    assert bridge.main(arguments) == 2
    assert told(capsys).startswith(f"--ca-file: {file}: expected a certif")
    arguments[2:4] = ["--ca-file", str(certificates / "authority.pem"), "--certificate-file", file]
    assert bridge.main(arguments) == 2
    assert told(capsys).startswith(f"--certificate-file: {file}: expected a certif")


@pytest.mark.usefixtures("secret")
def test_a_missing_authority_is_told_with_its_own_setting(capsys, certificates):
    server_pem, missing = str(certificates / "server.pem"), str(certificates / "missing.pem")
    files = ["--certificate-file", server_pem, "--client-ca-file", missing]
    assert server.main(["--listen-tls", ":0", *files, "--check"]) == 2
    assert told(capsys) == f"--client-ca-file: {missing}: No such file or directory\n"


IN_VAIN = {
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
def test_a_file_that_no_jump_host_is_met_with_is_refused(capsys, certificates, url, key):
    file = certificates / {"ca_file": "authority.pem", "certificate_file": "client.pem"}[key]
    flag = f"--{key.replace('_', '-')}"
    assert bridge.main(["--jump", url, flag, str(file), "--check"]) == 2
    assert told(capsys) == f"{flag}: {IN_VAIN[key]}\n"


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
def test_a_file_that_one_jump_host_is_met_with_is_taken(capsys, certificates, urls, keys):
    names = {"ca_file": "authority.pem", "certificate_file": "client.pem"}
    jump = [word for url in urls for word in ("--jump", url)]
    files = [
        word for it in keys for word in (f"--{it.replace('_', '-')}", str(certificates / names[it]))
    ]
    assert bridge.main([*jump, *files, "--check"]) == 0
    assert told(capsys) == ""


@pytest.mark.parametrize("other", [["--jump", "h:1"], ["--embedded"]])
@pytest.mark.usefixtures("secret")
def test_a_file_of_the_settings_is_no_mistake_where_other_jump_hosts_are_named(
    capsys, certificates, private, other
):
    settings = '[bridge]\njump = ["netjumper+tls://h"]\nca_file = "authority.pem"\n'
    config = ["--config", str(private("config.toml", settings))]
    assert bridge.main([*config, *other, "--check"]) == 0
    assert bridge.main([*config, *other, "--ca-file", "authority.pem", "--check"]) == 2


def test_a_way_in_the_clear_beside_one_with_tls_is_warned_about():
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


@by_secret
@pytest.mark.needs("curl")
def test_each_client_has_a_key_of_its_own(private):
    text = '[alice]\nsecrets = ["one", "two"]\n[bob]\nsecrets = ["three"]\n'
    with home("--clients-file", private("clients.toml", text)) as jump:
        for who, gets in {"alice:one": True, "alice:two": True, "bob:one": False}.items():
            with rented(f"netjumper+tls://{who}@{jump}") as (_, proxy):
                assert ("you asked for /page" in fetched(proxy)) is gets


@by_secret
def test_who_offers_a_wrong_key_in_tls_is_shut_out_and_who_offers_none_is_not():
    door = ["--max-auth-failures", "1", "--listen-tls", f"{HOST}:0"]
    with running("netjumper", *door, env=ENV) as it:
        jump = it.address("netjumper with TLS")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for count in range(1, 4):  # a browser, say
            with socket.create_connection((HOST, int(jump.rpartition(":")[2]))) as sock:
                with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
                    context.wrap_socket(sock)
            it.wait_for("WARNING .*TLS failed: no key was offered", count)
        with rented(f"netjumper+tls://:another@{jump}"):
            it.wait_for("WARNING .*AuthenticationError: TLS failed: the key that is offered is not")
            it.wait_for(f"WARNING banned {HOST} for 60 s after 1 failed authentication, last from")


@pytest.mark.parametrize("side", ["netjumper", "netjumper-bridge"])
def test_a_certificates_key_that_others_can_read_is_refused(
    certificates, capsys, side, monkeypatch
):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    file = certificates / "server.pem"
    file.chmod(0o644)
    more = ["--listen-tls", f"{HOST}:0"] if side == "netjumper" else ["--jump", "192.0.2.1:1"]
    command = server if side == "netjumper" else bridge
    assert command.main(["--certificate-file", str(file), *more, "--check"]) == 2
    told = (
        f"{side}: --certificate-file: others can read the secret in {file}; type: chmod 600 {file}"
    )
    assert capsys.readouterr().err.strip() == told


@pytest.mark.parametrize("name", ["x" * 300, "none.pem"])
def test_a_certificates_file_that_cannot_be_found_is_one_line(monkeypatch, capsys, tmp_path, name):
    monkeypatch.setenv("NETJUMPER_SECRET", SECRET)
    file = tmp_path / name
    arguments = ["--listen-tls", ":0", "--certificate-file", str(file), "--check"]
    assert server.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"netjumper: --certificate-file: {file}: ")
    assert "name too long" in line or "No such file" in line


@pytest.mark.parametrize("side", ["netjumper", "netjumper-bridge"])
def test_a_directory_instead_of_a_certificate_is_told(secret, capsys, tmp_path, side):
    tls = (
        ["--listen-tls", ":0"] if side == "netjumper" else ["--jump", "netjumper+tls://h?ca=system"]
    )
    command = server if side == "netjumper" else bridge
    assert command.main([*tls, "--certificate-file", str(tmp_path), "--check"]) == 2
    assert told(capsys) == (
        f"--certificate-file: {tmp_path} is a directory; expected a file in PEM\n"
    )
