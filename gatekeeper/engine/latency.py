"""How long a batch takes, learnt while serving."""

from __future__ import annotations

from collections import deque


class LatencyModel:
    """A straight line ``seconds_per_item · n + seconds_per_batch``, refitted after each batch.

    Args:
        seconds_per_item: First guess, above 0.
        seconds_per_batch: First guess, at least 0.
        window: How many of the newest batches count.

    Both parts stay at least 0. While all batches seen have one size, the first guess is scaled to
    their mean.

    Example:
        >>> model = LatencyModel()
        >>> model.observe(1, 0.3)
        >>> model.observe(3, 0.5)
        >>> round(model.predict(10), 6)
        1.2

    Source:
        Ordinary least squares; that a batching server can predict its batches by such a line is
        BentoML's idea.
    """

    def __init__(
        self,
        *,
        seconds_per_item: float = 0.02,
        seconds_per_batch: float = 0.005,
        window: int = 50,
    ) -> None:
        self._guess = (seconds_per_item, seconds_per_batch)
        self._line = self._guess
        self._seen: deque[tuple[int, float]] = deque(maxlen=window)

    def predict(self, n: int) -> float:
        """Seconds that a batch of ``n`` takes; 0 for none."""
        return self._line[0] * n + self._line[1] if n > 0 else 0.0

    def predict_all(self, n: int, most: int) -> float:
        """Seconds that ``n`` items take in batches of at most ``most``."""
        full, rest = divmod(n, most)
        return full * self.predict(most) + self.predict(rest)

    def observe(self, n: int, seconds: float) -> None:
        """Learn that a batch of ``n`` took ``seconds``."""
        self._seen.append((n, seconds))
        count = len(self._seen)
        mean_n = sum(n for n, _ in self._seen) / count
        mean_s = sum(s for _, s in self._seen) / count
        spread = sum((n - mean_n) ** 2 for n, _ in self._seen)
        if spread == 0:
            scale = mean_s / (self._guess[0] * mean_n + self._guess[1])
            self._line = (self._guess[0] * scale, self._guess[1] * scale)
            return
        slope = sum((n - mean_n) * (s - mean_s) for n, s in self._seen) / spread
        if slope < 0:
            self._line = (0.0, mean_s)
        elif slope * mean_n > mean_s:
            # Through the origin: the best line among those whose fixed part is not negative.
            squares = sum(n * n for n, _ in self._seen)
            self._line = (sum(n * s for n, s in self._seen) / squares, 0.0)
        else:
            self._line = (slope, mean_s - slope * mean_n)
