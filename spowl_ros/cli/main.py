# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Entry point of the `spowl` command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import importlib
import pkgutil
import sys
import traceback
from typing import Protocol, cast

from spowl_ros.base.environment import prepare
from spowl_ros.base.errors import INTERRUPTED, SpowlError, report
import spowl_ros.cli
from spowl_ros.cli._extras import require
from spowl_ros.cli._interrupt import INTERRUPTS


class Verb(Protocol):
    """
    What a module of `spowl_ros.cli` provides.

    Importing a module must be cheap, because `spowl --help` imports all of them: `run` imports
    heavy libraries (torch, rclpy, matplotlib).
    """

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work and return the exit code; raise SpowlError for a user's mistake."""


def verbs() -> dict[str, Verb]:
    """Return the verbs by name: every public module beside this one."""
    names = (module.name for module in pkgutil.iter_modules(spowl_ros.cli.__path__))
    return {
        name.replace('_', '-'): cast(Verb, importlib.import_module(f'spowl_ros.cli.{name}'))
        for name in names
        if name != 'main' and not name.startswith('_')
    }


def parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser of `spowl`, and the parsers of its commands by name."""
    import importlib.metadata  # slow to import

    parser = argparse.ArgumentParser(
        prog='spowl', description='Train, inspect, simulate and replay safe planning controllers.'
    )
    version = importlib.metadata.version('spowl_ros')
    parser.add_argument('--version', action='version', version=f'spowl_ros {version}')
    commands = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
    for name, verb in verbs().items():
        command = commands.add_parser(
            name,
            help=verb.HELP,
            description=verb.__doc__ or verb.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_arguments(command)
        command.set_defaults(run=verb.run, verb=name)
    return parser, dict(commands.choices)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return a command's arguments; options may stand before, between and after the others."""
    parser, commands = parsers()
    if argv and argv[0] in commands:  # argparse cannot mix through a parser of commands
        return commands[argv[0]].parse_intermixed_args(argv[1:])
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run `spowl` and return the exit code.

    :param argv: arguments; None: those of this process, which is to end when the command has ended
    """
    if argv is not None:
        return _run(argv)
    code = INTERRUPTED
    INTERRUPTS.handle()
    try:
        code = _run(sys.argv[1:])
    except SystemExit as end:  # of the parser of arguments
        code = end.code if isinstance(end.code, int) else SpowlError.EXIT_CODE
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        INTERRUPTS.ignore(code)
    return code


def _run(argv: Sequence[str]) -> int:
    """Run the command and report its errors."""
    try:
        prepare()
        args = parse(argv)  # imports: Ctrl-C may come meanwhile
        require(args.verb, args)
        return _done(args)
    except (Exception, KeyboardInterrupt) as error:
        interrupted = INTERRUPTS.told and not isinstance(error, KeyboardInterrupt)
        return report('spowl', KeyboardInterrupt() if interrupted else error)


def _done(args: argparse.Namespace) -> int:
    """
    Run the command and return its exit code.

    :raises SpowlError: something that the command called would end the process
    """
    try:
        return int(args.run(args))
    except SystemExit as end:
        place = traceback.extract_tb(end.__traceback__)[-1]
        raise SpowlError(f'{place.filename}:{place.lineno} ended `spowl {args.verb}` before its '
                         f'work was done, with SystemExit: {end}; remove the call of sys.exit()'
                         ) from end


if __name__ == '__main__':
    sys.exit(main())
