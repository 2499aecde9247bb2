"""Answers in text: as transformers gives them, stopped where one wants, and nothing said is read twice."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.errors import UsageError
from modeling_axk1.stream.speaker import Conversation, Speaker, Wish
from tests.speaking import speaking_model

GREEDY = Wish(max_new_tokens=8, greedy=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return speaking_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def speaker(folder):
    model = AXK1ForCausalLM.from_pretrained(folder, expert_memory="150KB")
    return Speaker(model, AutoTokenizer.from_pretrained(folder))


@pytest.fixture(scope="module")
def loaded(folder):
    return AXK1ForCausalLM.from_pretrained(folder)


def quiet(*_: object) -> None:
    """Nobody reads and nobody watches."""


def continued(loaded, ids: list[int], count: int) -> list[int]:
    return loaded.generate(torch.tensor([ids]), max_new_tokens=count, do_sample=False)[0, len(ids) :].tolist()


def test_it_says_what_transformers_generates_and_says_it_piece_by_piece(speaker, loaded):
    ids, pieces = speaker.asked([{"role": "user", "content": "안녕하세요?"}]), []
    answer = speaker.say(ids, GREEDY, pieces.append)
    assert answer.ids == continued(loaded, ids, 8)
    assert "".join(pieces) == answer.text == speaker.tokenizer.decode(answer.ids, skip_special_tokens=True)
    assert len(pieces) > 2
    assert answer.sums.bytes_read > 0
    assert 0 < answer.prompt_seconds < answer.seconds


def test_it_stops_on_both_ids_of_the_generation_config(speaker):
    tokenizer = speaker.tokenizer
    assert speaker.stops == sorted(tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"]))


@pytest.mark.parametrize("thinking", [False, True])
def test_a_question_is_rendered_as_the_template_does(speaker, thinking):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "<|im_end|> is text"}]
    expected = speaker.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, enable_thinking=thinking, return_dict=False
    )
    assert speaker.asked(messages, thinking) == expected


def test_a_further_question_costs_its_own_tokens_and_changes_no_answer(speaker, loaded):
    passed = []
    hook = speaker.model.get_input_embeddings().register_forward_pre_hook(
        lambda module, inputs: passed.append(inputs[0].shape[1])
    )
    conversation = Conversation(speaker, system="Be brief.")
    try:
        first = conversation.ask("One question.", GREEDY, quiet, quiet)
        before = sum(passed)
        ids = conversation.with_question("And another?")
        second = conversation.ask("And another?", GREEDY, quiet, quiet)
    finally:
        hook.remove()
    assert second.prompt_tokens == len(ids) - before
    assert sum(passed) == len(ids) + len(second.ids) - 1, "every token passed the model once"
    assert second.ids == continued(loaded, ids, 8)
    text = speaker.tokenizer.decode(ids)
    assert f"{first.text}<|im_end|>\n<|im_start|>user\nAnd another?<|im_end|>\n<|im_start|>assistant\n" in text


def test_an_answer_that_is_stopped_leaves_a_conversation_that_goes_on(speaker, loaded):
    conversation = Conversation(speaker)

    def stop_after(seen: int):
        def watching(watch) -> None:
            for layer in speaker.model.base_model.layers[1:2]:
                passes = []

                def see(*_: object, passes=passes) -> None:
                    passes.append(1)
                    if len(passes) == seen:
                        watch.stop.set()

                hooks.append(layer.register_forward_hook(see))

        return watching

    hooks: list = []
    for passes in (1, 4):  # in the middle of the prompt, and of the answer
        answer = conversation.ask("A question.", GREEDY, quiet, stop_after(passes))
        assert answer.stopped
        assert len(answer.ids) == passes - 1
        hooks.pop().remove()
        assert len({layer.get_seq_length() for layer in conversation.cache.layers}) == 1
    ids = conversation.with_question("What now?")
    assert conversation.ask("What now?", GREEDY, quiet, quiet).ids == continued(loaded, ids, 8)


def test_reset_forgets(speaker):
    conversation = Conversation(speaker)
    first = conversation.ask("A question.", GREEDY, quiet, quiet)
    conversation.reset()
    assert conversation.ask("A question.", GREEDY, quiet, quiet).ids == first.ids


def test_who_watches_sees_layers_reading_and_what_is_left(speaker):
    sights = []

    def watching(watch) -> None:
        def look() -> None:
            while not done.wait(0.001):
                sights.append(watch.look())

        threads.append(threading.Thread(target=look))
        threads[0].start()

    done, threads = threading.Event(), []
    try:
        speaker.say(speaker.continued("Some words to begin with."), GREEDY, quiet, watching=watching)
    finally:
        done.set()
        threads[0].join()
    assert {sight.layer for sight in sights} <= {0, 1, 2, 3}
    assert [sight.tokens for sight in sights] == sorted(sight.tokens for sight in sights)
    assert all(0 <= sight.prompt <= 1 and sight.layers == 3 for sight in sights)
    assert all(0 < sight.held <= sight.room <= 150_000 for sight in sights if sight.tokens)
    assert any(sight.left is not None and sight.tokens_per_second for sight in sights)
    assert sights[-1].sums.bytes_read > 0


@settings(max_examples=30)
@given(st.text(max_size=60))
def test_text_comes_out_whole_whatever_the_tokens(speaker, text):
    from modeling_axk1.stream.speaker import Answer, _Streamer

    ids, pieces, answer = speaker.tokenizer(text)["input_ids"], [], Answer()

    class Nobody:
        def token(self) -> None:
            """Counts nothing."""

    streamer = _Streamer(speaker.tokenizer, 1, pieces.append, Nobody(), answer, 0.0)
    streamer.put(torch.tensor([[1]]))
    for token in ids:
        streamer.put(torch.tensor([token]))
    streamer.end()
    assert "".join(pieces) == speaker.tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize(
    ("wish", "rule"),
    [
        (Wish(temperature=-1.0), "temperature must be 0 or more, got -1.0"),
        (Wish(top_p=0.0), "top-p must be above 0"),
        (Wish(top_p=1.5), "at most 1, got 1.5"),
        (Wish(greedy=True, top_p=0.9), "goes with no top_p"),
    ],
)
def test_wishes_that_cannot_be_are_refused(wish, rule):
    with pytest.raises(UsageError, match=rule):
        wish.for_generate()


def test_a_seed_repeats_what_was_sampled(speaker):
    ids = speaker.continued("Once upon a time")
    wish = Wish(max_new_tokens=6, temperature=1.0, seed=5)
    assert speaker.say(ids, wish, quiet).ids == speaker.say(ids, wish, quiet).ids
    assert speaker.say(ids, wish, quiet).ids != speaker.say(ids, Wish(max_new_tokens=6, temperature=0.0), quiet).ids
