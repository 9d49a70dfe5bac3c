"""`netjumper keygen`: a secret, and nothing else."""

import os

import pytest

import programs
from netjumper.cli import server


def run(*arguments):
    """Run the real command to its end: exit code, output, lines of the log."""
    done = programs.run([programs.installed("netjumper"), *arguments])
    return done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()


def test_keygen_prints_a_fresh_secret_of_256_bits_and_nothing_else():
    made = [run("keygen") for _ in range(2)]
    for code, out, lines in made:
        assert (code, lines) == (0, [])
        assert len(bytes.fromhex(out)) == 32
    assert made[0] != made[1]


def test_a_made_secret_is_taken(private):
    _, secret, _ = run("keygen")
    path = private("secret", secret)
    assert run("--secret-file", str(path), "--check")[0] == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
def test_a_secret_that_could_not_be_written_is_a_failure():
    command = f"exec {programs.installed('netjumper')} keygen >/dev/full"
    done = programs.run(["sh", "-c", command])
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", [["keygen", "s3cret"], ["keygen", "--check"]])
def test_keygen_stands_alone(words, capsys):
    assert server.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("netjumper: keygen stands alone")
    assert err.count("\n") == 1
    assert "s3cret" not in err
