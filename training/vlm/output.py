"""The finished model as a folder: safetensors, processor, vocabulary, card and provenance.

The folder loads with plain ``transformers`` (``AutoModelForImageTextToText``, ``AutoProcessor``),
adapters that were kept included, and with vLLM: its tensors carry the names that vLLM's Qwen2.5-VL
loader maps, and an index names the weights that are the model's own, so that adapters beside them are
not read as such. A test asks vLLM and transformers the same questions and compares their tokens.
What is written here carries no dates and no timings, so the same run gives the same bytes; timings
are in the record of the run, which :mod:`training.vlm.run` adds.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.vlm.checkpoint import write_folder
from training.vlm.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS, merge_adapters, take_adapters
from training.vlm.model import Vlm

PROVENANCE_FILE = "training.json"
CURVE_FILE = "loss.png"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a trained model was made from; every field a plain JSON value.

    Parameters
    ----------
    stage, recipe, recipe_settings
        Which stage of which recipe, with all settings in full.
    schedule
        The planned schedule and where the run stopped, in words.
    base, base_fingerprint
        The model it began from and the SHA-256 over its files.
    is_tiny
        Built from random weights; near chance on anything but the recipe's own data.
    licence
        Of the base weights.
    dataset_fingerprint, dataset_split, n_rows
        The data: hash of the release's manifest, split, rows in it.
    code_version, versions
        Hash of the trainer's source, and the libraries' versions.
    earlier_codes
        Hashes of other sources that trained before it, where a checkpoint of theirs was taken up.
    freeze_map
        The Markdown table of what was trained.
    n_steps, n_samples, n_tokens, n_label_tokens, n_dropped
        What was trained on, and rows set aside by cause.
    losses
        Mean answer loss of every step, nats per token.
    note
        The recipe's word to the reader.
    """

    stage: str
    recipe: str
    recipe_settings: Mapping[str, Any]
    schedule: str
    base: str
    base_fingerprint: str
    is_tiny: bool
    licence: str
    dataset_fingerprint: str
    dataset_split: str
    n_rows: int
    code_version: str
    earlier_codes: Sequence[str]
    versions: Mapping[str, str]
    freeze_map: str
    n_steps: int
    n_samples: int
    n_tokens: int
    n_label_tokens: int
    n_dropped: Mapping[str, int]
    losses: Sequence[float]
    note: str


def write_model(
    vlm: Vlm, folder: Path, provenance: Provenance, finish: Callable[[Path], None]
) -> None:
    """Write a finished model, replacing the one in ``folder`` at once.

    Parameters
    ----------
    vlm, provenance
        The model and what it was made from.
    folder
        Its home.
    finish
        Adds the record of the run to the folder before it is put in place.

    Raises
    ------
    OSError
        If it cannot be written; the old model stays.
    """
    import torch

    dtype = getattr(torch, vlm.dtype)
    fate = _fate_of_adapters(provenance)

    def write(part: Path) -> None:
        stored = vlm.model.to("cpu")
        if fate == "adapters":
            take_adapters(stored, part)
        elif fate == "merged":
            # sums are taken in float32 and rounded once
            merge_adapters(stored.float())
        stored = stored.to(dtype)
        stored.config.dtype = dtype
        stored.save_pretrained(part)
        _write_index(part)
        vlm.processor.save_pretrained(part)
        text = json.dumps(asdict(provenance), indent=1, sort_keys=True)
        (part / PROVENANCE_FILE).write_text(text + "\n", encoding="utf-8")
        (part / CURVE_FILE).write_bytes(loss_curve_png(provenance.losses))
        (part / "README.md").write_text(model_card(provenance), encoding="utf-8")
        finish(part)

    write_folder(folder, write)


def _fate_of_adapters(provenance: Provenance) -> str:
    """Return what becomes of the stage's adapters; empty where it has none."""
    stage = provenance.recipe_settings[provenance.stage]
    return stage["lora"]["output"] if stage.get("lora") else ""


def _write_index(folder: Path) -> None:
    """Name the model's own weights where they are one file, as they are named where they are many."""
    from safetensors import safe_open

    path, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if index.is_file():
        return
    with safe_open(path, framework="pt") as file:
        weight_map = {name: path.name for name in sorted(file.keys())}
    content = {"metadata": {"total_size": path.stat().st_size}, "weight_map": weight_map}
    index.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def model_card(p: Provenance) -> str:
    """Return the model card as Markdown with the hub's front matter."""
    dropped = ", ".join(f"{n} {cause}" for cause, n in sorted(p.n_dropped.items())) or "none"
    tiny = (
        "\n> **Tiny model.** Built from random weights, with no pretraining behind it: all it knows "
        "comes from the data of this recipe, and elsewhere it is expected near chance. It shows that "
        "the whole path works, not that a model reads clinical EEG.\n"
        if p.is_tiny
        else ""
    )
    note = f"\n{p.note}\n" if p.note else ""
    return f"""---
library_name: transformers
pipeline_tag: image-text-to-text
license: {"apache-2.0" if p.licence == "apache-2.0" else "other"}
license_name: {p.licence}
tags: [eeg, qwen2_5_vl, neurogloss]
---

# NeuroGloss {p.stage}, recipe {p.recipe}

Research software, not a medical device: nothing it writes may be used for diagnosis or treatment.
{tiny}{note}
## Use

```python
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor
model = AutoModelForImageTextToText.from_pretrained(FOLDER)
processor = AutoProcessor.from_pretrained(FOLDER)
processor.image_processor = AutoImageProcessor.from_pretrained(FOLDER, backend="pil")
```

The last line gives the pixels it was trained on; the default backend rescales a little differently.
Where torchvision has only a CUDA build beside a CPU torch, call
`training.torchvision_shim.install()` before importing transformers.
{_adapter_words(p)}
## Training

- Base: {p.base} (`{p.base_fingerprint[:16]}`), weights licensed {p.licence}
- Data: split `{p.dataset_split}` of an instruction dataset of {p.n_rows:,} rows, manifest
  `{p.dataset_fingerprint[:16]}`
- Schedule: {p.schedule}
- Trained on {p.n_samples:,} samples, {p.n_tokens:,} tokens, {p.n_label_tokens:,} of them answers;
  rows set aside: {dropped}
- Loss on answers only, nats per token: {_curve_words(p.losses)}
- Code `{p.code_version}`{_earlier_words(p)}; {", ".join(f"{k} {v}" for k, v in sorted(p.versions.items()))}

{p.freeze_map}

![loss]({CURVE_FILE})

| step | loss |
| ---: | ---: |
{_curve_rows(p.losses)}

`{PROVENANCE_FILE}` holds every setting and number in full.
"""


def _earlier_words(p: Provenance) -> str:
    codes = ", ".join(f"`{code}`" for code in p.earlier_codes)
    return f", on from checkpoints of {codes}" if codes else ""


def _adapter_words(p: Provenance) -> str:
    """Return what a reader must know about adapters that were kept."""
    if _fate_of_adapters(p) != "adapters":
        return ""
    rank = p.recipe_settings[p.stage]["lora"]["rank"]
    return f"""
The stage's adapters lie beside the weights they were trained for (`{ADAPTER_CONFIG}`,
`{ADAPTER_WEIGHTS}`). transformers adds them where the package `peft` is installed and **silently
leaves them out where it is not**. vLLM takes them apart: `vllm serve FOLDER --enable-lora
--max-lora-rank {rank} --lora-modules eeg=FOLDER`.
"""


def loss_curve_png(losses: Sequence[float]) -> bytes:
    """Return the loss over steps as a PNG; the same losses give the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), dpi=100, layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(range(1, len(losses) + 1), losses, color="#1f4e79", linewidth=1.2)
    axes.set(xlabel="optimiser step", ylabel="answer loss, nats/token")
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def code_version() -> str:
    """Return a short hash of the trainer's source files."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted([*folder.glob("*.py"), *folder.glob("*.jinja")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that shape the result."""
    from importlib.metadata import version

    names = ("torch", "transformers", "tokenizers", "safetensors", "pillow", "peft")
    return {name: version(name) for name in names}


def _curve_words(losses: Sequence[float]) -> str:
    return (
        f"{losses[0]:.4f} at the first step, {losses[-1]:.4f} at the last, {min(losses):.4f} best"
    )


def _curve_rows(losses: Sequence[float], n_rows: int = 20) -> str:
    last = len(losses) - 1
    steps = sorted({round(i * last / max(1, n_rows - 1)) for i in range(n_rows)})
    return "\n".join(f"| {i + 1} | {losses[i]:.4f} |" for i in steps)
