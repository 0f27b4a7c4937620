"""The documents in the folder of a release: card, datasheet and machine-readable description.

All three are generated from the release's own rows and counts. Reports of licences and splits are in
``ledger``; the folder itself is made in ``build``.
"""

from __future__ import annotations

import json
from pathlib import Path

from prompts.releases.card import write_card
from prompts.releases.croissant import CROISSANT_NAME, croissant
from prompts.releases.datasheet import (
    Composition,
    People,
    composition_of,
    row_facts,
    write_datasheet,
)
from prompts.releases.files import ReleaseReport, write_text
from prompts.releases.recipe import Recipe

CARD_NAME, DATASHEET_NAME = "README.md", "DATASHEET.md"
DOCUMENTS = (CARD_NAME, DATASHEET_NAME, CROISSANT_NAME)


def write_documents(
    folder: Path,
    recipe: Recipe,
    report: ReleaseReport,
    *,
    people: People | None = None,
    composition: Composition | None = None,
    remark: str = "",
) -> Composition:
    """Write the three documents beside the Parquet files.

    Parameters
    ----------
    folder
        Where the files lie.
    recipe, report
        What was asked for and what is there.
    people
        What the corpora say of their people; counted where ``composition`` is not given.
    composition
        Who is in the whole release, of which this may be a part; other corpora are not told.
    remark
        A paragraph about this copy.

    Returns
    -------
    Composition
        Who is in it, for the manifest.
    """
    facts = row_facts(folder, report.files)
    if composition is None:
        composition = composition_of(facts, people or {})
    composition = {corpus: v for corpus, v in composition.items() if corpus in facts.people}
    write_text(folder / CARD_NAME, write_card(recipe, report, remark, facts.n_previous))
    write_text(folder / DATASHEET_NAME, write_datasheet(recipe, report, facts, composition))
    described = croissant(recipe, report, facts, composition)
    write_text(folder / CROISSANT_NAME, json.dumps(described, indent=1, ensure_ascii=False) + "\n")
    return composition
