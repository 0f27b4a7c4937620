"""The 17 sub-categories of the open bench in their 4 groups, and which one a page is counted under.

CerebraGloss-Bench names four groups and 17 sub-categories, and not what they hold (``systems.md``
1.10: the mapping is not published). The table below is ours and stands in every result through the
items' categories. A sub-category is a stratum: it says what the engine judged present on the page,
so that rare findings are asked about; nothing is scored against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

GROUPS = ("background", "artifact", "sleep", "epileptiform")
SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class SubCategory:
    """One sub-category.

    Parameters
    ----------
    group
        One of :data:`GROUPS`.
    kinds
        Kinds of finding of which at least one is judged present on its pages.
    meaning
        Words for the report.
    """

    group: str
    kinds: tuple[str, ...]
    meaning: str


SUB_CATEGORIES: Mapping[str, SubCategory] = {
    f"{entry.group}{SEPARATOR}{name}": entry
    for name, entry in {
        "posterior-rhythm": SubCategory("background", ("posterior_rhythm",), "a posterior rhythm"),
        "slowing": SubCategory(
            "background", ("focal_slowing", "generalised_slowing"), "focal or generalised slowing"
        ),
        "asymmetry": SubCategory("background", ("asymmetry",), "an asymmetry of the sides"),
        "low-voltage": SubCategory("background", ("attenuation",), "an interval of low voltage"),
        "ongoing": SubCategory(
            "background", ("dominant_rhythm", "voltage"), "none of the others: rhythm and voltage"
        ),
        "eye": SubCategory("artifact", ("blink", "lateral_eye"), "blinks, lateral eye movements"),
        "muscle": SubCategory("artifact", ("muscle", "chewing"), "muscle activity, chewing"),
        "electrode": SubCategory(
            "artifact", ("electrode_pop", "flat", "saturation"), "pops, flat or clipped channels"
        ),
        "movement": SubCategory("artifact", ("movement", "slow_drift"), "movement, slow drift"),
        "periodic": SubCategory("artifact", ("mains", "ecg"), "mains interference, ECG"),
        "spindle": SubCategory("sleep", ("spindle",), "sleep spindles"),
        "k-complex": SubCategory("sleep", ("kcomplex",), "K-complexes"),
        "slow-wave": SubCategory("sleep", ("slow_wave",), "slow waves of high amplitude"),
        "transient": SubCategory(
            "sleep", ("vertex_wave", "posts", "sawtooth"), "vertex waves, POSTS, sawtooth waves"
        ),
        "discharge": SubCategory("epileptiform", ("spike", "sharp"), "spikes, sharp waves"),
        "spike-wave": SubCategory(
            "epileptiform", ("spsw", "rhythmic_spike_wave"), "spike-and-slow-wave complexes"
        ),
        "repeating": SubCategory(
            "epileptiform", ("periodic_discharges", "rhythmic_delta"), "periodic or rhythmic patterns"
        ),
    }.items()
}  # fmt: skip
"""17 in 4 groups: 5 of background, 5 of artifact, 4 of sleep, 3 epileptiform."""

_FALLBACK = f"background{SEPARATOR}ongoing"


def group_of(category: str) -> str:
    """Return the group of a sub-category."""
    return category.partition(SEPARATOR)[0]


def sub_categories(present: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the sub-category of each page.

    A page often shows several. It is counted under the one that the fewest pages show, the earlier
    in the table among equals, so that rare findings are not lost behind eye blinks.

    Parameters
    ----------
    present
        Kinds judged present, by segment id.
    """
    of_kind = {kind: name for name, entry in SUB_CATEGORIES.items() for kind in entry.kinds}
    shown = {
        segment: {of_kind[kind] for kind in kinds if kind in of_kind} or {_FALLBACK}
        for segment, kinds in present.items()
    }
    n_pages = Counter(name for names in shown.values() for name in names)
    order = {name: (n_pages[name], at) for at, name in enumerate(SUB_CATEGORIES)}
    chosen = {segment: min(names, key=order.__getitem__) for segment, names in shown.items()}
    return dict(sorted(chosen.items()))


def counts_by_category(categories: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the number of items by group and sub-category, empty ones included."""
    counted = Counter(categories)
    return {
        group: {name: counted[name] for name in SUB_CATEGORIES if group_of(name) == group}
        for group in GROUPS
    }
