# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings classes as ROS parameters: declared, described, checked, and changed at run time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import difflib
import sys
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import Setting, changed, declared, flattened

T = TypeVar('T')

_LARGEST_INTEGER = 2**63 - 1
_ROS_OWN = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')


class Parameters(Generic[T]):
    """
    The parameters of one settings class on one node.

    The node must have been made with ``automatically_declare_parameters_from_overrides=True``.
    Values given at the node's start replace the defaults.

    :param node: where to declare them
    :param defaults: a settings object; its values are the defaults
    :param accept: called with the new settings before they are accepted; raises SpowlError to
        refuse them
    :param applied: called with the new settings once they are accepted
    :param later: settings objects whose parameters the node will have later
    :param given: of parameters that `remove` takes away: name to value given at the node's start,
        which is kept here until they are declared again. ROS cannot undeclare a read-only
        parameter; with this none is declared as read-only, and ``accept`` must refuse to change
        them
    :raises SpowlError: a given value is of the wrong type or out of range, or nobody knows its
        name
    """

    def __init__(self, node: Node, defaults: T, accept: Callable[[T], None] = lambda new: None,
                 applied: Callable[[T], None] = lambda new: None, later: Sequence[Any] = (),
                 given: dict[str, Any] | None = None) -> None:
        self._node = node
        self._accept = accept
        self._applied = applied
        self.settings: T = self._declare(defaults, given)
        if given is None:
            _refuse_unknown(node, defaults, *later)
        node.add_pre_set_parameters_callback(self._widen)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)

    def _declare(self, defaults: T, given: dict[str, Any] | None) -> T:
        self._names = {entry.name for entry in declared(defaults)}
        present = {name: self._node.get_parameter(name).value for name in self._names
                   if self._node.has_parameter(name)}
        found = {**(given or {}), **present}
        settings = changed(defaults, found)
        self._accept(settings)  # a value that is refused stays declared, so that it can be set
        for name in present:
            self._node.undeclare_parameter(name)
        for entry in declared(settings):
            descriptor = _descriptor(entry)
            descriptor.read_only &= given is None
            self._node.declare_parameter(entry.name, entry.default, descriptor,
                                         ignore_override=True)
        if given is not None:
            given.update(found)
        self._numbers = {entry.name for entry in declared(settings) if entry.kind is float}
        return settings

    def replace(self, settings: T, accept: Callable[[T], None]) -> None:
        """Replace the settings, by others of the same names, and ``accept``, all at once."""
        old = flattened(self.settings)
        self.settings, self._accept = settings, accept
        if new := [Parameter(name, value=value) for name, value in flattened(settings).items()
                   if value != old[name]]:
            self._node.set_parameters_atomically(new)

    def remove(self) -> None:
        """Undeclare all parameters."""
        self._node.remove_pre_set_parameters_callback(self._widen)
        self._node.remove_on_set_parameters_callback(self._check)
        self._node.remove_post_set_parameters_callback(self._apply)
        for name in self._names:
            self._node.undeclare_parameter(name)

    def _widen(self, parameters: list[Parameter[Any]]) -> list[Parameter[Any]]:
        """Accept an integer for a float, as `ros2 param set NODE NAME 1` sends it."""
        return [Parameter(parameter.name, Parameter.Type.DOUBLE, float(parameter.value))
                if parameter.name in self._numbers and parameter.type_ is Parameter.Type.INTEGER
                else parameter for parameter in parameters]

    def _new(self, parameters: list[Parameter[Any]]) -> T:
        return changed(self.settings, {parameter.name: parameter.value for parameter in parameters
                                       if parameter.name in self._names})

    def _check(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        try:
            self._accept(self._new(parameters))
        except SpowlError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply(self, parameters: list[Parameter[Any]]) -> None:
        new = self._new(parameters)
        if new != self.settings:
            self.settings = new
            self._applied(new)


def _refuse_unknown(node: Node, *tables: Any) -> None:
    """
    Check that the node knows every parameter given at its start.

    :param tables: the settings objects whose parameters the node has or will have
    :raises SpowlError: names the unknown ones and the nearest known names
    """
    known = {name for table in tables for name in flattened(table)}
    unknown = [name for name in node.list_parameters([], 0).names
               if name not in known and not name.startswith(_ROS_OWN)]
    if unknown:
        similar = dict.fromkeys(match for name in unknown
                                for match in difflib.get_close_matches(name, known, cutoff=0.5))
        raise SpowlError(
            f"node '{node.get_name()}' has no parameter "
            f"{', '.join(repr(name) for name in sorted(unknown))}; "
            + (f'similar ones are {", ".join(similar)}' if similar
               else 'ros2 param list shows those that it has'))


def _descriptor(entry: Setting) -> ParameterDescriptor:
    """Describe a setting as ROS tools show it."""
    descriptor = ParameterDescriptor(
        name=entry.name, description=entry.description, read_only=entry.read_only,
        additional_constraints=entry.wanted() if entry.choices else '')
    limited = entry.low is not None or entry.high is not None
    if entry.kind is float and limited:
        descriptor.floating_point_range = [FloatingPointRange(
            from_value=-sys.float_info.max if entry.low is None else float(entry.low),
            to_value=sys.float_info.max if entry.high is None else float(entry.high), step=0.0)]
    elif entry.kind is int and limited:
        descriptor.integer_range = [IntegerRange(
            from_value=-_LARGEST_INTEGER if entry.low is None else int(entry.low),
            to_value=_LARGEST_INTEGER if entry.high is None else int(entry.high), step=0)]
    return descriptor
