"""The man pages: what is committed is what the parsers give, and programs that read them agree."""

import re
from pathlib import Path

import pytest

from manpages import pages
from netjumper import __version__
from netjumper.cli import bridge, server
from netjumper.cli.proxy_variables import variables
from netjumper.diagnostics.steps import EXIT_CODES
from tests.support import programs

DIRECTORY = Path(__file__).parents[2] / "docs" / "man"
MODULES = {"netjumper.1": server, "netjumper-bridge.1": bridge}
every_page = pytest.mark.parametrize("name", list(MODULES))
SECTIONS = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "OPTIONS",
    "COMMANDS",
    "SETTINGS",
    "ENVIRONMENT",
    "FILES",
    "SIGNALS",
    "EXIT STATUS",
    "EXAMPLES",
    "SEE ALSO",
]


def rendered(name):
    """Return the page as a reader with 80 columns sees it, section by section."""
    done = programs.run(
        ["man", "--local-file", "--warnings", str(DIRECTORY / name)],
        env={"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANOPT": ""},
    )
    assert done.returncode == 0
    assert done.stderr == b""
    text = done.stdout.decode()
    parts = re.split(r"^([A-Z][A-Z ]+)\n", text, flags=re.MULTILINE)
    return text, dict(zip(parts[1::2], parts[2::2], strict=True))


@every_page
def test_what_is_committed_is_what_the_parsers_give(name):
    assert (DIRECTORY / name).read_text() == pages.pages()[name].text(), "type: make generated"


def test_no_page_is_left_that_no_parser_gives():
    assert {path.name for path in DIRECTORY.iterdir()} == set(pages.pages())


def test_it_writes_the_pages_into_a_directory(tmp_path):
    assert pages.main(str(tmp_path)) == 0
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {name: page.text() for name, page in pages.pages().items()}


@pytest.mark.needs("mandoc")
@every_page
def test_a_linter_finds_nothing_but_the_date_that_is_left_out(name):
    done = programs.run(["mandoc", "-T", "lint", str(DIRECTORY / name)])
    told = done.stdout.decode().splitlines()
    assert [line for line in told if "missing date" not in line] == []


@pytest.mark.needs("groff")
@every_page
def test_troff_warns_of_nothing(name):
    done = programs.run(["groff", "-man", "-ww", "-z", str(DIRECTORY / name)])
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.needs("man")
@every_page
def test_a_reader_with_80_columns_sees_every_section_whole(name):
    text, sections = rendered(name)
    assert [section for section in sections if section != "SEE ALSO"] == SECTIONS[:-1]
    assert max(map(len, text.splitlines())) <= 80
    assert f"netjumper {__version__}" in text


@pytest.mark.needs("man")
@every_page
def test_every_option_and_every_command_has_its_place(name):
    _, sections = rendered(name)
    module = MODULES[name]
    for action in module.build_parser()._actions:
        for option in action.option_strings:
            tag = rf"^       (-.*, )?{option}(?![\w-])"
            assert re.search(tag, sections["OPTIONS"], re.MULTILINE), option
    for command in module.COMMANDS:
        assert f"\n       {name[:-2]} {command.name}" in sections["SYNOPSIS"]
        described = under(command.name, sections["COMMANDS"])
        for action in command.build_parser()._actions:
            for option in action.option_strings[:1]:
                assert option == "-h" or named(option, described), (command.name, option)


def under(title, text):
    """Return the part of a section that has this title."""
    parts = re.split(r"^   (\S.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def named(option, text):
    """Whether the option itself is there, and not only a longer one that begins like it."""
    return re.search(rf"(?<![\w-]){option}(?![\w-])", text)


@pytest.mark.needs("man")
def test_an_option_that_means_something_else_in_a_command_is_described_there():
    _, sections = rendered("netjumper-bridge.1")
    described = under("healthcheck", sections["COMMANDS"])
    assert re.search(
        r"^ +--embedded.*\n +The jump server runs in the bridge", described, re.MULTILINE
    )


@pytest.mark.needs("man")
def test_the_environment_and_the_exit_statuses_are_those_of_the_code():
    _, sections = rendered("netjumper-bridge.1")
    for variable in variables("h:1", "s:1"):
        assert variable in sections["ENVIRONMENT"]
    statuses = dict(re.findall(r"^       (\S+) +(.+)", sections["EXIT STATUS"], re.MULTILINE))
    for step, code in EXIT_CODES.items():
        assert statuses[str(code)].startswith(f"doctor: {step} ")
    assert {"0", "1", "2", "126", "127", "128+n", "130"} <= statuses.keys()


def test_an_option_comes_out_as_one_that_can_be_pasted():
    text = pages.pages()["netjumper-bridge.1"].text()
    assert "\\fB\\-\\-secret\\-file\\fR \\fIFILE\\fR" in text
    assert not re.search(r"(?<!\\)-", text), "a hyphen where a minus is typed"
