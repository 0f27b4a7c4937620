"""General pairs of picture and text, taken from the published sets under one folder.

Every row either becomes a pair, is not drawn, or is set aside with its cause and counted. What the
sets are and what a row of them is lies in ``general_sources``; where pairs are stored, in the rim; how
a release draws from them, in ``draw``.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from prompts import words
from prompts.releases.duplicates import band_keys, without_duplicates
from prompts.releases.general_sources import (
    SOURCES,
    Files,
    GeneralPairsError,
    RawPair,
    Refused,
    Source,
)
from prompts.releases.recipe import Duplicates

MISSING = "picture is missing"
OUTSIDE = "picture is named outside its folder"
UNREADABLE = "picture cannot be read"
OTHER_FORMAT = "picture is neither PNG nor JPEG"
TOO_SMALL = "picture is too small"
TOO_LARGE = "picture is too large"
TOO_LONG = "text is too long"
REPEATED = "same picture and text again"
NEAR_DUPLICATE = "near-duplicate text"

_FORMATS = ("PNG", "JPEG")


@dataclass(frozen=True, slots=True)
class PairLimits:
    """What a pair may be at most and at least; all engineering defaults.

    Parameters
    ----------
    n_pairs
        Most pairs of one set, drawn by seed; None takes all.
    min_side_px
        One merged patch of Qwen2.5-VL (14 x 2).
    max_side_px, max_bytes
        Larger pictures are set aside, never resized.
    max_chars
        Of all turns together: about 2,000 tokens.
    duplicates
        Near-duplicate texts to set aside; None looks for none.
    """

    n_pairs: int | None = None
    min_side_px: int = 28
    max_side_px: int = 4096
    max_bytes: int = 8_000_000
    max_chars: int = 8_000
    duplicates: Duplicates | None = None


@dataclass(slots=True)
class SourceTally:
    """What became of the rows of one set: each is in exactly one of the counts."""

    n_rows: int = 0
    n_pairs: int = 0
    n_not_drawn: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def sources_below(root: Path) -> dict[str, Files]:
    """Return the sets that lie under a folder.

    Raises
    ------
    GeneralPairsError
        If it is no folder or holds none of them.
    """
    if not root.is_dir():
        raise GeneralPairsError(
            f"{str(root)!r} is not a folder; name the folder the general sets were downloaded to"
        )
    found = {name: files for name, source in SOURCES.items() if (files := source.find(root))}
    if not found:
        raise GeneralPairsError(
            "the folder holds none of the general sets; known: blip_laion_cc_sbu_558k.json or "
            "llava_instruct_150k.json beside their pictures, CoSyn-400K/**/train*.parquet"
        )
    return found


def general_pairs(
    source: Source, files: Files, limits: PairLimits, seed: int, tally: SourceTally
) -> Iterator[dict[str, Any] | Refused]:
    """Yield the pairs of a set in stored order, and every row that was set aside.

    Rows are read twice: for their text, to draw; then the drawn ones with their pictures. A drawn
    row whose picture fails is set aside and not replaced.

    Parameters
    ----------
    source, files
        The set and where it lies.
    limits
        Sizes, numbers and near-duplicates.
    seed
        Of the draw and of the near-duplicates' permutations.
    tally
        Counts every row.

    Yields
    ------
    dict or Refused
        ``sample_id, source, row_id, picture_id, image, width_px, height_px, messages, licence, terms,
        is_gated``, or a row set aside.
    """
    refused: list[Refused] = []
    chosen = _chosen(source, files, limits, seed, tally, refused)
    seen: set[str] = set()
    for refusal in refused:
        tally.refused[refusal.cause] += 1
        yield refusal
    for place, (raw, held) in enumerate(source.read(files, True)):
        if place not in chosen or isinstance(raw, Refused):
            continue
        pair = _with_picture(source, files, limits, raw, held)
        if isinstance(pair, dict):
            twin = hashlib.sha256(f"{pair['picture_id']}{raw.messages}".encode()).hexdigest()
            if twin in seen:
                pair = Refused(raw.row_id, REPEATED)
            seen.add(twin)
        if isinstance(pair, Refused):
            tally.refused[pair.cause] += 1
        else:
            pair = {"sample_id": _sample_id(source.name, place, raw.row_id), **pair}
            tally.n_pairs += 1
        yield pair


def _chosen(
    source: Source,
    files: Files,
    limits: PairLimits,
    seed: int,
    tally: SourceTally,
    refused: list[Refused],
) -> set[int]:
    """Return the places of the rows drawn; only ranks and band keys are held, no text."""
    places: list[int] = []
    names: list[str] = []

    def texts() -> Iterator[str]:
        for place, (raw, _) in enumerate(source.read(files, False)):
            tally.n_rows += 1
            fault = raw if isinstance(raw, Refused) else _text_fault(raw, limits)
            if fault is not None:
                refused.append(fault)
            elif isinstance(raw, RawPair):
                places.append(place)
                names.append(raw.row_id)
                yield " ".join(text for _, text in raw.messages)

    if limits.duplicates is None:
        bands: list[list[int] | None] = [None for _ in texts()]
    else:
        bands = list(band_keys(limits.duplicates, seed, texts()))
    ids = [_sample_id(source.name, p, n) for p, n in zip(places, names, strict=True)]
    pool = pl.DataFrame(
        {
            "kind": [source.name] * len(ids),
            "split": ["train"] * len(ids),
            "rank": [words.number(seed, s, "general") for s in ids],
            "sample_id": ids,
            "place": places,
            "row_id": names,
            "bands": bands,
        },
        schema_overrides={"rank": pl.UInt64, "bands": pl.List(pl.UInt64), "place": pl.Int64},
    )
    kept, _ = without_duplicates(pool)
    gone = pool.join(kept, on="sample_id", how="anti", maintain_order="left")
    refused += [Refused(name, NEAR_DUPLICATE) for name in gone["row_id"]]
    drawn = kept.sort("rank", "sample_id").head(limits.n_pairs or kept.height)
    tally.n_not_drawn += kept.height - drawn.height
    return set(drawn["place"])


def _text_fault(raw: RawPair, limits: PairLimits) -> Refused | None:
    n_chars = sum(len(text) for _, text in raw.messages)
    if n_chars > limits.max_chars:
        return Refused(raw.row_id, TOO_LONG, f"{n_chars} of {limits.max_chars} characters")
    return None


def _with_picture(
    source: Source, files: Files, limits: PairLimits, raw: RawPair, held: bytes | None
) -> dict[str, Any] | Refused:
    data = held if raw.picture is None else _file_of(files, raw, limits)
    if isinstance(data, Refused):
        return data
    if data is None:
        return Refused(raw.row_id, MISSING)
    size = _size_of(raw, data, limits)
    if isinstance(size, Refused):
        return size
    return {
        "source": source.name,
        "row_id": raw.row_id,
        "picture_id": f"pic-{hashlib.sha256(data).hexdigest()[:16]}",
        "image": data,
        "width_px": size[0],
        "height_px": size[1],
        "messages": [{"role": role, "content": text} for role, text in raw.messages],
        "licence": source.licence,
        "terms": source.terms,
        "is_gated": source.is_gated,
    }


def _file_of(files: Files, raw: RawPair, limits: PairLimits) -> bytes | Refused | None:
    """Read the picture a row names from the first folder that has it, and from nowhere else."""
    assert raw.picture is not None
    for folder in files.pictures:
        path = folder / raw.picture
        if not path.is_file():
            continue
        if not path.resolve().is_relative_to(folder.resolve()):
            return Refused(raw.row_id, OUTSIDE)
        if path.stat().st_size > limits.max_bytes:
            return Refused(raw.row_id, TOO_LARGE, f"{path.stat().st_size} bytes")
        return path.read_bytes()
    return None


def _size_of(raw: RawPair, data: bytes, limits: PairLimits) -> tuple[int, int] | Refused:
    """Decode a picture whole, so that a truncated one is known now and not while training."""
    from PIL import Image

    if len(data) > limits.max_bytes:
        return Refused(raw.row_id, TOO_LARGE, f"{len(data)} bytes")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.verify()  # checksums of PNG, which decoding passes over; the file is then spent
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
            if picture.format not in _FORMATS:
                return Refused(raw.row_id, OTHER_FORMAT, str(picture.format))
            if min(width, height) < limits.min_side_px:
                return Refused(raw.row_id, TOO_SMALL, f"{width} x {height} pixels")
            if max(width, height) > limits.max_side_px:
                return Refused(raw.row_id, TOO_LARGE, f"{width} x {height} pixels")
            picture.load()
    except (OSError, SyntaxError, ValueError, ImportError, Image.DecompressionBombError) as error:
        # once ultralytics is imported, Pillow asks for a HEIF plug-in before it gives a picture up
        cause = "UnidentifiedImageError" if isinstance(error, ImportError) else type(error).__name__
        return Refused(raw.row_id, UNREADABLE, cause)
    return width, height


def _sample_id(source: str, place: int, row_id: str) -> str:
    return f"gen-{hashlib.sha256(f'{source}/{place}/{row_id}'.encode()).hexdigest()[:16]}"
