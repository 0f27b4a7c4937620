"""The gateway's bench runs against real sockets and says what misses its bound."""

from __future__ import annotations

import dataclasses

from benchmark.text.gateway import GatewayFigures, bench_gateway, gateway_tables

GOOD = GatewayFigures(6000, 198.0, 0.99, 2.0, 1_000_000, 5000.0, 300.0, 1.0)


def test_it_measures_replies_and_rows() -> None:
    figures = bench_gateway(n_replies=700, n_rows=2_000, n_warm=300)
    # how fast is the machine's business; but nothing is much faster than the server's latency allows
    assert 0 < figures.share < 1.5
    assert figures.cpu_ms_per_reply > 0
    assert figures.rows_per_s > 0
    assert 10 < figures.rss_mb < 1000
    assert set(figures.to_json()) == {field.name for field in dataclasses.fields(figures)}


def test_what_is_beyond_its_bound_is_a_miss() -> None:
    assert GOOD.misses() == []
    slow = dataclasses.replace(GOOD, share=0.9)
    fat = dataclasses.replace(GOOD, rss_mb=1500.0)
    assert "0.900" in slow.misses()[0]
    assert "1500 MB" in fat.misses()[0]
    (table,) = gateway_tables(GOOD)
    assert table.row_count == 5
