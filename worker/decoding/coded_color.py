"""Colors by primaries and a transfer function: HDR, linear light, wide gamuts (ITU-T H.273)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
# x and y (CIE 1931) of white, red, green and blue, as in the PNG chunk cHRM.
Chromaticities = tuple[float, ...]

# Luminance of diffuse white in HDR pictures (ITU-R BT.2408) and of the brightest white of HLG, in nits.
HDR_WHITE_NITS = 203
HLG_PEAK_NITS = 1000
HLG_SYSTEM_GAMMA = 1.2
# The 8-bit levels with HDR_WHITE_NITS.
PQ_WHITE_LEVEL, HLG_WHITE_LEVEL = 148, 191
# Mean of the largest component of each pixel; few pictures whose white is HDR_WHITE_NITS exceed it.
USUAL_MEAN = 0.5
# Exponents that are treated as the sRGB curve, and those that are plausible.
SRGB_LIKE_GAMMAS = (2.1, 2.3)
PLAUSIBLE_GAMMAS = (0.5, 4.0)

# Code points of H.273.
BT2020 = 9
PQ, HLG = 16, 18

BT709: Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
# H.273, 8.1. The primaries of analog television are near those of BT.709 and treated as such.
_PRIMARIES: dict[int, Chromaticities] = {
    BT2020: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
# Bradford matrix, from XYZ to cone responses, for the adaptation of white.
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SRGB_STEPS = 2**14


@dataclass(frozen=True)
class CodedColor:
    """Primaries and a transfer function, as in HEIC and AVIF and in the PNG chunks cICP, gAMA and cHRM."""

    primaries: Chromaticities
    to_light: Callable[[Floats], Floats]
    """From stored values, 0 to 1, to light: 1 is the white of an SDR picture, highlights of HDR are above."""
    system_gamma: float = 1
    convert_early: bool = True
    white_level: int = 255

    def to_srgb(self, image: Image.Image) -> Image.Image:
        pixels = np.asarray(image.convert("RGB"))
        # One row per pixel: numpy multiplies two dimensions much faster than three.
        light = self.to_light(np.linspace(0, 1, 256, dtype=np.float32)).take(pixels.reshape(-1, 3))
        if self.system_gamma != 1:
            luminance = np.maximum(light @ _LUMINANCE, 1e-6)[:, np.newaxis]
            light *= luminance ** np.float32(self.system_gamma - 1)
        light = _compress_highlights(light)
        if self.primaries != BT709:
            light = light @ _to_bt709(self.primaries).T
        steps = (light.clip(0, 1) * (_SRGB_STEPS - 1)).astype(np.int16)
        return Image.fromarray(_srgb_levels().take(steps).reshape(pixels.shape))


def coded_color(primaries: int, transfer: int) -> CodedColor | None:
    """Return the color for code points of ITU-T H.273; None for sRGB and similar colors."""
    chromaticities = _PRIMARIES.get(primaries, BT709)
    if transfer == HLG:
        return CodedColor(chromaticities, _hlg_to_light, HLG_SYSTEM_GAMMA, white_level=HLG_WHITE_LEVEL)
    if transfer == PQ:
        return CodedColor(chromaticities, _pq_to_light, white_level=PQ_WHITE_LEVEL)
    curve = {5: _gamma_to_light(2.8), 8: _linear_to_light}.get(transfer)
    if curve:
        return CodedColor(chromaticities, curve)
    return CodedColor(chromaticities, _srgb_to_light, convert_early=False) if chromaticities != BT709 else None


def gamma_color(exponent: float, primaries: Chromaticities) -> CodedColor | None:
    """Return the color with light = value ** exponent; None if it is nearly sRGB or implausible.

    Without plausible `primaries`, those of BT.709 are assumed.
    """
    if not PLAUSIBLE_GAMMAS[0] <= exponent <= PLAUSIBLE_GAMMAS[1]:
        return None
    known = primaries if primaries and _is_plausible(primaries) else BT709
    if not SRGB_LIKE_GAMMAS[0] <= exponent <= SRGB_LIKE_GAMMAS[1]:
        return CodedColor(known, _gamma_to_light(exponent))
    if np.abs(np.subtract(known, BT709)).max() > 0.01:
        return CodedColor(known, _srgb_to_light, convert_early=False)
    return None


def _is_plausible(primaries: Chromaticities) -> bool:
    """Return whether colors can be computed with these primaries."""
    if not all(0 < y < 1 for y in primaries[1::2]):
        return False
    try:
        return bool(np.abs(_to_bt709(primaries)).max() < 10)
    except np.linalg.LinAlgError:
        return False


def _gamma_to_light(exponent: float) -> Callable[[Floats], Floats]:
    return lambda values: np.power(values, exponent, dtype=np.float32)


def _linear_to_light(values: Floats) -> Floats:
    return values


def _srgb_to_light(values: Floats) -> Floats:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _pq_to_light(values: Floats) -> Floats:
    """Perceptual quantizer: SMPTE ST 2084."""
    power = values.astype(np.float64) ** (1 / 78.84375)
    nits = 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    return (nits / HDR_WHITE_NITS).astype(np.float32)


def _hlg_to_light(values: Floats) -> Floats:
    """Hybrid log-gamma, ITU-R BT.2100: light of the scene; the system gamma makes it light of the display."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    peak = HLG_PEAK_NITS / HDR_WHITE_NITS
    return np.asarray(scene * peak ** (1 / HLG_SYSTEM_GAMMA), np.float32)


def _compress_highlights(light: Floats) -> Floats:
    """Map the brightest light of an HDR picture to white (extended Reinhard curve); [pixels, 3] to the same.

    A picture that is bright everywhere is darkened first: its white must be far above HDR_WHITE_NITS.
    """
    brightest = np.maximum(np.maximum(light[:, 0], light[:, 1]), light[:, 2])
    peak = float(brightest.max())
    if peak <= 1:
        return light
    exposure = min(1, max(1 / peak, USUAL_MEAN / float(brightest.mean())))
    brightest, peak = brightest * np.float32(exposure), peak * exposure
    factors = exposure * (1 + brightest / peak**2) / (1 + brightest)
    return np.asarray(light * factors[:, np.newaxis], np.float32)


def _to_bt709(primaries: Chromaticities) -> Floats:
    """Return the matrix from linear RGB of these primaries to that of BT.709, white to white."""
    cones = [_CONES @ _xyz(*each[:2]) for each in (BT709, primaries)]
    adaptation = np.linalg.inv(_CONES) @ np.diag(cones[0] / cones[1]) @ _CONES
    return np.asarray(np.linalg.inv(_to_xyz(BT709)) @ adaptation @ _to_xyz(primaries), np.float32)


def _to_xyz(primaries: Chromaticities) -> NDArray[np.float64]:
    white, *colors = (_xyz(*primaries[start : start + 2]) for start in range(0, 8, 2))
    columns = np.stack(colors, axis=1)
    return columns * np.linalg.solve(columns, white)


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1, (1 - x - y) / y])


@lru_cache(maxsize=1)
def _srgb_levels() -> NDArray[np.uint8]:
    """Return the sRGB levels of evenly spaced light from 0 to 1."""
    light = np.linspace(0, 1, _SRGB_STEPS)
    values = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(values * 255), np.uint8)
