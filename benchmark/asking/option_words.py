"""Multiple choice by the likelihood of each option's words, for models too small for letters.

A model of a few hundred thousand weights does not learn in minutes to bind a letter to an option.
Here it sees the bare question, each option is put after it as the answer, and the likeliest is
taken: the cloze formulation of OLMES (Gu et al. 2024, arXiv:2406.08446), kept there for models that
do not master letters. The reply is still the letter of an option, so it is read and graded like any
other. Letters and free text are :mod:`benchmark.asking.vlm`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.asking.answers import Item, Reply, letters
from benchmark.asking.vlm import TransformersVlm


class ChoosesByWords(TransformersVlm):
    """A model folder that answers with the option whose words it finds likeliest.

    Log-probabilities are sums over all tokens of the option and the end of the turn, in nats.
    Items must have options, and prompts must not list them.
    """

    def _answer_batch(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> list[Reply]:
        options = [option for item in items for option in item.options]
        told = [item for item in items for _ in item.options]
        shown = [page for item, page in zip(items, pages, strict=True) for _ in item.options]
        found = iter(self._log_likelihoods(told, shown, options))
        replies = []
        for item in items:
            of_item = tuple(next(found) for _ in item.options)
            best = letters(len(of_item))[of_item.index(max(of_item))]
            replies.append(Reply(best, of_item))
        return replies

    def _log_likelihoods(
        self, items: Sequence[Item], pages: Sequence[bytes | None], answers: Sequence[str]
    ) -> list[float]:
        import torch

        tokenizer = self._processor.tokenizer
        ended = [answer + tokenizer.eos_token for answer in answers]
        inputs = self._inputs(items, pages, ended).to(self._model.device)
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        lengths = [len(tokenizer.encode(text, add_special_tokens=False)) for text in ended]
        n_kept = max(lengths) + 1
        with torch.inference_mode():
            logits = self._model(**inputs, use_cache=False, logits_to_keep=n_kept).logits
        logprobs = logits.float().log_softmax(dim=-1)[:, :-1]
        said = inputs["input_ids"][:, 1 - n_kept :]
        of_token = logprobs.gather(-1, said[..., None])[..., 0].cpu()
        return [float(row[-length:].sum()) for row, length in zip(of_token, lengths, strict=True)]
