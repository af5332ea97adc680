"""Scripts that complete commands and options in a shell, generated from the parser of the command line."""

import argparse
from collections.abc import Iterator

from topthree_client.fish_completion import fish_script

ZSH_HEAD = """\
autoload -U +X bashcompinit && bashcompinit
"""
BASH = """\
_topthree() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command= word words=
  for word in "${{COMP_WORDS[@]:1:$((COMP_CWORD-1))}}"; do
    case "${{command:+$command }}$word" in {commands}) command="${{command:+$command }}$word" ;; esac
  done
  COMPREPLY=()
  case "$command $previous" in
{values}
  esac
  if [[ -z $words ]]; then
    case "$command $current" in
{options}
    esac
  fi
  # Without words, `-o default` completes the names of files.
  [[ -z $words ]] || COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _topthree topthree
"""


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for `shell`, which is bash, zsh or fish."""
    if shell == "fish":
        return fish_script(parser)
    commands = dict(_commands(parser, ""))
    values, options = [], []
    # The patterns of a command come before those of the command that it belongs to, which match its words too.
    for name, command in commands.items():
        values += [f'    "{name} {each}") words="{_choices(choices)}" ;;' for each, choices in _valued(command)]
        positional = " ".join(_choices(action.choices) for action in _positionals(command) if action.choices)
        options.append(f'      "{name} -"*) words="{" ".join(_names(command))}" ;;')
        options.append(f'      "{name} "*) words="{positional}" ;;')
    names = "|".join(f'"{name}"' for name in commands if name)
    script = BASH.format(commands=names, values="\n".join(values), options="\n".join(options))
    load = f"# Load it with: source <(topthree completion {shell})\n"
    return load + (ZSH_HEAD if shell == "zsh" else "") + script


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the parsers of the commands below one, such as "batch list", and then that one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below, command in action.choices.items():
                yield from _commands(command, f"{name} {below}".lstrip())
    yield name, parser


def _names(parser: argparse.ArgumentParser) -> list[str]:
    """Return the long names of the options."""
    return [name for action in parser._actions for name in action.option_strings if name.startswith("--")]


def _valued(parser: argparse.ArgumentParser) -> list[tuple[str, object]]:
    """Return the options that have a list of values, with the values."""
    actions = [action for action in parser._actions if action.choices and action.option_strings]
    return [(name, action.choices) for action in actions for name in action.option_strings]


def _positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _choices(choices: object) -> str:
    return " ".join(map(str, choices)) if isinstance(choices, dict | list | tuple) else ""
