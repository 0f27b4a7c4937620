"""List prices of hosted models, with the date they were written down, and the hard spend cap.

Prices are the providers' public list prices for text; they change without notice, so the settings
override them. A model that is not listed needs its prices in the settings: a run never starts with
an unknown price.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from prompts.teachers.base import BudgetExceededError, Exchange, TeacherConfigError

PRICES_AS_OF = "2025-07-01"
BATCH_FACTOR = 0.5
"""Both providers sell batches at half the list price (their price pages, same date)."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens.

    Parameters
    ----------
    input_usd, output_usd
        Per million; reasoning tokens are output.
    cached_input_usd
        Of input the provider had cached; None bills it like other input.
    """

    input_usd: float
    output_usd: float
    cached_input_usd: float | None = None

    def cost(self, input_tokens: int, output_tokens: int, cached_input_tokens: int = 0) -> float:
        """Return the price of one exchange in US dollars; cached tokens are part of the input."""
        cached_usd = self.input_usd if self.cached_input_usd is None else self.cached_input_usd
        fresh = input_tokens - cached_input_tokens
        total = fresh * self.input_usd + cached_input_tokens * cached_usd
        return (total + output_tokens * self.output_usd) / 1e6

    def of(self, exchange: Exchange) -> float:
        """Return what an exchange cost in US dollars."""
        return self.cost(
            exchange.input_tokens, exchange.output_tokens, exchange.cached_input_tokens
        )

    def scaled(self, factor: float) -> Price:
        """Return the same price times a factor, as for batches."""
        cached = None if self.cached_input_usd is None else self.cached_input_usd * factor
        return replace(
            self,
            input_usd=self.input_usd * factor,
            output_usd=self.output_usd * factor,
            cached_input_usd=cached,
        )


PRICES: dict[str, Price] = {
    "gpt-4.1": Price(2.00, 8.00, 0.50),
    "gpt-4.1-mini": Price(0.40, 1.60, 0.10),
    "gpt-4.1-nano": Price(0.10, 0.40, 0.025),
    "gemini-2.5-pro": Price(1.25, 10.00),
    "gemini-2.5-flash": Price(0.30, 2.50),
    "gemini-2.5-flash-lite": Price(0.10, 0.40),
}
"""A cached price is listed only where it is certain; without one, cached input costs full price."""


def price_of(model: str, input_usd: float | None, output_usd: float | None) -> Price:
    """Return a model's price: from the settings where given, else from the table.

    Raises
    ------
    TeacherConfigError
        If neither knows it.
    """
    if input_usd is not None and output_usd is not None:
        return Price(input_usd, output_usd)
    if model not in PRICES:
        raise TeacherConfigError(
            f"no price is known for model {model!r} (table of {PRICES_AS_OF}: {', '.join(PRICES)}); "
            "set input_usd_per_mtok and output_usd_per_mtok",
            cause="unknown price",
        )
    return PRICES[model]


class Budget:
    """A hard cap on money spent by one teacher in one run; safe to share between threads.

    Parameters
    ----------
    cap_usd
        Most that may be committed.
    committed_usd
        What an earlier part of the same run has committed already.
    """

    def __init__(self, cap_usd: float, committed_usd: float = 0.0) -> None:
        self.cap_usd = cap_usd
        self._committed_usd = committed_usd
        self._lock = threading.Lock()

    @property
    def committed_usd(self) -> float:
        """Money spent, plus the upper bound of requests on their way."""
        return self._committed_usd

    def reserve(self, upper_usd: float) -> None:
        """Set aside the most a request can cost, before it is sent.

        Raises
        ------
        BudgetExceededError
            If the cap could be passed; nothing is set aside then.
        """
        with self._lock:
            if self._committed_usd + upper_usd > self.cap_usd:
                raise BudgetExceededError(
                    f"{self._committed_usd:.4f} USD are committed and the next request may cost "
                    f"{upper_usd:.4f}; the cap is {self.cap_usd:.2f} USD. Raise max_usd or stop here",
                    cause="spend cap",
                )
            self._committed_usd += upper_usd

    def settle(self, upper_usd: float, actual_usd: float) -> None:
        """Replace what was set aside by what was paid."""
        with self._lock:
            self._committed_usd += actual_usd - upper_usd
