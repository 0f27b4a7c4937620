"""Labels of ZuCo: the sentence read, what it says (sentiment, relation), and a split by its text.

The sentence is the corpus' label and published as such, so it is passed on, bounded. The same
sentences occur in tasks, in both versions and with every reader, with slips of typing between them,
so texts are compared after normalisation, and a split that must not leak text goes by that.
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from pydantic import Field

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import sidecar_text
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import Entry

MAX_SENTENCE_CHARS = 600
"""The longest sentence has about 380; a longer text is cut."""
SAME_TEXT = 0.85
"""Least likeness of two texts taken for one sentence with a slip of typing (engineering default)."""
TEXT_SHARES = (0.80, 0.90)
"""Cumulative shares of train and train + validation of the split by text (GLIM: 80/10/10)."""
_WORD = re.compile(r"[A-Za-z][A-Za-z_ \-]{0,40}\Z")
_VALUES_APART = re.compile(r"[,;|\[\]'\"]+")


class SentenceTable(Entry):
    """A table of what sentences say.

    Parameters
    ----------
    files
        Below the corpus folder, read one after the other.
    delimiter
        Of the cells.
    sentence
        Column with the text.
    label, name
        Column with the label, and the name it gets.
    values
        Cell to label value; empty: the cell's own words, lower case.
    """

    files: tuple[str, ...]
    delimiter: str
    sentence: str = "sentence"
    label: str
    name: str
    values: dict[str, str] = Field(default_factory=dict)


class ZucoLabelParams(Entry):
    """What the corpus says about sentences.

    Parameters
    ----------
    tables
        Task (the file pattern's group ``session``) to its table.
    n_sentences
        Task to sentences of a complete reader.
    incomplete
        Task to the readers known to have fewer.
    """

    tables: dict[str, SentenceTable] = Field(default_factory=dict)
    n_sentences: dict[str, int] = Field(default_factory=dict)
    incomplete: dict[str, tuple[str, ...]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    text: str
    value: str


def normalised(text: str) -> str:
    """Return a sentence as it is compared: lower case, plain letters and digits, single blanks."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return " ".join(re.findall(r"[a-z0-9]+", plain))


def text_split(text: str) -> str:
    """Return the part a sentence falls into, the same in every task, version and reader."""
    digest = hashlib.sha256(f"sentence|{normalised(text)}".encode()).digest()
    at = int.from_bytes(digest[:8], "big") / 2**64
    return ("train", "validation", "test")[sum(at >= share for share in TEXT_SHARES)]


def _value(cell: str, rule: SentenceTable) -> str:
    """Label value of a cell, empty where the cell holds none."""
    if rule.values:
        return rule.values.get(cell.strip(), "")
    words = [word.strip() for word in _VALUES_APART.split(cell) if word.strip()]
    if not words or not all(_WORD.match(word) for word in words):
        return ""
    return "+".join(sorted({re.sub(r"[ \-]+", "_", word.lower()) for word in words}))


def _row(cells: Mapping[str, str], rule: SentenceTable) -> _Row:
    """One row; a sentence and a label that have changed places are put back."""
    text, cell = cells.get(rule.sentence, ""), cells.get(rule.label, "")
    value = _value(cell, rule)
    if rule.values and not value:
        others = [c for name, c in cells.items() if not name.endswith("id")]
        said = {_value(c, rule) for c in others} - {""}
        value = next(iter(said)) if len(said) == 1 else ""
        text = max(others, key=len, default="")
    return _Row(text, value)


def _rows(folder: Path, rule: SentenceTable) -> list[_Row] | None:
    """Rows of a task's tables in order, None where one is missing."""
    found = []
    for name in rule.files:
        text = sidecar_text(folder / name)
        if text is None:
            return None
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        reader = csv.DictReader(lines, delimiter=rule.delimiter)
        names = {(n or "").strip().lower() for n in reader.fieldnames or ()}
        if not {rule.sentence, rule.label} <= names:
            raise CorpusError("bad_labels", "a table of sentences lacks its columns")
        for cells in reader:
            clean = {k.strip().lower(): v.strip() for k, v in cells.items() if k and v}
            found.append(_row(clean, rule))
    return found


class _Lookup:
    """What a table says about a sentence: by its text, else by its place if the texts are alike."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self._rows = rows
        self._by_text: dict[str, set[str]] = {}
        for row in rows:
            self._by_text.setdefault(normalised(row.text), set()).add(row.value)

    def value(self, place: int, text: str) -> str:
        """Return the label of a sentence, ``unknown`` where the table does not tell."""
        key = normalised(text)
        said = self._by_text.get(key, set())
        if not said and place < len(self._rows):
            row = self._rows[place]
            if SequenceMatcher(None, key, normalised(row.text)).ratio() >= SAME_TEXT:
                said = {row.value}
        (value,) = said if len(said) == 1 else ("",)
        return value or "unknown"


def _counted(request: LabelRequest, params: ZucoLabelParams, n: int) -> Label | None:
    """Say whether the reader has all sentences of the task."""
    task = request.session
    expected = params.n_sentences.get(task)
    if expected is None:
        return None
    if n > expected:
        raise CorpusError("bad_labels", f"{n} sentences where the task has {expected}")
    said = "complete" if n == expected else "incomplete"
    if n < expected and request.subject not in params.incomplete.get(task, ()):
        said = "incomplete_unexpectedly"
    return Label("file", "sentences", said, f"{n} of {expected}")


def read_zuco(request: LabelRequest, params: ZucoLabelParams) -> RecordingLabels:
    """Give every sentence its text, what it says and the part its text falls into.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a table lacks its columns or there are more sentences than the task has.
    """
    notes = request.recording.annotations()
    labels = [_counted(request, params, len(notes))]
    rule = params.tables.get(request.session)
    rows = _rows(request.folder, rule) if rule else None
    lookup = _Lookup(rows) if rows is not None else None
    if rule and lookup is None:
        labels.append(Label("file", rule.name, "missing", "no sidecar"))
    intervals = []
    for place, note in enumerate(notes):
        text = " ".join(note.text.split())[:MAX_SENTENCE_CHARS]
        said = [Label("interval", "sentence", text, "content")] if text else []
        if text:
            said.append(Label("split", "sentence-text", text_split(text), "normalised text"))
        if rule and lookup:
            said.append(Label("interval", rule.name, lookup.value(place, text), "sentence table"))
        end_s = note.onset_s + note.duration_s
        intervals += [Interval(note.onset_s, end_s, label) for label in said]
    return RecordingLabels(
        labels=tuple(label for label in labels if label), intervals=tuple(intervals)
    )
