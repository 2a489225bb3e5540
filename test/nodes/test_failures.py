# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Whatever fails in a node that drives, its last command is the stop, and nothing stays behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
import math
from pathlib import Path
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
import pytest
import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Joy, LaserScan
from std_msgs.msg import Bool, Float64MultiArray, Header
from std_srvs.srv import SetBool, Trigger
import yaml

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.share import share_directory
from spowl_ros.control.bundle import read_contract
from spowl_ros.nodes import adapter, controller
from spowl_ros.nodes.adapter import Adapter
from spowl_ros.nodes.controller import ControllerNode
from spowl_ros.nodes.supervisor import SupervisorNode
from spowl_ros.robot.errand import Goal
from spowl_ros.robot.topics import FirstFrames
from spowl_ros.ros import bond, lifecycle
from spowl_ros.ros.bond import Bond
from spowl_ros.ros.last_command import publish_last
from spowl_ros.ros.messages import build
from spowl_ros.supervisor.latch import RELEASE_AFTER_S
from spowl_ros.supervisor.rules import Supervised

ROBOT = 'limits: {x: 1.0, z: 1.0}\ncommand: {stop_ramp: 1.0}\n'
KINDS = {'controller': ControllerNode, 'supervisor': SupervisorNode}
WAIT_S = 10.0


@pytest.fixture
def make(untrained_bundle: Path, ros_domain: int, tmp_path: Path,
         monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a node in this process, with a robot's file."""
    monkeypatch.setattr(lifecycle, 'DISCOVERY_S', 0.2)
    nodes = []

    def make(kind: str, robot: str = ROBOT, remapping: tuple[str, ...] = (),
             **parameters: object) -> Any:
        (tmp_path / 'robot.yaml').write_text(robot)
        given = {'model': untrained_bundle, 'robot': tmp_path / 'robot.yaml',
                 'autostart': 'false', **parameters}
        rclpy.init(args=['--ros-args', *(part for name, value in given.items()
                                         for part in ('-p', f'{name}:={value}')),
                         *(part for rule in remapping for part in ('-r', rule))],
                   signal_handler_options=SignalHandlerOptions.NO)
        nodes.append(KINDS[kind]())
        return nodes[-1]
    yield make
    for node in nodes:
        node.close()
        node.destroy_node()
    rclpy.try_shutdown()


def sent_now() -> dict[str, Any]:
    """Return the information of a message that is sent now."""
    return {'source_timestamp': time.time_ns()}


def wait(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def fail(*_: object) -> None:
    """Fail as a publisher does whose middleware is gone."""
    raise RuntimeError('nothing can be published')


@pytest.mark.parametrize('kind', KINDS)
def test_a_refused_configuration_leaves_nothing_in_the_network(
        make: Callable[..., Any], tmp_path: Path, kind: str) -> None:
    """A robot's file that names an unknown message can be mended, and the node then drives."""
    scan = 'hazards_lidar' if kind == 'supervisor' else 'accelerometer'
    node = make(kind, ROBOT + f'inputs: {{velocimeter: {{type: no_msgs/msg/No, field: {scan}}}}}')
    before = [publisher.topic_name for publisher in node.publishers]
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert 'no_msgs' in node.problem
    assert [publisher.topic_name for publisher in node.publishers] == before
    (tmp_path / 'robot.yaml').write_text(ROBOT)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS, node.problem


@pytest.mark.parametrize('kind', KINDS)
def test_a_fault_while_configuring_leaves_nothing_in_the_network(
        make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Whatever was made until then is destroyed, and the node can be configured again."""
    node = make(kind)
    before = node._entities()
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[type(node).__module__], 'Bond', fail)
        assert node.trigger_configure() == TransitionCallbackReturn.ERROR
    assert node._entities() == before
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    node.trigger_cleanup()
    assert node._entities() == before


def test_a_bad_setting_of_the_start_is_refused_until_it_is_mended(make: Callable[..., Any]
                                                                  ) -> None:
    """A second try does not take the default in its place; another value can be set, and is."""
    node = make('controller', **{'model_error.rule.trigger': 0})
    for _ in range(2):
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert 'model_error.rule.trigger' in node.problem
    node.set_parameters([Parameter('model_error.rule.trigger', value=7)])
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.get_parameter('model_error.rule.trigger').value == 7


@pytest.mark.parametrize(('kind', 'broken'), [('controller', '_mode'), ('supervisor', '_state')])
def test_the_last_command_is_the_stop_where_nothing_else_can_be_published(
        make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kind: str, broken: str,
        ) -> None:
    """A robot that brakes by a ramp stops at once where its state cannot be told."""
    node = make(kind)
    node.trigger_configure()
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    if kind == 'supervisor':
        node._supervision._last = np.array([0.05, 1.0])
        node._last = Supervised(node._supervision._last, 'passing', '')
    commands: list[list[float]] = []
    publish = node._command.publish
    monkeypatch.setattr(node._command, 'publish', lambda message: (
        commands.append(list(message.data)), publish(message)))
    monkeypatch.setattr(getattr(node, broken), 'publish', fail)
    assert node.trigger_deactivate() == TransitionCallbackReturn.ERROR
    assert commands[-1] == [0.0, 0.0]


def test_a_hanging_controller_stops_the_robot_before_it_tells(
        make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop goes out although the mode cannot be published."""
    node = make('controller')
    node.trigger_configure()
    node.trigger_activate()
    node._sent = (1.0, 1.0)
    commands: list[list[float]] = []
    monkeypatch.setattr(node, '_publish_command', lambda action: commands.append(list(action)))
    with monkeypatch.context() as patch:
        patch.setattr(node._mode, 'publish', fail)
        with pytest.raises(RuntimeError, match='nothing'):
            node._stop_hanging()
    assert [0.0, 0.0] in commands


def test_a_failure_that_comes_after_the_deactivation_ends_nothing(make: Callable[..., Any],
                                                                  ) -> None:
    """The node can be activated again."""
    node = make('controller')
    node.trigger_configure()
    node.trigger_activate()
    node.trigger_deactivate()
    node._fail(RuntimeError('late'))
    for _ in range(5):
        rclpy.spin_once(node, timeout_sec=0.05)
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS


@pytest.mark.parametrize('rate', [0.0, 1.0])
def test_a_sender_faster_than_the_controller_does_not_keep_its_thread(
        rate: float, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One round takes no more messages than the queues hold, however many come meanwhile."""
    monkeypatch.setattr(controller, 'Intake', lambda *_: SimpleNamespace(end=lambda: None))
    node = make('controller', rate=rate)
    node.trigger_configure()
    entry, subscription = node._sensors[0]
    sender = node.create_publisher(subscription.msg_type, entry.topic, 10)
    begins = node.create_publisher(Header, 'episode_begin', 10)
    wait(sender.get_subscription_count)
    wait(begins.get_subscription_count)
    handled = 0

    def handle(*_: object) -> None:
        nonlocal handled
        handled += 1
        assert handled < 1000, 'no end'
        sender.publish(subscription.msg_type())
        begins.publish(Header())
        time.sleep(0.001)

    monkeypatch.setattr(node, '_store', handle)
    monkeypatch.setattr(node, '_on_begin', handle)
    begins.publish(Header())
    sender.publish(subscription.msg_type())
    time.sleep(0.1)
    node._on_sensor(entry, subscription.msg_type(), {})
    assert handled > 2


def test_sensors_do_not_wait_for_the_executor(make: Callable[..., Any]) -> None:
    """A callback that takes long, as of a service, delays no measurement."""
    node = make('controller')
    node.trigger_configure()
    node.trigger_activate()
    stored: list[Any] = []
    node._loop.put = lambda *parts: stored.append(parts)
    entry, subscription = node._sensors[0]
    sender = node.create_publisher(subscription.msg_type, entry.topic, qos_profile_sensor_data)
    wait(sender.get_subscription_count)
    message = build(entry.type, entry.content(
        {part.field.name: np.full(part.field.size, 0.1) for part in entry.parts},
        node.get_clock().now().nanoseconds))
    sender.publish(message)
    wait(lambda: stored)  # nobody spins the node


def test_a_fault_while_sensors_are_taken_ends_the_process(
        make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It reaches the executor, as a fault in any callback does."""
    node = make('controller')
    node.trigger_configure()

    def fail(*_: object) -> None:
        raise RuntimeError('provoked')

    monkeypatch.setattr(node, '_store', fail)
    entry, subscription = node._sensors[0]
    sender = node.create_publisher(subscription.msg_type, entry.topic, qos_profile_sensor_data)
    wait(sender.get_subscription_count)
    sender.publish(subscription.msg_type())
    with pytest.raises(RuntimeError, match='provoked'):
        for _ in range(100):
            rclpy.spin_once(node, timeout_sec=0.05)


def takers() -> int:
    """Return how many threads take sensors in this process."""
    return sum(thread.name == 'sensors' for thread in threading.enumerate())


def test_no_thread_takes_sensors_of_a_node_that_did_not_start(
        make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It would use a middleware that has been shut down, which aborts the process."""
    def refuse(self: ControllerNode) -> None:
        raise SpowlError('provoked')

    monkeypatch.setattr(ControllerNode, 'activate', refuse)
    before = takers()
    with pytest.raises(SpowlError, match='provoked'):
        make('controller', autostart='true')
    assert takers() == before


def test_no_thread_takes_sensors_of_a_node_that_is_cleaned_up(make: Callable[..., Any]) -> None:
    """Each configuration has a thread of its own, and none stays."""
    before = takers()
    node = make('controller')
    for _ in range(3):
        node.trigger_configure()
        assert takers() == before + 1
        node.trigger_cleanup()
        assert takers() == before


def test_two_joysticks_stop_the_robot(make: Callable[..., Any]) -> None:
    """While one person holds the button, another joystick must not hand back to the plan."""
    node = make('controller', **{'operator.input': 'joy'})
    node.trigger_configure()
    person, idle = (node.create_publisher(Joy, 'joy', 10) for _ in range(2))
    wait(lambda: node.count_publishers('joy') == 2)
    wait(lambda: person.get_subscription_count() and idle.get_subscription_count())
    person.publish(Joy(axes=[1.0, 1.0], buttons=[0, 0, 0, 0, 1]))
    idle.publish(Joy(axes=[0.0, 0.0], buttons=[0] * 5))
    for _ in range(20):
        rclpy.spin_once(node, timeout_sec=0.02)
    takeover = node._person.operator.take(time.monotonic())
    assert takeover is not None and takeover.action == ()


def test_a_joystick_that_waited_is_not_obeyed(make: Callable[..., Any]) -> None:
    """What was pushed before the controller was frozen is no wish of now: the robot stands."""
    node = make('controller', **{'operator.input': 'joy', 'operator.timeout': '0.5'})
    node.trigger_configure()
    person = node.create_publisher(Joy, 'joy', 10)
    wait(lambda: person.get_subscription_count() and node.count_publishers('joy') == 1)
    person.publish(Joy(axes=[1.0, 1.0], buttons=[0, 0, 0, 0, 1]))
    time.sleep(1.0)
    operator = node._person.operator
    wait(lambda: rclpy.spin_once(node, timeout_sec=0.02) or operator.take(time.monotonic()))
    takeover = operator.take(time.monotonic())
    assert takeover is not None and takeover.action == ()


@pytest.mark.parametrize(('ago_s', 'obeyed'), [(0.0, True), (60.0, False), (-60.0, False)])
def test_a_joystick_of_another_day_is_not_obeyed(make: Callable[..., Any], ago_s: float,
                                                 obeyed: bool) -> None:
    """A bag that is played sends an old message anew; its own stamp tells."""
    node = make('controller', **{'operator.input': 'joy'})
    node.trigger_configure()
    person = node.create_publisher(Joy, 'joy', 10)
    wait(lambda: person.get_subscription_count() and node.count_publishers('joy') == 1)
    stamp = node.get_clock().now() - Duration(nanoseconds=round(ago_s * 1e9))
    person.publish(Joy(header=Header(stamp=stamp.to_msg()), axes=[1.0, 1.0],
                       buttons=[0, 0, 0, 0, 1]))
    operator = node._person.operator
    wait(lambda: rclpy.spin_once(node, timeout_sec=0.02) or operator.take(time.monotonic()))
    takeover = operator.take(time.monotonic())
    assert takeover is not None and (takeover.action != ()) is obeyed


def test_a_command_in_progress_does_not_follow_the_stop_of_the_end(
        make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The main thread closes the supervisor while its executor handles a command."""
    node = make('supervisor', start_held='false', **{'simulation': 'true'})
    node.trigger_configure()
    node.trigger_activate()
    commands: list[list[float]] = []
    publish = node._command.publish
    monkeypatch.setattr(node._command, 'publish', lambda message: (
        commands.append(list(message.data)), publish(message)))
    began, closed = threading.Event(), threading.Event()

    def judge(*_: object) -> str:
        began.set()
        assert closed.wait(WAIT_S)
        return ''

    monkeypatch.setattr(node, '_refusal', judge)
    command = Float64MultiArray(data=[0.05, 1.0])
    executor = threading.Thread(target=node._on_command, args=(command, sent_now()))
    executor.start()
    assert began.wait(WAIT_S)
    node.close()
    closed.set()
    executor.join(WAIT_S)
    assert commands == [[0.0, 0.0]]


@pytest.mark.parametrize('step_s', [-3600.0, 3600.0])
def test_a_clock_that_is_set_after_a_freeze_keeps_no_command_back(
        make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    """What was sent before the freeze is not obeyed, what is sent after it is, at any hour."""
    node = make('supervisor', start_held='false', simulation='true')
    node.trigger_configure()
    node.trigger_activate()

    def command() -> str:
        node._on_command(Float64MultiArray(data=[0.05, 1.0]), {'source_timestamp': sent})
        return str(node._last.reason)

    sent = time.time_ns()
    node._awake = -math.inf
    assert 'frozen' in command()
    wall = time.time_ns
    monkeypatch.setattr(time, 'time_ns', lambda: wall() + round(step_s * 1e9))
    time.sleep(0.01)
    sent = time.time_ns()
    assert command() == ''


@pytest.mark.parametrize(('adapter', 'sent'), [('true', 0.005), ('false', 0.1)])
def test_a_limit_is_a_part_of_the_speed_behind_the_adapter(
        make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, adapter: str, sent: float,
        ) -> None:
    """A tenth leaves a tenth of the thrust that is full there; elsewhere of the range."""
    node = make('supervisor', f'adapter: {adapter}\nlimits: {{x: 0.1, z: 1.0}}\n',
                start_held='false', **{'limits.margin_response': "'off'"})
    node.trigger_configure()
    node.trigger_activate()
    commands: list[list[float]] = []
    monkeypatch.setattr(node._command, 'publish',
                        lambda message: commands.append(list(message.data)))
    monkeypatch.setattr(node, '_refusal', lambda info: '')
    node._on_command(Float64MultiArray(data=[1.0, -0.5]), sent_now())
    assert commands[-1] == pytest.approx([sent, -0.5])


@pytest.mark.parametrize('name', ['model_error', 'cost_value'])
def test_a_monitor_that_cannot_judge_is_no_guard(make: Callable[..., Any], name: str) -> None:
    """Without calibration it never alarms: as a guard, or of a rollback, it is refused."""
    node = make('controller')
    node.trigger_configure()
    for setting, value in ((f'{name}.rule.level', 'stop'), ('rollback.monitor', name)):
        result, = node.set_parameters([Parameter(setting, value=value)])
        assert not result.successful and f'{name} cannot judge' in result.reason
        assert 'is not calibrated' in result.reason


@pytest.mark.parametrize('model', ['SafetyPointGoal1-v0', 'SafetyDoggoGoal1-v0'])
def test_a_monitor_of_plans_is_no_guard_of_a_policy(make: Callable[..., Any], model: str) -> None:
    """Where planning is off it has nothing to judge; where it is on, a calibrated one may act."""
    contract = read_contract(share_directory() / 'models' / model)
    robot = yaml.safe_dump({'limits': dict.fromkeys(contract.action.names, 1.0)})
    node = make('controller', robot, model=share_directory() / 'models' / model)
    node.trigger_configure()
    result, = node.set_parameters([Parameter('model_error.rule.level', value='stop')])
    assert result.successful is (model == 'SafetyPointGoal1-v0')
    assert result.successful or 'planning is off' in result.reason
    if result.successful:
        result, = node.set_parameters([Parameter('planner.kind', value='policy')])
        assert not result.successful and 'planning is off' in result.reason


def activated(make: Callable[..., Any], **parameters: object) -> Any:
    """Return an active supervisor that does not hold the robot from the start."""
    node = make('supervisor', start_held='false', **parameters)
    node.trigger_configure()
    node.trigger_activate()
    return node


def refused_release(node: Any) -> str:
    """Return why a supervisor is not released."""
    with pytest.raises(SpowlError) as error:
        node._on_release(Trigger.Request())
    return str(error.value)


@pytest.mark.slow
def test_one_estop_does_not_hide_another(make: Callable[..., Any]) -> None:
    """With two on a topic nobody knows that both are heard and not pressed: the robot is held."""
    node = activated(make)
    pressed, beating = (node.create_publisher(Bool, 'estop', 10) for _ in range(2))
    wait(lambda: node.count_publishers('estop') == 2)

    def hear(sender: Any, data: bool) -> None:
        sender.publish(Bool(data=data))
        for _ in range(5):
            rclpy.spin_once(node, timeout_sec=0.02)

    hear(pressed, True)
    assert node._latch.held
    hear(beating, False)
    time.sleep(RELEASE_AFTER_S)
    hear(beating, False)
    assert 'contradict' in refused_release(node) and node._latch.held
    node.destroy_publisher(pressed)
    wait(lambda: node.count_publishers('estop') == 1)
    end = time.monotonic() + 2 * RELEASE_AFTER_S
    while time.monotonic() < end:
        hear(beating, False)
    assert 'released' in node._on_release(Trigger.Request())


@pytest.mark.parametrize(('kind', 'qos'), [
    (Bool, qos_profile_sensor_data), (Float64MultiArray, 10)])
def test_an_estop_that_cannot_be_heard_holds_the_robot(
        make: Callable[..., Any], kind: type, qos: Any) -> None:
    """Its publisher is there, but best effort or of another type: nothing of it ever arrives."""
    node = activated(make)
    context = rclpy.Context()  # one participant of DDS cannot have two types on a topic
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    other = rclpy.create_node('other', context=context)
    other.create_publisher(kind, 'estop', qos)
    wait(lambda: node.count_publishers('estop') == 1)
    node.examine()
    assert node._latch.held and 'is needed' in node._latch.reason
    time.sleep(RELEASE_AFTER_S)
    assert 'an e-stop is not heard' in refused_release(node)
    other.destroy_node()
    context.try_shutdown()
    wait(lambda: node.count_publishers('estop') == 0)
    assert 'released' in node._on_release(Trigger.Request())


def test_an_estop_that_says_nothing_holds_the_robot(make: Callable[..., Any]) -> None:
    """Its publisher fits, but hangs: no release counts, and soon the robot is held."""
    node = activated(make)
    node.create_publisher(Bool, 'estop', 10)
    wait(lambda: node.count_publishers('estop') == 1)
    node.examine()
    assert 'nothing was heard' in refused_release(node)
    time.sleep(node.settings.estop_timeout)
    node.examine()
    assert node._latch.held and 'nothing was heard' in node._latch.reason


def test_an_estop_that_waited_is_not_alive(make: Callable[..., Any]) -> None:
    """The last message of a dead one may lie in the queue of a supervisor that was frozen."""
    node = activated(make)
    estop = node.create_publisher(Bool, 'estop', 10)
    wait(lambda: node.count_publishers('estop') == 1)

    def hear(after: float) -> None:
        estop.publish(Bool(data=False))
        time.sleep(after)
        for _ in range(5):
            rclpy.spin_once(node, timeout_sec=0.02)

    hear(0.0)
    assert not node._latch.held
    hear(node.settings.estop_timeout + 0.1)
    assert node._latch.held and 's old' in node._latch.reason
    time.sleep(RELEASE_AFTER_S)
    assert 's old' in refused_release(node)
    hear(0.0)
    assert 'released' in node._on_release(Trigger.Request())


def test_a_message_that_does_not_say_when_it_was_sent_holds_the_robot(
        make: Callable[..., Any]) -> None:
    """A middleware that sends no times cannot show that a message is no old one."""
    node = activated(make, simulation='true')
    unknown = {'source_timestamp': 0}
    node._on_command(Float64MultiArray(data=[0.05, 1.0]), unknown)
    assert 'does not say when' in node._last.reason
    node._on_command(Float64MultiArray(data=[0.05, 1.0]), sent_now())
    assert node._last.reason == ''
    node._on_estop(Bool(data=False), unknown)
    assert node._latch.held and 'does not say when' in node._latch.reason


def test_an_estop_that_is_needed_and_not_there_holds_the_robot(make: Callable[..., Any]) -> None:
    """Where its node died while the supervisor was away, nobody can release the robot."""
    node = activated(make, require_estop='true')
    node.examine()
    assert node._latch.held and 'this robot needs one' in node._latch.reason
    time.sleep(RELEASE_AFTER_S)
    assert 'this robot needs one' in refused_release(node)
    node._on_estop(Bool(data=False), sent_now())
    assert 'released' in node._on_release(Trigger.Request())


def speaking(node: Any, topic: str, messages: int) -> tuple[Any, Callable[[], None]]:
    """Return a publisher of a topic that the node has discovered, and what ends its node."""
    other = rclpy.create_node('other')
    publisher = other.create_publisher(Bool, topic, messages)
    wait(lambda: node.count_publishers(topic) == 1 and publisher.get_subscription_count() == 1)
    return publisher, other.destroy_node


def test_an_estop_under_another_name_is_missed_as_well(make: Callable[..., Any]) -> None:
    """A robot whose e-stop is remapped does not drive while that one says nothing."""
    node = activated(make, remapping=('estop:=/safety/estop',))
    _, end = speaking(node, '/safety/estop', 1)
    wait(lambda: 'an e-stop is there' in refused_release(node))
    end()


def test_a_short_press_of_the_estop_holds_the_robot(make: Callable[..., Any]) -> None:
    """However many messages waited while the supervisor was busy, none of them is lost."""
    node = activated(make)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    publisher, end = speaking(node, 'estop', 200)
    time.sleep(RELEASE_AFTER_S)
    publisher.publish(Bool(data=False))
    wait(lambda: executor.spin_once(0.01) or not node._estop.refusal(time.monotonic()))
    node._on_release(Trigger.Request())
    assert not node._latch.held
    for pressed in [False] * 30 + [True] + [False] * 60:
        publisher.publish(Bool(data=pressed))
    wait(lambda: executor.spin_once(0.01) or node._latch.reason == 'the e-stop is pressed')
    end()


def test_who_commands_without_a_sign_of_life_is_not_obeyed_for_long(
        make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would notice that its executor hangs, as under another name than `controller`."""
    monkeypatch.setattr(bond, 'DISCOVERY_S', 0.3)
    node = activated(make, simulation='true')
    command = Float64MultiArray(data=[0.0, 0.0])
    node._on_command(command, sent_now())
    assert node._last.state == 'passing'
    time.sleep(0.35)
    node._on_command(command, sent_now())
    assert node._last.state == 'stopped' and '/controller/alive' in node._last.reason


def test_a_ramp_waits_for_no_command(make: Callable[..., Any]) -> None:
    """A controller that says nothing, and is not yet silent, does not make a stop any longer."""
    node = activated(make, simulation='true', **{'limits.silence': 100.0})
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    node._on_command(Float64MultiArray(data=[0.05, 1.0]), sent_now())
    node._on_stop(SetBool.Request(data=True))
    begun = time.monotonic()
    assert not node._limits.rests
    wait(lambda: executor.spin_once(0.01) or node._limits.rests)
    assert 0.8 < time.monotonic() - begun < 1.5


def test_a_controller_whose_executor_hangs_is_not_obeyed(make: Callable[..., Any]) -> None:
    """Its commands go on, from another thread; but a person who takes over is not heard."""
    node = activated(make, simulation='true')
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    other = rclpy.create_node('controller', context=context)
    Bond(other, 'supervisor', node._contract.control_period, 1.0, lambda: None)
    commands = other.create_publisher(Float64MultiArray, 'command_raw', 1)
    executors = [SingleThreadedExecutor(context=context), SingleThreadedExecutor()]
    executors[0].add_node(other)
    executors[1].add_node(node)

    def state(hangs: bool) -> tuple[str, str]:
        commands.publish(Float64MultiArray(data=[0.0, 0.0]))
        for executor in executors[hangs:]:
            end = time.monotonic() + 0.02
            while time.monotonic() < end:
                executor.spin_once(0.005)
        last = node._last  # None until a command has come
        return (last.state, last.reason) if last else ('', '')

    wait(lambda: state(False)[0] == 'passing' and node._bond.state == 'alive')
    wait(lambda: state(True) == ('stopped', 'the controller hangs or has died'))
    assert node._bond.unattended(-math.inf)
    wait(lambda: state(False)[0] == 'passing')
    other.destroy_node()
    context.try_shutdown()


@pytest.mark.parametrize('name', ['top_speed', 'acceleration'])
def test_limits_that_the_adapter_outruns_are_refused_at_run_time_too(make: Callable[..., Any],
                                                                     name: str) -> None:
    """The region around hazards is as large as these limits say."""
    model = share_directory() / 'models' / 'SafetyPointGoal1-v0'
    node = make('supervisor', 'adapter: true\n' + ROBOT, model=model)
    node.trigger_configure()
    result, = node.set_parameters([Parameter(f'limits.{name}', value=0.01)])
    assert not result.successful and f'limits.{name}: is 0.01' in result.reason
    result, = node.set_parameters([Parameter(f'limits.{name}', value=9.0)])
    assert result.successful


def test_a_release_counts_for_one_activation(make: Callable[..., Any]) -> None:
    """What is activated again may be another model: it waits for a release of its own."""
    node = make('supervisor')
    for _ in range(2):
        assert 'not active' in refused_release(node)
        node.trigger_configure()
        assert 'not active' in refused_release(node)
        node.trigger_activate()
        assert node._latch.held
        assert 'released' in node._on_release(Trigger.Request())
        assert not node._latch.held
        node.trigger_deactivate()
        assert node._latch.held and 'held since it was activated' in node._latch.reason
        node.trigger_cleanup()


@pytest.mark.parametrize('first', ['deactivate', 'close'])
def test_the_end_and_a_transition_leave_the_stop_whole(make: Callable[..., Any], first: str,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the ramp of a deactivation, or the reverse, cuts the ramp in neither case."""
    node = make('supervisor', start_held='false', **{'limits.margin_response': '"off"'})
    node.trigger_configure()
    node.trigger_activate()
    node._supervision._last = np.ones(2)
    commands: list[list[float]] = []
    publish = node._command.publish

    def note(message: Any) -> None:
        publish(message)
        commands.append(list(message.data))

    monkeypatch.setattr(node._command, 'publish', note)

    steps = [node.trigger_deactivate, node.close]
    if first == 'close':
        steps.reverse()
    thread = threading.Thread(target=steps[0])
    thread.start()
    wait(lambda: len(commands) > 2)
    assert any(commands[-1])
    steps[1]()
    thread.join(WAIT_S)
    assert not any(commands[-1])


def test_a_sensor_with_two_publishers_is_silent(make: Callable[..., Any]) -> None:
    """What either says may be wrong, so neither reaches the planner; /diagnostics names both."""
    node = make('controller')
    node.trigger_configure()
    node.trigger_activate()
    entry, subscription = node._sensors[0]
    stored: list[Any] = []
    node._loop.put = lambda *parts: stored.append(parts)
    topic = (subscription.msg_type, entry.topic, qos_profile_sensor_data)
    node.create_publisher(*topic)
    second = node.create_publisher(*topic)
    wait(lambda: node.count_publishers(entry.topic) == 2)
    told: list[Any] = []
    node.diagnostics._publisher = SimpleNamespace(publish=told.append)
    node.diagnostics.report()
    measured = subscription.msg_type()
    measured.header.stamp = node.get_clock().now().to_msg()
    node._on_sensor(entry, measured, {'received_timestamp': 0})
    node.diagnostics.report()
    assert not stored
    assert any('2 publishers' in status.message for status in told[-1].status)
    node.destroy_publisher(second)
    wait(lambda: node.count_publishers(entry.topic) == 1)
    node.diagnostics.report()
    node._on_sensor(entry, measured, {'received_timestamp': 0})
    assert stored


def test_an_operator_who_cannot_be_heard_is_told(make: Callable[..., Any]) -> None:
    """A takeover whose messages have another type never arrives; /diagnostics says so."""
    node = make('controller', **{'operator.input': 'joy'})
    node.trigger_configure()
    assert node._person.complaint == ''
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    other = rclpy.create_node('other', context=context)
    other.create_publisher(Float64MultiArray, 'joy', 10)
    wait(lambda: node.count_publishers('joy') == 1)
    told: list[Any] = []
    node.diagnostics._publisher = SimpleNamespace(publish=told.append)
    node.diagnostics.report()
    assert told[0].status[0].level == DiagnosticStatus.ERROR
    assert 'Float64MultiArray, sensor_msgs/msg/Joy is needed' in told[0].status[0].message
    other.destroy_node()
    context.try_shutdown()


def see(node: Adapter, beams: int) -> None:
    """Give an adapter a scan of so many degrees around straight ahead, in which nothing is."""
    step = math.pi / 180
    scan = LaserScan(angle_min=-beams / 2 * step, angle_increment=step, range_max=5.0,
                     angle_max=(beams / 2 - 1) * step, range_min=0.05,
                     ranges=[math.inf] * beams)
    scan.header.stamp = node.get_clock().now().to_msg()
    node._on_scan(scan)


@pytest.fixture
def wheels(ros_domain: int) -> Iterator[Adapter]:
    """Return an adapter whose robot is on its way to a goal."""
    model = share_directory() / 'models' / 'SafetyPointGoal1-v0'
    rclpy.init(args=['--ros-args', '-p', f'model:={model}'],
               signal_handler_options=SignalHandlerOptions.NO)
    node = Adapter()
    node._errand.be_at(0.0, 0.0, 'odom', time.monotonic())
    node._errand.send(Goal(5.0, 0.0, 'odom'), time.monotonic())
    see(node, 360)
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def test_the_adapters_stop_is_its_last_command_while_a_listener_hangs(
        wheels: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the acknowledgement while its executor still runs, and commands nothing."""
    speeds: list[float] = []
    publish = wheels._cmd_vel.publish
    monkeypatch.setattr(wheels._cmd_vel, 'publish', lambda message: (
        speeds.append(message.twist.linear.x), publish(message)))
    monkeypatch.setattr(wheels._cmd_vel, 'wait_for_all_acked', lambda longest: False)
    monkeypatch.setattr(adapter, 'publish_last', partial(publish_last, longest=0.2))
    ended = threading.Event()

    def drive() -> None:
        while not ended.wait(0.01):
            wheels._on_command(Float64MultiArray(data=[1.0, 0.0]), sent_now())
            wheels._command()

    executor = threading.Thread(target=drive)
    executor.start()
    wait(lambda: speeds and speeds[-1] > 0.1)
    wheels.close()
    ended.set()
    executor.join(WAIT_S)
    assert speeds[-1] == 0.0


def test_the_adapter_obeys_neither_of_two_who_command(wheels: Adapter) -> None:
    """A supervisor cannot overrule a node that commands beside it; the adapter then stands."""
    command = Float64MultiArray(data=[1.0, 0.0])
    supervisor = wheels.create_publisher(Float64MultiArray, 'command', 1)
    wait(lambda: wheels.count_publishers('command') == 1)
    wheels._on_command(command, sent_now())
    wheels._command()
    assert wheels._drive.speed > 0.0
    stranger = wheels.create_publisher(Float64MultiArray, 'command', 1)
    wait(lambda: wheels.count_publishers('command') == 2)
    wheels._on_command(command, sent_now())
    wheels._command()
    assert wheels._drive.speed == 0.0
    wheels.destroy_publisher(stranger)
    wait(lambda: wheels.count_publishers('command') == 1)
    wheels._on_command(command, sent_now())
    wheels._command()
    assert wheels._drive.speed > 0.0
    wheels.destroy_publisher(supervisor)


def test_the_adapter_stands_where_another_commands_the_wheels(wheels: Adapter) -> None:
    """The wheels would hear both; the adapter cannot overrule the other, but says who it is."""
    command = Float64MultiArray(data=[1.0, 0.0])
    teleop = wheels.create_publisher(TwistStamped, 'cmd_vel', 1)
    wait(lambda: wheels.count_publishers('cmd_vel') == 2)
    wheels._on_command(command, sent_now())
    wheels._command()
    assert wheels._drive.speed == 0.0
    assert '/cmd_vel has 2 publishers (/adapter, /adapter)' in wheels._refused['command'][1]
    wheels.destroy_publisher(teleop)
    wait(lambda: wheels.count_publishers('cmd_vel') == 1)
    wheels._on_command(command, sent_now())
    wheels._command()
    assert wheels._drive.speed > 0.0


@pytest.mark.parametrize('topic', ['scan', 'odom', 'child'])
def test_the_adapter_takes_one_frame_only(wheels: Adapter, topic: str) -> None:
    """The mounting is that of one laser: a relay of two has one publisher, but two frames."""
    wheels._frames = FirstFrames()
    stamp = wheels.get_clock().now()

    def refused(frame: str) -> bool:
        nonlocal stamp
        wheels._refused.clear()
        stamp += Duration(nanoseconds=10**6)
        header = Header(frame_id=frame, stamp=stamp.to_msg())
        if topic == 'scan':
            wheels._on_scan(LaserScan(
                header=header, angle_min=-math.pi, angle_max=math.pi, angle_increment=math.pi / 8,
                range_min=0.05, range_max=5.0, ranges=[1.0] * 17))
        else:
            message = Odometry(header=header, child_frame_id='base_link')
            if topic == 'child':
                message.header.frame_id, message.child_frame_id = 'odom', frame
            wheels._on_odom(message)
        return any('before it was' in reason for _, reason, _ in wheels._refused.values())

    assert not refused('front') and refused('rear') and not refused('front')


def test_the_adapter_obeys_no_command_that_waited(wheels: Adapter) -> None:
    """One from before it was frozen is no sign that the supervisor lives; the robot stands."""
    supervisor = wheels.create_publisher(Float64MultiArray, 'command', 1)
    executor = SingleThreadedExecutor()
    executor.add_node(wheels)
    wait(supervisor.get_subscription_count)

    def obeys() -> bool:
        wheels._commanded = -math.inf
        wheels._refused.clear()
        supervisor.publish(Float64MultiArray(data=[1.0, 0.0]))
        time.sleep(pause)
        wait(lambda: executor.spin_once(0.01) or wheels._commanded > 0.0 or wheels._refused)
        return wheels._commanded > 0.0

    wheels.set_parameters([Parameter('command_timeout', value=0.5)])
    pause = 1.0
    assert not obeys() and 's old, limit 0.50 s' in wheels._refused['command'][1]
    wheels._command()
    assert wheels._drive.speed == 0.0
    wheels.set_parameters([Parameter('command_timeout', value=5.0)])
    pause = 0.0
    assert obeys()
    executor.remove_node(wheels)
    wheels.destroy_publisher(supervisor)


@pytest.mark.parametrize('turn', [0.0, 0.3])
def test_the_adapter_brakes_without_thrust(wheels: Adapter, turn: float) -> None:
    """Where the supervisor lets only the turn pass, the robot turns on the spot at once."""
    for thrust, moves in ((1.0, True), (0.0, False)):
        wheels._on_command(Float64MultiArray(data=[thrust, turn]), sent_now())
        wheels._command()
        assert (wheels._drive.speed != 0.0) is moves
    assert (wheels._drive.turn_rate != 0.0) is (turn != 0.0)


def test_the_adapter_does_not_drive_where_its_laser_does_not_look(wheels: Adapter) -> None:
    """Behind a laser of 270 degrees it turns, but does not move; nor ahead by one of a few."""
    def speed(thrust: float) -> tuple[bool, bool]:
        wheels._drive.stop()
        wheels._on_command(Float64MultiArray(data=[thrust, 0.5]), sent_now())
        wheels._command()
        return wheels._drive.speed != 0.0, wheels._drive.turn_rate != 0.0

    assert speed(1.0) == speed(-1.0) == (True, True)
    see(wheels, 270)
    assert speed(1.0) == (True, True) and speed(-1.0) == (False, True)
    see(wheels, 3)
    assert speed(1.0) == speed(-1.0) == (False, True)
