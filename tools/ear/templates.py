"""Ear B: it compares with digits that other voices said, and knows nothing else about the language.

One pass of dynamic time warping over the frames of Whisper's encoder finds the best row of digits and pauses. It shares
these frames with ear A, but none of its knowledge of words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_SILENCES = 6
_ENTRY_COST = 0.02  # for each new digit, so that no digit is squeezed in


@dataclass(frozen=True, slots=True)
class Template:
    digit: int
    voice: str
    frames: Any


class TemplateEar:
    """Hears a row of digits in frames. `silences` are frames of clips without speech."""

    def __init__(self, templates: list[Template], silences: Any) -> None:
        self._templates = templates
        self._silences = _unit(_centroids(_unit(silences), _SILENCES))

    def listen(self, frames: Any, heard_voice: str, length: int = 6) -> str:
        """The `length` digits in `frames`, by the templates of all voices but `heard_voice`."""
        used = [template for template in self._templates if template.voice != heard_voice]
        states = _unit(np.concatenate([template.frames for template in used]))
        counts = np.array([len(template.frames) for template in used])
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        ends = starts + counts - 1
        digits = np.array([template.digit for template in used])
        heard = _unit(frames)
        costs = 1 - heard @ states.T
        quiet = (1 - heard @ self._silences.T).min(axis=1)

        inside = np.full((length, len(states)), np.inf)  # the best cost to be in a state of the digit of a level
        codes = np.zeros((length, len(states)), dtype=np.int64)
        resting = np.full(length + 1, np.inf)  # in silence, with that many digits behind
        rested = np.zeros(length + 1, dtype=np.int64)
        resting[0] = 0.0
        is_start = np.zeros(len(states), dtype=bool)
        is_start[starts] = True
        second = np.zeros(len(states), dtype=bool)
        second[(starts + 1)[counts > 1]] = True
        digit_at_start = np.zeros(len(states), dtype=np.int64)
        digit_at_start[starts] = digits
        for cost, silence in zip(costs, quiet, strict=True):
            best_end = inside[:, ends].argmin(axis=1)
            done = inside[np.arange(length), ends[best_end]]
            done_codes = codes[np.arange(length), ends[best_end]]
            one, two = _shifted(inside, 1, is_start), _shifted(inside, 2, is_start | second)
            options = np.stack([inside, one, two])
            choice = options.argmin(axis=0)
            new = np.take_along_axis(options, choice[None], axis=0)[0]
            histories = np.stack([codes, np.roll(codes, 1, axis=1), np.roll(codes, 2, axis=1)])
            new_codes = np.take_along_axis(histories, choice[None], axis=0)[0]
            # A digit begins after silence, or straight after the digit before it.
            before, before_codes = resting[:length].copy(), rested[:length].copy()
            follows = done[:-1] < before[1:]
            before[1:][follows], before_codes[1:][follows] = done[:-1][follows], done_codes[:-1][follows]
            entering = before[:, None] + _ENTRY_COST
            enters = is_start[None, :] & (entering < new)
            new = np.where(enters, entering, new)
            new_codes = np.where(enters, before_codes[:, None] * 10 + digit_at_start[None, :], new_codes)
            stays = resting[1:] <= done
            resting[1:], rested[1:] = np.where(stays, resting[1:], done), np.where(stays, rested[1:], done_codes)
            resting += silence
            inside, codes = new + cost[None, :], new_codes
        last = inside[length - 1, ends].argmin()
        ended, ended_code = inside[length - 1, ends[last]], codes[length - 1, ends[last]]
        return f"{ended_code if ended < resting[length] else rested[length]:0{length}d}"


def _shifted(values: Any, by: int, barred: Any) -> Any:
    shifted = np.roll(values, by, axis=1)
    shifted[:, barred] = np.inf
    return shifted


def _unit(frames: Any) -> Any:
    centred = frames - frames.mean(axis=1, keepdims=True)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def _centroids(frames: Any, count: int) -> Any:
    """The middles of `count` groups of `frames`, by k-means from evenly spaced ones."""
    middles = frames[np.linspace(0, len(frames) - 1, count).astype(int)]
    for _ in range(10):
        nearest = (frames @ middles.T).argmax(axis=1)
        middles = np.stack(
            [frames[nearest == k].mean(axis=0) if (nearest == k).any() else middles[k] for k in range(count)]
        )
    return middles
