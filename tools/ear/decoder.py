"""Ear A: Whisper base, made to write digits only. Its frames also serve ear B."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from tools.ear.line import RATE, Sound

_HOP, _WINDOW, _MELS = 160, 400, 80
_BATCH = 8
_BEAM = 5


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound, its language ("en"), and the words before the code, which the decoder is told."""

    sound: Sound
    language: str
    words: str


class Ear:
    """Hears clips. `model` is the folder of `packages.assemble_whisper`."""

    def __init__(self, model: Path, threads: int) -> None:
        self._whisper = ctranslate2.models.Whisper(
            str(model), compute_type="int8", inter_threads=1, intra_threads=threads
        )
        vocabulary = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
        self._ids: dict[str, int] = dict(vocabulary["model"]["vocab"])
        self._ids |= {token["content"]: token["id"] for token in vocabulary["added_tokens"]}
        self._digits = [self._ids[f"Ġ{digit}"] for digit in range(10)]
        self._digit_of = {token: str(digit) for digit, token in enumerate(self._digits)}
        count = max(self._ids.values()) + 1
        self._others = [token for token in range(count) if token not in self._digit_of]
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))

    def listen(self, clips: list[Clip], length: int = 6) -> tuple[list[str], list[Any]]:
        """For each clip the digits that were understood, and the encoder's frames (50 a second).

        With `length` 0 nothing is decoded.
        """
        codes, frames = [""] * len(clips), [None] * len(clips)
        alike: dict[tuple[str, str], list[int]] = {}
        for index in sorted(range(len(clips)), key=lambda index: len(clips[index].sound)):
            alike.setdefault((clips[index].language, clips[index].words), []).append(index)
        for order in alike.values():
            for start in range(0, len(order), _BATCH):
                batch = order[start : start + _BATCH]
                for index, code, each in zip(batch, *self._listen([clips[i] for i in batch], length), strict=True):
                    codes[index], frames[index] = code, each
        return codes, frames

    def _listen(self, clips: list[Clip], length: int) -> tuple[list[str], list[Any]]:
        longest = max(len(clip.sound) for clip in clips) + RATE // 2
        features = np.stack([log_mel(clip.sound, longest) for clip in clips])
        encoded = self._whisper.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(features)), to_cpu=True)
        hidden = np.array(encoded, dtype=np.float32)
        frames = [hidden[i, : len(clip.sound) // (2 * _HOP)] for i, clip in enumerate(clips)]
        if not length:
            return [""] * len(clips), frames
        start, words = self._prompt(clips[0])
        results = self._whisper.generate(
            encoded,
            [start + words] * len(clips),
            beam_size=_BEAM,
            max_length=2 * (len(words) + length),  # it stops at half of this, and counts the words
            suppress_tokens=self._others,
            suppress_blank=False,
        )
        codes = ["".join(self._digit_of.get(token, "") for token in each.sequences_ids[0])[:length] for each in results]
        return codes, frames

    def _prompt(self, clip: Clip) -> tuple[list[int], list[int]]:
        names = ("<|startoftranscript|>", f"<|{clip.language[:2]}|>", "<|transcribe|>", "<|notimestamps|>")
        words = self._tokenizer.encode(f" {clip.words}", add_special_tokens=False).ids if clip.words else []
        return [self._ids[name] for name in names], words


def log_mel(sound: Sound, samples: int) -> Sound:
    """Whisper's features of `sound`, padded with silence to `samples`."""
    padded = np.pad(sound, (0, samples - len(sound)))
    padded = np.pad(padded, _WINDOW // 2, mode="reflect")
    count = (len(padded) - _WINDOW) // _HOP
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    mel = np.log10(np.maximum(power @ _FILTERS.T, 1e-10)).T
    mel = (np.maximum(mel, mel.max() - 8) + 4) / 4
    return mel[:, : mel.shape[1] // 2 * 2].astype(np.float32)


def _mel_filters() -> Any:
    """Slaney's triangles, of equal area."""

    def to_hertz(mel: Any) -> Any:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))

    top = 15 + np.log(8000 / 1000) * 27 / np.log(6.4)
    edges = to_hertz(np.linspace(0, top, _MELS + 2))
    bins = np.fft.rfftfreq(_WINDOW, 1 / RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.maximum(0, np.minimum(rising, falling))
    return weights * (2 / (edges[2:] - edges[:-2]))[:, None]


_FILTERS = _mel_filters()
