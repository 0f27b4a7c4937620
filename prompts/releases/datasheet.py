"""The datasheet of a release: why it exists, who is in it, how good its labels are, what it is for.

Counts come from the rows as written, from the recipe's report and from what the corpora say of their
people; label noise comes from the card of the shipped detector. The hub's card is ``card``,
the machine-readable twin ``croissant``; which files a release has is in ``documents``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from detectors.vocabulary import KINDS as FINDING_KINDS
from detectors.vocabulary import WAVEFORMS
from prompts.releases.files import ReleaseReport, WrittenFile
from prompts.releases.recipe import GENERAL, SPLITS, Recipe

FACETS: Mapping[str, str] = {
    "age_band": "age band", "sex": "sex", "recorded": "recorded as",
}  # fmt: skip
"""What is told of people, and its heading."""
NOT_STATED = "not stated"

People = Mapping[tuple[str, str], Mapping[str, str]]
"""Corpus and subject to facet and value."""
Composition = Mapping[str, Mapping[str, Mapping[str, int]]]
"""Corpus to facet to value to people."""

INTENDED = (
    "Training and testing of models that describe a 10-second EEG page.",
    "Study of grounded text: every sentence points at the findings behind it.",
    "Tests of whether a model reads the signal: mirrored, edited and blank pages.",
)
FORBIDDEN = (
    "Care of a person: diagnosis, triage, monitoring, or any decision about treatment.",
    "Statements about one person's health, identity, drugs or prognosis.",
    "Finding out who someone is, or linking rows to other data.",
    "Use against the terms of a corpus; each row names its licence.",
)
BIASES = (
    "Corpora were recorded where research hospitals are; ages, sexes and devices are as in the tables "
    "above, not as in any population.",
    "Pages of pathological recordings may be drawn first (see the recipe), so frequencies of findings "
    "are not prevalences.",
    "Rules follow adult norms of a 10-20 montage; children, the very old and other montages are served "
    "worse, and some kinds are not judged there.",
    "Text says what rules and detector found: their misses are silences in the text, and models that "
    "learn from it learn both.",
    "Phrasing comes from few templates and few teachers, in English only.",
)
_TAKEDOWN = (
    "A recording withdrawn at its source, or by a participant through the corpus' owner, leaves all "
    "tables when its file is gone and its shard is rebuilt; its texts leave with it, and the next "
    "version of the release is without its rows. Copies already given away are named by the content "
    "hash below, so holders can tell whether theirs is the one withdrawn. Write to whoever published "
    "this copy to ask for removal; name the sample ids or the source recording."
)


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What the rows themselves say.

    Parameters
    ----------
    people
        Corpus to its subjects.
    n_people
        Split to its subjects' number.
    writers
        Who wrote rows, and how many.
    n_previous
        Most earlier pages that a row compares its page with; 0 where none does.
    """

    people: Mapping[str, frozenset[str]]
    n_people: Mapping[str, int]
    writers: Mapping[str, int]
    n_previous: int


def row_facts(folder: Path, files: Iterable[WrittenFile]) -> RowFacts:
    """Read what the rows of a release say, pictures left alone.

    Parameters
    ----------
    folder
        Where the files lie.
    files
        The Parquet files.
    """
    people: dict[str, set[str]] = {}
    by_split: dict[str, set[str]] = {split: set() for split in SPLITS}
    writers: Counter[str] = Counter()
    n_previous = 0
    for file in files:
        columns = ["corpus", "kind", "split", "subject_id", "teacher", "segment_ids"]
        for batch in pq.ParquetFile(folder / file.name).iter_batches(4096, columns=columns):
            for row in batch.to_pylist():
                writers[row["teacher"]] += 1
                n_previous = max(n_previous, len(row["segment_ids"]) - 1)
                if row["kind"] != GENERAL:
                    people.setdefault(row["corpus"], set()).add(row["subject_id"])
                    by_split[row["split"]].add(row["subject_id"])
    return RowFacts(
        {corpus: frozenset(found) for corpus, found in sorted(people.items())},
        {split: len(found) for split, found in by_split.items()},
        dict(sorted(writers.items())),
        n_previous,
    )


def people_of(segments: pl.DataFrame) -> dict[tuple[str, str], dict[str, str]]:
    """Return what a shard says of its people.

    Parameters
    ----------
    segments
        Rows with ``corpus``, ``subject_id`` and, as far as known, ``age_band``, ``sex``,
        ``channel_schema`` and ``sfreq_hz``; a person with several values has them all.
    """
    facets = [
        name for name in ("age_band", "sex", "channel_schema", "sfreq_hz") if name in segments
    ]
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    for row in segments.select("corpus", "subject_id", *facets).unique().iter_rows(named=True):
        person = found.setdefault((row["corpus"], row["subject_id"]), {f: set() for f in FACETS})
        for facet, value in _values(row):
            person[facet].add(value)
    return {
        key: {facet: "; ".join(sorted(values)) for facet, values in person.items() if values}
        for key, person in found.items()
    }


def _values(row: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for facet in ("age_band", "sex"):
        if row.get(facet):
            yield facet, str(row[facet])
    schema = row.get("channel_schema")
    if schema and row.get("sfreq_hz"):
        rows = "bipolar derivations" if schema.startswith("bipolar") else "single electrodes"
        yield "recorded", f"{rows} at {row['sfreq_hz']:g} Hz"


def composition_of(facts: RowFacts, people: People) -> dict[str, dict[str, dict[str, int]]]:
    """Count the people whose pages were drawn, by corpus, facet and value."""
    return {
        corpus: {
            facet: dict(
                sorted(
                    Counter(
                        people.get((corpus, subject), {}).get(facet, NOT_STATED)
                        for subject in subjects
                    ).items()
                )
            )
            for facet in FACETS
        }
        for corpus, subjects in facts.people.items()
    }


def write_datasheet(
    recipe: Recipe, report: ReleaseReport, facts: RowFacts, composition: Composition
) -> str:
    """Write the datasheet of a release as Markdown.

    Parameters
    ----------
    recipe, report
        What was asked for and what is there.
    facts
        What the rows say.
    composition
        Who is in it.
    """
    licences = ", ".join(report.licences) or "none"
    parts = [
        f"# Datasheet: {recipe.release_id}",
        "**Research only. Not a medical device.** Follows *Datasheets for Datasets* (Gebru et al., 2021).",
        "## Motivation\n\n" + (recipe.description.strip() or "Instruction data about EEG pages.")
        + " Made so that every statement about an EEG page can be traced to a measurement.",
        "## Composition\n\n" + _composition(report, facts, composition),
        "## Collection\n\nNo one was recorded for this release. Pages are 10 s of published corpora, "
        "or of a simulator, filtered to 0.1-75 Hz (less where the source is narrower) at 200 Hz. "
        "Consent, ethics and payment are those of each corpus; see its publication.",
        "## Labelling\n\n" + _labelling(facts),
        "## Label noise\n\n" + label_noise(),
        "## Uses\n\nIntended:\n\n" + _bullets(INTENDED) + "\n\nForbidden:\n\n" + _bullets(FORBIDDEN),
        "## Known biases\n\n" + _bullets(BIASES),
        "## Privacy\n\nEEG can identify people. Names, dates, headers and paths are not kept; subjects "
        "are salted hashes; ages are bands of ten years, 90 and older together. De-identified is not "
        "anonymous.",
        f"## Distribution\n\nLicences of the rows: {licences}. " + _gated(report),
        "## Maintenance\n\nRebuilt from recipe and corpora; same recipe and sources, same bytes. "
        f"Version `{recipe.version}`, content hash `{report.content_hash}`. A change of rows is a new "
        "version; the older one stays as it was until it is withdrawn.",
        "## Takedown\n\n" + _TAKEDOWN,
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def label_noise() -> str:
    """Return what was measured about the labels: the shipped detector's card, kind by kind."""
    from detectors.waveform.card import CARD_NAME, read_card
    from detectors.waveform.infer import SHIPPED_WEIGHTS

    card = read_card(SHIPPED_WEIGHTS / CARD_NAME)
    rows = [
        [
            name, FINDING_KINDS[WAVEFORMS[name].kind].noun, _share(score.precision),
            _share(score.recall), str(score.n_truth), f"{score.false_per_hour:.1f}",
        ]
        for name, score in card.scores.items()
    ]  # fmt: skip
    head = ["class", "kind", "precision", "recall", "events", "false boxes per hour"]
    measured = {WAVEFORMS[name].kind for name in card.scores}
    others = ", ".join(entry.noun for k, entry in FINDING_KINDS.items() if k not in measured)
    return (
        f"Waveform detector `{card.weights_id}`, on {card.n_validation_subjects} subjects kept for "
        f"validation ({card.data_description}):\n\n"
        + table(head, rows)
        + "\n\n"
        + _bullets(card.limits)
        + f"\n\nFound by rules alone, without a measured precision on this release: {others}. Their "
        "thresholds and sources are in the rules' tables. Nobody audited 200 rows of each class by "
        "hand; until someone has, treat every label as a machine's."
    )


def _composition(report: ReleaseReport, facts: RowFacts, composition: Composition) -> str:
    n_people = ", ".join(f"{split} {facts.n_people[split]}" for split in SPLITS)
    text = (
        f"{report.n_rows} rows about pages of {sum(facts.n_people.values())} people ({n_people}); "
        f"{report.n_simulated} rows show simulated pages, whose people do not exist."
    )
    corpora = [
        [corpus, str(n_rows), str(len(facts.people.get(corpus, ())))]
        for corpus, n_rows in report.by_corpus.items()
    ]
    text += "\n\n" + table(["corpus", "rows", "people"], corpora)
    for facet, heading in FACETS.items():
        rows = [
            [corpus, value, str(n)]
            for corpus, facets in composition.items()
            for value, n in facets.get(facet, {}).items()
        ]
        if rows:
            text += "\n\n" + table(["corpus", heading, "people"], rows)
    return text


def _labelling(facts: RowFacts) -> str:
    rows = [[f"`{writer}`", str(n)] for writer, n in facts.writers.items()]
    return (
        "Findings come from rules and a waveform detector, text from rules or from a teacher that saw "
        "measured numbers and never the page; all of it is machine-made. Every sentence about a page "
        "passed a grounding check and carries the ids behind it.\n\n"
        + table(["writer", "rows"], rows)
    )


def _gated(report: ReleaseReport) -> str:
    if not report.n_gated:
        return "No row is of a gated corpus."
    return (
        f"{report.n_gated} rows are of gated corpora ({', '.join(report.gated_corpora)}): this "
        "release stays where it was built; an export leaves them out."
    )


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
