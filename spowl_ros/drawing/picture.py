# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw one decision: the scene from above, and the choice with its reasons."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
import functools
from itertools import pairwise
import math
import textwrap

from PIL import Image, ImageDraw, ImageFont

from spowl_ros.control.decision import SOURCES, Decision
from spowl_ros.drawing.outline import Outline, Point

Colour = tuple[int, int, int]

SCENE_PX = 560
"""Side of the square that shows the scene, and height of the picture."""
PANEL_PX = 260
OVERSAMPLING = 2
"""Factor by which everything is drawn larger and then scaled down, to smooth edges."""
LEGEND_PX = 12
"""Size of the legend's letters."""
MARGIN_M = 0.6
SPACE_PX = 11
"""Between two words of the panel's legend."""
TRAIL = 300
"""Number of visible positions of the robot's path."""
HISTORY = 200
"""Decisions in the strip at the bottom: 20 s at ten per second."""

BACKGROUND: Colour = (250, 250, 248)
FLOOR: Colour = (238, 239, 235)
GRID: Colour = (226, 227, 222)
INK: Colour = (38, 42, 48)
FAINT: Colour = (136, 142, 150)
COST: Colour = (200, 40, 40)
SOURCE_COLOURS: dict[str, Colour] = {
    'plan': (31, 119, 80), 'policy': (44, 98, 178), 'monitor': (222, 140, 20), 'stop': COST,
    'operator': (190, 60, 150)}
KIND_COLOURS: dict[str, Colour] = {
    'goal': (72, 176, 96), 'hazards': (226, 112, 84), 'vases': (92, 190, 200),
    'gremlins': (150, 70, 180), 'pillars': (104, 96, 160), 'buttons': (226, 170, 70),
    'push_box': (212, 196, 84), 'robot': (74, 80, 90)}
ZONES = ('goal', 'hazards')
"""Kinds that lie on the floor; drawn first and translucent."""


def palette() -> bytes:
    """Return at most 256 colours that suffice for a picture: all, and blends with the floor."""
    pure = {BACKGROUND, FLOOR, GRID, INK, FAINT, COST, *SOURCE_COLOURS.values(),
            *KIND_COLOURS.values()}
    return bytes(round(level + (floor - level) * fade)
                 for colour in sorted(pure) for fade in (0.0, 0.2, 0.4, 0.55, 0.65, 0.75, 0.85)
                 for level, floor in zip(colour, FLOOR, strict=True))


@dataclass(frozen=True)
class PictureContent:
    """Content of one picture."""

    outlines: tuple[Outline, ...]
    robot: Point
    heading: float
    """Radians from x."""
    decision: Decision
    episode: int
    """Counted from 1."""
    episode_return: float
    cost: float
    """Both of the episode until now."""
    cost_now: float
    """Since the previous decision."""


def view_of(moments: Sequence[PictureContent]) -> tuple[Point, float]:
    """Return centre and side, in metres, of the square that contains everything ever shown."""
    points = [point for moment in moments for outline in moment.outlines
              for point in outline.points]
    xs, ys = zip(*points, strict=True)
    side = max(max(xs) - min(xs), max(ys) - min(ys)) + 2 * MARGIN_M
    return ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2), side


class Painter:
    """
    Draws the moments of a run, in order.

    :param view: centre and side of the scene in metres, see `view_of`
    """

    def __init__(self, view: tuple[Point, float]) -> None:
        (self._x, self._y), side = view
        self._scale = SCENE_PX * OVERSAMPLING / side
        self._side = side
        self._seen: deque[PictureContent] = deque(maxlen=max(TRAIL, HISTORY))
        """The last moments of the episode."""

    def paint(self, moment: PictureContent) -> Image.Image:
        """Return the picture of a moment, (SCENE_PX + PANEL_PX) by SCENE_PX pixels, RGB."""
        if self._seen and self._seen[-1].episode != moment.episode:
            self._seen.clear()
        self._seen.append(moment)
        size = ((SCENE_PX + PANEL_PX) * OVERSAMPLING, SCENE_PX * OVERSAMPLING)
        image = Image.new('RGB', size, BACKGROUND)
        draw = ImageDraw.Draw(image, 'RGBA')
        self._draw_floor(draw)
        for outline in sorted(moment.outlines, key=lambda each: each.kind not in ZONES):
            if outline.kind != 'robot':
                self._draw_outline(draw, outline)
        self._draw_trail(draw)
        for outline in moment.outlines:
            if outline.kind == 'robot':
                self._draw_outline(draw, outline)
        self._draw_robot(draw, moment)
        self._draw_legend(draw, moment)
        SidePanel(draw, list(self._seen)[-HISTORY:]).draw()
        return image.reduce(OVERSAMPLING)

    def _pixel(self, point: Point) -> Point:
        """Return the pixel of a world point."""
        middle = SCENE_PX * OVERSAMPLING / 2
        return (middle + (point[0] - self._x) * self._scale,
                middle - (point[1] - self._y) * self._scale)

    def _draw_floor(self, draw: ImageDraw.ImageDraw) -> None:
        """Draw a tile per metre."""
        edge = SCENE_PX * OVERSAMPLING
        draw.rectangle((0, 0, edge, edge), FLOOR)
        half = self._side / 2
        for line in range(math.ceil(self._x - half), math.floor(self._x + half) + 1):
            x, _ = self._pixel((line, 0))
            draw.line((x, 0, x, edge), GRID, OVERSAMPLING)
        for line in range(math.ceil(self._y - half), math.floor(self._y + half) + 1):
            _, y = self._pixel((0, line))
            draw.line((0, y, edge, y), GRID, OVERSAMPLING)

    def _draw_outline(self, draw: ImageDraw.ImageDraw, outline: Outline) -> None:
        """Draw one solid or zone."""
        colour = KIND_COLOURS.get(outline.kind, FAINT)
        fill = (*colour, 90 if outline.kind in ZONES else 235)
        if outline.radius:
            self._disc(draw, outline.points[0], outline.radius, fill, colour)
        else:
            draw.polygon([self._pixel(point) for point in outline.points], fill, colour)

    def _draw_trail(self, draw: ImageDraw.ImageDraw) -> None:
        """Draw the path, each segment in the colour of the source that chose it."""
        for start, end in pairwise(list(self._seen)[-TRAIL:]):
            draw.line((self._pixel(start.robot), self._pixel(end.robot)),
                      (*SOURCE_COLOURS[start.decision.source], 190), 3 * OVERSAMPLING)

    def _draw_robot(self, draw: ImageDraw.ImageDraw, moment: PictureContent) -> None:
        """Draw a ring in the source's colour, a forward arrow, and a flash if there is cost."""
        colour = SOURCE_COLOURS[moment.decision.source]
        x, y = moment.robot
        if moment.cost_now > 0:
            self._disc(draw, moment.robot, 0.42, (*COST, 90), None)
        self._disc(draw, moment.robot, 0.22, None, colour, width=3)
        ahead = [self._pixel((x + r * math.cos(moment.heading + turn),
                              y + r * math.sin(moment.heading + turn)))
                 for r, turn in ((0.40, 0.0), (0.25, 0.45), (0.25, -0.45))]
        draw.polygon(ahead, colour)

    def _draw_legend(self, draw: ImageDraw.ImageDraw, moment: PictureContent) -> None:
        """Draw what the colours of things mean, and the length of a metre."""
        edge = SCENE_PX * OVERSAMPLING
        font = _font(LEGEND_PX * OVERSAMPLING)
        kinds = [kind for kind in KIND_COLOURS if any(
            outline.kind == kind for outline in moment.outlines)]
        step = 1.4 * LEGEND_PX * OVERSAMPLING
        x, y = step, edge - step * (len(kinds) + 1)
        for row, kind in enumerate(kinds):
            top = y + row * step
            draw.rectangle((x, top - 0.35 * step, x + 0.7 * step, top + 0.35 * step),
                           KIND_COLOURS[kind])
            draw.text((x + step, top), kind.replace('_', ' '), INK, font, anchor='lm')
        right = edge - step
        draw.line((right - self._scale, edge - step, right, edge - step), INK, 2 * OVERSAMPLING)
        draw.text((right - self._scale / 2, edge - 1.5 * step), '1 m', INK, font, anchor='mm')

    def _disc(self, draw: ImageDraw.ImageDraw, centre: Point, radius: float,
              fill: tuple[int, ...] | None, edge: Colour | None, width: int = 1) -> None:
        """Draw a disc with its radius in metres and its edge's width in pixels."""
        x, y = self._pixel(centre)
        r = radius * self._scale
        draw.ellipse((x - r, y - r, x + r, y + r), fill, edge, width * OVERSAMPLING)


class SidePanel:
    """
    The column beside the scene.

    :param history: the moments of the strip; the last one is shown
    """

    LEFT = SCENE_PX + 20
    RIGHT = SCENE_PX + PANEL_PX - 20

    def __init__(self, draw: ImageDraw.ImageDraw, history: Sequence[PictureContent]) -> None:
        self._draw = draw
        self._history = history
        self._decision = history[-1].decision

    def draw(self) -> None:
        """Draw everything from top to bottom."""
        moment, decision = self._history[-1], self._decision
        colour = SOURCE_COLOURS[decision.source]
        self._text(self.LEFT, 18, f'episode {moment.episode}', 15, FAINT)
        self._text(self.LEFT, 40, f'{moment.episode_return:.1f}', 34, INK)
        self._text(self.LEFT, 80, 'return (more is better)', 10, FAINT)
        self._text(self.LEFT + 125, 40, f'{moment.cost:.0f}', 34, COST if moment.cost else INK)
        self._text(self.LEFT + 125, 80, 'cost (less is better)', 10, FAINT)
        self._box(self.LEFT, 112, self.RIGHT, 148, colour)
        self._text((self.LEFT + self.RIGHT) / 2, 130, decision.source.upper(), 20, BACKGROUND,
                   anchor='mm')
        for row, line in enumerate(textwrap.wrap(decision.reason, 38)[:2]):
            self._text(self.LEFT, 154 + 15 * row, line, 11, FAINT)
        self._draw_actions(196)
        self._draw_values(372)
        self._draw_history(506)

    def _draw_actions(self, top: float) -> None:
        """Draw the actions of plan and policy, a bar per actuator; the chosen one is framed."""
        plan = self._decision.plan
        self._text(self.LEFT, top, 'action', 13, INK)
        half = (self.RIGHT - self.LEFT) / 2
        candidates = (('plan', plan.plan_action if plan else ()),
                      ('policy', plan.policy_action if plan else ()))
        for column, (name, action) in enumerate(candidates):
            left = self.LEFT + column * half
            colour = SOURCE_COLOURS[name]
            if name == self._decision.source:
                self._box(left - 6, top + 20, left + half - 10, top + 160, None, colour)
            self._text(left + 2, top + 24, name, 13, colour)
            step = min(30.0, 108 / max(len(action), 1))
            middle = left + half / 2 - 8
            self._draw.line(tuple(end * OVERSAMPLING for end in (
                middle, top + 44, middle, top + 154)), FAINT, OVERSAMPLING)
            for row, value in enumerate(action):
                y = top + 48 + row * step
                end = middle + value * (half / 2 - 16)
                self._box(min(middle, end), y, max(middle, end), y + 0.6 * step, colour)

    def _draw_values(self, top: float) -> None:
        """Draw the two comparisons of the switch between plan and policy."""
        plan = self._decision.plan
        if plan is None:
            self._text(self.LEFT, top, 'no plan was made', 13, FAINT)
            return
        rows = (('value', plan.plan_value, plan.policy_value, plan.plan_value >= plan.value_low),
                ('cost value', plan.plan_cost_value, plan.policy_cost_value,
                 plan.plan_cost_value <= plan.cost_value_high))
        self._text(self.LEFT + 108, top, 'plan', 13, SOURCE_COLOURS['plan'])
        self._text(self.LEFT + 168, top, 'policy', 13, SOURCE_COLOURS['policy'])
        for row, (name, of_plan, of_policy, passed) in enumerate(rows):
            y = top + 22 + 24 * row
            self._text(self.LEFT, y, name, 13, INK)
            self._text(self.LEFT + 108, y, f'{of_plan:.2f}', 13, INK if passed else COST)
            self._text(self.LEFT + 168, y, f'{of_policy:.2f}', 13, INK)
        y = top + 76
        self._text(self.LEFT, y, 'latency', 13, INK)
        self._text(self.LEFT + 108, y, f'{self._decision.seconds["total"] * 1e3:.0f} ms', 13, INK)

    def _draw_history(self, top: float) -> None:
        """Draw the sources of the last decisions as a strip, with marks at decisions with cost."""
        self._text(self.LEFT, top - 18, 'source of actions', 13, INK)
        step = (self.RIGHT - self.LEFT) / HISTORY
        for index, moment in enumerate(self._history):
            x = self.LEFT + index * step
            self._box(x, top, x + step, top + 18, SOURCE_COLOURS[moment.decision.source])
            if moment.cost_now > 0:
                self._box(x, top + 19, x + max(step, 1), top + 26, COST)
        x = float(self.LEFT)
        for source in SOURCES:
            self._text(x, top + 30, source, 11, SOURCE_COLOURS[source])
            x += _font(11).getlength(source) + SPACE_PX

    def _text(self, x: float, y: float, text: str, size: int, colour: Colour,
              anchor: str = 'la') -> None:
        self._draw.text((x * OVERSAMPLING, y * OVERSAMPLING), text, colour,
                        _font(size * OVERSAMPLING), anchor=anchor)

    def _box(self, left: float, top: float, right: float, bottom: float, fill: Colour | None,
             edge: Colour | None = None) -> None:
        corners = tuple(side * OVERSAMPLING for side in (left, top, right, bottom))
        self._draw.rectangle(corners, fill, edge, OVERSAMPLING if edge else 0)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font that comes with Pillow."""
    return ImageFont.load_default(size)

