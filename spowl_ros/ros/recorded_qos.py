# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Converts quality of service between publishers, bags and the playing of a bag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.duration import Duration, Infinite
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags import interfaces
from rosbags.rosbag2.metadata import parse_qos

from spowl_ros.base import yaml

UNKNOWN_DEPTH = 100
"""Least queue depth when a bag is played: discovery does not report a publisher's depth."""


def matching(offered: Sequence[QoSProfile], depth: int) -> QoSProfile:
    """Return the strictest profile that receives from all publishers of a topic."""
    reliable = all(profile.reliability is ReliabilityPolicy.RELIABLE for profile in offered)
    latched = all(profile.durability is DurabilityPolicy.TRANSIENT_LOCAL for profile in offered)
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


def stored(profile: QoSProfile) -> interfaces.Qos:
    """Return a profile in the form that a bag stores."""
    return interfaces.Qos(
        _member(interfaces.QosHistory, profile.history), profile.depth,
        _member(interfaces.QosReliability, profile.reliability),
        _member(interfaces.QosDurability, profile.durability),
        _stored_time(profile.deadline), _stored_time(profile.lifespan),
        _member(interfaces.QosLiveliness, profile.liveliness),
        _stored_time(profile.liveliness_lease_duration),
        profile.avoid_ros_namespace_conventions)


def read(text: str) -> list[interfaces.Qos]:
    """Return the publishers' profiles from a bag; empty if the text is not understood."""
    try:
        return parse_qos(yaml.load(text)) if text else []
    except Exception:  # rosbags raises many kinds for a bad text: play as if there were none
        return []


def played(recorded: Sequence[interfaces.Qos]) -> QoSProfile:
    """
    Return the profile of the one publisher that replaces all recorded ones.

    It is reliable or latched if any of them was. Without any it is ROS 2's default, but deeper.
    """
    best_effort = bool(recorded) and all(
        profile.reliability is interfaces.QosReliability.BEST_EFFORT for profile in recorded)
    latched = any(profile.durability is interfaces.QosDurability.TRANSIENT_LOCAL
                  for profile in recorded)
    keep_all = any(profile.history is interfaces.QosHistory.KEEP_ALL for profile in recorded)
    return QoSProfile(
        history=HistoryPolicy.KEEP_ALL if keep_all else HistoryPolicy.KEEP_LAST,
        depth=max([UNKNOWN_DEPTH, *(profile.depth for profile in recorded)]),
        reliability=(ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE),
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE),
        deadline=_longest([profile.deadline for profile in recorded]),
        lifespan=_longest([profile.lifespan for profile in recorded]))


def _member(kind: Any, value: Any) -> Any:
    """Return the member of a rosbags enumeration with the name of rclpy's member."""
    return getattr(kind, value.name, kind.UNKNOWN)


def _stored_time(duration: Duration) -> interfaces.QosTime:
    return interfaces.QosTime(*divmod(duration.nanoseconds, 10**9))


def _longest(times: Sequence[interfaces.QosTime]) -> Duration:
    """Return the longest of several times; infinite if there is none or all are 0."""
    nanoseconds = max((time.sec * 10**9 + time.nsec for time in times), default=0)
    forever = not 0 < nanoseconds < Infinite.nanoseconds
    return Infinite if forever else Duration(nanoseconds=nanoseconds)
