"""`completion`: what it prints is what the parsers give, and the shells complete by it."""

import os
from pathlib import Path

import pytest

import completions
import netjumper.cli
from netjumper.cli import bridge, server
from tests.support import programs

MAINS = {"netjumper": server.main, "netjumper-bridge": bridge.main}
COMMITTED = Path(netjumper.cli.__file__).parent / "completions"


@pytest.mark.parametrize("name", list(completions.scripts()))
def test_committed_script_matches_the_parsers(name):
    assert (COMMITTED / name).read_text() == completions.scripts()[name], "type: make generated"


def test_no_obsolete_script_is_committed():
    committed = {str(it.relative_to(COMMITTED)) for it in COMMITTED.rglob("*") if it.is_file()}
    assert committed == set(completions.scripts())


def test_generator_writes_the_scripts_into_a_directory(tmp_path):
    assert completions.main(str(tmp_path)) == 0
    written = {name: (tmp_path / name).read_text() for name in completions.scripts()}
    assert written == completions.scripts()


def printed(capsys, name, shell):
    assert MAINS[name](["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def completed(script, *words):
    """Return what bash offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    commands = f"""
{script}
COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}
function=$(complete -p '{words[0]}' | sed 's/.*-F \\([^ ]*\\).*/\\1/')
compopt() {{ :; }}
$function '{words[0]}' '{words[-1]}' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = programs.run(["bash", "-c", commands])
    return set(done.stdout.decode().split())


@pytest.mark.needs("bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["netjumper-bridge", "e"], {"exec", "env"}),
        (["netjumper-bridge", "--jump"], {"--jump", "--jump-policy", "--jump-timeout"}),
        (["netjumper-bridge", "doctor", "--js"], {"--json"}),
        (["netjumper-bridge", "env", "--shell", "p"], {"powershell"}),
        (["netjumper-bridge", "completion", "z"], {"zsh"}),
        (["netjumper", "k"], {"keygen"}),
        (["netjumper", "--li"], {"--listen", "--listen-tls"}),
    ],
)
def test_bash_completes(words, offered, capsys):
    assert completed(printed(capsys, words[0], "bash"), *words) == offered


@pytest.mark.needs("bash")
def test_bash_completes_file_names(capsys, tmp_path, monkeypatch):
    (tmp_path / "secret").touch()
    monkeypatch.chdir(tmp_path)
    script = printed(capsys, "netjumper-bridge", "bash")
    assert completed(script, "netjumper-bridge", "--secret-file", "se") == {"secret"}


COMPLETIONS = pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("netjumper-bridge do", "doctor"),
        ("netjumper-bridge --handshake", "--handshake-timeout"),
        ("netjumper-bridge doctor --js", "--json"),
        ("netjumper-bridge exec --vi", "--via"),
        ("netjumper-bridge env --shell p", "powershell"),
        ("netjumper-bridge --secret-file sec", "secret"),
        ("netjumper-bridge completion z", "zsh"),
        ("netjumper k", "keygen"),
        ("netjumper --secret-fi", "--secret-file"),
    ],
)


@pytest.fixture
def in_directory_with_secret(tmp_path, monkeypatch):
    """Be in a directory with a file of that name."""
    (tmp_path / "secret").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.needs("fish")
@COMPLETIONS
def test_fish_completes(typed, expected, capsys, tmp_path, in_directory_with_secret):
    script = printed(capsys, typed.split()[0], "fish")
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    commands = f"{script}\ncomplete -C '{typed}'"
    done = programs.run(["fish", "--no-config", "-c", commands], env=env)
    offered = [line.split("\t")[0] for line in done.stdout.decode().splitlines()]
    assert offered == [expected]


ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "cd $1; fpath=($1 \\$fpath); autoload -U compinit; compinit -u -D
show() { print \\"LINE:\\$BUFFER:END\\" }; zle -N show; bindkey '^X' show; print REA''DY"
zpty -r -m shell it '*READY*'
zpty -w -n shell "$2"$'\\t\\x18'
zpty -r -m shell it '*:END*'
print -r -- "$it"
"""


@pytest.mark.needs("zsh")
@COMPLETIONS
def test_zsh_completes(typed, expected, capsys, tmp_path, in_directory_with_secret):
    name = typed.split()[0]
    (tmp_path / f"_{name}").write_text(printed(capsys, name, "zsh"))
    done = programs.run(["zsh", "-f", "-c", ZSH, "zsh", str(tmp_path), typed], {"TERM": "dumb"})
    line = done.stdout.decode().partition("LINE:")[2].partition(":END")[0]
    assert line.split() == [*typed.split()[:-1], expected]


@pytest.mark.parametrize("name", list(MAINS))
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_has_every_command_and_its_summary(name, shell, capsys):
    script = printed(capsys, name, shell)
    commands = (bridge if name == "netjumper-bridge" else server).COMMANDS
    assert not [it.name for it in commands if it.name not in script]
    if shell != "bash":
        assert not [it.name for it in commands if it.summary not in script]
    assert os.sep + "home" not in script


def test_unknown_shell_is_refused(capsys):
    assert bridge.main(["completion", "csh"]) == 2
    assert "expected bash, zsh or fish, not 'csh'" in capsys.readouterr().err
