"""One dataset row to tensors: the real template, image tokens, labels on answers only.

A row is tokenised piece by piece, cut where answers begin and end, so a label token never straddles
a border and the prompt is tokenised exactly as it will be when the model is asked. The result
equals what the processor makes of the whole conversation (a test holds that). Rows that cannot be
encoded come back as a :class:`Drop` with its cause; nothing is ever cut to length. Grouping samples
into batches is :mod:`training.vlm.batch`'s business.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.vlm.errors import ModelError
from training.vlm.tokenizer import END_OF_TURN, PLAIN_ADDED_TOKENS, SPECIAL_TOKENS

IMAGE_PLACEHOLDER = "<image>"
IGNORED = -100
"""Label of a token that carries no loss; the number torch's cross-entropy skips."""

_ROLES = ("system", "user", "assistant")

Cause = Literal[
    "no messages",
    "unknown role",
    "no answer",
    "control token in text",
    "image without placeholder",
    "placeholder without image",
    "unreadable image",
    "image too elongated",
    "image longer than max_length",
    "longer than max_length",
]


@dataclass(frozen=True, slots=True)
class Drop:
    """A row that is not trained on, and why."""

    sample_id: str
    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One encoded row of L tokens and P vision patches.

    Parameters
    ----------
    sample_id
        Id of the row.
    input_ids, labels
        ``(L,) int64``; labels are :data:`IGNORED` outside answers.
    is_image
        ``(L,) bool``, true on image tokens.
    pixel_values
        ``(P, 1176) float32`` normalised patches of all pictures, or ``None`` without one.
    image_grid_thw
        ``(n, 3) int64`` patches of each picture along time, height and width, or ``None``.
    """

    sample_id: str
    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    is_image: NDArray[np.bool_]
    pixel_values: NDArray[np.float32] | None
    image_grid_thw: NDArray[np.int64] | None

    @property
    def n_label_tokens(self) -> int:
        """Tokens that carry loss."""
        return int((self.labels != IGNORED).sum())


class _Refused(Exception):
    """Carries a cause from wherever a row fails to :meth:`Encoder.__call__`."""

    def __init__(self, cause: Cause, detail: str = "") -> None:
        super().__init__(cause)
        self.cause: Cause = cause
        self.detail = detail


class Encoder:
    """Turns rows into samples; safe to call from several threads.

    Parameters
    ----------
    processor
        ``Qwen2_5_VLProcessor``.
    max_length
        Tokens of the longest sample, image tokens included.
    """

    def __init__(self, processor: Any, max_length: int) -> None:
        self._processor = processor
        self._images = processor.image_processor
        # the backend is called directly: the wrapper changes its padding state, which threads share
        self._backend = processor.tokenizer.backend_tokenizer
        self._image_id = processor.image_token_id
        self._max_length = max_length

    def __call__(self, row: Mapping[str, Any]) -> Sample | Drop:
        """Encode one row with the columns ``id``, ``images`` and ``messages``."""
        sample_id = str(row["id"])
        try:
            return self._encode(sample_id, row)
        except _Refused as refused:
            return Drop(sample_id, refused.cause, refused.detail)

    def _encode(self, sample_id: str, row: Mapping[str, Any]) -> Sample:
        files = [(image or {}).get("bytes") for image in row["images"] or ()]
        images = [data for data in files if data is not None]
        turns = _turns(row["messages"], len(images))
        pictures = [_open(data) for data in images]
        n_tokens = [self._n_image_tokens(picture) for picture in pictures]
        if sum(n_tokens) >= self._max_length:  # an answer needs a place too
            raise _Refused(
                "image longer than max_length",
                f"{sum(n_tokens)} image tokens, max_length {self._max_length}",
            )
        ids, labels = self._tokenise(self._pieces(turns), n_tokens)
        if len(ids) > self._max_length:
            raise _Refused(
                "longer than max_length", f"{len(ids)} tokens, {sum(n_tokens)} of them of images"
            )
        pixels, grid = self._pixels(pictures) if pictures else (None, None)
        input_ids = np.array(ids, dtype=np.int64)
        return Sample(
            sample_id=sample_id,
            input_ids=input_ids,
            labels=np.array(labels, dtype=np.int64),
            is_image=input_ids == self._image_id,
            pixel_values=pixels,
            image_grid_thw=grid,
        )

    def _pieces(self, turns: Sequence[dict[str, Any]]) -> Iterable[tuple[str, bool]]:
        """Yield the rendered conversation in pieces, each with whether it is an answer."""
        whole = self._render(turns)
        cursor = 0
        for i, turn in enumerate(turns):
            if turn["role"] != "assistant":
                continue
            start = len(self._render(turns[:i], add_generation_prompt=True))
            answer = turn["content"] + END_OF_TURN
            end = start + len(answer)
            if whole[start:end] != answer:
                raise ModelError(
                    "the chat template of this model does not write an answer verbatim between "
                    "its generation prompt and its end mark, so labels cannot be placed"
                )
            yield whole[cursor:start], False
            yield whole[start:end], True
            cursor = end
        yield whole[cursor:], False

    def _render(self, turns: Sequence[dict[str, Any]], **kwargs: Any) -> str:
        return self._processor.apply_chat_template(list(turns), tokenize=False, **kwargs)

    def _tokenise(
        self, pieces: Iterable[tuple[str, bool]], n_image_tokens: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        ids: list[int] = []
        labels: list[int] = []
        left = iter(n_image_tokens)
        for text, is_answer in pieces:
            part: list[int] = []
            for token in self._backend.encode(text, add_special_tokens=False).ids:
                part += [token] * (next(left) if token == self._image_id else 1)
            ids += part
            labels += part if is_answer else [IGNORED] * len(part)
        return ids, labels

    def _n_image_tokens(self, image: Any) -> int:
        try:
            n_patches = self._images.get_number_of_image_patches(image.height, image.width)
        except ValueError as error:
            raise _Refused("image too elongated", str(error)) from error
        return int(n_patches) // self._images.merge_size**2

    def _pixels(self, pictures: list[Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        try:
            out = self._images(images=[self._fitted(p) for p in pictures], return_tensors="np")
        except (OSError, SyntaxError) as error:  # PIL reads the picture only here
            raise _Refused("unreadable image", str(error)) from error
        return out["pixel_values"], out["image_grid_thw"]

    def _fitted(self, picture: Any) -> Any:
        """Return a grey picture in the size the processor is about to give it.

        The processor makes three equal channels and resizes each; resizing the one there is gives
        the same bytes for a third of the work, which is most of what a page costs a small model.
        Where it would not be the same, the processor does it all: what is transparent becomes white
        before it is resized, and rarely the fitted size would be fitted again, or be too elongated.
        """
        if picture.mode != "L" or "transparency" in picture.info:
            return picture
        size = self._fit(picture.height, picture.width)
        try:
            is_kept = self._fit(*size) == size
        except ValueError:
            is_kept = False
        return picture.resize(size[::-1], self._images.resample) if is_kept else picture

    def _fit(self, height: int, width: int) -> tuple[int, int]:
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

        images = self._images
        fitted: tuple[int, int] = smart_resize(
            height,
            width,
            factor=images.patch_size * images.merge_size,
            min_pixels=images.size["shortest_edge"],
            max_pixels=images.size["longest_edge"],
        )
        return fitted


def conversation(messages: Sequence[Mapping[str, str]], has_image: bool) -> list[dict[str, Any]]:
    """Return stored messages in the form a processor's chat template reads.

    Placeholders and the white space around them become image parts; other turns stay text.
    """
    turns: list[dict[str, Any]] = []
    for message in messages:
        content = message["content"]
        if has_image and message["role"] == "user" and IMAGE_PLACEHOLDER in content:
            before, *after = content.split(IMAGE_PLACEHOLDER)
            parts = [_text(before)]
            for text in after:
                parts += [{"type": "image"}, _text(text)]
            turns.append({"role": "user", "content": [p for p in parts if p is not None]})
        else:
            turns.append({"role": message["role"], "content": content})
    return turns


def _text(text: str) -> dict[str, Any] | None:
    return {"type": "text", "text": text.strip()} if text.strip() else None


def _turns(messages: Sequence[Mapping[str, Any]] | None, n_images: int) -> list[dict[str, Any]]:
    if not messages:
        raise _Refused("no messages")
    roles = [m["role"] for m in messages]
    unknown = sorted({str(r) for r in roles} - set(_ROLES))
    if unknown:
        raise _Refused("unknown role", ", ".join(unknown))
    if roles[-1] != "assistant" or not all(m["content"] for m in messages):
        raise _Refused("no answer", "the last turn must be an answer and no turn empty")
    for message in messages:
        found = next((t for t in _CONTROL_TOKENS if t in message["content"]), None)
        if found is not None:
            raise _Refused("control token in text", found)
    first = next((m["content"] for m in messages if m["role"] == "user"), "")
    n_marks = sum(m["content"].count(IMAGE_PLACEHOLDER) for m in messages)
    if n_images and not n_marks == first.count(IMAGE_PLACEHOLDER) == n_images:
        raise _Refused(
            "image without placeholder",
            f"{n_images} images, {n_marks} placeholders, {first.count(IMAGE_PLACEHOLDER)} of them "
            "in the first turn",
        )
    if not n_images and n_marks:
        raise _Refused("placeholder without image", f"{n_marks} placeholders")
    return conversation(messages, n_images > 0)


_CONTROL_TOKENS = (*SPECIAL_TOKENS, *(t for t in PLAIN_ADDED_TOKENS if t.startswith("<|")))


def _open(data: bytes) -> Any:
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data))
    except (OSError, ValueError, Image.DecompressionBombError) as error:  # of text chunks, too
        raise _Refused("unreadable image", str(error)) from error
    if image.width < 1 or image.height < 1:
        raise _Refused("unreadable image", f"{image.width} x {image.height} pixels")
    return image
