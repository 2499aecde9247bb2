"""From what was counted in parts, fates and shards to the numbers of a dataset."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from modeling_axk1.data.choice import DUPLICATE, HELD_BACK, NEAR_DUPLICATE, Choice
from modeling_axk1.data.parts import Part
from modeling_axk1.data.raw import Raw
from modeling_axk1.data.recipe import Recipe
from modeling_axk1.data.shards import Counted
from modeling_axk1.data.stats import Amount, Stats

# Steps over all documents, and the reason that they drop for.
CORPUS_REASONS = {
    DUPLICATE: ("duplicates", "exact duplicate"),
    NEAR_DUPLICATE: ("near_duplicates", "near-duplicate"),
}


def measure(
    recipe: Recipe,
    raws: dict[str, Raw],
    parts: dict[str, list[Part]],
    choice: Choice,
    shards: dict[str, Counted],
    *,
    whole: bool,
    sampled: bool,
) -> Stats:
    """Add everything up. `raws` and `parts` are by source, `shards` by the name of their file."""
    in_order = [part for of_source in parts.values() for part in of_source]
    read_by_source = {
        name: Amount(sum(part.read for part in of_source), sum(part.read_bytes for part in of_source))
        for name, of_source in parts.items()
    }
    amounts = [
        (license, language, source, shard.split("/")[-1].split("-")[0], Amount(documents, size))
        for shard, counted in shards.items()
        for license, language, source, documents, size in counted.amounts
    ]
    lengths: defaultdict[str, Counter[int]] = defaultdict(Counter)
    changed: Counter[str] = Counter()
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for shard, counted in shards.items():
        lengths[shard.split("/")[2]].update({int(exponent): n for exponent, n in counted.lengths.items()})
        changed.update(counted.changed)
        for step, counts in counted.found.items():
            found[step].update(counts)
    by_fate = _by_fate(in_order, choice)
    return Stats(
        name=recipe.name,
        whole=whole,
        sampled=sampled,
        read=sum(read_by_source.values(), Amount()),
        left_out={name: raw.left_out for name, raw in raws.items() if raw.left_out},
        read_by_source=read_by_source,
        dropped=_dropped(recipe, in_order, by_fate),
        held_back=_sums(
            (rule.reason, by_fate[HELD_BACK + number])
            for number, rule in enumerate(recipe.held_back)
            if HELD_BACK + number in by_fate
        ),
        kept=sum((one[-1] for one in amounts), Amount()),
        by_split=_sums((split, amount) for _, _, _, split, amount in amounts),
        by_config=_nested((recipe.licenses[license], split, amount) for license, _, _, split, amount in amounts),
        by_language=_nested((language, split, amount) for _, language, _, split, amount in amounts),
        by_source=_sums((source, amount) for _, _, source, _, amount in amounts),
        by_license=_sums((license, amount) for license, _, _, _, amount in amounts),
        by_license_and_language=_nested((license, language, amount) for license, language, _, _, amount in amounts),
        changed_by_step=dict(sorted(changed.items())),
        found={step: dict(sorted(counts.items())) for step, counts in sorted(found.items())},
        lengths={language: dict(sorted(bins.items())) for language, bins in sorted(lengths.items())},
        parquet_bytes=sum(counted.size for counted in shards.values()),
    )


def _by_fate(parts: Sequence[Part], choice: Choice) -> dict[int, Amount]:
    documents, size = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for number, part in enumerate(parts):
        fates = choice.of(number)
        documents += np.bincount(fates, minlength=256)
        np.add.at(size, fates, part.load_rows()["bytes"])
    return {fate: Amount(int(documents[fate]), int(size[fate])) for fate in np.flatnonzero(documents).tolist()}


def _dropped(recipe: Recipe, parts: Sequence[Part], by_fate: dict[int, Amount]) -> dict[str, dict[str, Amount]]:
    dropped = [
        (step, reason, Amount(*amount))
        for part in parts
        for step, reasons in part.dropped.items()
        for reason, amount in reasons.items()
    ]
    dropped += [(*CORPUS_REASONS[fate], by_fate[fate]) for fate in CORPUS_REASONS if fate in by_fate]
    by_step = _nested(dropped)
    order = ["read", "licence", *(step["name"] for step in recipe.steps), *recipe.corpus_steps]
    return {step: by_step[step] for step in order if step in by_step}


def _sums(keyed: Iterable[tuple[str, Amount]]) -> dict[str, Amount]:
    sums: defaultdict[str, Amount] = defaultdict(Amount)
    for key, amount in keyed:
        sums[key] += amount
    return dict(sorted(sums.items()))


def _nested(keyed: Iterable[tuple[str, str, Amount]]) -> dict[str, dict[str, Amount]]:
    groups: defaultdict[str, list[tuple[str, Amount]]] = defaultdict(list)
    for outer, inner, amount in keyed:
        groups[outer].append((inner, amount))
    return {outer: _sums(members) for outer, members in sorted(groups.items())}
