# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
What a recording was made with: the bundle's hash, the nodes' parameters, and what triggered it.

The bag holds them as messages of a topic that nobody publishes: they survive however the
recording ends. ROS 2's own tools show them as any other ``std_msgs/String``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
import hashlib
import json
from pathlib import Path
from typing import Any

from spowl_ros.bags.reader import Bag
from spowl_ros.bags.types import installed_types
from spowl_ros.base.errors import SpowlError

TOPIC = '/recorder/context'
TYPE = 'std_msgs/msg/String'


@dataclass(frozen=True)
class Trigger:
    """Why a bag of the last seconds was written."""

    cause: str
    """'save', 'stop', 'monitor', 'cost' or 'operator'."""
    reason: str
    time_ns: int
    """Nanoseconds since the epoch."""


@dataclass
class BagContext:
    """What a recording was made with, as far as it is known."""

    bundle: str | None = None
    """Path of the bundle on the machine that recorded."""
    bundle_sha256: str | None = None
    """SHA-256 of the bundle's manifest, which holds the hashes of all its other files."""
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Node name to its parameters when the recorder first saw it."""
    settings: dict[str, str] = field(default_factory=dict)
    """Topic of decisions to the settings (JSON) in force before the first recorded decision."""
    triggers: list[Trigger] = field(default_factory=list)
    """Why the bag was written; empty: it is a full recording, not one of the last seconds."""

    def messages(self) -> list[bytes]:
        """Return the known parts as messages of TYPE, ready to write."""
        entries: list[dict[str, Any]] = []
        if self.bundle is not None:
            entries.append({'bundle': self.bundle, 'bundle_sha256': self.bundle_sha256})
        entries += [{'node': node, 'parameters': values}
                    for node, values in self.parameters.items()]
        entries += [{'decisions': topic, 'settings': text}
                    for topic, text in self.settings.items()]
        entries += [{'trigger': asdict(trigger)} for trigger in self.triggers]
        store = installed_types()
        return [bytes(store.serialize_cdr(store.types[TYPE](json.dumps(entry)), TYPE))
                for entry in entries]


def of_bundle(directory: Path) -> BagContext:
    """
    Return what identifies a bundle.

    :raises SpowlError: there is none
    """
    try:
        manifest = (directory / 'manifest.json').read_bytes()
    except OSError as error:
        raise SpowlError(f'no bundle in {directory}: {error.strerror}') from None
    return BagContext(str(directory), hashlib.sha256(manifest).hexdigest())


def read_context(bag: Bag) -> BagContext:
    """
    Return the context that a bag holds.

    :raises SpowlError: it does not have the form that `Context.messages` writes
    """
    context = BagContext()
    for message in bag.messages([TOPIC]):
        try:
            entry = dict(json.loads(bag.decode(message).data))
            if 'bundle' in entry:
                context.bundle = str(entry['bundle'])
                context.bundle_sha256 = str(entry['bundle_sha256'])
            if 'node' in entry:
                context.parameters[str(entry['node'])] = dict(entry['parameters'])
            if 'decisions' in entry:
                context.settings[str(entry['decisions'])] = str(entry['settings'])
            if 'trigger' in entry:
                told = entry['trigger']
                context.triggers.append(Trigger(str(told['cause']), str(told['reason']),
                                                int(told['time_ns'])))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise SpowlError(f'{bag.path}: a message on {TOPIC} does not say what the recording '
                             f'was made with ({type(error).__name__}); it was not written by '
                             '`recorder`') from None
    return context
