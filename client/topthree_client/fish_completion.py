"""The script that completes commands and options in fish, generated from the parser of the command line."""

import argparse
from collections.abc import Iterator

# The names that the help uses for values that are paths.
PATHS = ("FILE", "LIST", "FILE_OR_FOLDER")
# Each command has a space before it: " classify".
HEAD = """\
# Load it with: topthree completion fish | source
function __topthree_is_at
  set -l at ""
  for word in (commandline -opc)[2..-1]
    if contains -- "$at $word" {commands}
      set at "$at $word"
    end
  end
  test "$at" = "$argv[1]"
end
complete -c topthree -f
"""


def fish_script(parser: argparse.ArgumentParser) -> str:
    """Return the script."""
    commands = dict(_commands(parser, ""))
    lines = [line for name, command in commands.items() for line in _lines(name, command)]
    return HEAD.format(commands=" ".join(_quoted(name) for name in commands if name)) + "\n".join(lines) + "\n"


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield a parser and those of the commands below it."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below, command in action.choices.items():
                yield from _commands(command, f"{name} {below}")


def _lines(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    here = f"complete -c topthree -n {_quoted(f'__topthree_is_at {_quoted(name)}')}"
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action._choices_actions:
                yield f"{here} -a {below.dest} -d {_quoted(below.help or '')}"
        elif action.option_strings:
            yield f"{here} {_names(action)}{_value(action)} -d {_quoted(action.help or '')}"
        else:
            yield f"{here}{_value(action)}"


def _names(action: argparse.Action) -> str:
    return " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in action.option_strings)


def _value(action: argparse.Action) -> str:
    """Return the options of `complete` for the value of an option or an argument; "" for an option without a value."""
    needs_value = " -r" if action.option_strings else ""
    if action.nargs == 0:
        return ""
    if action.choices:
        return f"{needs_value} -f -a {_quoted(' '.join(map(str, action.choices)))}"
    return f"{needs_value} {'-F' if action.metavar in PATHS else '-f'}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
