"""Labels of simulated recordings: the simulator's own truth sidecar."""

from __future__ import annotations

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams

_SIMULATED_CONDITIONS = {
    "eyes_open": Label("interval", "eyes", "open", "simulator"),
    "eyes_closed": Label("interval", "eyes", "closed", "simulator"),
}
_SIMULATED_STAGES = {stage: Label("epoch", "stage", stage, "simulator") for stage in ("N2", "N3")}


def read_simulated(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """State by file name; conditions, stages and planted events from the simulator's sidecar."""
    from dagster_project.corpora.simulated.truth import read_truth, truth_events

    path = request.path.with_name(f"{request.path.stem}_truth.json")
    if not path.is_file():
        raise CorpusError("bad_labels", "a simulated recording without its truth sidecar")
    try:
        truth, events = read_truth(path), truth_events(path)
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError("bad_labels", f"truth sidecar: {type(error).__name__}") from error
    if any(event.t0_s >= request.duration_s for event in events):
        raise CorpusError("bad_labels", "a planted event lies behind the recording's end")

    def of(known: dict[str, Label]) -> tuple[Interval, ...]:
        found = truth.background.intervals
        return tuple(Interval(i.t0_s, i.t1_s, known[i.name]) for i in found if i.name in known)

    return RecordingLabels(
        labels=(Label("recording", "state", request.session, "simulator"),),
        intervals=of(_SIMULATED_CONDITIONS),
        stages=of(_SIMULATED_STAGES),
        events=events,
    )
