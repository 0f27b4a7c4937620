"""What a token costs, where that is known from, and the cap."""

from __future__ import annotations

import re
from typing import Any

import pytest

from prompts.teachers.base import BudgetExceededError, Exchange, TeacherConfigError
from prompts.teachers.prices import PRICES, PRICES_AS_OF, Budget, Price, price_of
from prompts.teachers.registry import make_gateway
from prompts.teachers.settings import OpenAISettings
from tests.prompts.teachers.scripted import request_of

SERVER = {"provider": "openai_compatible", "model": "mine", "base_url": "http://127.0.0.1:1/v1"}


@pytest.mark.parametrize(
    ("price", "exchange", "usd"),
    [
        (Price(2.0, 8.0), Exchange("", 1_000_000, 500_000), 6.0),
        (Price(2.0, 8.0), Exchange("", 1_000_000, 0, 1_000_000), 2.0),
        (Price(2.0, 8.0, 0.5), Exchange("", 1_000_000, 0, 400_000), 1.4),
        (Price(2.0, 8.0, 0.5).scaled(0.5), Exchange("", 1_000_000, 500_000, 400_000), 2.7),
    ],
    ids=["plain", "no cached price", "cached", "batch"],
)
def test_an_exchange_costs_its_tokens(price: Price, exchange: Exchange, usd: float) -> None:
    assert price.of(exchange) == pytest.approx(usd)


def test_the_table_says_when_it_was_written_and_settings_override_it() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", PRICES_AS_OF)
    told = OpenAISettings.model_fields["input_usd_per_mtok"].description
    assert told is not None
    assert PRICES_AS_OF in told
    assert price_of("gpt-4.1", 1.0, 3.0) == Price(1.0, 3.0)
    assert price_of("gpt-4.1", None, None) is PRICES["gpt-4.1"]
    with pytest.raises(TeacherConfigError, match=f"{PRICES_AS_OF}.*set input_usd_per_mtok"):
        price_of("model-of-tomorrow", 1.0, None)


@pytest.mark.parametrize(
    ("changes", "usd"),
    [
        ({"is_local": True}, 0.0),
        ({"is_local": True, "output_usd_per_mtok": 1e6}, 1024.0),
        ({"input_usd_per_mtok": 0.0, "output_usd_per_mtok": 1e6}, 1024.0),
    ],
    ids=["local", "local with a price", "hosted with a price"],
)
def test_only_a_local_server_may_have_no_price(changes: dict[str, Any], usd: float) -> None:
    with make_gateway(SERVER | changes, None) as gateway:
        assert gateway.estimate([request_of(1)]).usd == pytest.approx(usd)
    with pytest.raises(TeacherConfigError, match="no price is known"):
        make_gateway(SERVER, None)


def test_batch_mode_is_estimated_at_half_price() -> None:
    priced = SERVER | {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0}
    usd = []
    for mode in ("online", "batch"):
        with make_gateway(priced | {"mode": mode}, None) as gateway:
            usd.append(gateway.estimate([request_of(1)]).usd)
    assert usd[1] == pytest.approx(usd[0] / 2)


def test_budget_counts_what_is_on_its_way() -> None:
    budget = Budget(1.0)
    budget.reserve(0.7)
    with pytest.raises(BudgetExceededError):
        budget.reserve(0.4)
    budget.settle(0.7, 0.1)
    budget.reserve(0.4)
    assert budget.committed_usd == pytest.approx(0.5)
