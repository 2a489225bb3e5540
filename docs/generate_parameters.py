# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write docs/parameters.md from the declarations of every node's parameters."""

from __future__ import annotations

from pathlib import Path
import textwrap
from typing import Any

from spowl_ros.base import yaml
from spowl_ros.base.settings import Setting, declared
from spowl_ros.control.settings import ControllerSettings
from spowl_ros.nodes import (
    adapter,
    controller,
    diff_drive,
    player,
    recorder,
    simulator,
    supervisor,
    viewer,
)
from spowl_ros.ros.lifecycle import DriverSettings
from spowl_ros.system import nodes as system

PAGE = Path(__file__).resolve().parent / 'parameters.md'
CONFIG = PAGE.parents[1] / 'config'
HEAD = """# Parameters

Written by `python docs/generate_parameters.py` from the declarations; do not edit. The same text
is what `ros2 param describe NODE PARAMETER` shows.

*Fixed* parameters are set at the start only. Those *at configure* can change until the node is
configured. All others take effect between two decisions. A value that is refused leaves everything
as it was, and the reason is in the answer. The controller's `planner.*` defaults are those of the
bundle that it loads; what a bundle fixes (`spowl inspect --all` shows it) is refused.
"""
TABLES = (
    ('Arguments of `spowl sim` and `sim.launch.py`', (system.SimulationArguments(),)),
    ('Arguments of `spowl robot` and `robot.launch.py`', (system.RobotArguments(),)),
    ('Arguments of `replay.launch.py`', (system.ReplayArguments(),)),
    ('controller', (controller.ControllerNodeSettings(), ControllerSettings())),
    ('supervisor', (supervisor.SupervisorNodeSettings(),)),
    ('recorder', (recorder.RecorderSettings(),)),
    ('adapter', (adapter.AdapterSettings(),)),
    ('simulator', (simulator.SimulatorSettings(),)),
    ('player', (player.PlayerSettings(),)),
    ('diff_drive', (diff_drive.DiffDriveSettings(),)),
    ('viewer', (viewer.ViewerSettings(),)),
)
EXAMPLES = {
    'sim.yaml': ('spowl sim', ('simulator', 'supervisor', 'controller', 'recorder')),
    'robot.yaml': ('spowl robot', ('adapter', 'supervisor', 'controller', 'recorder')),
}
"""File in config/, with the command and the nodes whose parameters it holds."""


def page() -> str:
    """Return the whole page."""
    return HEAD + ''.join(table(title, settings) for title, settings in TABLES)


def table(title: str, settings: tuple[Any, ...]) -> str:
    """Return one node's section."""
    rows = [row(entry, when(entry, part)) for part in settings for entry in declared(part)]
    return (f'\n## {title}\n\n| name | default | takes | meaning |\n|---|---|---|---|\n'
            + '\n'.join(rows) + '\n')


def when(entry: Setting, part: Any) -> str:
    """Return until when a parameter can change."""
    if entry.read_only:
        return ', fixed'
    at_configure = (isinstance(part, DriverSettings)
                    and entry.name.partition('.')[0] not in part.AT_RUN_TIME)
    return ', at configure' if at_configure else ''


def row(entry: Setting, until: str = '') -> str:
    """Return one parameter's row."""
    description = entry.description.replace('|', '\\|').replace('\n', ' ')
    return (f'| `{entry.name}` | `{shown(entry.default)}` | {entry.wanted()}'
            f'{until} | {description} |')


def shown(default: object) -> str:
    """Return a default as a parameter file writes it."""
    if isinstance(default, bool):
        return str(default).lower()
    return "''" if default == '' else str(default)


def example(command: str, nodes: tuple[str, ...]) -> str:
    """Return a file of every parameter of some nodes, each commented out at its default."""
    settings = dict(TABLES)
    text = (f'# Every parameter of the nodes of `{command}`, at its default: written by\n'
            '# `python docs/generate_parameters.py`. Copy this file, take away the # before what\n'
            '# you change, and name the copy with params_file:=FILE. Arguments, as rate:=1.0, go\n'
            '# over what stands here.\n')
    for node in nodes:
        text += f'\n/**/{node}:\n  ros__parameters:\n'
        for entry in (entry for part in settings[node] for entry in declared(part)):
            wanted = textwrap.wrap(f'{entry.description} ({entry.wanted()})', 90)
            value = yaml.dump({entry.name: entry.default}).strip()
            text += ''.join(f'    # {line}\n' for line in wanted) + f'    # {value}\n'
    return text


def pages() -> dict[Path, str]:
    """Return every file that is written from the declarations."""
    return {PAGE: page(), **{CONFIG / name: example(*what) for name, what in EXAMPLES.items()}}


if __name__ == '__main__':
    for path, text in pages().items():
        path.write_text(text, encoding='utf-8')
        print(f'{path} written')
