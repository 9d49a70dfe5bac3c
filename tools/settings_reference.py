"""`python -m settings_reference FILE`: write the reference of all settings.

`make generated` updates `docs/settings.md`, and a test checks that it matches the declarations.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from netjumper.settings.common import CommonSettings
from netjumper.settings.loader import MODELS
from netjumper.settings.messages import expectation
from netjumper.settings.option import Command, Group, default_of, flag, option_of, variable
from netjumper.settings.settings_file import CONFIG_VARIABLE, SYSTEM_CONFIG

_HEAD = f"""\
<!-- Written by `make generated` from the declarations in src/netjumper/settings. Do not edit. -->

# Settings

Each setting is a key in a table of the settings file, an environment variable and, except for
`secret`, a flag. Flags win over the environment, which wins over the file. `--check` checks the
settings and prints those given, each with its origin
([operation](operation.md#where-settings-come-from)).

The settings file is the one that `--config` names, else the one that `{CONFIG_VARIABLE}` names,
else `~/.config/netjumper/config.toml` (under `XDG_CONFIG_HOME` if that is set), else
`{SYSTEM_CONFIG}`. [config.example.toml](../config.example.toml) is an example with all keys.
Paths in it are relative to the directory of the file. A settings file with a secret must be
readable only by its owner (`chmod 600`).

Times are in seconds. In a variable, items of a list are separated by commas or spaces, and a
switch is `true` or `false`. A flag for a list is given once per item, and `--no-FLAG` turns a
switch off.

A jump server reloads the settings marked "reloadable" on SIGHUP; the others take effect after a
restart. A bridge reloads none.
"""


def reference() -> str:
    """Return the whole document, in Markdown."""
    parts = [_HEAD]
    for table, model in MODELS.items():
        parts.append(f"\n## `{model.command}`: table `[{table}]`\n")
        for group in Group:
            parts += _group(model, group)
    return "".join(parts)


def main(path: str) -> int:
    """Write the document and return the exit status.

    Args:
        path: of the file.

    Raises:
        OSError: the file cannot be written.
    """
    Path(path).write_text(reference(), encoding="utf-8")
    return 0


def _group(model: type[CommonSettings], group: Group) -> Iterator[str]:
    keys = [key for key, info in model.model_fields.items() if option_of(info).group is group]
    if keys:
        yield f"\n### {_capital(group)}\n"
    for key in keys:
        yield f"\n#### `{key}`\n\n"
        yield f"{_capital(option_of(model.model_fields[key]).help)}.\n\n"
        yield from (f"- {line}\n" for line in _facts(model, key))


def _facts(model: type[CommonSettings], key: str) -> Iterator[str]:
    info = model.model_fields[key]
    option = option_of(info)
    if option.has_flag:
        yield f"Flag: `{_flags(model, key)}`"
    yield f"Variable: `{variable(key)}`"
    yield f"Value: {expectation(info).text}"
    yield f"Default: {default_of(info) or ('false' if info.annotation is bool else 'none')}"
    if model.can_reload:
        yield f"Reloadable: {'yes' if option.reloadable else 'no'}"
    if option.has_flag:
        commands = [it for it in Command if it in (model.command, *option.also)]
        own = [it for it in commands if f"{it} ".startswith(f"{model.command} ")]
        yield f"Commands: {', '.join(f'`{it}`' for it in own)}"


def _flags(model: type[CommonSettings], key: str) -> str:
    is_switch = model.model_fields[key].annotation is bool
    return f"{flag(key)}`, `{flag(key, False)}" if is_switch else flag(key)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
