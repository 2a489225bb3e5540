# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Record a run as a video of the scene from above, drawn without OpenGL."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
import threading
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import whole
from spowl_ros.control.decision import Decision
from spowl_ros.control.run_record import RunRecord
from spowl_ros.drawing.outline import heading_of, outline_of, solids
from spowl_ros.drawing.picture import Painter, PictureContent, palette, view_of

STILL_S = 1.0
"""Duration of the last picture."""
HASTE = 2.0
"""Speed of the video relative to the robot: a decision at 10 Hz takes 50 ms of video."""


class Recording:
    """Collects the moments of a run; pass each message to its methods as it arrives."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._markers: dict[tuple[str, int], Any] = {}
        self._cost = 0.0
        self.moments: list[PictureContent] = []

    def add_markers(self, message: Any) -> None:
        """Take the scene of a visualization_msgs/MarkerArray."""
        self._markers = {(marker.ns, marker.id): marker for marker in solids(message)}

    def add_decision(self, decision: Decision) -> None:
        """Take a decision made in the last scene."""
        markers, record = self._markers.values(), self._record
        robot = next((marker.pose for marker in markers if marker.ns == 'robot'), None)
        if robot is None:
            return
        self.moments.append(PictureContent(
            tuple(map(outline_of, markers)), (robot.position.x, robot.position.y),
            heading_of(robot.orientation), decision, len(record.episodes) + 1, record.reward,
            record.cost, max(0.0, record.cost - self._cost)))
        self._cost = record.cost

    def write(self, file: Path, interrupted: threading.Event) -> None:
        """
        Write the video, unless interrupted.

        :raises SpowlError: nothing was recorded, or the file cannot be written
        """
        if not self.moments:
            raise SpowlError(f'{file} was not written: no markers and decisions were received')
        painter = Painter(view_of(self.moments))
        bar = tqdm(self.moments, 'drawing', unit=' pictures', leave=False, disable=None)
        pictures = (painter.paint(moment) for moment in bar if not interrupted.is_set())
        writer = write_gif if file.suffix.lower() == '.gif' else write_mp4
        try:
            with whole(file) as part:
                writer(part, pictures, self._control_period() / HASTE)
        except OSError as error:
            raise SpowlError(f'{file} was not written: {error}') from error

    def _control_period(self) -> float:
        """Return the robot's time between two decisions, seconds."""
        steps = np.diff([moment.decision.now_ns for moment in self.moments])
        return float(np.median(steps[steps > 0])) * 1e-9 if (steps > 0).any() else STILL_S


def write_mp4(file: Path, pictures: Iterable[Image.Image], period: float) -> None:
    """Write H.264 that browsers play; `period` is the duration of a picture, seconds."""
    import imageio_ffmpeg

    encoder = None
    for picture in pictures:
        frame = np.ascontiguousarray(picture)
        if encoder is None:
            encoder = imageio_ffmpeg.write_frames(
                str(file), picture.size, fps=1 / period, macro_block_size=2, quality=7,
                ffmpeg_log_level='error')
            encoder.send(None)
        encoder.send(frame)
    if encoder is not None:
        for _ in range(round(STILL_S / period)):  # the last picture stays
            encoder.send(frame)
        encoder.close()


def write_gif(file: Path, pictures: Iterable[Image.Image], period: float) -> None:
    """Write a GIF that loops; `period` is the duration of a picture, seconds."""
    colours = Image.new('P', (1, 1))
    colours.putpalette(palette())
    frames = [picture.quantize(palette=colours, dither=Image.Dither.NONE) for picture in pictures]
    if frames:
        durations = [round(period * 1e3)] * (len(frames) - 1) + [round(STILL_S * 1e3)]
        frames[0].save(file, save_all=True, append_images=frames[1:], duration=durations, loop=0)
