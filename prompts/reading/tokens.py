"""Text as a row of items: lexicon phrases, channels, quantities, punctuation.

One compiled pattern cuts the text, one walk over the lexicon names the phrases, one walk joins
numbers with their units ("between 3 and 5 s", "<20 µV", "three per second"). What an item means in
its sentence is decided in ``clauses`` and the readers.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

from prompts.reading import cues
from prompts.reading.lexicon import Meanings, lexicon
from prompts.reading.records import Number

_TOKEN = re.compile(
    r"(?P<chan>(?<![A-Za-z0-9])(?:[Ff][Pp][12]|[FfCcPpTt][3-8]|[Oo][12]|[FfCcPp][Zz]|[Aa][12])(?![A-Za-z0-9]))"
    r"|(?P<ord>\d+(?:st|nd|rd|th)\b)"
    r"|(?P<num>\d+(?:\.\d+)?|\.\d+|½)"
    r"|(?P<word>[Nn][1-3](?![A-Za-z0-9])|c/s(?:ec)?\b|/\s?s(?:ec|econd)?\b|[A-Za-zµμ]+(?:['’][a-z]+)?|%)"
    r"|(?P<sym><=|>=|[^\s])"
)
MODERN = {"t3": "T7", "t4": "T8", "t5": "P7", "t6": "P8"}


_EDGE_SIGNS = {"<": "hi", "≤": "hi", "<=": "hi", ">": "lo", "≥": "lo", ">=": "lo"}
_DASHES = frozenset("-–—‑")

_TIMES_WORDS = {"once": 1, "twice": 2, "thrice": 3}
_PER = frozenset(("per", "a", "every", "each"))


class Item:
    """One phrase of the text and all it may mean.

    Attributes
    ----------
    m
        Meanings by kind; ``C`` channel, ``Q`` quantity ``(unit, numbers, is_range, edge)``, ``N`` bare
        number, and the kinds of the lexicon.
    t
        Lower-case text, typos mended.
    s, e
        Where it stands in the text.
    glued
        Whether a hyphen joined it to the item before.
    """

    __slots__ = ("e", "glued", "m", "s", "t")

    def __init__(self, m: dict[str, Any], t: str, s: int, e: int, glued: bool = False) -> None:
        self.m = m
        self.t = t
        self.s = s
        self.e = e
        self.glued = glued

    def __repr__(self) -> str:
        return f"{self.t}:{'/'.join(self.m)}"


_NOTHING: dict[str, Any] = {}


def itemise(text: str) -> list[Item]:
    """Return the items of a text in order, punctuation among them."""
    items = _with_quantities(_with_phrases(_without_asides(_cut(text))))
    for item, after in itertools.pairwise(items):
        if item.t == "sharp" and "C" in after.m:
            item.m = {"L": ("event", "sharp", None, ())}
    return items


def _cut(text: str) -> list[Item]:
    words = lexicon()
    items: list[Item] = []
    letter = ""
    for match in _TOKEN.finditer(text):
        kind, raw, s, e = match.lastgroup, match.group(), match.start(), match.end()
        if kind == "word":
            lower = raw.lower()
            lower = lower.replace("’", "'").removesuffix("'s")
            items.append(Item(_NOTHING, words.mend(lower), s, e))
        elif kind == "num":
            value = 0.5 if raw == "½" else float(raw)
            if math.isinf(value):  # a model that repeats a digit: no measure, and no number
                items.append(Item(_NOTHING, raw, s, e))
                continue
            before = items[-1] if items else None
            if (
                before is not None
                and before.t in "/&"
                and letter
                and len(raw) == 1
                and before.s == s - 1
            ):
                items.append(_channel(letter + raw, s, e))
                continue
            number = int(value) if value == int(value) else value
            items.append(Item({"N": number}, raw, s, e))
        elif kind == "chan":
            items.append(_channel(raw, s, e))
            letter = raw[:-1]
            continue
        elif kind == "ord":
            items.append(Item({"ord": int(raw[:-2])}, raw, s, e))
        else:
            items.append(Item(_NOTHING, raw, s, e))
            if raw in "/&":
                continue
        letter = ""
    return items


def _without_asides(items: list[Item]) -> list[Item]:
    """Drop "(not 55)": a number that is expressly not the one."""
    numbers = [
        i
        for i in range(len(items) - 2)
        if items[i].t == "(" and "N" in items[i + 1].m and items[i + 2].t == ")"
    ]
    if len(numbers) > 1 and [items[i + 1].m["N"] for i in numbers] == list(
        range(1, len(numbers) + 1)
    ):
        spent = {k for i in numbers for k in (i, i + 1, i + 2)}
        items = [item for i, item in enumerate(items) if i not in spent]
    for i, item in enumerate(items):
        if (
            item.t == "("
            and i + 3 < len(items)
            and items[i + 1].t in ("not", "no")
            and "N" in items[i + 2].m
        ):
            end = next((k for k in range(i + 3, min(i + 6, len(items))) if items[k].t == ")"), None)
            if end is not None:
                return _without_asides(items[:i] + items[end + 1 :])
    return items


def _channel(raw: str, s: int, e: int) -> Item:
    lower = raw.lower()
    name = MODERN.get(lower) or lower.capitalize()
    return Item({"C": name}, lower, s, e)


def _with_phrases(tokens: list[Item]) -> list[Item]:
    """Join words into phrases of the lexicon, the longest first; hyphens inside words vanish."""
    words = lexicon()
    singles, phrases = words.singles, words.phrases
    flat = _without_hyphens(tokens)
    items: list[Item] = []
    i, last = 0, len(flat) - 1
    while i <= last:
        token = flat[i]
        size = 1
        if "C" not in token.m:
            found = phrases.get((token.t, flat[i + 1].t)) if i < last else None
            joined = None if found is None else _longest(flat, i, found)
            if joined is not None:
                token, size = joined
            elif "N" not in token.m:
                token.m = singles.get(token.t, token.m)
        items.append(token)
        i += size
    return items


def _longest(
    flat: list[Item], i: int, found: tuple[tuple[tuple[str, ...], Meanings], ...]
) -> tuple[Item, int] | None:
    """Return the longest phrase that starts at an item, with its size."""
    for words, meanings in found:
        size = len(words)
        if i + size <= len(flat) and _matches(flat, i, words):
            first, end = flat[i], flat[i + size - 1].e
            return Item(meanings, " ".join(words), first.s, end, first.glued), size
    return None


def _matches(flat: list[Item], i: int, words: tuple[str, ...]) -> bool:
    for word in words:
        if flat[i].t != word:
            return False
        i += 1
    return True


def _without_hyphens(tokens: list[Item]) -> list[Item]:
    """Drop hyphens between two words, or a number and a word; what follows is marked as glued."""
    flat: list[Item] = []
    is_glued = False
    last = len(tokens) - 1
    for i, token in enumerate(tokens):
        if token.t in _DASHES and 0 < i < last:
            before, after = tokens[i - 1], tokens[i + 1]
            is_tight = before.e == token.s and after.s == token.e
            if is_tight and not ("N" in before.m and "N" in after.m):
                is_glued = True
                continue
        token.glued, is_glued = is_glued, False
        flat.append(token)
    return flat


def _number(item: Item) -> Number | None:
    if "N" in item.m:
        value: Number = item.m["N"]
        return value
    if "num" in item.m:
        word: Number = item.m["num"]
        return word
    return None


def _with_quantities(items: list[Item]) -> list[Item]:
    """Join numbers and units to quantities; numbers without a unit stay bare."""
    out: list[Item] = []
    i, n = 0, len(items)
    while i < n:
        item = items[i]
        if item.m is _NOTHING and item.t in _TIMES_WORDS:
            size, unit = _unit(items, i + 1)
            if size and unit is not None and unit[0] == "Hz":
                value = _TIMES_WORDS[item.t] * unit[1]
                out.append(
                    Item(
                        {"Q": ("Hz", (_tidy(value),), False, "")}, item.t, item.s, items[i + size].e
                    )
                )
                i += 1 + size
                continue
        if ("N" in item.m or "num" in item.m) and not _is_word_number(items, i):
            joined, i = _quantity(items, i, out)
            out.append(joined)
            continue
        out.append(item)
        i += 1
    return out


def _is_word_number(items: list[Item], i: int) -> bool:
    """Whether "one" and the like stand for a thing: "the one at 4 s", "no one"."""
    return items[i].t == "one" and i > 0 and items[i - 1].t in cues.BEFORE_ONE


def _quantity(items: list[Item], i: int, out: list[Item]) -> tuple[Item, int]:
    """Read the quantity that starts at item ``i``; take limits and "between" off what is before."""
    first = items[i]
    numbers: list[Number] = [_number(first) or 0]
    is_range, j, n = False, i + 1, len(items)
    ends = [first.e]
    seps: list[str] = []
    while j + 1 < n and (items[j].t in cues.RANGE_SIGNS or items[j].t in cues.LISTED_BY):
        k = j + 1
        sep = items[j].t
        if sep == "," and items[k].t in ("and", "or") and k + 1 < n:
            k += 1
        while k + 1 < n and "about" in items[k].m:
            k += 1
        value = _number(items[k])
        if value is None or _is_counting(items, k):
            break
        numbers.append(value)
        seps.append(sep)
        ends.append(items[k].e)
        j = k + 1
    size, unit = _unit(items, i + 1) if len(numbers) == 1 else _unit(items, j)
    if not unit and len(numbers) > 1 and not all(s in cues.RANGE_SIGNS for s in seps):
        # a list without a unit is only its first number, unless it ends in one
        numbers, ends, j = numbers[:1], ends[:1], i + 1
        size, unit = _unit(items, j)
        seps = []
    end = items[j + size - 1].e if size else ends[-1]
    before = _skip_back(out)
    is_range = (
        bool(seps)
        and len(numbers) == 2
        and (
            seps[0] in cues.RANGE_SIGNS
            or (seps[0] == "and" and before in ("between", "from", "betw"))
        )
    )
    if unit is None:
        edge = _take_edge(out)
        value = numbers[0]
        meaning = {"N": value, "edge_of": edge, "range": tuple(numbers) if is_range else None}
        return Item(meaning, first.t, first.s, end), j
    edge = _take_edge(out)
    name, factor = unit
    if name == "every":
        name, numbers = "Hz", [1.0 / float(numbers[0] or 1)]
    elif factor != 1.0:
        numbers = [number * factor for number in numbers]
    name = "s" if name == "ms" else name
    quantity = (name, tuple(_tidy(v) for v in numbers), is_range, edge)
    return Item({"Q": quantity, "ms": factor == 0.001}, first.t, first.s, end), j + size


def _is_counting(items: list[Item], k: int) -> bool:
    """Whether the number at ``k`` counts the thing after it ("at 2 s and two spindles")."""
    return k + 1 < len(items) and ("L" in items[k + 1].m or items[k + 1].t in ("x", "at"))


def _unit(items: list[Item], j: int) -> tuple[int, tuple[str, float] | None]:
    if j >= len(items):
        return 0, None
    item = items[j]
    if item.t in cues.CYCLES:
        return 1, ("Hz", 1.0)
    if "unit" in item.m:
        name, factor = item.m["unit"]
        if j + 2 < len(items) and items[j + 1].t == "/" and items[j + 2].t in ("mm", "cm"):
            return 0, None
        return 1, (name, factor)
    if item.t == "per" and j + 1 < len(items) and items[j + 1].t in ("sec", "second", "minute"):
        return 2, ("Hz", 1.0 if items[j + 1].t != "minute" else 1 / 60)
    return 0, None


def _skip_back(out: list[Item]) -> str:
    for item in reversed(out):
        if "about" not in item.m:
            return item.t
    return ""


def _take_edge(out: list[Item]) -> str:
    """Take "about" and a limit ("<", "at least") off the end of what was read."""
    edge = ""
    while out:
        last = out[-1]
        if last.t in ("~", "≈", "ca", "c.") or ("about" in last.m and "neg" not in last.m):
            out.pop()
        elif last.t in _EDGE_SIGNS and not edge:
            edge = _EDGE_SIGNS[last.t]
            out.pop()
        elif "edge" in last.m and not edge:
            edge = last.m["edge"]
            if len(last.m) == 1 or last.t not in ("over", "within", "above", "below", "under"):
                out.pop()
            else:
                out.pop()
        elif last.t == "." and len(out) > 1 and out[-2].t in ("ca", "approx"):
            out.pop()
        else:
            break
    return edge


def _tidy(value: Number) -> Number:
    rounded = round(float(value), 6)
    return int(rounded) if rounded == int(rounded) else rounded
