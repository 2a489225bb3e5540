# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The controller's settings: the planner's, and those of every monitor that is registered."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from spowl_ros.base.settings import changed, flattened, group
from spowl_ros.control.monitors.base import Monitor, Rule
from spowl_ros.control.monitors.registry import kinds
from spowl_ros.control.planner_settings import PlannerSettings, renamed


@dataclass(frozen=True)
class ControllerSettings:
    """
    Settings of the planner and of each monitor; a monitor's field has the monitor's name.

    It has the monitors registered when it is made: ``ControllerSettings().staleness.factor``.
    """

    planner: PlannerSettings = group(PlannerSettings)

    def __new__(cls, *args: Any, **values: Any) -> ControllerSettings:
        """Return an object of the class that has a field for every monitor."""
        return object.__new__(_complete(kinds()) if cls is ControllerSettings else cls)

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any:
            """Return a monitor's settings."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how to rebuild the object: it cannot find a class made at run time."""
        return _from_values, (flattened(self),)

    def rules(self) -> dict[str, Rule]:
        """Return each monitor's rule, in the order in which monitors judge."""
        return {field.name: getattr(self, field.name).rule for field in dataclasses.fields(self)
                if field.name != 'planner'}

    def change(self, values: dict[str, Any]) -> ControllerSettings:
        """
        Return the settings with some replaced.

        :param values: dotted name to value
        :raises SpowlError: unknown, fixed in the bundle, wrong type, out of range
        """
        prefix = 'planner.'
        inner = renamed({name.removeprefix(prefix): value for name, value in values.items()
                         if name.startswith(prefix)})
        planner = self.planner.at_run_time(inner)
        outer = {name: value for name, value in values.items() if not name.startswith(prefix)}
        return dataclasses.replace(changed(self, outer), planner=planner)


@cache
def _complete(monitors: tuple[type[Monitor[Any]], ...]) -> type[ControllerSettings]:
    """Return the class with a field for each monitor's settings."""
    return dataclasses.make_dataclass(
        'ControllerSettings',
        [(kind.name, kind.settings_type, group(kind.settings_type)) for kind in monitors],
        bases=(ControllerSettings,), frozen=True)


def _from_values(values: dict[str, Any]) -> ControllerSettings:
    return changed(ControllerSettings(), values)
