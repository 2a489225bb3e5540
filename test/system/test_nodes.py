# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What runs, and how the arguments of launch files and of `spowl sim` are read."""

from __future__ import annotations

from pathlib import Path
import shutil
from xml.etree import ElementTree

import pytest

from spowl_ros.base import share
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import parsed
from spowl_ros.clients.spinning import ENCLAVE
from spowl_ros.system import nodes as system


@pytest.fixture
def model(untrained_bundle: Path, tmp_path: Path) -> Path:
    """Return a bundle for PointGoal1 that a test may damage."""
    return Path(shutil.copytree(untrained_bundle, tmp_path / 'model'))


def arguments(**texts: str) -> system.SimulationArguments:
    """Return arguments given as they are on a command line."""
    return parsed(system.SimulationArguments(), texts)


def test_arguments_are_read_in_their_own_types() -> None:
    """`name:=value` gives a value of the declared type."""
    given = arguments(episodes='7', rate='2', autostart='False', namespace='/robot')
    assert (given.episodes, given.rate, given.autostart) == (7, 2.0, False)
    assert given.namespace == '/robot'


@pytest.mark.parametrize(
    ('texts', 'message'),
    [
        ({'rat': '1'}, "no setting 'rat'; did you mean 'rate'"),
        ({'rate': 'fast'}, "'rate' is 'fast' (str), wanted a number from 0 to 1000"),
        ({'rate': 'inf'}, "'rate' is 'inf' (str), wanted a number from 0 to 1000"),
        ({'seed': '4294967296'}, "'seed' is 4294967296, wanted an integer from 0 to 4294967295"),
        ({'episodes': '-1'}, "'episodes' is -1, wanted an integer of at least 0"),
        ({'autostart': 'perhaps'}, "'autostart' is 'perhaps' (str), wanted true or false"),
        ({'log_level': 'loud'}, "'log_level' is 'loud', wanted one of 'debug'"),
    ],
)
def test_a_bad_argument_is_named_with_what_was_wanted(texts: dict[str, str], message: str) -> None:
    """Unknown names, wrong types and values out of range are refused."""
    with pytest.raises(SpowlError) as error:
        arguments(**texts)
    assert message in str(error.value)


def test_the_simulator_holds_actions_as_long_as_the_model_was_trained_to(model: Path) -> None:
    """The simulator's action repeat is the one in the bundle's contract."""
    nodes = system.simulation(arguments(model=str(model)))
    assert [node.executable for node in nodes] == ['simulator', 'supervisor', 'controller']
    assert nodes[0].parameters['action_repeat'] == 5
    assert nodes[2].parameters['model'] == str(model)


def test_a_recorder_runs_only_when_asked_for(model: Path, tmp_path: Path) -> None:
    """`record:=PATH` adds the recorder, which writes there."""
    nodes = system.simulation(arguments(model=str(model), record=str(tmp_path / 'bag')))
    assert nodes[-1].executable == 'recorder'
    assert nodes[-1].parameters['path'] == str(tmp_path / 'bag')


def test_the_viewer_takes_its_section(model: Path, tmp_path: Path) -> None:
    """A page on another port can be asked for, and the log level is the viewer's too."""
    file = tmp_path / 'my.yaml'
    file.write_text('/**/viewer:\n  ros__parameters: {port: 9123}\n')
    given = {'model': str(model), 'params_file': str(file), 'log_level': 'warn',
             'view': 'true'}
    viewer, = (node for node in system.simulation(arguments(**given))
               if node.executable == 'viewer')
    assert (viewer.parameters, viewer.log_level) == ({'port': 9123}, 'warn')


def test_arguments_go_over_the_parameter_file(model: Path, tmp_path: Path) -> None:
    """A file's values are taken as they are written, and an argument wins."""
    file = tmp_path / 'my.yaml'
    file.write_text('/**/controller:\n  ros__parameters:\n    rate: 3.0\n'
                    '    sensor_margin: {rule.level: off}\n')
    nodes = system.simulation(arguments(model=str(model), params_file=str(file), rate='2.0'))
    controller = nodes[-1].parameters
    assert (controller['rate'], controller['sensor_margin.rule.level']) == (2.0, 'off')
    assert 'sensor_margin.rule.level' not in nodes[0].parameters


def test_a_robots_parameter_file_cannot_loosen_its_supervisor(tmp_path: Path) -> None:
    """What the robot's own file may not say, a parameter file may not say either."""
    file = tmp_path / 'my.yaml'
    given = parsed(system.RobotArguments(), {
        'robot': 'config/robot/diff_drive.yaml', 'params_file': str(file)})
    file.write_text('/**/controller: {ros__parameters: {planner.iterations: 1}}\n')
    assert system.robot(given)[-1].parameters['planner.iterations'] == 1
    file.write_text('/**/supervisor: {ros__parameters: {limits.silence: 1e6}}\n')
    with pytest.raises(SpowlError, match='limits.silence'):
        system.robot(given)


@pytest.mark.parametrize('task', ['PointGoal1', 'SafetyPointGoal1-v0'])
def test_a_task_may_be_named_in_short(model: Path, task: str) -> None:
    """The simulator is told the full name, and the greeting says it."""
    given = arguments(model=str(model), task=task)
    nodes = system.simulation(given)
    assert nodes[0].parameters['task'] == 'SafetyPointGoal1-v0'
    assert given.greeting(nodes).startswith('driving SafetyPointGoal1-v0 with ')


@pytest.mark.parametrize(
    ('namespace', 'full_name', 'logger'),
    [('', '/simulator', 'simulator'), ('/a/b/', '/a/b/simulator', 'a.b.simulator'),
     ('robot', '/robot/simulator', 'robot.simulator')],
)
def test_names_follow_the_namespace(
    model: Path, namespace: str, full_name: str, logger: str
) -> None:
    """A node's full name and its logger's name contain the namespace."""
    node = system.simulation(arguments(model=str(model), namespace=namespace))[0]
    assert (node.full_name, node.logger) == (full_name, logger)


def test_a_model_for_another_task_is_refused(model: Path) -> None:
    """The error names both tasks and what to do."""
    with pytest.raises(SpowlError, match='was made for SafetyPointGoal1-v0, not for SafetyCar'):
        system.simulation(arguments(model=str(model), task='SafetyCarGoal1-v0'))


def test_an_unknown_task_is_refused_with_those_that_exist(model: Path) -> None:
    """A mistyped task is reported as such, whether there is a model or not."""
    for directory in (model, model / 'absent'):
        with pytest.raises(SpowlError, match="no task 'SafetyNoGoal1-v0'.*tested.*SafetyPoint"):
            system.simulation(arguments(model=str(directory), task='SafetyNoGoal1-v0'))


def test_a_missing_model_is_refused_with_those_that_exist(model: Path, tmp_path: Path) -> None:
    """The error lists the bundles beside the one that is missing."""
    with pytest.raises(SpowlError, match=f'no model in .*models beside it: {model.name}'):
        system.simulation(arguments(model=str(model.parent / 'absent')))


def test_a_damaged_manifest_is_refused(model: Path) -> None:
    """A manifest that is none is reported, not raised as a KeyError."""
    (model / 'manifest.json').write_text('{}')
    with pytest.raises(SpowlError, match='not the manifest of a bundle'):
        system.simulation(arguments(model=str(model)))


def test_a_missing_parameter_file_is_refused(model: Path) -> None:
    """The error names the file."""
    with pytest.raises(SpowlError, match='params_file .*absent.yaml is not a file'):
        system.simulation(arguments(model=str(model), params_file='absent.yaml'))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('hello', "the file holds 'hello'; '/\\*\\*/NODE:' with 'ros__parameters:'"),
        ('/**/controller:\n  ros_parameters:\n    rate: 1.0\n', '/ros_parameters/rate holds 1.0'),
        ('/**/controler:\n  ros__parameters: {}\n', "controler'; did you mean 'controller'"),
        ('robot1:\n  plan:\n    ros__parameters: {}\n', "'robot1/plan': 'plan'; did you mean"),
        ('/**/controller: {ros__parameters\n', 'is no YAML that can be taken'),
    ],
)
def test_a_parameter_file_for_no_node_is_refused(
    model: Path, tmp_path: Path, text: str, message: str
) -> None:
    """What ROS would pass over in silence, or complain about in its parser's words, is named."""
    file = tmp_path / 'my.yaml'
    file.write_text(text)
    with pytest.raises(SpowlError, match=f'params_file .*my.yaml.*{message}') as error:
        system.simulation(arguments(model=str(model), params_file=str(file)))
    assert '\n' not in str(error.value)


def test_what_ros_does_not_take_is_no_namespace() -> None:
    """What rclpy would refuse with a traceback is refused in one line."""
    with pytest.raises(SpowlError, match="'9 lives' is no namespace"):
        system.check_namespace('9 lives')


def test_executables_are_found_where_they_are_installed() -> None:
    """Each node's executable exists."""
    assert share.executable_path('simulator').is_file()
    with pytest.raises(SpowlError, match="executable 'no_such' is in none of"):
        share.executable_path('no_such')


def test_a_robot_starts_what_its_file_says(model: Path, tmp_path: Path) -> None:
    """Adapter, supervisor and controller get the robot, its parameters and its remappings."""
    file = tmp_path / 'robot.yaml'
    file.write_text('adapter: true\nlimits: {x: 1.0, z: 1.0}\n'
                    'parameters: {adapter: {robot_radius: 0.3}, controller: {model: other}}\n'
                    'remappings: {adapter: [[scan, front/scan]]}\n')
    nodes = system.robot(parsed(system.RobotArguments(), {
        'robot': str(file), 'model': str(model), 'use_sim_time': 'true', 'record': 'bag'}))
    assert [node.executable for node in nodes] == [
        'adapter', 'supervisor', 'controller', 'recorder']
    assert nodes[0].parameters == {
        'robot_radius': 0.3, 'model': str(model), 'use_sim_time': True}
    assert nodes[0].remappings == (('scan', 'front/scan'),)
    assert nodes[2].parameters['model'] == str(model)  # what is said at the start leads
    assert nodes[2].parameters['robot'] == str(file)


@pytest.mark.parametrize(('text', 'words'), [
    ('', 'limits: none for x, z'),
    ('parameters: {supervisor: {rate: 0}}', 'rate: is 0'),
    ('parameters: {supervisor: {limits.silence: 100}}', 'limits.silence: is 100'),
    ('parameters: {supervisor: {simulation: true}}', 'simulation: is for simulated robots'),
    ('adapter: true\nparameters: {adapter: {speed: 2.0}}', 'limits.top_speed: is 1.5; with'),
    ('adapter: true\nparameters: {adapter: {speed: 2.0}}',
     'limits.acceleration: is 3.0; with its speed of 2.0 the adapter needs at least 3.77 m/s^2'),
    ('adapter: true\nparameters: {supervisor: {limits.top_speed: 1}}', 'limits.top_speed: is 1;'),
    ('adapter: true\nparameters: {adapter: {speed: fast}}', "with its speed of 'fast'"),
    ('parameters: {controller: {rate: 0}}', 'controller.rate: is 0'),
    ('parameters: {controller: {rate: 0.01}}', 'controller.rate: is 0.01'),
    ('command: {topic: command_raw}', "command.topic: 'command_raw'"),
    ('command: {topic: /command_raw}', "command.topic: '/command_raw'"),
    ('remappings: {controller: [[command, cmd]]}', 'past the supervisor'),
    ('remappings: {supervisor: [[command_raw, other]]}', 'past the supervisor'),
    ('remappings: {adapter: [[command, command_raw]]}', 'past the supervisor'),
])
def test_a_robot_does_not_start_unguarded(model: Path, tmp_path: Path, text: str,
                                          words: str) -> None:
    """What would put the watchdog to sleep, or lead commands past it, is refused by name."""
    file = tmp_path / 'robot.yaml'
    file.write_text(f'limits: {{x: 1.0, z: 1.0}}\n{text}\n' if text else 'adapter: false\n')
    with pytest.raises(SpowlError, match='would drive unguarded') as caught:
        system.robot(system.RobotArguments(robot=str(file), model=str(model)))
    assert words in str(caught.value)


@pytest.mark.parametrize('node', ['adapter', 'controller', 'supervisor'])
def test_a_signature_that_one_node_demands_all_demand(
        model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    """Else a controller would take an unsigned model, at its start or while it drives."""
    monkeypatch.setattr(system, 'of_key', lambda key: None)
    file = tmp_path / 'robot.yaml'
    file.write_text('adapter: true\nlimits: {x: 1.0, z: 1.0}\n'
                    f'parameters: {{{node}: {{require_signature: key.pub}}}}\n')
    nodes = system.robot(system.RobotArguments(robot=str(file), model=str(model)))
    assert [spec.parameters['require_signature'] for spec in nodes] == ['key.pub'] * 3


def test_a_robot_is_held_until_somebody_says_otherwise(model: Path) -> None:
    """A robot's supervisor starts held, a simulated one's does not."""
    robot = str(Path(__file__).resolve().parents[2] / 'config/robot/diff_drive.yaml')
    for released in (False, True):
        nodes = {node.executable: node for node in system.robot(system.RobotArguments(
            robot=robot, model=str(model), released=released))}
        assert nodes['supervisor'].parameters['start_held'] is not released
        assert 'simulation' not in nodes['supervisor'].parameters


def test_a_robot_that_does_not_fit_starts_nothing(model: Path, tmp_path: Path) -> None:
    """A robot without a file, or with a field that the model does not know, is refused."""
    with pytest.raises(SpowlError, match='robot:=FILE'):
        system.robot(system.RobotArguments())
    file = tmp_path / 'robot.yaml'
    file.write_text('inputs: {sonar: {topic: imu}}')
    with pytest.raises(SpowlError, match='has no such field'):
        system.robot(system.RobotArguments(robot=str(file), model=str(model)))


def test_nodes_have_the_enclaves_that_the_policies_name(model: Path, tmp_path: Path) -> None:
    """Every node of a robot, and who listens to them, has a policy of DDS security."""
    policies = ElementTree.parse(Path(__file__).resolve().parents[2]
                                 / 'config/security/policies.xml')
    known = {entry.get('path') for entry in policies.iter('enclave')}
    robot = str(Path(__file__).resolve().parents[2] / 'config/robot/diff_drive.yaml')
    nodes = system.robot(system.RobotArguments(robot=robot, model=str(model), record='bag',
                                               view=True))
    assert {node.enclave for node in nodes} | {ENCLAVE} == known
