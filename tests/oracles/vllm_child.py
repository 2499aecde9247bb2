"""What vLLM says of a checkpoint: a program for the Python of .venv-vllm, where there is no package of ours.

    python vllm_child.py TASK FINDINGS

TASK and FINDINGS are JSON files:

    task      {"model", "prompts": token ids, "max_tokens", "speculative_config", "dtype": if not float32}
    findings  {"tokens": for each prompt what greedy decoding appends,
               "logprobs": for each prompt, from its second token to the last appended one, those of the vocabulary,
               "drafted", "accepted": tokens}
"""

import json
import sys
from pathlib import Path

from vllm import LLM, SamplingParams

EVERY = -1


def main(task_file: str, findings_file: str) -> None:
    task = json.loads(Path(task_file).read_text())
    engine = LLM(
        task["model"],
        skip_tokenizer_init=True,
        dtype=task.get("dtype", "float32"),
        max_model_len=256,
        kv_cache_memory_bytes=2**28,
        max_logprobs=EVERY,
        enforce_eager=True,
        # The CPU kernel that eager mode would take for rotations is wrong: logprobs off by as much as 0.56.
        compilation_config={"custom_ops": ["-rotary_embedding"]},
        speculative_config=task["speculative_config"],
        disable_log_stats=False,  # for the counts of drafts
    )
    greedy = SamplingParams(
        temperature=0, max_tokens=task["max_tokens"], ignore_eos=True, logprobs=EVERY, prompt_logprobs=EVERY
    )
    answers = engine.generate([{"prompt_token_ids": prompt} for prompt in task["prompts"]], greedy)
    counts = {metric.name: getattr(metric, "value", 0) for metric in engine.get_metrics()}
    findings = {
        "tokens": [list(answer.outputs[0].token_ids) for answer in answers],
        "logprobs": [
            [
                [position[token].logprob for token in range(len(position))]
                for position in (*answer.prompt_logprobs[1:], *answer.outputs[0].logprobs)
            ]
            for answer in answers
        ],
        "drafted": counts.get("vllm:spec_decode_num_draft_tokens", 0),
        "accepted": counts.get("vllm:spec_decode_num_accepted_tokens", 0),
    }
    Path(findings_file).write_text(json.dumps(findings))


if __name__ == "__main__":
    main(*sys.argv[1:])
