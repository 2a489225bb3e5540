# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The nodes of each system, with their parameters and remappings.

Launch files and `spowl sim` both start these nodes, so there is one configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
import importlib.util
from pathlib import Path

from spowl_ros.base import names
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import absolute
from spowl_ros.base.seeds import LAST
from spowl_ros.base.settings import setting
from spowl_ros.base.share import share_directory
from spowl_ros.base.tasks import task_id
from spowl_ros.control.bundle import read_contract
from spowl_ros.control.contract import Contract
from spowl_ros.control.signature import of_key
from spowl_ros.robot import config as robot_config
from spowl_ros.robot.adaptation import faster_than_guarded
from spowl_ros.robot.config import RobotConfig
from spowl_ros.supervisor.settings import SupervisionSettings, unfit_for_a_robot
from spowl_ros.system.parameters import ParameterFile, Value

DEFAULT_TASK = 'SafetyPointGoal1-v0'
RAW_COMMAND = ('command', 'command_raw')
"""Between controller and supervisor; the robot hears what the supervisor makes of it."""
_DRIVING = ('supervisor', 'controller', 'adapter')
"""The nodes through which a command passes to a robot."""
_CONTROLLER_STARTS_S = 15.0
"""Longest time in which a bag's player waits for the controller to listen, seconds."""
LOG_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')


@dataclass(frozen=True)
class SimulationArguments:
    """Arguments of `ros2 launch spowl_ros sim.launch.py` and of `spowl sim`."""

    task: str = setting(DEFAULT_TASK, 'task to drive, as PointGoal1; or a file of your own task')
    model: str = setting('', 'directory of the bundle; empty: the one shipped for the task')
    episodes: int = setting(3, 'episodes to drive; 0: until interrupted', low=0)
    seed: int = setting(0, 'seed of the first episode; each later one adds 1', low=0,
                        high=LAST)
    rate: float = setting(
        0.0, 'real-time factor; 0: lock-step, as fast as it goes and exactly repeatable', low=0.0,
        high=1000.0)
    namespace: str = setting('', 'namespace of every node')
    params_file: str = setting('', 'YAML file of node parameters; config/sim.yaml is an example')
    autostart: bool = setting(True, 'configure and activate controller and supervisor at once')
    log_level: str = setting('warn', 'least severe log message of the nodes', choices=LOG_LEVELS)
    record: str = setting('', 'directory of the bag to write; empty: none')
    view: bool = setting(False, 'show the run on a page in the browser')

    def greeting(self, nodes: Sequence[NodeSpec]) -> str:
        """Return a line on what a run of these nodes does."""
        pace = f'{self.rate:g} times real time' if self.rate else 'as fast as it goes'
        return (f'driving {nodes[0].parameters["task"]} with {_model(nodes)}: '
                f'{f"{self.episodes} episodes" if self.episodes else "episodes without end"} from '
                f'seed {self.seed}, {pace}; Ctrl-C ends the run')


@dataclass(frozen=True)
class RobotArguments:
    """Arguments of `ros2 launch spowl_ros robot.launch.py` and of `spowl robot`."""

    robot: str = setting('', 'YAML file of the robot; config/robot/ has examples')
    model: str = setting('', 'directory of the bundle; empty: the one shipped for PointGoal1')
    namespace: str = setting('', 'namespace of every node')
    params_file: str = setting('', "YAML file of node parameters, over those of the robot's file; "
                               'config/robot.yaml is an example')
    autostart: bool = setting(True, 'configure and activate controller and supervisor at once')
    released: bool = setting(False, 'let the robot drive at once; else the supervisor holds it '
                             'until its ~/release is called')
    use_sim_time: bool = setting(False, 'take the time from /clock')
    log_level: str = setting('info', 'least severe log message of the nodes', choices=LOG_LEVELS)
    record: str = setting('', 'directory of the bag to write; empty: none')
    view: bool = setting(False, 'show the run on a page in the browser')

    def greeting(self, nodes: Sequence[NodeSpec]) -> str:
        """Return a line on what a run of these nodes does."""
        held = '' if self.released else (
            f'; it stands until {full_name(self.namespace, "supervisor")}/release is called')
        return (f'driving the robot of {self.robot} with {_model(nodes)}: '
                f'{", ".join(node.executable for node in nodes)}{held}; Ctrl-C stops it')


@dataclass(frozen=True)
class ReplayArguments:
    """Arguments of `ros2 launch spowl_ros replay.launch.py` and of `spowl replay --live`."""

    bag: str = setting('', 'bag to play')
    model: str = setting('', 'directory of the bundle; empty: the one shipped for PointGoal1')
    robot: str = setting('', 'YAML file of a robot of your own; empty: as the model says')
    namespace: str = setting('', "the robot's in the bag; empty: found where there is one")
    params_file: str = setting('', 'YAML file of node parameters')
    rate: float = setting(1.0, 'how much faster than recorded to play', low=0.01, high=100.0)
    loop: bool = setting(False, 'play again and again')
    view: bool = setting(False, 'show the run on a page in the browser')
    log_level: str = setting('warn', 'least severe log message of the nodes', choices=LOG_LEVELS)

    def greeting(self, nodes: Sequence[NodeSpec]) -> str:
        """Return a line on what a run of these nodes does."""
        return (f'playing {self.bag}; {nodes[0].full_name} decides in its shadow and commands '
                'shadow/command only; Ctrl-C ends it')


@dataclass(frozen=True)
class NodeSpec:
    """One node of a running system. Every node is needed: the end of one ends all."""

    executable: str
    """Also the node's name."""
    namespace: str
    parameters: Mapping[str, Value]
    remappings: tuple[tuple[str, ...], ...] = ()
    """Pairs of a topic's name inside the node and outside."""
    log_level: str = 'info'

    @property
    def full_name(self) -> str:
        """Return the node's name with its namespace, as '/robot/controller'."""
        return full_name(self.namespace, self.executable)

    @property
    def enclave(self) -> str:
        """Return the node's enclave of DDS security, as config/security/policies.xml names it."""
        return f'/spowl/{self.executable}'

    @property
    def logger(self) -> str:
        """Return the name of the node's logger, as 'robot.controller'."""
        return self.full_name.strip('/').replace('/', '.')


def full_name(namespace: str, node: str) -> str:
    """Return a node's name with its namespace, as '/robot/controller'."""
    return '/'.join(['', *filter(None, namespace.split('/')), node])


def _model(nodes: Sequence[NodeSpec]) -> Value:
    """Return the directory of the driving bundle."""
    return next(node.parameters['model'] for node in nodes if node.executable == 'controller')


def check_namespace(name: str) -> None:
    """
    Make sure that ROS accepts a namespace.

    :raises SpowlError: it does not
    """
    if not names.is_namespace(name):
        raise SpowlError(f"'{name}' is no namespace; wanted: {names.RULE}, as robot1")


def simulation(arguments: SimulationArguments) -> tuple[NodeSpec, ...]:
    """
    Return the nodes that drive a simulated robot.

    :raises SpowlError: no such model, a model for another task, an unusable parameter file, or an
        invalid namespace
    """
    check_namespace(arguments.namespace)
    arguments = replace(arguments, task=task_id(arguments.task))
    model = _model_or_shipped(arguments.model, arguments.task)
    contract = _contract_of(model, arguments)
    called = {node: full_name(arguments.namespace, node) for node in names.NODES}
    file = ParameterFile(arguments.params_file, [*called.values(), *_viewer_names(arguments)])
    own = {node: file.of(name) for node, name in called.items()}
    simulator: dict[str, Value] = {
        **own['simulator'], 'task': arguments.task, 'episodes': arguments.episodes,
        'seed': arguments.seed, 'rate': arguments.rate, 'action_repeat': contract.action_repeat,
        'listener': 'recorder' if arguments.record else ''}
    return (
        NodeSpec('simulator', arguments.namespace, simulator, log_level=arguments.log_level),
        *_viewer(arguments, file),
        *_drivers(arguments, own, {}, {'simulation': True, 'start_held': False},
                  model=str(model), rate=arguments.rate, use_sim_time=True))


def robot(arguments: RobotArguments) -> tuple[NodeSpec, ...]:
    """
    Return the nodes that drive your robot.

    :raises SpowlError: no such robot or model, the robot does not fit the model's contract, or an
        invalid namespace
    """
    check_namespace(arguments.namespace)
    if not arguments.robot:
        raise SpowlError('no robot is named; name its YAML file with robot:=FILE '
                         '(config/robot/ has examples)')
    path = absolute(arguments.robot)
    described = robot_config.load(path)
    model = _model_or_shipped(arguments.model)
    called = {node: full_name(arguments.namespace, node) for node in robot_config.ROBOT_NODES}
    file = ParameterFile(arguments.params_file, [*called.values(), *_viewer_names(arguments)])
    parameters = {node: {**described.parameters.get(node, {}), **file.of(name)}
                  for node, name in called.items()}
    signed = (str(parameters[node].get('require_signature', '')) for node in _DRIVING)
    key = next(filter(None, signed), '')
    if key:  # what one of them demands, all do: else an unsigned model could take over
        for node in _DRIVING:
            parameters[node]['require_signature'] = (
                parameters[node].get('require_signature') or key)
    described = replace(described, parameters=parameters)
    check_robot(described, read_contract(model, of_key(key)))
    return (
        *adapter(described, model, arguments.namespace, arguments.use_sim_time),
        *_viewer(arguments, file),
        *_drivers(arguments, described.parameters, described.remappings,
                  {'start_held': not arguments.released}, model=str(model), robot=str(path),
                  use_sim_time=arguments.use_sim_time))


def _drivers(arguments: SimulationArguments | RobotArguments,
             own: Mapping[str, Mapping[str, Value]],
             remapped: Mapping[str, tuple[tuple[str, ...], ...]],
             supervisor: Mapping[str, Value], **driver: Value) -> tuple[NodeSpec, ...]:
    """
    Return supervisor and controller, and the recorder if asked for.

    :param own: parameters by node; those of the arguments lead
    :param supervisor: parameters of the supervisor alone
    :param driver: parameters of supervisor and controller
    """
    def node(executable: str, *remappings: tuple[str, ...], **parameters: Value) -> NodeSpec:
        return NodeSpec(executable, arguments.namespace,
                        {**own.get(executable, {}), **parameters},
                        (*remappings, *remapped.get(executable, ())), arguments.log_level)

    driver['autostart'] = arguments.autostart
    nodes = [node('supervisor', **driver, **supervisor),
             node('controller', RAW_COMMAND, **driver)]
    if arguments.record:
        nodes.append(node('recorder', path=str(absolute(arguments.record)),
                          model=driver['model'], use_sim_time=driver['use_sim_time']))
    return tuple(nodes)


def check_robot(described: RobotConfig, contract: Contract) -> None:
    """
    Make sure that a robot may be driven: it fits the contract, and its supervisor guards it.

    :raises SpowlError: the message names every misfit
    """
    described.check(contract)
    supervisor = described.parameters.get('supervisor', {})
    found = unfit_for_a_robot(supervisor, described.limits, contract)
    rate = described.parameters.get('controller', {}).get('rate', 1.0)
    if rate != 1.0:
        found.append(f"controller.rate: is {rate!r}; a real robot's clock runs at rate 1, by "
                     'which its sensors grow old')
    if described.adapter:
        found += faster_than_guarded(described.parameters, *(
            supervisor.get(f'limits.{name}', getattr(SupervisionSettings, name))
            for name in ('top_speed', 'acceleration')))
    found += [f'remappings.{node}: {list(pair)} leads commands past the supervisor'
              for node in _DRIVING for pair in described.remappings.get(node, ())
              if {name.rpartition('/')[2] for name in pair} & {
                  *RAW_COMMAND, described.command.topic.rpartition('/')[2]}]
    if described.command.topic.rpartition('/')[2] == RAW_COMMAND[1]:
        found.append(f"command.topic: '{described.command.topic}' is where the supervisor listens "
                     'to the controller')
    if found:
        raise SpowlError('the robot would drive unguarded: ' + '; '.join(found))


def replay(arguments: ReplayArguments) -> tuple[NodeSpec, ...]:
    """
    Return the nodes that play a bag to a controller without actuators.

    :raises SpowlError: no bag, or a bag of another robot; no such model, robot or file; an invalid
        namespace
    """
    check_namespace(arguments.namespace)
    if not arguments.bag:
        raise SpowlError('no bag is named; name one with bag:=PATH')
    model = _model_or_shipped(arguments.model)
    contract = read_contract(model)
    robot_file = str(absolute(arguments.robot)) if arguments.robot else ''
    bag = absolute(arguments.bag)

    from spowl_ros.replay.recording import sensors_in  # which builds on this module

    namespace, sensors = sensors_in(bag, contract, robot_file, arguments.namespace or None)
    controller = full_name(namespace, 'controller')
    file = ParameterFile(arguments.params_file,
                         [controller, '/player', *_viewer_names(arguments)])
    return (
        NodeSpec('controller', namespace, {
            **file.of(controller),
            'model': str(model), 'robot': robot_file, 'autostart': True, 'use_sim_time': True,
            'rate': arguments.rate}, (('command', 'shadow/command'),), arguments.log_level),
        NodeSpec('player', '', {
            'wait': _CONTROLLER_STARTS_S, **file.of('/player'), 'path': str(bag),
            'sensors': ' '.join(sensors), 'rate': arguments.rate, 'loop': arguments.loop},
            log_level=arguments.log_level),
        *_viewer(arguments, file),
    )


def adapter(described: RobotConfig, model: Path, namespace: str,
            use_sim_time: bool) -> tuple[NodeSpec, ...]:
    """Return the adapter if the robot has one, else nothing."""
    if not described.adapter:
        return ()
    parameters = {**described.parameters.get('adapter', {}), 'model': str(absolute(model)),
                  'use_sim_time': use_sim_time}
    return (NodeSpec('adapter', namespace, parameters,
                     described.remappings.get('adapter', ())),)


def _model_or_shipped(named: str, task: str = DEFAULT_TASK) -> Path:
    """Return the directory of a bundle: the named one, or the one shipped for a task."""
    return absolute(named or share_directory() / 'models' / task)


def _viewer_names(arguments: SimulationArguments | RobotArguments | ReplayArguments) -> list[str]:
    """Return the full name of the live view's node, if it is wanted."""
    return ['/viewer'] if arguments.view else []


def _viewer(arguments: SimulationArguments | RobotArguments | ReplayArguments,
            file: ParameterFile) -> list[NodeSpec]:
    """
    Return the node that serves the live view, if it is wanted.

    :raises SpowlError: it is not installed
    """
    wanted = _viewer_names(arguments)
    if wanted and importlib.util.find_spec('viser') is None:
        raise SpowlError("view:=true needs viser: pip install 'spowl_ros[view]'")
    return [NodeSpec(name.strip('/'), '', file.of(name), log_level=arguments.log_level)
            for name in wanted]


def _contract_of(model: Path, arguments: SimulationArguments) -> Contract:
    """
    Return the contract of a model for the task; the controller verifies all of the bundle.

    :raises SpowlError: no such task, no such model, or a model for another task
    """
    try:
        contract = read_contract(model)
        if contract.task != arguments.task:
            raise SpowlError(f'the model in {model} was made for {contract.task}, not for '
                             f'{arguments.task}; drive task:={contract.task} or name another '
                             'model')
    except SpowlError:  # only now, because importing the simulation takes a second
        from spowl_ros.sim import environment

        environment.contract(arguments.task)  # an unknown task is the better reason
        raise
    return contract
