# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""Speculative decoding with the multi-token prediction module: what `generate(use_mtp=True)` runs.

The module drafts one token; the model then reads the last sure token and the draft in one pass, which says what follows
the sure token, and, if that is the draft, what follows the draft: two tokens for one pass. What comes out is what comes
out without drafts: the same tokens when greedy, the same distribution when sampling (arXiv 2211.17192, algorithm 1;
greedy decoding is the case of distributions with a single outcome).

transformers' own way of doing this reads the module's weights from disk a second time and knows only batches of one.
Here rows of a batch accept and reject each for itself. A draft that its row rejects while another row's is accepted
stays in the caches, hidden by the attention mask, as padding is.

Suffixes are those of modeling_axk1.py. This file travels to the hub beside it and imports only
cache_axk1.py of this package.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.cache_utils import DynamicCache
from transformers.generation import (
    ContinuousBatchingConfig,
    GenerateDecoderOnlyOutput,
    GenerationConfig,
    GenerationMixin,
    LogitsProcessorList,
    StoppingCriteriaList,
)

from .cache_axk1 import AXK1ContinuousBatchingManager


@dataclass
class AXK1SpeculativeOutput(GenerateDecoderOnlyOutput):
    """What `generate(use_mtp=True, return_dict_in_generate=True)` returns: sequences, and two counts for each row.

    `drafted` tokens were proposed by the module, `accepted` of them the model agreed with.
    """

    drafted: list[int] | None = None
    accepted: list[int] | None = None

    @property
    def acceptance_rate(self) -> float:
        """Accepted drafts over all drafts of the batch; 0 when nothing was drafted."""
        return sum(self.accepted or ()) / max(sum(self.drafted or ()), 1)


class AXK1GenerationMixin(GenerationMixin):
    """transformers' generation, with `use_mtp=True` served by the model's own multi-token prediction module.

    Continuous batching (`generate_batch`, `transformers serve --continuous-batching`) keeps latents in its pages.
    """

    def init_continuous_batching(
        self,
        generation_config: GenerationConfig | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        **kwargs: Any,
    ) -> AXK1ContinuousBatchingManager:
        """Return a manager for requests that come and go; the arguments are those of transformers' own method.

        Raises:
            ValueError: attention other than sdpa or eager, which would look for keys and values of heads in the pages.

        """
        if self.config._attn_implementation.removeprefix("paged|") not in ("eager", "sdpa"):
            raise ValueError(
                "continuous batching attends to latents in its pages, which attn_implementation must be sdpa or eager "
                f"for, got {self.config._attn_implementation}"
            )
        # Flash kernels want keys and values of heads; a captured graph would keep the lengths of its sequences.
        batching = copy.copy(continuous_batching_config or ContinuousBatchingConfig())
        batching.auto_switch_to_flash = batching.use_cuda_graph = False
        if self.device.type == "cpu":
            # By default the pages would take nine tenths of the memory, and a prompt pass in pieces of 8192 tokens.
            batching.max_memory_percent = batching.max_memory_percent or 0.2
            batching.max_batch_tokens = batching.max_batch_tokens or 1024
        manager = super().init_continuous_batching(generation_config, batching, **kwargs)
        manager.__class__ = AXK1ContinuousBatchingManager  # transformers' method names its class; no state differs
        return manager

    def _assisted_decoding(
        self,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        inputs_tensor: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Decode with drafts; `generate` comes here for every kind of draft, and only `use_mtp` is ours."""
        decode = self._decode_with_mtp
        if not generation_config.use_mtp:
            decode, kwargs = super()._assisted_decoding, {**kwargs, "inputs_tensor": inputs_tensor}
        return decode(input_ids, logits_processor, stopping_criteria, generation_config, **kwargs)

    def _decode_with_mtp(
        self,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        synced_gpus: bool = False,
        streamer: Any = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> AXK1SpeculativeOutput | Tensor:
        self._refuse_what_drafts_cannot_do(input_ids, generation_config, past_key_values, streamer)
        mask_BS = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        position_BT = (mask_BS.cumsum(dim=-1) - 1).clamp(min=0) if position_ids is None else position_ids
        rows = [_Row(ids) for ids in input_ids]
        draft_cache = DynamicCache()

        def probabilities(logits_BV: Tensor) -> Tensor:
            """From what each row's next token is drawn, given its tokens so far."""
            logits_BV = logits_BV.to(device=input_ids.device, dtype=torch.float32)
            scores_BV = logits_BV.clone()
            for ids, indices in _by_length(rows):
                scores_BV[indices] = logits_processor(ids, logits_BV.clone())[indices]
            if generation_config.do_sample:
                return scores_BV.softmax(dim=-1)
            return F.one_hot(scores_BV.argmax(dim=-1), scores_BV.shape[-1]).to(scores_BV.dtype)

        def append(tokens_B: Tensor, to_B: Tensor) -> None:
            """Give a token to the rows in `to_B`, and find out which of them are finished."""
            chosen = to_B.nonzero()[:, 0].tolist()
            for index in chosen:
                rows[index].ids = torch.cat([rows[index].ids, tokens_B[index, None]])
                if streamer is not None:
                    streamer.put(tokens_B[index, None].cpu())
            for ids, indices in _by_length(rows):
                finished = stopping_criteria(ids, None).tolist()
                for index in set(indices) & set(chosen):
                    rows[index].running = not finished[index]

        def running() -> Tensor:
            return torch.tensor([row.running for row in rows], device=input_ids.device)

        hidden_BTD = self.model(
            input_ids=input_ids, attention_mask=mask_BS, position_ids=position_BT, past_key_values=past_key_values
        ).last_hidden_state
        sure_B = _draw(probabilities(self.lm_head(hidden_BTD[:, -1])))
        append(sure_B, running())
        next_BT = torch.cat([input_ids[:, 1:], sure_B[:, None]], dim=1)
        last_B = torch.full_like(sure_B, input_ids.shape[1] - 1)  # index of each row's last token in what was just read
        every_row = torch.arange(len(rows), device=input_ids.device)

        while self._has_unfinished_sequences(not any(row.running for row in rows), synced_gpus, input_ids.device):
            ahead_BTD = self.model.look_ahead(
                hidden_BTD, self.model.embed_tokens(next_BT), mask_BS, position_BT, draft_cache
            ).last_hidden_state
            draft_BV = probabilities(self.lm_head(ahead_BTD[every_row, last_B]))
            draft_B = _draw(draft_BV)

            position_BT = position_BT[every_row, last_B, None] + torch.arange(1, 3, device=input_ids.device)
            hidden_BTD = self.model(
                input_ids=torch.stack([sure_B, draft_B], dim=1),
                attention_mask=F.pad(mask_BS, (0, 2), value=1),
                position_ids=position_BT,
                past_key_values=past_key_values,
            ).last_hidden_state
            logits_BTV = self.lm_head(hidden_BTD)

            true_BV, running_B = probabilities(logits_BTV[:, 0]), running()
            odds_B = true_BV[every_row, draft_B] / draft_BV[every_row, draft_B]
            accepted_B = torch.rand_like(odds_B) < odds_B
            first_B = torch.where(accepted_B, draft_B, _draw(_without(true_BV, draft_BV)))
            append(first_B, running_B)
            for row, was_running, accepted in zip(rows, running_B.tolist(), accepted_B.tolist(), strict=True):
                row.drafted += was_running
                row.accepted += was_running and accepted
            # A row that ended with its draft takes no second token.
            further_B = accepted_B & running()
            second_B = _draw(probabilities(logits_BTV[:, 1]))
            append(second_B, further_B)

            kept = 2 if further_B.any() else 1
            past_key_values.crop(kept - 2)
            mask_BS = torch.cat([mask_BS, torch.stack([torch.ones_like(further_B), further_B], dim=1)[:, :kept]], dim=1)
            hidden_BTD, position_BT = hidden_BTD[:, :kept], position_BT[:, :kept]
            next_BT = torch.stack([first_B, second_B], dim=1)[:, :kept]
            sure_B, last_B = torch.where(further_B, second_B, first_B), further_B.long()

        if streamer is not None:
            streamer.end()
        sequences_BS = torch.nn.utils.rnn.pad_sequence(
            [row.ids for row in rows], batch_first=True, padding_value=_pad_token(generation_config)
        )
        if not generation_config.return_dict_in_generate:
            return sequences_BS
        drafted, accepted = ([getattr(row, count) for row in rows] for count in ("drafted", "accepted"))
        return AXK1SpeculativeOutput(sequences=sequences_BS, drafted=drafted, accepted=accepted)

    def _refuse_what_drafts_cannot_do(
        self,
        input_ids: Tensor,
        generation_config: GenerationConfig,
        past_key_values: Any,
        streamer: Any,
    ) -> None:
        asked = [key for key in ("scores", "logits", "attentions", "hidden_states") if _asked(generation_config, key)]
        rules = [
            (
                self.config.num_nextn_predict_layers > 0,
                "use_mtp needs a multi-token prediction module; this model has num_nextn_predict_layers 0",
            ),
            (
                isinstance(past_key_values, DynamicCache),
                "use_mtp takes drafts back out of the cache, so it needs use_cache and a dynamic cache, got "
                f"{type(past_key_values).__name__}",
            ),
            (
                past_key_values is None or past_key_values.get_seq_length() == 0,
                "use_mtp needs the whole prompt: the cache must be empty",
            ),
            (input_ids.shape[1] > 0, "use_mtp needs a prompt of input_ids, not inputs_embeds"),
            (not asked, f"use_mtp returns sequences only, not output_{', output_'.join(asked)}"),
            (len(input_ids) == 1 or streamer is None, f"a streamer takes one row, got a batch of {len(input_ids)}"),
        ]
        for holds, rule in rules:
            if not holds:
                raise ValueError(rule)


@dataclass
class _Row:
    """One sequence of the batch: the prompt as it was given, its padding included, and what followed."""

    ids: Tensor
    running: bool = True
    drafted: int = 0
    accepted: int = 0


def _by_length(rows: list[_Row]) -> Iterator[tuple[Tensor, list[int]]]:
    """Yield, for each length that unfinished rows have, all rows in that length and the indices of those of it.

    Logits processors and stopping criteria may remember something for every row of the batch (a repetition penalty
    remembers the padding), so they get the whole batch, in the order they know. What they say of rows of another
    length, which are cut or filled up, is not used.
    """
    for length in sorted({len(row.ids) for row in rows if row.running}):
        ids = [F.pad(row.ids[:length], (0, length - len(row.ids[:length]))) for row in rows]
        yield torch.stack(ids), [i for i, row in enumerate(rows) if row.running and len(row.ids) == length]


def _draw(probabilities_BV: Tensor) -> Tensor:
    return torch.multinomial(probabilities_BV, num_samples=1)[:, 0]


def _without(true_BV: Tensor, draft_BV: Tensor) -> Tensor:
    """What a rejected row draws from: where the true distribution exceeds the draft's. Rows need not add up to 1."""
    excess_BV = (true_BV - draft_BV).clamp(min=0)
    # Two equal distributions leave nothing over, and no draft of theirs is rejected.
    return torch.where(excess_BV.sum(dim=-1, keepdim=True) > 0, excess_BV, true_BV)


def _asked(generation_config: GenerationConfig, key: str) -> bool:
    return bool(generation_config.return_dict_in_generate and getattr(generation_config, f"output_{key}"))


def _pad_token(generation_config: GenerationConfig) -> int:
    pad = generation_config.pad_token_id
    if pad is not None:
        return pad
    eos = generation_config.eos_token_id
    return eos[0] if isinstance(eos, list) else eos or 0


__all__ = ["AXK1GenerationMixin", "AXK1SpeculativeOutput"]
