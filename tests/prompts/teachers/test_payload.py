"""What may leave: every real payload, and nothing that is like a name, path, id or date."""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.types import CANONICAL19
from detectors.vocabulary import KINDS
from prompts.facts.page import PageFacts
from prompts.teachers.payload import RULES, PayloadError, assert_payload_is_clean
from prompts.texts.narrative_template import narrative_template

GROUPS = ("page", "spectrum", "energy", "findings", "bands", "tiers")
LEAVES = sorted(set(RULES) - set(GROUPS))
LETTERS = st.text(string.ascii_letters, min_size=2, max_size=12)
NAMES = st.one_of(
    LETTERS.map(str.title),
    st.tuples(LETTERS, LETTERS).map(lambda t: f"{t[0].title()} {t[1].title()}"),
    st.tuples(LETTERS, LETTERS).map(lambda t: f"{t[0].title()}-{t[1].title()}"),
    st.tuples(LETTERS, LETTERS).map(lambda t: f"{t[0].title()}, {t[1][0].upper()}."),
)
PATHS = st.lists(LETTERS, min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from(["/" + "/".join(parts), "C:\\" + "\\".join(parts),
                                   "/".join(parts) + ".edf", "s3://" + "/".join(parts)])
)  # fmt: skip
IDS = st.one_of(
    st.uuids().map(str),
    st.binary(min_size=4, max_size=16).map(bytes.hex),
    st.tuples(st.sampled_from(["S", "sub-", "chb", "seg-", "rec-", "aaaaa", "MRN"]),
              st.integers(0, 99999)).map(lambda t: f"{t[0]}{t[1]:05d}"),
)  # fmt: skip
DAYS = st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 1, 1))
DATES = DAYS.flatmap(
    lambda d: st.sampled_from(
        [
            d.isoformat(),
            f"{d:%d.%m.%Y}",
            f"{d:%d-%b-%Y}",
            f"{d:%Y%m%d}",
            f"{d:%m/%d/%y}",
            f"{d:%H:%M}",
        ]
    )
)
WORDS_THAT_ARE_NAMES = {"Page", "page", "energy", "Energy"} | set(CANONICAL19) | set(KINDS)
PRIVATE = st.one_of(NAMES, PATHS, IDS, DATES).filter(lambda t: t not in WORDS_THAT_ARE_NAMES)
NUMBER_IDS = st.one_of(
    st.integers(3_000_001, 10**18),
    DAYS.map(lambda d: int(f"{d:%Y%m%d}")),
    st.floats(allow_nan=True, allow_infinity=True).filter(lambda x: not -1e4 <= x <= 3e6),
)
COUNTS = [k for k in LEAVES if k == "count" or k.startswith("n_")]


@pytest.fixture(scope="module")
def payload(plant: Callable[..., PageFacts]) -> dict[str, Any]:
    pages = [plant(segment_id=f"seg-{i}", segment={"start_s": 10.0 * i}) for i in range(4)]
    return dict(narrative_template(pages[3], pages[:3]).payload)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every leaf."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))
        else:
            yield (*path, key)


def put(payload: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy with one leaf replaced."""
    changed = copy.deepcopy(payload)
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def test_real_payload_may_leave_with_every_group(payload: dict[str, Any]) -> None:
    assert_payload_is_clean(payload)
    groups = {"page", "spectrum", "energy", "findings", "absent", "not_judged"}
    assert groups == set(payload)


@given(st.data(), PRIVATE)
def test_nothing_private_leaves_from_any_place_of_a_real_payload(
    payload: dict[str, Any], data: st.DataObject, private: str
) -> None:
    path = data.draw(st.sampled_from(sorted(places(payload), key=str)))
    with pytest.raises(PayloadError) as caught:
        assert_payload_is_clean(put(payload, path, private))
    shown = str(caught.value).split(" holds what may not leave; it takes ")[-1]
    assert private not in shown or len(private) < 4


@pytest.mark.parametrize("key", sorted(RULES))
@settings(max_examples=30)
@given(private=PRIVATE)
@example(private="Jan-Ove")
@example(private="smith")
@example(private="Ann-Lee")
@example(private="S001R01.edf")
@example(private="2009-01-01")
@example(private="F3-Smith")
def test_no_key_takes_a_private_text(key: str, private: str) -> None:
    for value in (private, [private], {key: private}, [[private]], {private: 1}):
        with pytest.raises(PayloadError):
            assert_payload_is_clean({key: value})


@pytest.mark.parametrize("key", LEAVES)
@settings(max_examples=30)
@given(number=NUMBER_IDS)
@example(number=20090101)
@example(number=float("nan"))
def test_no_key_takes_a_number_that_is_an_id_or_a_date(key: str, number: float) -> None:
    with pytest.raises(PayloadError):
        assert_payload_is_clean({key: number})


@pytest.mark.parametrize("key", COUNTS)
@pytest.mark.parametrize("number", [2009, 90101, 1999, -1, 3.5, True])
def test_no_count_takes_a_year_or_a_six_digit_date(key: str, number: float) -> None:
    with pytest.raises(PayloadError):
        assert_payload_is_clean({key: number})


@given(key=st.text(min_size=1, max_size=20).filter(lambda k: k not in RULES))
@example(key="subject_id")
@example(key="Page")
def test_no_other_key_leaves(key: str) -> None:
    with pytest.raises(PayloadError) as caught:
        assert_payload_is_clean({"page": {key: 1}})
    assert len(key) < 4 or key not in str(caught.value).replace("payload.page", "")


@pytest.mark.parametrize(
    "value", [None, b"x", object(), {"x"}, range(3)], ids=lambda v: type(v).__name__
)
def test_no_other_type_leaves(value: Any) -> None:
    for key in ("stage", "channels", "count", "page"):
        with pytest.raises(PayloadError):
            assert_payload_is_clean({key: value})


@pytest.mark.parametrize("name", ["F3", "Fp1-F7", "Cz-Pz", "T7-P7", "PO7-O1", "Fpz-Cz"])
def test_channels_of_the_10_10_system_leave(name: str) -> None:
    assert_payload_is_clean(
        {"findings": [{"channels": [name]}], "energy": {"highest_channel": name}}
    )


def test_what_leaves_is_plain_json(payload: dict[str, Any]) -> None:
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload
