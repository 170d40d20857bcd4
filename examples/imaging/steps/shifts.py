"""By how much one image is shifted against another: phase correlation (Kuglin and Hines 1975)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shift_between(a: NDArray[Any], b: NDArray[Any], most: int) -> tuple[NDArray[np.float64], float]:
    """The shift (rows, columns) by which ``b`` has to be moved to lie on ``a``, and how far its peak stands out."""
    window = np.outer(np.hanning(a.shape[0]), np.hanning(a.shape[1]))
    spectra = [np.fft.rfft2(_edges(image) * window) for image in (a, b)]
    cross = spectra[0] * np.conj(spectra[1])
    surface = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9) ** 0.8, a.shape)
    surface = ndimage.gaussian_filter(np.fft.fftshift(surface), 0.8)
    middle = np.array(surface.shape) // 2
    reach = np.minimum(most, middle - 1)
    near = surface[middle[0] - reach[0] : middle[0] + reach[0] + 1, middle[1] - reach[1] : middle[1] + reach[1] + 1]
    peak = np.array(np.unravel_index(near.argmax(), near.shape))
    score = float((near.max() - near.mean()) / (near.std() + 1e-12))
    return (peak - reach + [_between(near, peak, axis) for axis in (0, 1)]).astype(float), score


def _edges(image: NDArray[Any]) -> NDArray[np.float64]:
    """What stands out, whatever the brightness around it."""
    flat = np.sqrt(np.maximum(image, 0).astype(float))
    return np.asarray(ndimage.gaussian_filter(flat, 1.0) - ndimage.gaussian_filter(flat, 8.0))


def _between(near: NDArray[np.float64], peak: NDArray[np.int64], axis: int) -> float:
    """Where between pixels a peak is: the vertex of a parabola."""
    line = near[:, peak[1]] if axis == 0 else near[peak[0]]
    at = peak[axis]
    if not 0 < at < len(line) - 1:
        return 0.0
    before, here, behind = line[at - 1 : at + 2]
    bend = before - 2 * here + behind
    return 0.0 if bend == 0 else float(np.clip(0.5 * (before - behind) / bend, -0.5, 0.5))
