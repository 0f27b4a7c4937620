"""Checks: what must hold before anything downstream may read a shard or a release.

A check reads what was written, through the manifest, gathers every violation before it fails, and
gates one partition at a time. Schema checks are made from the table registry, one per asset; the
others guard units, duplicates, subject leakage and evidence. Two contradict without blocking:
a mains peak or an amplitude that the registry does not foretell.
"""

import hashlib
from collections.abc import Callable, Iterator

import dagster as dg
import numpy as np
import polars as pl
import pyarrow.parquet as pq

from dagster_project.corpora.registry import corpora
from dagster_project.partitions import release_partitions, shards
from dagster_project.resources import Workspace, corpus_of
from dagster_project.tables.registry import Table, tables_of_asset
from dagster_project.tables.store import TableStore, arrow_schema
from detectors.types import SFREQ_HZ

SHARD_ASSETS = (
    "recordings", "segments", "fingerprints", "spectral_features", "spatial_features", "waveform_events",
    "rule_findings", "findings", "captions", "questions", "narratives",
    "descriptions", "teacher_questions", "dialogues", "counterfactual_pairs",
)  # fmt: skip
EVIDENCE_ASSETS = (
    "captions", "questions", "narratives", "descriptions", "teacher_questions", "dialogues",
)  # fmt: skip
MAX_SHOWN = 20
SUPPORTED = "supported"

AMPLITUDE_RANGE_UV = (0.1, 500.0)
"""Median absolute value of a live scalp channel after filtering; a factor 10^3 or 10^6 slip in
units falls far outside (rule 1 for every loader; the lower edge allows quiet bipolar pairs)."""
MIN_SHARE_IN_RANGE = 0.5
MAX_CLIPPED_SHARE = 0.01
"""Samples at the int16 range, +-1638 uV; more than one in a hundred is a wrong unit, not EEG."""
UV_PER_STEP = 0.05

MAINS_PEAK_DB = 10.0
"""A peak this far above its neighbours is mains, not a rhythm (engineering default)."""
MAINS_MARGIN_DB = 6.0
"""The other frequency must stand out this much more than the declared one to contradict it."""
AMPLITUDE_FACTOR = 8.0
"""A recording this far off its shard's median amplitude was scaled otherwise: a slip of ten."""

Violations = list[str]


def shard_check(
    asset: str, name: str, description: str, *, is_blocking: bool = True
) -> Callable[[Callable[[TableStore, str], Violations]], dg.AssetChecksDefinition]:
    """Return a decorator that makes a check of one shard from a list of violations."""

    def decorate(find: Callable[[TableStore, str], Violations]) -> dg.AssetChecksDefinition:
        @dg.asset_check(
            asset=asset,
            name=name,
            blocking=is_blocking,
            description=description,
            partitions_def=shards(),
        )
        def check(
            context: dg.AssetCheckExecutionContext, workspace: Workspace
        ) -> dg.AssetCheckResult:
            return _result(find(workspace.store(), context.partition_key))

        return check

    return decorate


def _result(violations: Violations) -> dg.AssetCheckResult:
    shown = "\n".join(f"- {v}" for v in violations[:MAX_SHOWN]) or "none"
    return dg.AssetCheckResult(
        passed=not violations,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(violations)} violations" if violations else "holds",
        metadata={"violations": dg.MetadataValue.md(shown), "n_violations": len(violations)},
    )


def schema_violations(store: TableStore, spec: Table, partition: str) -> Violations:
    """Compare a written partition with the registry and with its own manifest."""
    manifest = store.manifest(spec.name, partition)
    if manifest is None:
        return [f"{spec.name}: nothing was written for partition {partition}"]
    found: Violations = []
    with store.open(spec.name, partition) as handle:
        digest = hashlib.sha256(handle.read()).hexdigest()
        handle.seek(0)
        parquet = pq.ParquetFile(handle)
        schema, n_rows = parquet.schema_arrow, parquet.metadata.num_rows
    if digest != manifest.sha256:
        found.append(f"{spec.name}: file hash {digest[:12]} is not the manifest's")
    if n_rows != manifest.n_rows:
        found.append(f"{spec.name}: {n_rows} rows, manifest says {manifest.n_rows}")
    if not schema.equals(arrow_schema(spec)):
        found.append(f"{spec.name}: columns differ from the registry")
        return found
    keys = store.read(spec.name, partition, list(spec.key))
    n_doubled = keys.height - keys.n_unique() if keys.height else 0
    if n_doubled:
        found.append(f"{spec.name}: {n_doubled} rows repeat the key {', '.join(spec.key)}")
    return found


def _schema_check(asset: str) -> dg.AssetChecksDefinition:
    @shard_check(asset, "schema", "Columns, types, keys and hash agree with registry and manifest.")
    def schema(store: TableStore, shard: str) -> Violations:
        return [v for spec in tables_of_asset(asset) for v in schema_violations(store, spec, shard)]

    return schema


@shard_check("recordings", "duplicates", "No two accepted recordings hold the same samples.")
def recording_duplicates(store: TableStore, shard: str) -> Violations:
    """Refuse two accepted recordings with one sample hash, in this shard or in any other.

    One corpus may be there under two keys, such as a copy in another layout.
    """
    frame = _accepted(store, shard)
    doubled = frame.filter(pl.col("sha256").is_duplicated())
    found = [f"{r['recording_id']} repeats samples {r['sha256'][:12]}" for r in doubled.to_dicts()]
    own = set(frame["sha256"])
    for other in store.partitions("recordings"):
        if other == shard:
            continue
        shared = own & set(_accepted(store, other)["sha256"])
        found += [f"samples {s[:12]} are also in shard {other}" for s in sorted(shared)]
    return found


@shard_check(
    "recordings",
    "subject_leakage",
    "A subject lies in one split and one shard of the whole corpus.",
)
def subject_leakage(store: TableStore, shard: str) -> Violations:
    """Refuse a subject that straddles splits or shards."""
    frame = _accepted(store, shard)
    splits = frame.group_by("subject_id").agg(pl.col("split").n_unique()).sort("subject_id")
    found = [f"subject {subject} lies in {n} splits" for subject, n in splits.iter_rows() if n > 1]
    own = set(frame["subject_id"])
    for other in _siblings(store, shard):
        shared = own & set(_accepted(store, other)["subject_id"])
        found += [f"subject {s} is also in shard {other}" for s in sorted(shared)]
    return found


@shard_check(
    "recordings",
    "mains",
    "The measured mains peak agrees with the line frequency of the registry.",
    is_blocking=False,
)
def mains(store: TableStore, shard: str) -> Violations:
    """Contradict a registry whose line frequency is not the one the signal shows."""
    columns = ["recording_id", "status", "line_freq_hz", "mains_50_db", "mains_60_db"]
    found: Violations = []
    for row in store.read("recordings", shard, columns).iter_rows(named=True):
        declared = int(row["line_freq_hz"])
        other = 110 - declared
        peak, margin = row[f"mains_{other}_db"], row[f"mains_{declared}_db"] or 0.0
        if peak is not None and peak >= MAINS_PEAK_DB and peak - margin >= MAINS_MARGIN_DB:
            found.append(
                f"{row['recording_id']}: {other} Hz stands out by {peak:.0f} dB, the registry's "
                f"{declared} Hz by {margin:.0f} dB"
            )
    return found


@shard_check(
    "recordings",
    "amplitude",
    "No recording differs in amplitude from its corpus as a slip of units would make it.",
    is_blocking=False,
)
def amplitude(store: TableStore, shard: str) -> Violations:
    """Name recordings whose amplitude is a factor off the rest of their shard."""
    columns = ["recording_id", "status", "amplitude_uv"]
    frame = store.read("recordings", shard, columns).filter(pl.col("status") == "accepted")
    typical = frame["amplitude_uv"].median()
    if not isinstance(typical, float) or typical <= 0:
        return []
    return [
        f"{recording}: {level:.3g} uV, the shard's median is {typical:.3g} uV"
        for recording, level in frame.select("recording_id", "amplitude_uv").iter_rows()
        if not typical / AMPLITUDE_FACTOR <= level <= typical * AMPLITUDE_FACTOR
    ]


@shard_check("segments", "units", "Live channels have the amplitude of scalp EEG in microvolts.")
def units(store: TableStore, shard: str) -> Violations:
    """Refuse recordings whose amplitudes cannot be microvolts."""
    low, high = AMPLITUDE_RANGE_UV
    levels: dict[str, list[float]] = {}
    clipped: dict[str, int] = {}
    sizes: dict[str, int] = {}
    columns = ["recording_id", "signal", "ch_names", "mask", "recorded_s", "clip_count"]
    for frame in store.iter_frames("segments", shard, columns):
        for recording, signal, names, mask, recorded_s, n_clipped in frame.iter_rows():
            rows = np.asarray(signal, dtype=np.int16).reshape(len(names), -1)
            data = np.abs(rows[np.asarray(mask), : round(recorded_s * SFREQ_HZ)])
            medians = np.median(data, axis=1) * UV_PER_STEP
            levels.setdefault(recording, []).extend(medians[medians > 0].tolist())
            clipped[recording] = clipped.get(recording, 0) + n_clipped
            sizes[recording] = sizes.get(recording, 0) + data.size
    found: Violations = []
    for recording, values in sorted(levels.items()):
        share = float(np.mean([low <= v <= high for v in values])) if values else 1.0
        if share < MIN_SHARE_IN_RANGE:
            found.append(
                f"{recording}: {share:.0%} of live channels lie within {low}-{high} uV; median "
                f"{np.median(values):.3g} uV points at a wrong unit"
            )
        if clipped[recording] > MAX_CLIPPED_SHARE * max(sizes[recording], 1):
            found.append(f"{recording}: {clipped[recording]} of {sizes[recording]} samples clipped")
    return found


@shard_check("segments", "duplicates", "No two segments hold the same signal.")
def segment_duplicates(store: TableStore, shard: str) -> Violations:
    """Refuse two segments with equal samples."""
    seen: dict[bytes, str] = {}
    found: Violations = []
    for frame in store.iter_frames("segments", shard, ["segment_id", "signal"]):
        for segment, signal in zip(frame["segment_id"], frame["signal"], strict=True):
            digest = hashlib.blake2b(signal.to_numpy().tobytes(), digest_size=16).digest()
            if digest in seen:
                found.append(f"{segment} repeats {seen[digest]}")
            seen.setdefault(digest, segment)
    return found


def _evidence_check(asset: str) -> dg.AssetChecksDefinition:
    @shard_check(
        asset, "evidence", "Every text points at measurements that exist, of the pages it is about."
    )
    def evidence(store: TableStore, shard: str) -> Violations:
        known = _known_evidence(store, shard)
        found: Violations = []
        for pages, ids in _evidence_of(store, asset, shard):
            missing = [i for i in ids if _page_of(i, known) not in pages]
            if missing or not ids:
                found.append(f"{pages[0]}: {', '.join(missing) or 'no evidence at all'}")
        return found

    return evidence


def _known_evidence(store: TableStore, shard: str) -> dict[str, str]:
    known: dict[str, str] = {}
    for name, key in (("findings", "finding_id"), ("judgements", "judgement_id")):
        frame = store.read(name, shard, [key, "segment_id"])
        known.update(zip(frame[key], frame["segment_id"], strict=True))
    return known


def _evidence_of(
    store: TableStore, asset: str, shard: str
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield the pages a text may speak of, its own first, and the ids it points at."""
    for row in store.read(asset, shard).iter_rows(named=True):
        pages = (row["segment_id"], *row.get("history_segment_ids", ()))
        if row.get("grounding", SUPPORTED) != SUPPORTED:
            continue
        # wrong options are no sentences of the text, but what proves them wrong is in its evidence
        claims = [row] if "evidence" in row else []
        for sentence in (*row.get("sentences", ()), *claims):
            yield pages, sentence["evidence"]


def _page_of(evidence: str, known: dict[str, str]) -> str:
    """Return the segment an id belongs to; ``s-<segment id>:<column>`` names a feature row."""
    if evidence.startswith("s-"):
        return evidence[2:].rpartition(":")[0]
    return known.get(evidence, "")


def _accepted(store: TableStore, shard: str) -> pl.DataFrame:
    frame = store.read(
        "recordings", shard, ["recording_id", "subject_id", "split", "sha256", "status"]
    )
    return frame.filter(pl.col("status") == "accepted")


def _siblings(store: TableStore, shard: str) -> list[str]:
    """Return the written shards of every corpus that shares the identity family."""
    family = corpus_of(shard).identity.family
    kin = {spec.key for spec in corpora().values() if spec.identity.family == family}
    return [p for p in store.partitions("recordings") if p != shard and corpus_of(p).key in kin]


@shard_check(
    "questions", "text_only_at_chance", "Nobody can answer the questions without seeing the pages."
)
def text_only_at_chance(store: TableStore, shard: str) -> Violations:
    """Refuse questions whose wording gives their answers away."""
    return _given_away(store, shard, store.read("questions", shard, _ASKED))


@shard_check(
    "teacher_questions", "text_only_at_chance", "The offline teacher's questions give nothing away."
)
def teacher_text_only_at_chance(store: TableStore, shard: str) -> Violations:
    """Refuse offline questions whose wording gives their answers away; a model's are its own."""
    rows = store.read("teacher_questions", shard, [*_ASKED, "is_offline_teacher", "grounding"])
    written = (pl.col("grounding") == "supported") & pl.col("is_offline_teacher")
    return _given_away(store, shard, rows.filter(written).select(_ASKED))


_ASKED = ["segment_id", "question", "options", "answer_text", "block_id"]


def _given_away(store: TableStore, shard: str, asked: pl.DataFrame) -> Violations:
    from benchmark.text.text_only import text_only

    subjects = store.read("segments", shard, ["segment_id", "subject_id"])
    items = asked.join(subjects, on="segment_id").to_dicts()
    whole: dict[str, list[str]] = {}
    for item in items:
        whole.setdefault(item["block_id"], []).append(item["answer_text"])
    found = [
        f"block {item['block_id']}: not each of its options is right once"
        for item in items
        if sorted(item["options"]) != sorted(whole[item["block_id"]])
    ]
    if items and not (result := text_only(items)).is_chance:
        found.append(
            f"{result.n_items} questions: {result.accuracy.value:.1%} are answered from the text, "
            f"{result.over_chance.value:+.1%} over chance"
        )
    return found


@dg.asset_check(
    asset="instruction_dataset",
    name="subject_leakage",
    blocking=True,
    description="No subject of a release lies in two splits, and no sample is repeated.",
    partitions_def=release_partitions(),
)
def release_leakage(
    context: dg.AssetCheckExecutionContext, workspace: Workspace
) -> dg.AssetCheckResult:
    """Refuse a release whose splits share a subject or a sample."""
    folder = workspace.folder("releases", context.partition_key)
    files = sorted(folder.glob("*.parquet"))
    frames = [pl.read_parquet(f, columns=["id", "subject_id", "split"]) for f in files]
    if not frames:
        return _result([f"release {context.partition_key} holds no Parquet file"])
    frame = pl.concat(frames)
    shared = (
        frame.group_by("subject_id").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1)
    )
    found = [f"subject {s} lies in {n} splits" for s, n in shared.sort("subject_id").iter_rows()]
    n_doubled = frame.height - frame["id"].n_unique()
    return _result(found + ([f"{n_doubled} sample ids repeat"] if n_doubled else []))


CHECKS: tuple[dg.AssetChecksDefinition, ...] = (
    *(_schema_check(asset) for asset in SHARD_ASSETS),
    recording_duplicates,
    subject_leakage,
    mains,
    amplitude,
    units,
    segment_duplicates,
    *(_evidence_check(asset) for asset in EVIDENCE_ASSETS),
    text_only_at_chance,
    teacher_text_only_at_chance,
    release_leakage,
)
