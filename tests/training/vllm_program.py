"""Asks vLLM what it makes of a model folder; started by an interpreter that has it.

``python vllm_program.py REQUEST ANSWER``: the request is a JSON object with ``folder``, ``lora_rank``
(0 for none) and ``questions`` of ``text`` and ``image``, a file; the answer a list of ``n_prompt``,
``ids`` and ``logprob`` of the first token.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(request: Path, answer: Path) -> None:
    from PIL import Image
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    asked = json.loads(request.read_text())
    rank = asked["lora_rank"]
    llm = LLM(
        model=asked["folder"],
        dtype="float32",
        enforce_eager=True,
        max_model_len=512,
        max_num_seqs=4,
        limit_mm_per_prompt={"image": 1, "video": 0},
        **({"enable_lora": True, "max_lora_rank": rank} if rank else {}),
    )
    prompts = [
        {
            "prompt": question["text"],
            "multi_modal_data": {"image": Image.open(question["image"]).convert("RGB")},
        }
        for question in asked["questions"]
    ]
    found = llm.generate(
        prompts,
        SamplingParams(temperature=0, max_tokens=asked["n_tokens"], logprobs=1),
        lora_request=LoRARequest("eeg", 1, asked["folder"]) if rank else None,
    )
    rows = []
    for output in found:
        (said,) = output.outputs
        ids = list(said.token_ids)
        logprob = said.logprobs[0][ids[0]].logprob
        rows.append({"n_prompt": len(output.prompt_token_ids), "ids": ids, "logprob": logprob})
    answer.write_text(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
