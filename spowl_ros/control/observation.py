# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Assembles an observation from parts that arrive one by one."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Contract


@dataclass(frozen=True)
class Observation:
    """
    One observation vector with the time of each of its parts.

    Two clocks judge how old a part is. ``ages`` follows the node's clock, which a simulator may
    stop or set back; ``silences`` follows a steady clock, which nothing can stop.
    """

    values: NDArray[np.float32]
    """Shape (n,): the fields of the contract, one after the other, in its units."""
    stamps_ns: NDArray[np.int64]
    """Shape (fields,): when each field was measured, node's clock, nanoseconds."""
    now_ns: int
    """When the parts were put together, node's clock, nanoseconds."""
    silences: NDArray[np.float64]
    """Shape (fields,): seconds since each field arrived, steady clock; 0 where not measured."""

    @property
    def stamp_ns(self) -> int:
        """Stamp of the newest part, nanoseconds."""
        return int(self.stamps_ns.max())

    @property
    def ages(self) -> NDArray[np.float64]:
        """Shape (fields,): seconds since each field was measured; negative: a future stamp."""
        return np.asarray((self.now_ns - self.stamps_ns) * 1e-9, np.float64)


class ObservationAssembler:
    """
    Keeps the latest value of every field and assembles them in the contract's order.

    Not thread-safe: callers in several threads hold a lock around it.
    """

    def __init__(self, contract: Contract) -> None:
        self._slices = contract.slices
        self._names = list(self._slices)
        self._values = np.zeros(contract.size, np.float32)
        self._stamps_ns = np.zeros(len(self._names), np.int64)
        self._arrivals = np.zeros(len(self._names), np.float64)
        self._received = np.zeros(len(self._names), bool)
        self._fresh = np.zeros(len(self._names), bool)
        # A sensor that may be silent for two periods is slower than decisions are made.
        self._awaited = np.array([field.timeout < 2.0 * contract.control_period
                                  for field in contract.fields])
        self._observed_ns: int | None = None

    def reset(self) -> None:
        """Forget everything received."""
        self._keep(np.zeros(len(self._names), bool))

    def put(self, name: str, values: ArrayLike, stamp_ns: int, arrival: float = 0.0) -> None:
        """
        Store the newest value of one field.

        :param values: as many numbers as the field has; not-a-number is kept for a monitor to see
        :param stamp_ns: when it was measured, node's clock, nanoseconds
        :param arrival: when it arrived, steady clock, seconds; only a newer stamp counts
        :raises SpowlError: no such field, or another number of values
        """
        if name not in self._slices:
            raise SpowlError(f"no field '{name}' in the contract; it has {', '.join(self._names)}")
        index, place = self._names.index(name), self._values[self._slices[name]]
        array = np.asarray(values, np.float64).reshape(-1)
        if array.size != place.size:
            raise SpowlError(f"field '{name}' got {array.size} values, "
                             f'the contract wants {place.size}')
        # A number too large for single precision becomes infinite, which a monitor reports.
        with np.errstate(over='ignore'):
            place[:] = array
        # An equal or older stamp does not count as an arrival: a frozen driver counts as silent.
        if not self._received[index] or stamp_ns > self._stamps_ns[index]:
            self._arrivals[index] = arrival
        self._stamps_ns[index] = stamp_ns
        self._received[index] = True
        self._fresh[index] = True

    def missing(self) -> list[str]:
        """Names of the fields that were never received."""
        return [name for name, seen in zip(self._names, self._received, strict=True) if not seen]

    def complete(self) -> bool:
        """
        Whether every field arrived since the last observation, and was measured after it.

        The stamps keep the parts of one measurement together, in whatever order their messages
        arrive. Fields that the contract allows to be silent for two control periods do not count.
        """
        if not (self._received.all() and self._fresh[self._awaited].all()
                and self._fresh.any()):
            return False
        return self._observed_ns is None or bool(
            (self._stamps_ns[self._awaited] > self._observed_ns).all())

    def newest_ns(self) -> int:
        """Return the newest stamp received, nanoseconds; 0 before any."""
        return int(self._stamps_ns[self._received].max(initial=0))

    def silences(self, now: float) -> dict[str, float]:
        """Return seconds since each field arrived, steady clock; infinity: never did."""
        return {name: float(now - arrival) if seen else math.inf for name, arrival, seen in zip(
            self._names, self._arrivals, self._received, strict=True)}

    def observe(self, now_ns: int, now: float | None = None,
                rate: float = 1.0) -> Observation | None:
        """
        Return the latest parts as an observation; None while a field was never received.

        :param now_ns: the node's clock, nanoseconds
        :param now: the steady clock of ``put``, seconds; without it silences are zero
        :param rate: seconds of the node's clock in a second of the steady clock; silences are
            given in the former
        """
        if not self._received.all():
            return None
        # A stamp from the future must not make later measurements look old.
        self._observed_ns = min(int(self._stamps_ns.max()), now_ns)
        self._fresh[:] = False
        silences = (np.zeros(len(self._names)) if now is None
                    else (now - self._arrivals) * rate)
        return Observation(values=self._values.copy(), stamps_ns=self._stamps_ns.copy(),
                           now_ns=now_ns, silences=silences)

    def forget_before(self, stamp_ns: int) -> None:
        """Drop parts stamped before ``stamp_ns``, when an episode begins."""
        self._keep(self._stamps_ns >= stamp_ns)

    def forget_after(self, now_ns: int) -> None:
        """Drop parts stamped after ``now_ns``, for a clock that was set back."""
        self._keep(self._stamps_ns <= now_ns)

    def _keep(self, parts: NDArray[np.bool_]) -> None:
        self._received &= parts
        self._fresh &= self._received
        self._observed_ns = None
