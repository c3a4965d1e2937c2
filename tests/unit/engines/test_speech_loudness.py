"""Loudness and peaks."""

import numpy
import pytest

from bottega.engines.loudness import CEILING, TARGET, loudness, normalise, true_peak

RATE = 24_000


def tone(amplitude: float, seconds: float = 2.0) -> numpy.ndarray:
    return amplitude * numpy.sin(2 * numpy.pi * 997 * numpy.arange(int(seconds * RATE)) / RATE)


def test_a_full_scale_tone_measures_as_the_standard_says() -> None:
    assert loudness(tone(1.0), RATE) == pytest.approx(-3.0, abs=0.15)  # BS.1770-4: -3.01 LUFS
    assert true_peak(tone(0.5)) == pytest.approx(-6.02, abs=0.1)


@pytest.mark.parametrize("amplitude", [0.002, 0.05, 0.9])
def test_normalised_to_the_target(amplitude: float) -> None:
    made = normalise(tone(amplitude), RATE)
    assert loudness(made, RATE) == pytest.approx(TARGET, abs=0.2)


def test_peaks_are_held_under_the_ceiling() -> None:
    quiet = tone(0.05)
    quiet[::6000] = 0.9  # clicks far above the level
    made = normalise(quiet, RATE)
    assert true_peak(made) < CEILING
    assert loudness(made, RATE) == pytest.approx(TARGET, abs=1.0)


def test_silence_stays_silent() -> None:
    assert not normalise(numpy.zeros(RATE), RATE).any()


def test_a_short_sound_is_measured() -> None:
    assert -25 < loudness(tone(0.5, seconds=0.1), RATE) < -10
