"""`doctor` and `healthcheck` with TLS."""

import socket

import pytest

from netjumper.cli import bridge, server
from tests.support.programs import running, web_server
from tests.support.tls_commands import ENV, HOST, jump_server, needs_psk


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
    assert f"JumpHostUntrusted: jump host {jump}: certificate verification failed" in out
    assert "an attacker may intercept the connection" in " ".join(out.split())


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
    message = f"netjumper: netjumper with TLS on {jump}: the answer is not from netjumper\n"
    assert capsys.readouterr().err == message
