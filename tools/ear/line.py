"""The telephone line: band-pass, 8 kHz G.711 µ-law, lost packets with concealment, and noise at the listener's ear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import butter, resample_poly, sosfilt

Sound = Any  # a float32 array, mono; numpy is not installed where types are checked

RATE = 16_000  # of all sound but on the line
LINE_RATE = 8_000
PACKET_SAMPLES = 160  # 20 ms
MEAN_BURST_PACKETS = 2.5
CONCEALED_PACKETS = 3
CONCEALMENT_GAIN = 0.6

_BAND = butter(4, [300, 3400], btype="band", fs=RATE, output="sos")


@dataclass(frozen=True, slots=True)
class Condition:
    """`loss` is the share of lost packets. `noise` is "babble" or "street", at `snr_db` against active speech."""

    name: str
    loss: float = 0.0
    noise: str = ""
    snr_db: float = 0.0


CLEAN = Condition("clean")
LOSS = Condition("loss 10 %", loss=0.1)
BABBLE_20 = Condition("babble 20 dB", noise="babble", snr_db=20)
BABBLE_10 = Condition("babble 10 dB", noise="babble", snr_db=10)
STREET_10 = Condition("street 10 dB", noise="street", snr_db=10)


def band_pass(sound: Sound) -> Sound:
    return sosfilt(_BAND, sound).astype(np.float32)


def transmit(sound: Sound, condition: Condition, noises: dict[str, Sound], random: np.random.Generator) -> Sound:
    """What the listener hears of `sound`, at 16 kHz."""
    narrow = resample_poly(band_pass(sound), 1, 2).astype(np.float32)
    narrow = _mu_law(narrow)
    if condition.loss:
        narrow = _lose_packets(narrow, condition.loss, random)
    heard = resample_poly(narrow, 2, 1).astype(np.float32)
    if condition.noise:
        heard = heard + _noise_for(heard, noises[condition.noise], condition.snr_db, random)
    return heard.astype(np.float32)


def _mu_law(sound: Sound) -> Sound:
    """Through G.711 and back: 8 bits, logarithmic."""
    limited = np.clip(sound, -1, 1)
    encoded = np.sign(limited) * np.log1p(255 * np.abs(limited)) / np.log(256)
    steps = np.round(encoded * 127) / 127
    return (np.sign(steps) * np.expm1(np.abs(steps) * np.log(256)) / 255).astype(np.float32)


def _lose_packets(sound: Sound, loss: float, random: np.random.Generator) -> Sound:
    """Gilbert's model: losses come in bursts. A lost packet is the last one again, softer each time, then silence."""
    heard = sound.copy()
    recovers = 1 / MEAN_BURST_PACKETS
    fails = loss * recovers / (1 - loss)
    is_lost, in_a_row = False, 0
    last = np.zeros(PACKET_SAMPLES, dtype=np.float32)
    for start in range(0, len(sound) - PACKET_SAMPLES + 1, PACKET_SAMPLES):
        is_lost = random.random() >= recovers if is_lost else random.random() < fails
        here = slice(start, start + PACKET_SAMPLES)
        if not is_lost:
            last, in_a_row = sound[here].copy(), 0
            continue
        in_a_row += 1
        last = last * CONCEALMENT_GAIN if in_a_row <= CONCEALED_PACKETS else np.zeros_like(last)
        heard[here] = last
    return heard


def _noise_for(heard: Sound, noise: Sound, snr_db: float, random: np.random.Generator) -> Sound:
    start = int(random.integers(0, len(noise) - len(heard)))
    piece = noise[start : start + len(heard)]
    wanted = active_power(heard) / 10 ** (snr_db / 10)
    return piece * np.sqrt(wanted / np.mean(piece**2))


def active_power(sound: Sound) -> float:
    """The mean power while somebody speaks: of frames of 20 ms within 35 dB of the loudest."""
    frame = RATE // 50
    frames = sound[: len(sound) // frame * frame].reshape(-1, frame)
    powers = np.mean(frames**2, axis=1)
    return float(np.mean(powers[powers > powers.max() * 10**-3.5]))


def street(seconds: float, random: np.random.Generator) -> Sound:
    """Pink noise with swells of 2 to 7 s, as of cars that pass."""
    count = int(seconds * RATE)
    spectrum = np.fft.rfft(random.standard_normal(count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise = np.fft.irfft(spectrum, count)
    times = np.arange(count) / RATE
    swell = sum(np.sin(2 * np.pi * times / period + phase) for period, phase in ((7, 0.0), (3.1, 1.0), (2, 2.0)))
    return band_pass((noise / np.std(noise) * (1 + 0.25 * swell)).astype(np.float32))


def babble(talkers: list[Sound], seconds: float, random: np.random.Generator) -> Sound:
    """All of `talkers` at once, each in a loop from a place of its own."""
    count = int(seconds * RATE)
    mixed = np.zeros(count, dtype=np.float32)
    for talker in talkers:
        looped = np.tile(talker, count // len(talker) + 2)
        start = int(random.integers(0, len(talker)))
        mixed += looped[start : start + count] / np.sqrt(active_power(talker))
    return band_pass(mixed)
