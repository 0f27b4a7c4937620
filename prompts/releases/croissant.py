"""The machine-readable description of a release: Croissant 1.1 with the fields of RAI 1.0.

Written as plain JSON-LD from the recipe, the report and the schema of the files, so that no library
is needed to make it; tests validate it with ``mlcroissant``. Dates and addresses of publication are
not known when a release is built; who publishes adds ``datePublished`` and ``url``.
The sentences people read are in ``card`` and ``datasheet``.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from prompts.releases.datasheet import BIASES, FORBIDDEN, INTENDED, Composition, RowFacts
from prompts.releases.files import COLUMN_MEANINGS, ReleaseReport, release_schema
from prompts.releases.recipe import SPLITS, Recipe

CROISSANT_NAME = "croissant.json"
CONFORMS_TO = (
    "http://mlcommons.org/croissant/1.1",
    "http://mlcommons.org/croissant/RAI/1.0",
)
PARQUET = "application/x-parquet"
_FILES, _ROWS = "parquet-files", "rows"
_PICTURE = "sc:ImageObject"

_CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs", "column": "cr:column", "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"}, "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes",
    "isArray": "cr:isArray", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "name": {"@container": "@language"},
    "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "samplingRate": "cr:samplingRate", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip
"""The context of the specification, version 1.1."""

_TYPES: tuple[tuple[Any, str], ...] = (
    (pa.types.is_boolean, "sc:Boolean"),
    (pa.types.is_floating, "sc:Float"),
    (pa.types.is_integer, "sc:Integer"),
    (pa.types.is_string, "sc:Text"),
)


def croissant(
    recipe: Recipe, report: ReleaseReport, facts: RowFacts, composition: Composition
) -> dict[str, Any]:
    """Return the description of a release as JSON-LD.

    Parameters
    ----------
    recipe, report
        What was asked for and what is there.
    facts
        What the rows say.
    composition
        Who is in it.
    """
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": recipe.release_id,
        "description": _description(recipe, report),
        "conformsTo": list(CONFORMS_TO),
        "version": recipe.version,
        "license": list(report.licences),
        "inLanguage": "en",
        "isLiveDataset": False,
        "keywords": ["EEG", "neuroscience", "image-text-to-text", "visual question answering"],
        "creator": {"@type": "sc:Organization", "name": "NeuroGloss"},
        "citeAs": f"NeuroGloss {recipe.release_id}, content hash {report.content_hash}",
        **_responsible(recipe, report, facts, composition),
        "distribution": [*(_file(f.name, f.n_bytes, f.sha256) for f in report.files), _file_set()],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": _ROWS,
                "name": _ROWS,
                "description": "One conversation about one page; the column split names its part.",
                "key": {"@id": f"{_ROWS}/id"},
                "field": [_field(column) for column in release_schema()],
            }
        ],
    }


def _description(recipe: Recipe, report: ReleaseReport) -> str:
    parts = ", ".join(f"{split} {sum(report.counts[split].values())}" for split in SPLITS)
    return (
        f"{recipe.description.strip()} EEG pages of 10 s with grounded text: {report.n_rows} rows "
        f"({parts}), splits disjoint by subject. Research only, not a medical device."
    ).strip()


def _responsible(
    recipe: Recipe, report: ReleaseReport, facts: RowFacts, composition: Composition
) -> dict[str, Any]:
    """Return the RAI fields, from the release's own counts."""
    people = {
        facet: sorted({v for corpus in composition.values() for v in corpus.get(facet, {})})
        for facet in ("age_band", "sex", "recorded")
    }
    writers = ", ".join(f"{writer} ({n} rows)" for writer, n in facts.writers.items())
    has_synthetic = bool(report.n_simulated or report.n_offline_teacher or facts.writers)
    corpora = ", ".join(f"{c} ({n} rows)" for c, n in report.by_corpus.items())
    return {
        "rai:dataCollection": f"Pages are cut from corpora recorded by others: {corpora}. Nobody was "
        "recorded for this release.",
        "rai:dataCollectionType": ["Secondary data analysis", "Simulations"]
        if report.n_simulated
        else ["Secondary data analysis"],
        "rai:dataCollectionMissingData": "Channels that were not recorded are masked and said so; kinds "
        "of findings that could not be judged are told with their reason.",
        "rai:dataPreprocessingProtocol": [
            "band-pass 0.1-75 Hz or narrower, mains notch, 200 Hz, 10-second pages, 19 electrodes",
            f"samples drawn by recipe {recipe.release_id} with seed {recipe.seed}",
        ],
        "rai:dataAnnotationProtocol": "Rules and a waveform detector find events; rules or a teacher "
        "that reads numbers only write the text; every sentence about a page is checked against the "
        "findings it names, and rows that fail are left out.",
        "rai:machineAnnotationTools": [f"writers: {writers}"],
        "rai:annotationsPerItem": "One text per row by one writer.",
        "rai:dataUseCases": [*INTENDED, *(f"Not for: {use}" for use in FORBIDDEN)],
        "rai:dataBiases": [
            *BIASES,
            *(f"{facet}: {', '.join(v)}" for facet, v in people.items() if v),
        ],
        "rai:dataLimitations": [
            "Text says what the engine measured; where the engine is wrong, the text is wrong too.",
            "Ten seconds support description, not diagnosis.",
            f"{report.n_simulated} of {report.n_rows} rows show simulated pages; "
            f"{report.n_offline_teacher} were written by a template.",
        ],
        "rai:dataSocialImpact": "May help study of models that read EEG; fluent text about EEG can be "
        "taken for a clinical report, which it is not.",
        "rai:personalSensitiveInformation": [
            "EEG is biometric and health data, de-identified: salted subject ids, age in bands",
            f"people by split: {', '.join(f'{s} {n}' for s, n in facts.n_people.items())}",
        ],
        "rai:dataReleaseMaintenancePlan": "Rebuilt from its recipe; withdrawn recordings leave with the "
        "next version, see DATASHEET.md.",
        "rai:hasSyntheticData": has_synthetic,
    }


def _file(name: str, n_bytes: int, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name,
        "contentSize": f"{n_bytes} B", "encodingFormat": PARQUET, "sha256": sha256,
    }  # fmt: skip


def _file_set() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet", "@id": _FILES, "name": _FILES, "encodingFormat": PARQUET,
        "includes": [f"{split}-*.parquet" for split in SPLITS],
    }  # fmt: skip


def _field(column: pa.Field) -> dict[str, Any]:
    """Return the field of a column; lists are arrays, the parts of structs sub-fields."""
    place = f"{_ROWS}/{column.name}"
    found: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": place,
        "name": column.name,
        "description": COLUMN_MEANINGS[column.name],
    }
    kind = column.type
    if pa.types.is_list(kind):
        found |= {"isArray": True, "arrayShape": "-1"}
        kind = kind.value_type
    if pa.types.is_struct(kind):
        return found | {"subField": [_part(column.name, place, part) for part in kind]}
    return found | {"dataType": _type(kind), "source": _source(column.name)}


def _part(column: str, place: str, part: pa.Field) -> dict[str, Any]:
    is_list = pa.types.is_list(part.type)
    kind = part.type.value_type if is_list else part.type
    name = _type(kind)
    return {
        "@type": "cr:Field",
        "@id": f"{place}/{part.name}",
        "name": part.name,
        **({"isArray": True, "arrayShape": "-1"} if is_list else {}),
        # mlcroissant 1.1 decodes the pictures of a list only where 1.0's word says that they repeat
        **({"repeated": True} if name == _PICTURE else {}),
        "dataType": name,
        "source": {**_source(column), "transform": {"jsonPath": part.name}},
    }


def _source(column: str) -> dict[str, Any]:
    return {"fileSet": {"@id": _FILES}, "extract": {"column": column}}


def _type(kind: pa.DataType) -> str:
    return next((name for is_kind, name in _TYPES if is_kind(kind)), _PICTURE)
