# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Policies that stable-baselines3 and rsl_rl have trained and exported drive as our own do."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
import pytest

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle as bundles
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.observation import Observation
from spowl_ros.control.policy import Policy
from spowl_ros.sim import environment
from spowl_ros.training.checkpoint import bundle_networks
from spowl_ros.training.wrap import wrap

HERE = Path(__file__).resolve().parent / 'policies'
LIBRARIES = ('sb3', 'rsl_rl')
SPOWL = (sys.executable, '-m', 'spowl_ros.cli.main')


def wrapped(name: str, directory: Path) -> Bundle:
    """Return the bundle of one of the two policies."""
    return wrap(HERE / f'{name}.onnx', HERE / f'{name}.yaml', directory, HERE / f'{name}.npz')


@pytest.fixture(scope='module', params=LIBRARIES)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return each of the two bundles; do not write into it."""
    return wrapped(request.param, tmp_path_factory.mktemp('wrapped') / request.param)


def observed(bundle: Bundle, values: np.ndarray, step: int) -> Observation:
    """Return an observation in time."""
    stamp = 1_000_000_000 + int(step * bundle.contract.control_period * 1e9)
    fields = len(bundle.contract.fields)
    return Observation(values.astype(np.float32), np.full(fields, stamp), stamp, np.zeros(fields))


def changed(path: Path, target: Path, **policy: Any) -> Path:
    """Write a contract whose section `policy` has other entries."""
    content = yaml.read(path, 'the contract')
    content['policy'].update(policy)
    target.write_text(yaml.dump(content))
    return target


def small(path: Path, nodes: list[Any], size: int, actions: int, inputs: tuple[str, ...] = (),
          joints: str = '') -> Path:
    """Write a graph of a few nodes from `observation` to `out`."""
    graph = helper.make_graph(
        nodes, 'small',
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
         for name in ('observation', *inputs)],
        [helper.make_tensor_value_info('out', TensorProto.FLOAT, [1, actions])],
        [helper.make_tensor('w', TensorProto.FLOAT, [size, actions],
                            np.full(size * actions, 0.01).tolist())])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    if joints:
        helper.set_model_props(model, {'joint_names': joints})
    onnx.save(model, path)
    return path


def linear() -> list[Any]:
    """Return the nodes of a policy of one matrix."""
    return [helper.make_node('MatMul', ['observation', 'w'], ['out'])]


def test_a_wrapped_policy_drives_the_simulation(bundle: Bundle) -> None:
    """The controller takes its action at every step, as the source policy."""
    driven, controller = environment.make('PointGoal1', 3, 5), Controller(bundle)
    values = driven.reset(3)
    session = bundle.sessions()['policy']
    for step in range(30):
        decision = controller.decide(observed(bundle, values, step))
        assert (decision.source, decision.reason) == ('policy', 'the bundle holds no planner')
        raw = session.run(None, {'observation': values[None].astype(np.float32)})[0][0]
        assert decision.action == tuple(np.clip(raw, -1.0, 1.0).tolist())
        values = driven.step(np.array(decision.action)).observation


def test_a_monitor_that_needs_values_knows_nothing(bundle: Bundle) -> None:
    """It neither alarms nor clears: a monitor that is tripped stays so."""
    controller = Controller(bundle)
    controller.change(controller.settings.change({
        'cost_value.rule.level': 'stop', 'model_error.rule.level': 'stop'}))
    first = controller.decide(observed(bundle, np.zeros(bundle.contract.size), 0))
    unknown = {reading.monitor for reading in first.readings if not reading.known}
    assert {'cost_value', 'model_error'} <= unknown
    controller.resume(1, replace(first, tripped=('cost_value',)))
    for step in range(1, 60):
        decision = controller.decide(observed(bundle, np.zeros(bundle.contract.size), step))
        assert 'cost_value' in decision.tripped
        assert decision.source == 'stop'


def test_there_is_no_planner_to_switch_on(bundle: Bundle) -> None:
    """Another kind than policy is refused, and so are its networks."""
    controller = Controller(bundle)
    with pytest.raises(SpowlError, match='holds a policy and no planner'):
        controller.change(controller.settings.change({'planner.kind': 'adaptive'}))
    with pytest.raises(SpowlError, match='no networks'):
        bundle_networks(bundle)


def test_what_is_no_number_stops_the_robot(tmp_path: Path) -> None:
    """Neither limiting the observation nor limiting the action makes a number of it."""
    contract = changed(HERE / 'sb3.yaml', tmp_path / 'contract.yaml', output='', clip=5.0)
    made = wrap(small(tmp_path / 'p.onnx', linear(), 60, 2), contract, tmp_path / 'bundle')
    policy = Policy(made)
    values = np.zeros(60, np.float32)
    assert np.isfinite(policy.plan(values, 0).policy_action).all()
    values[7] = np.nan
    assert np.isnan(policy.plan(values, 0).policy_action).all()
    controller = Controller(made)
    controller.change(controller.settings.change({'values.rule.level': 'off'}))
    assert controller.decide(observed(made, values, 0)).source == 'stop'


def test_what_the_library_did_around_its_network_is_done(tmp_path: Path) -> None:
    """(x - mean) / std, limited, through the network, scaled and shifted, is the command."""
    contract = changed(HERE / 'sb3.yaml', tmp_path / 'contract.yaml', output='', clip=2.0,
                       mean=[1.0] * 60, std=[0.5] * 60, scale=[0.3, 0.4], offset=[0.1, -0.2])
    made = wrap(small(tmp_path / 'p.onnx', linear(), 60, 2), contract, tmp_path / 'bundle')
    values = np.random.default_rng(0).uniform(-1.0, 3.0, 60).astype(np.float32)
    out = 0.01 * np.clip((values - 1.0) / 0.5, -2.0, 2.0).sum()
    action = Policy(made).plan(values, 0).policy_action
    wanted = np.array([0.1 + 0.3 * out, -0.2 + 0.4 * out])
    assert np.allclose(made.contract.action.command(action), wanted, atol=1e-5)


@pytest.mark.parametrize(('policy', 'said'), [
    ({'scale': [0.5, 1.0]}, 'golden vector'), ({'output': 'steer'}, "no 'steer'"),
    ({'output': ''}, 'name one of them as policy.output'), ({'mean': [0.0]}, 'wanted 60'),
    ({'std': [0.0] * 60}, 'not positive'), ({'speed': 1}, 'policy.speed')])
def test_a_form_that_is_not_the_policys_is_refused(tmp_path: Path, policy: dict[str, Any],
                                                   said: str) -> None:
    """Nothing is written then."""
    contract = changed(HERE / 'sb3.yaml', tmp_path / 'contract.yaml', **policy)
    with pytest.raises(SpowlError, match=said):
        wrap(HERE / 'sb3.onnx', contract, tmp_path / 'bundle', HERE / 'sb3.npz')
    assert not (tmp_path / 'bundle').exists()


def test_units_and_sensors_are_those_of_messages(tmp_path: Path) -> None:
    """A gyro in degrees, and a sensor that no message has, are refused by name."""
    for key, value, said in (('unit', 'deg/s', "comes in 'rad/s'"),
                             ('sensor', 'sonar', "'sonar'")):
        content = yaml.read(HERE / 'sb3.yaml', 'the contract')
        gyro = next(field for field in content['fields'] if field['name'] == 'gyro')
        gyro[key] = value
        (tmp_path / 'contract.yaml').write_text(yaml.dump(content))
        with pytest.raises(SpowlError, match=said):
            wrap(HERE / 'sb3.onnx', tmp_path / 'contract.yaml', tmp_path / 'bundle')


def test_another_order_of_joints_is_refused(tmp_path: Path) -> None:
    """Where the exporter wrote its order into the model, the contract has to have the same."""
    contract = changed(HERE / 'sb3.yaml', tmp_path / 'contract.yaml', output='')
    wrong = small(tmp_path / 'wrong.onnx', linear(), 60, 2, joints='z,x')
    with pytest.raises(SpowlError, match='exported for the joints z, x'):
        wrap(wrong, contract, tmp_path / 'bundle')
    right = small(tmp_path / 'right.onnx', linear(), 60, 2, joints="['x', 'z']")
    assert wrap(right, contract, tmp_path / 'bundle').plans is False


@pytest.mark.parametrize(('nodes', 'size', 'inputs', 'said'), [
    (linear(), 61, (), r'wants \[1, 60\]'),
    ([*linear()[:0], helper.make_node('Add', ['observation', 'memory'], ['sum']),
      helper.make_node('MatMul', ['sum', 'w'], ['out'])], 60, ('memory',), 'recurrent'),
    ([helper.make_node('RandomNormalLike', ['observation'], ['r']),
      helper.make_node('MatMul', ['r', 'w'], ['out'])], 60, (), 'RandomNormalLike')])
def test_a_graph_that_is_no_policy_is_refused(tmp_path: Path, nodes: list[Any], size: int,
                                              inputs: tuple[str, ...], said: str) -> None:
    """Another size, another input, and randomness have their sentences."""
    contract = changed(HERE / 'sb3.yaml', tmp_path / 'contract.yaml', output='', input=(
        'observation' if inputs else ''))
    with pytest.raises(SpowlError, match=said):
        wrap(small(tmp_path / 'p.onnx', nodes, size, 2, inputs), contract, tmp_path / 'bundle')


def test_a_graph_of_the_future_is_refused(tmp_path: Path) -> None:
    """An operator set that nobody here knows has its sentence."""
    model = onnx.load(HERE / 'sb3.onnx')
    model.opset_import[0].version = 99
    onnx.save(model, tmp_path / 'p.onnx')
    with pytest.raises(SpowlError, match='operator set 99'):
        wrap(tmp_path / 'p.onnx', HERE / 'sb3.yaml', tmp_path / 'bundle')


@pytest.mark.parametrize('other', ['thesis.tex', 'no digest', 'file', 'link', 'empty'])
def test_only_a_bundle_is_replaced(tmp_path: Path, other: str) -> None:
    """A directory with anything else in it stays as it is."""
    place = tmp_path / 'place'
    if other == 'file':
        place.write_text('mine')
    elif other == 'empty':
        place.mkdir()
    else:
        wrapped('sb3', place)
    if other == 'thesis.tex':
        (place / other).write_text('mine')
    elif other == 'no digest':
        (place / 'manifest.sha256').unlink()
    elif other == 'link':
        place.rename(tmp_path / 'real')
        place.symlink_to(tmp_path / 'real')
    before = sorted(path.name for path in tmp_path.rglob('*'))
    with pytest.raises(SpowlError, match='is no bundle'):
        wrapped('sb3', place)
    assert sorted(path.name for path in tmp_path.rglob('*')) == before


def test_what_git_left_stays_where_a_bundle_is_replaced(tmp_path: Path) -> None:
    """A bundle may be a clone: its history is not lost."""
    wrapped('sb3', tmp_path / 'bundle')
    (tmp_path / 'bundle' / '.git').mkdir()
    (tmp_path / 'bundle' / '.git' / 'HEAD').write_text('ref')
    wrapped('rsl_rl', tmp_path / 'bundle')
    assert (tmp_path / 'bundle' / '.git' / 'HEAD').read_text() == 'ref'
    bundles.load(tmp_path / 'bundle')


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    """So is a bundle whose graph was replaced."""
    (tmp_path / 'p.onnx').write_bytes(b'no model')
    with pytest.raises(SpowlError, match='no ONNX model'):
        wrap(tmp_path / 'p.onnx', HERE / 'sb3.yaml', tmp_path / 'bundle')
    wrapped('sb3', tmp_path / 'one')
    wrapped('rsl_rl', tmp_path / 'two')
    shutil.copy(tmp_path / 'two' / 'policy.onnx', tmp_path / 'one' / 'policy.onnx')
    with pytest.raises(SpowlError, match='was replaced'):
        bundles.load(tmp_path / 'one')


@pytest.mark.slow
@pytest.mark.parametrize('name', LIBRARIES)
def test_a_wrapped_policy_drives_real_nodes_and_replays(name: str, tmp_path: Path,
                                                        ros_domain: int) -> None:
    """Controller, supervisor, simulator and recorder run it; its replay is bit for bit."""
    model, bag, figures = tmp_path / 'model', tmp_path / 'bag', tmp_path / 'figures.json'
    subprocess.run([*SPOWL, 'wrap', str(HERE / f'{name}.onnx'), str(HERE / f'{name}.yaml'),
                    str(model), '--golden', str(HERE / f'{name}.npz')], check=True, timeout=100)
    driven = subprocess.run(
        [*SPOWL, 'sim', 'episodes:=1', f'record:={bag}', f'model:={model}'], check=True,
        timeout=250, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    subprocess.run([*SPOWL, 'replay', str(bag), str(model), '--json', str(figures)], check=True,
                   timeout=100)
    found = json.loads(figures.read_text())
    assert found['decisions'] > 100
    assert found['identical'] is True
    assert driven.stdout.count('policy 100%') == 1, driven.stdout
