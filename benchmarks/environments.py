# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Test which command runs in which environment: make each environment from scratch, run all.

    python -m benchmarks.environments --csv FILE

A command that needs more than its environment has must say so in one line, with exit code 2. FILE
is written after each environment; the same command again tries only what FILE lacks.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
import csv
from dataclasses import dataclass
import os
from pathlib import Path
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from benchmarks import run_command
from spowl_ros.cli.main import verbs

ROOT = Path(__file__).resolve().parent.parent
MODEL = str(ROOT / 'models/SafetyPointGoal1-v0')
ROBOT = str(ROOT / 'config/robot/diff_drive.yaml')
POLICY = str(ROOT / 'test/training/policies/sb3')
"""Of another library, without the suffix of its files."""
SWEEP = ROOT / 'examples/sweep.yaml'
PINS = ('-c', 'requirements/constraints.txt')
NO_DEPS = ('--no-deps', '-r', 'requirements/simulation.txt')
RUNS, ASKS = 'runs', 'says what to install'
LIMIT_S = 900.0
START_S = 12.0
"""Ctrl-C ends endless commands so long after they began to say something."""
LONGEST_LINE = 300
RULES = 'latency: -1\n'
"""Of `gate`: other programs run on this machine, so that its latency says nothing of a bundle."""


@dataclass(frozen=True)
class Environment:
    """Installed packages, and the needs of commands that they meet."""

    installs: tuple[tuple[str, ...], ...]
    """Arguments of one `pip install` each; `{ros}` is the distribution."""
    has: frozenset[str] = frozenset()


WHEELS = ('-r', 'requirements/{ros}.txt', *PINS)
RUNTIME = (('-r', 'requirements/runtime.txt', *WHEELS), ('--no-deps', '.'))
PLAIN = (('.', *WHEELS),)


def with_extra(extra: str, *more: tuple[str, ...], has: frozenset[str]) -> Environment:
    """Return the environment of `pip install .[extra]` with its extra requirements."""
    return Environment(((f'.[{extra}]', *WHEELS), *more), has)


ENVIRONMENTS = {
    'sim': with_extra('sim', NO_DEPS, has=frozenset({'sim'})),
    'make sim': Environment((RUNTIME[0], NO_DEPS, RUNTIME[1]), frozenset({'sim'})),
    'robot': Environment(RUNTIME),
    'none': Environment(PLAIN),
    'train': with_extra('sim,train', NO_DEPS, has=frozenset({'sim', 'train', 'wrap'})),
    'report': with_extra('report', has=frozenset({'report'})),
    'view': with_extra('view', has=frozenset({'view'})),
    'sign': with_extra('sign', has=frozenset({'sign'})),
    'scale': with_extra('sim,scale', NO_DEPS, has=frozenset({'sim', 'scale', 'dataset'})),
    'wrap': with_extra('wrap', has=frozenset({'wrap'})),
    'dataset': with_extra('dataset', has=frozenset({'dataset'})),
    'rerun': with_extra('rerun', has=frozenset({'rerun', 'dataset'})),
}
"""The first one makes the bag for the others."""
NO_EXTRA = ('robot', 'none')


@dataclass(frozen=True)
class Command:
    """One real use of a verb."""

    words: tuple[str, ...]
    needs: frozenset[str] = frozenset()
    beside: tuple[str, ...] = ()
    """A command that runs meanwhile and is interrupted at the end."""
    interrupted: bool = False
    """Whether it runs until Ctrl-C."""


TINY_TRAINING = (
    'collect.action_repeat=20', 'collect.environments=2', 'collect.decisions=120',
    'collect.random_decisions=20', 'collect.updates_per_decision=0.1', 'batch_size=8',
    'schedule.log=20', 'schedule.evaluate=100', 'schedule.evaluation_episodes=1')
SCALED = ('--address', 'local', '--table', '{here}/bags.parquet', '--cache', '{here}/cache')
DRIVING = ('robot', f'robot:={ROBOT}', f'model:={MODEL}')
COMMANDS = {
    'sim': Command(('sim', 'episodes:=1', 'record:={here}/bag'), frozenset({'sim'})),
    'sim --video': Command(('sim', 'episodes:=1', '--video', '{here}/run.gif'),
                           frozenset({'sim'})),
    'evaluate': Command(('evaluate', MODEL, '--episodes', '1', '--json', '{here}/evaluated.json'),
                        frozenset({'sim'})),
    'calibrate': Command(('calibrate', '{here}/model', '--episodes', '1'), frozenset({'sim'})),
    'bench': Command(('bench', MODEL, '--decisions', '20')),
    'check': Command(('check', ROBOT, MODEL)),
    'inspect': Command(('inspect', MODEL)),
    'verify': Command(('verify', MODEL)),
    'replay': Command(('replay', '{bag}', MODEL, '--json', '{here}/replayed.json')),
    'gate': Command(('gate', MODEL, MODEL, '{bag}', '--rules', '{here}/rules.yaml')),
    'replay --address': Command(('replay', '{bag}', MODEL, *SCALED), frozenset({'scale'})),
    'gate --address': Command(('gate', MODEL, MODEL, '{bag}', '--rules', '{here}/rules.yaml',
                               *SCALED), frozenset({'scale'})),
    'replay --report': Command(('replay', '{bag}', MODEL, '--report', '{here}/report.html'),
                               frozenset({'report'})),
    'robot': Command(DRIVING, interrupted=True),
    'top': Command(('top', '--once', '--seconds', '600'), beside=DRIVING),
    'view': Command(('view', '{bag}', '--no-browser', '--port', '0'), frozenset({'view'}),
                    interrupted=True),
    'view --rerun': Command(('view', '{bag}', '--rerun', '{here}/bag.rrd'), frozenset({'rerun'})),
    'export': Command(('export', '--untrained', 'SafetyPointGoal1-v0', '{here}/exported'),
                      frozenset({'sim', 'train'})),
    'train': Command(('train', 'SafetyPointGoal1-v0', '--output', '{here}/trained',
                      *TINY_TRAINING), frozenset({'sim', 'train'})),
    'dataset': Command(('dataset', MODEL, '{here}/dataset', '{bag}'), frozenset({'dataset'})),
    'wrap': Command(('wrap', f'{POLICY}.onnx', f'{POLICY}.yaml', '{here}/wrapped', '--golden',
                     f'{POLICY}.npz'), frozenset({'wrap'})),
    'sweep': Command(('sweep', '{here}/sweep.yaml'), frozenset({'sim', 'scale'})),
    'sign': Command(('sign', '{here}/model', '--key', '{here}/key.pem'), frozenset({'sign'})),
}


class Installed:
    """
    An environment on disk.

    :param folder: created here; may have any name
    :param python: the Python that creates it
    """

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.spowl = folder / 'bin' / 'spowl'
        subprocess.run([python, '-m', 'venv', folder], check=True)

    def install(self, environment: Environment, ros: str) -> None:
        """Install an environment's packages as a user would."""
        for words in environment.installs:
            subprocess.run(
                [self.folder / 'bin' / 'python', '-m', 'pip', 'install', '--quiet', '--no-compile',
                 '--disable-pip-version-check', *(word.format(ros=ros) for word in words)],
                cwd=ROOT, env=outside(), check=True)

    def start(self, words: Sequence[str], here: Path,
              more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `spowl` with these arguments in a folder."""
        return subprocess.Popen([self.spowl, *words], cwd=here, env={**outside(), **(more or {})},
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                start_new_session=True)


def outside() -> dict[str, str]:
    """Return this process's variables without those that point into its Python environment."""
    own = ('AMENT_PREFIX_PATH', 'LD_LIBRARY_PATH', 'PYTHONPATH', 'VIRTUAL_ENV',
           '_ROS_WHEELS_BOOTSTRAP_COMPLETE')
    return {**{name: value for name, value in os.environ.items() if name not in own},
            'COLUMNS': '200'}


def run(installed: Installed, command: Command, places: Mapping[str, str], here: Path) -> str:
    """Run a command once; return RUNS, ASKS, or what went wrong."""
    beside = installed.start(command.beside, here) if command.beside else None
    process = installed.start([word.format(**places) for word in command.words], here)
    if command.interrupted:
        wait_and_interrupt(process)
    output = rest_of(process)
    if beside is not None:
        interrupt(beside)
        if rest_of(beside) is None:
            return f'{" ".join(command.beside)} did not end within {LIMIT_S:.0f} s of Ctrl-C'
    if output is None:
        return f'not done within {LIMIT_S:.0f} s'
    said = output.strip().splitlines()
    if 'Traceback' in output:
        return f'traceback: {said[-1]}'
    if process.returncode == 0 or command.interrupted and process.returncode == 130:
        return RUNS
    if process.returncode == 2 and len(said) == 1 and 'install' in said[0]:
        return ASKS
    return f'exit code {process.returncode}: {said[-1][:LONGEST_LINE] if said else ""}'


def rest_of(process: subprocess.Popen[str]) -> str | None:
    """Return what a command says until it ends; None if it had to be killed after LIMIT_S."""
    try:
        return process.communicate(timeout=LIMIT_S)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None


def wait_and_interrupt(process: subprocess.Popen[str]) -> None:
    """Send Ctrl-C to a command that still runs START_S after it began to say something."""
    assert process.stdout is not None  # see Installed.start
    select.select([process.stdout], [], [], LIMIT_S)
    try:
        process.wait(START_S)
    except subprocess.TimeoutExpired:
        interrupt(process)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Send Ctrl-C if the command still runs."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)


def expected(command: Command, environment: Environment) -> str:
    """Return what a command should do in an environment."""
    return RUNS if command.needs <= environment.has else ASKS


def try_out(names: Iterable[str], folder: Path, ros: str, everything: bool = True,
            bag: Path | None = None) -> Iterator[tuple[str, dict[str, str]]]:
    """
    Make environments and run commands in them.

    :param everything: repeat commands that need nothing and have run in NO_EXTRA
    :param bag: recorded with MODEL; None: the one that the first of ENVIRONMENTS records
    :return: of each environment its name, and command to outcome; `--help` means the help of all
        verbs
    """
    bag = bag or folder / next(iter(ENVIRONMENTS)) / 'bag'
    for name in names:
        began = time.monotonic()
        here = folder / name
        here.mkdir()
        shutil.copytree(MODEL, here / 'model')
        subprocess.run(['openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out',
                        here / 'key.pem'], check=True)
        (here / 'rules.yaml').write_text(RULES, encoding='utf-8')
        (here / 'sweep.yaml').write_text(SWEEP.read_text(encoding='utf-8').replace(
            'models/', f'{ROOT}/models/'), encoding='utf-8')
        installed = Installed(here / 'environment')
        installed.install(ENVIRONMENTS[name], ros)
        made = time.monotonic()
        places = {'here': str(here), 'bag': str(bag)}
        helps = [run(installed, Command((verb, '--help')), places, here) for verb in verbs()]
        results = {'--help': next((text for text in helps if text != RUNS), RUNS)}
        for label, command in COMMANDS.items():
            if everything or command.needs or name in NO_EXTRA:
                results[label] = run(installed, command, places, here)
        print(f'{name}: installed in {made - began:.0f} s, commands in '
              f'{time.monotonic() - made:.0f} s', flush=True)
        shutil.rmtree(installed.folder)
        yield name, results


def wrong(results: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the commands that did not do what they should."""
    return [f'{label} in {name}: {text}' for name, column in results.items()
            for label, text in column.items()
            if text != (RUNS if label == '--help'
                        else expected(COMMANDS[label], ENVIRONMENTS[name]))]


def rows_of(results: Mapping[str, Mapping[str, str]]) -> list[list[str]]:
    """Return the table: a row for each command, a column for each environment."""
    return [['command', *results],
            *([label, *(column.get(label, '') for column in results.values())]
              for label in ('--help', *COMMANDS))]


def results_from(file: Path) -> dict[str, dict[str, str]]:
    """Return the outcomes of an earlier table; none if there is no such file."""
    if not file.exists():
        return {}
    with file.open(encoding='utf-8', newline='') as stream:
        rows = list(csv.DictReader(stream))
    return {name: {row['command']: row[name] for row in rows if row[name]}
            for name in rows[0] if name != 'command'}


def main() -> int:
    """Print the table; exit code 1 if a command did not do what it should."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[1])
    parser.add_argument('--csv', type=Path, metavar='FILE')
    parser.add_argument('--ros', default='jazzy', choices=('jazzy', 'kilted'))
    parser.add_argument('--bag', type=Path, metavar='BAG',
                        help='a bag to replay (default: the one that the first records)')
    parser.add_argument('--brief', action='store_true', help='run commands that need no extra in '
                        f'{" and ".join(NO_EXTRA)} only')
    parser.add_argument('names', nargs='*', help=f'of {", ".join(ENVIRONMENTS)} (default: all)')
    args = parser.parse_args()
    if unknown := set(args.names) - set(ENVIRONMENTS):
        parser.error(f'unknown: {", ".join(sorted(unknown))}; there are '
                     f'{", ".join(ENVIRONMENTS)}')
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    results = results_from(args.csv) if args.csv else {}
    wanted = [name for name in args.names or ENVIRONMENTS if name not in results]
    with tempfile.TemporaryDirectory(prefix='spowl röbot ') as folder:
        for name, column in try_out(wanted, Path(folder), args.ros, not args.brief,
                                    args.bag and args.bag.resolve()):
            results[name] = column
            if args.csv:
                with args.csv.open('w', encoding='utf-8', newline='') as stream:
                    csv.writer(stream, lineterminator='\n').writerows(rows_of(results))
    for row in rows_of(results):
        print(' | '.join(row))
    print('\n'.join(faults := wrong(results)), file=sys.stderr)
    return 1 if faults else 0


if __name__ == '__main__':
    run_command(main)
