"""How far weights are off after rounding, as sums that pieces of a tensor, and tensors, add up to."""

from dataclasses import dataclass
from math import inf, isfinite, log10, sqrt


@dataclass(frozen=True)
class ErrorSum:
    """Sums over weights; `a + b` is the error of both together.

    `squared_weights` is the sum of the squares of the original weights, `max_abs` the largest single error.
    """

    squared_error: float = 0.0
    squared_weights: float = 0.0
    max_abs: float = 0.0

    def __add__(self, other: "ErrorSum") -> "ErrorSum":
        return ErrorSum(
            self.squared_error + other.squared_error,
            self.squared_weights + other.squared_weights,
            max(self.max_abs, other.max_abs),
        )

    @property
    def relative_rms(self) -> float:
        """Root mean square of the error over that of the weights; 0 where nothing is off."""
        if not self.squared_error:
            return 0.0
        return sqrt(self.squared_error / self.squared_weights) if self.squared_weights else inf

    @property
    def signal_to_noise_db(self) -> float:
        """The same in decibel, larger is better; infinite where nothing is off."""
        if self.relative_rms in (0.0, inf):
            return -inf if self.relative_rms else inf
        return -20 * log10(self.relative_rms)

    def as_dict(self) -> dict[str, float | None]:
        """Return what people ask for, ready for JSON; None for the decibels of what is not off at all."""
        decibels = self.signal_to_noise_db
        return {
            "relative_rms": self.relative_rms,
            "signal_to_noise_db": decibels if isfinite(decibels) else None,
            "max_abs": self.max_abs,
        }

    def __str__(self) -> str:
        return f"relative RMS {self.relative_rms:.3g}, {self.signal_to_noise_db:.1f} dB, at most {self.max_abs:.3g}"
