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
    """Return the page as text of 80 columns, and its sections."""
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
def test_committed_page_matches_the_parsers(name):
    assert (DIRECTORY / name).read_text() == pages.pages()[name].text(), "type: make generated"


def test_no_obsolete_page_is_committed():
    assert {path.name for path in DIRECTORY.iterdir()} == set(pages.pages())


def test_generator_writes_the_pages_into_a_directory(tmp_path):
    assert pages.main(str(tmp_path)) == 0
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {name: page.text() for name, page in pages.pages().items()}


@pytest.mark.needs("mandoc")
@every_page
def test_mandoc_warns_only_of_the_missing_date(name):
    done = programs.run(["mandoc", "-T", "lint", str(DIRECTORY / name)])
    warnings = done.stdout.decode().splitlines()
    assert [line for line in warnings if "missing date" not in line] == []


@pytest.mark.needs("groff")
@every_page
def test_groff_prints_no_warning(name):
    done = programs.run(["groff", "-man", "-ww", "-z", str(DIRECTORY / name)])
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.needs("man")
@every_page
def test_page_fits_80_columns_and_has_every_section(name):
    text, sections = rendered(name)
    assert [section for section in sections if section != "SEE ALSO"] == SECTIONS[:-1]
    assert max(map(len, text.splitlines())) <= 80
    assert f"netjumper {__version__}" in text


@pytest.mark.needs("man")
@every_page
def test_page_describes_every_option_and_command(name):
    _, sections = rendered(name)
    module = MODULES[name]
    for action in module.build_parser()._actions:
        for option in action.option_strings:
            tag = rf"^       (-.*, )?{option}(?![\w-])"
            assert re.search(tag, sections["OPTIONS"], re.MULTILINE), option
    for command in module.COMMANDS:
        assert f"\n       {name[:-2]} {command.name}" in sections["SYNOPSIS"]
        described = subsection(command.name, sections["COMMANDS"])
        for action in command.build_parser()._actions:
            for option in action.option_strings[:1]:
                assert option == "-h" or has_option(option, described), (command.name, option)


def subsection(title, text):
    """Return the part of a section that has this title."""
    parts = re.split(r"^   (\S.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def has_option(option, text):
    """Whether a text has the option itself, not only a longer one with this prefix."""
    return re.search(rf"(?<![\w-]){option}(?![\w-])", text)


@pytest.mark.needs("man")
def test_option_specific_to_a_command_is_described_there():
    _, sections = rendered("netjumper-bridge.1")
    described = subsection("healthcheck", sections["COMMANDS"])
    assert re.search(
        r"^ +--embedded.*\n +The jump server runs in the bridge", described, re.MULTILINE
    )


@pytest.mark.needs("man")
def test_environment_and_exit_statuses_match_the_code():
    _, sections = rendered("netjumper-bridge.1")
    for variable in variables("h:1", "s:1"):
        assert variable in sections["ENVIRONMENT"]
    statuses = dict(re.findall(r"^       (\S+) +(.+)", sections["EXIT STATUS"], re.MULTILINE))
    for step, code in EXIT_CODES.items():
        assert statuses[str(code)].startswith(f"doctor: {step} ")
    assert {"0", "1", "2", "126", "127", "128+n", "130"} <= statuses.keys()


def test_hyphens_of_options_can_be_pasted():
    text = pages.pages()["netjumper-bridge.1"].text()
    assert "\\fB\\-\\-secret\\-file\\fR \\fIFILE\\fR" in text
    assert not re.search(r"(?<!\\)-", text), "a hyphen where a minus is typed"
