# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Run the commands of the documentation.

    python docs/run_commands.py              every page, everything that can run here
    python docs/run_commands.py deploy.md    one page

The first words after ``` tell how a block is run:

sh              quick; `make test` runs it too
sh heavy        takes long
sh terminal     goes on in a terminal of its own until the page ends, then gets Ctrl-C
sh live         quick, and needs the terminals above it
sh manual WHY   not run

Where the model that a page names is not there, an untrained one takes its place. What the pages
write to runs/ goes to a folder that is removed afterwards.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted(ROOT.glob('docs/*.md')))
KINDS = ('', 'heavy', 'terminal', 'live', 'manual')
RUN_HERE = ('', 'heavy', 'terminal', 'live')
MODEL = 'models/SafetyPointGoal1-v0'
RUNS = 'runs/'
TERMINAL_START_S = 6.0
"""Between the start of a terminal's command and the next one."""
INTERRUPTED = 130
_BLOCK = re.compile(r'^```sh *(?P<kind>\w*)(?P<why>[^\n]*)\n(?P<text>.*?)^```', re.DOTALL | re.M)


@dataclass(frozen=True)
class Block:
    """One block of commands."""

    page: Path
    line: int
    kind: str
    why: str
    commands: tuple[str, ...]


class CommandFailed(Exception):
    """A command of the documentation does not work."""


def blocks(page: Path) -> Iterator[Block]:
    """
    Yield the blocks of a page.

    :raises CommandFailed: a block of no known kind, or a manual one without a reason
    """
    text = page.read_text(encoding='utf-8')
    for match in _BLOCK.finditer(text):
        line = text.count('\n', 0, match.start()) + 1
        kind, why = match['kind'], match['why'].strip()
        if kind not in KINDS or (kind == 'manual') != bool(why):
            raise CommandFailed(f'{page.name}:{line}: "sh {kind} {why}" is no kind of block')
        yield Block(page, line, kind, why, tuple(match['text'].strip().splitlines()))


def environment() -> dict[str, str]:
    """Return the environment of a reader who has activated .venv."""
    return {**os.environ, 'PATH': f'{Path(sys.executable).parent}{os.pathsep}'
            + os.environ.get('PATH', ''), 'COLUMNS': '100'}


def here(command: str, runs: Path, model: Path | None) -> str:
    """Return the command with a model that exists and a folder of its own to write to."""
    command = command.replace(RUNS, f'{runs}/')
    return command if model is None else command.replace(MODEL, str(model))


def run_page(page: Path, kinds: Sequence[str], runs: Path, model: Path | None = None) -> int:
    """
    Run the blocks of a page that are of some kinds; return how many commands ran.

    :param runs: existing folder in place of runs/
    :param model: in place of the one that the pages name
    :raises CommandFailed: names the page, the line and what was said
    """
    terminals: list[tuple[Block, str, subprocess.Popen[bytes]]] = []
    count = 0
    try:
        for block in blocks(page):
            if block.kind not in kinds:
                continue
            for command in block.commands:
                count += 1
                print(f'{page.name}:{block.line}: {command}', flush=True)
                if block.kind == 'terminal':
                    terminals.append((block, command, subprocess.Popen(
                        ['bash', '-c', f'exec {here(command, runs, model)}'
                         f'{with_model(command, model)}'],
                        cwd=ROOT, env=environment(), start_new_session=True)))
                    time.sleep(TERMINAL_START_S)
                    continue
                result = subprocess.run(
                    ['bash', '-ec', here(command, runs, model)], cwd=ROOT, env=environment(),
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
                if result.returncode != 0:
                    raise CommandFailed(f'{page.name}:{block.line}: "{command}" ended with exit '
                                        f'code {result.returncode}:\n{result.stdout[-2000:]}')
    finally:
        for _, _, process in reversed(terminals):
            os.killpg(process.pid, signal.SIGINT)
    for block, command, process in terminals:
        if process.wait(30.0) not in (0, INTERRUPTED):
            raise CommandFailed(f'{page.name}:{block.line}: "{command}" ended with exit code '
                                f'{process.returncode} on Ctrl-C')
    return count


def with_model(command: str, model: Path | None) -> str:
    """Return the argument that makes `spowl robot` drive with another than the shipped model."""
    return f' model:={model}' if model is not None and command.startswith('spowl robot') else ''


def stand_in(directory: Path) -> Path | None:
    """Return an untrained model where the one that the pages name is missing, else None."""
    if (ROOT / MODEL / 'manifest.json').is_file():
        return None
    model = directory / Path(MODEL).name
    subprocess.run(['spowl', 'export', '--untrained', Path(MODEL).name, str(model)], check=True,
                   env=environment())
    return model


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description='Run the commands of the documentation.')
    parser.add_argument('pages', nargs='*', help='names of pages (default: all)')
    names = parser.parse_args().pages
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that terminals are closed
    pages = [page for page in PAGES if not names or page.name in names]
    with tempfile.TemporaryDirectory() as directory:
        runs = Path(directory)
        model = stand_in(runs)
        try:
            count = sum(run_page(page, RUN_HERE, runs, model) for page in pages)
        except CommandFailed as error:
            print(f'error: {error}', file=sys.stderr)
            return 1
    print(f'{count} commands of {len(pages)} pages ran')
    return 0


if __name__ == '__main__':
    sys.exit(main())
