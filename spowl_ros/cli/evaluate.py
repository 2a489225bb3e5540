# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure return and cost of a bundle or a checkpoint over whole episodes.

Episode i has the seed SEED + i. Seeds 10000 to 19999 are reserved for evaluations: training never
uses them. Published figures use the default.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import check_writable, write_json
from spowl_ros.base.seeds import EVALUATION, LAST
from spowl_ros.base.settings import assigned, changed, declared, flattened
from spowl_ros.base.tasks import RAW_STEPS
from spowl_ros.cli._numbers import between
from spowl_ros.control.planner_settings import KINDS

if TYPE_CHECKING:
    from spowl_ros.evaluation.episodes import AgentSource
    from spowl_ros.sim.perturbation import Perturbation

CPU_LANES = 16
"""Number of episodes that a process runs side by side."""
DEVICE_LANES = 64
"""The same on an accelerator, which plans for many episodes as fast as for one."""

HELP = 'measure return and cost of a bundle or a checkpoint'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument('model', type=Path, metavar='BUNDLE_OR_CHECKPOINT',
                        help='directory of a bundle, or a checkpoint of a training run')
    parser.add_argument('--episodes', type=between(int, 1), default=50, metavar='N',
                        help='episodes to run (default: %(default)s)')
    parser.add_argument('--seed', type=between(int, 0, LAST), default=EVALUATION.start,
                        metavar='S', help='seed of the first episode (default: %(default)s)')
    parser.add_argument('--planner', choices=KINDS,
                        help="how candidates are judged (default: the bundle's or checkpoint's "
                        'own kind; policy: without planning; threshold and unsafe: without '
                        'the switch too, unless --set switch=true)')
    parser.add_argument('--workers', type=between(int, 1), default=1, metavar='K',
                        help='processes that share the episodes (default: %(default)s)')
    parser.add_argument('--set', dest='settings', action='append', default=[],
                        metavar='NAME=VALUE', help="another value of a planner setting, as "
                        "'switch=false' (a bundle's sizes are fixed), or of a monitor's, as "
                        "'sensor_margin.rule.level=stop'; repeatable")
    parser.add_argument('--monitors', choices=('on', 'off'), default='on',
                        help='off: the run-time monitors of a bundle only report')
    parser.add_argument('--device', metavar='DEVICE',
                        help="compute with PyTorch on this device, as 'cuda', for many episodes "
                        'at once; of a bundle the networks and the planner, without monitors')
    parser.add_argument('--authors-planner', action='store_true',
                        help="start from the settings of SPOWL's authors; checkpoints only")
    parser.add_argument('--perturb', action='append', default=[], metavar='CHANGE',
                        help="change the robot, as 'mass=1.3' or 'command_delay=2'; 'ordinary': "
                        'as a robot ordinarily differs from its simulation; repeatable')
    parser.add_argument('--address', metavar='ADDRESS',
                        help="share the episodes on a Ray cluster: 'auto', HOST:PORT, or 'local' "
                        'for all cores of this machine')
    parser.add_argument('--json', metavar='FILE', help='write the figures here')


def run(args: argparse.Namespace) -> int:
    """Run the episodes, print the figures and write them."""
    from tqdm import tqdm

    from spowl_ros.evaluation import episodes as rollout

    if args.address and args.workers != 1:
        raise SpowlError('--workers are processes of this machine, and --address shares the '
                         'episodes by itself; give one of them')
    check_writable(args.json)
    source, details = open_model(args.model, args.planner, settings_of(args.settings),
                                 authors_planner=args.authors_planner,
                                 monitors=args.monitors == 'on', device=args.device)
    own = details['settings']
    kind = args.planner or own.get('planner.kind') or own['kind']
    perturbation = None
    if args.perturb:
        perturbation = perturbed(args.perturb, source)
        details['perturbation'] = vars(perturbation)
    measured: list[dict[str, Any]] = []

    def keep(so_far: rollout.Evaluation) -> None:
        measured[:] = [so_far.to_dict()]
        if args.address:
            bar.update(sum(measured[0]['steps']) - bar.n)
        if args.json:
            write_json(args.json, measured[0])

    with ExitStack() as stack:
        elsewhere = None
        if args.address is not None:
            from spowl_ros.scale.cluster import Cluster
            from spowl_ros.scale.episodes import run_chunks

            elsewhere = partial(run_chunks, stack.enter_context(Cluster(args.address)))
        bar = stack.enter_context(tqdm(
            total=args.episodes * RAW_STEPS, unit=' steps', disable=None,
            desc=f'{source.task} {kind}', dynamic_ncols=True))
        try:
            rollout.evaluate(
                source, kind, range(args.seed, args.seed + args.episodes),
                workers=args.workers, perturbation=perturbation, details=details,
                on_steps=lambda steps: bar.update(steps - bar.n), on_episodes=keep,
                elsewhere=elsewhere)
        finally:  # also after an error or Ctrl-C: keep the episodes measured so far
            bar.close()
            for figures in measured:
                print(summary(figures))
    return 0


def open_model(model: Path, kind: str | None, values: dict[str, Any], *,
               authors_planner: bool = False, monitors: bool = True, device: str | None = None
               ) -> tuple[AgentSource, dict[str, Any]]:
    """
    Return the agent source of a bundle or a checkpoint, and a description of it.

    :param kind: of planner; None: its own. The kinds threshold and unsafe do not switch to the
        policy, as in the authors' code, unless `values` turns the switch on
    :param values: settings to change; names without a dot are the planner's
    :param monitors: False: a bundle's monitors only report; a checkpoint has no monitors
    :param device: where PyTorch computes; None: a checkpoint on the CPU, and a bundle as on the
        robot, without PyTorch
    :raises SpowlError: neither bundle nor checkpoint, unusable settings, or no such device
    """
    values = {**({'planner.kind': kind} if kind else {}),
              **({'planner.switch': False} if kind in ('threshold', 'unsafe') else {}),
              **{name if '.' in name else f'planner.{name}': value
                 for name, value in values.items()}}
    details: dict[str, Any] = {'model': str(model)}
    if model.is_dir():
        from spowl_ros.control import bundle
        from spowl_ros.control.settings import ControllerSettings
        from spowl_ros.evaluation.agents import BundleAgents

        if authors_planner:
            raise SpowlError(f'{model} is a bundle, whose sizes are fixed; --authors-planner '
                             'needs the checkpoint')
        loaded = bundle.load(model)
        details['networks'] = loaded.networks_digest
        task, action_repeat = loaded.contract.task, loaded.contract.action_repeat
        controls = ControllerSettings(planner=loaded.settings)
        off = {} if monitors else {f'{name}.rule.level': 'off' for name in controls.rules()}
        controls = controls.change({**off, **values})
        if device is None:
            return (BundleAgents(model, controls, task, action_repeat),
                    {**details, 'settings': flattened(controls)})
        if monitors:
            raise SpowlError('monitors run with the ONNX controller, not in PyTorch; '
                             'with --device say --monitors off')
        settings = controls.planner
    else:
        from spowl_ros.control.planner_settings import PlannerSettings
        from spowl_ros.training import checkpoint

        counters, config = checkpoint.describe(model)
        details |= {'counters': counters, 'training_seed': config.seed}
        task, action_repeat = config.task, config.collect.action_repeat
        settings, device = config.planner, device or 'cpu'
        if authors_planner:
            settings = PlannerSettings(discount=settings.discount,
                                       cost_discount=settings.cost_discount)
        settings = changed(settings, {name.removeprefix('planner.'): value
                                      for name, value in values.items()})
    from spowl_ros.training.agent import NetworkAgents, usable

    lanes = CPU_LANES if usable(device).type == 'cpu' else DEVICE_LANES
    return (NetworkAgents(model, settings, task, action_repeat, device, lanes),
            {**details, 'device': device, 'settings': settings.to_dict()})


def settings_of(texts: Sequence[str]) -> dict[str, Any]:
    """
    Return full names and values of controller settings; a short name means the planner's first.

    :param texts: each `NAME=VALUE`
    :raises SpowlError: no such setting, an ambiguous name, or a wrong value
    """
    from spowl_ros.control.settings import ControllerSettings

    return assigned(declared(ControllerSettings()), texts, home='planner.')


def perturbed(texts: Sequence[str], source: AgentSource) -> Perturbation:
    """
    Return the perturbation that these texts describe.

    :param texts: each `NAME=VALUE`, or the name of a preset, which the others change
    :raises SpowlError: an unknown name or a wrong value
    """
    from spowl_ros.sim import environment
    from spowl_ros.sim.perturbation import PRESETS, Perturbation, preset

    start = Perturbation()
    for name in (text for text in texts if '=' not in text):
        if name not in PRESETS:
            raise SpowlError(f'there is no perturbation {name!r}; give NAME=VALUE, as mass=1.3, '
                             f'or one of {", ".join(PRESETS)}')
        start = preset(name, environment.contract(source.task, source.action_repeat).raw_period)
    return changed(start, assigned(declared(start), [text for text in texts if '=' in text]))


def summary(figures: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    def interval(name: str) -> str:
        return '{mean:.2f}  [{low:.2f}, {high:.2f}]'.format(**figures[name])

    sources = ', '.join(f'{source} {fraction:.1%}'
                        for source, fraction in figures['source_fraction'].items())
    rates = figures['rates']
    return '\n'.join((
        f"{figures['task']}, planner {figures['planner']}, {figures['episodes']} episodes "
        f"from seed {figures['seeds'][0]}",
        *(f'  seed {seed}: return {reward:.2f}, cost {cost:g}' for seed, reward, cost in zip(
            figures['seeds'], figures['returns'], figures['costs'], strict=True)),
        f"return     {interval('return')}  (mean, 95 % bootstrap interval; more is better)",
        f"cost       {interval('cost')}  (the same; 0 is best)",
        f"cost-free  {figures['cost_free_fraction']:.1%} of the episodes  (100 % is best)",
        f'actions    {sources}',
        f"time       {figures['seconds']:.1f} s, {rates['decisions_per_second']:.0f} decisions "
        f"and {rates['raw_steps_per_second']:.0f} raw steps a second"))
