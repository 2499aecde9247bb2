"""The numbers of a dataset, all measured: they are stats.json, and the card is written from them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modeling_axk1.data.document import Document, Dropped
from modeling_axk1.data.recipe import Recipe


@dataclass(frozen=True)
class Amount:
    """How much text: documents, and their bytes in UTF-8."""

    documents: int
    bytes: int


@dataclass(frozen=True)
class Stats:
    """How much was kept, by split, config, language, source and licence; how much was changed or dropped, and why."""

    name: str
    read: int
    kept: Amount
    by_split: dict[str, Amount]
    by_config: dict[str, dict[str, Amount]]
    by_language: dict[str, dict[str, Amount]]
    by_source: dict[str, Amount]
    by_license: dict[str, Amount]
    changed_by_step: dict[str, int]
    dropped_by_reason: dict[str, int]


def measure(recipe: Recipe, splits: Mapping[str, list[Document]], dropped: list[Dropped]) -> Stats:
    """Count everything once. `by_config` and `by_language` are divided by split."""
    documents = [document for part in splits.values() for document in part]
    by_config: defaultdict[str, dict[str, Amount]] = defaultdict(dict)
    by_language: defaultdict[str, dict[str, Amount]] = defaultdict(dict)
    for part, members in splits.items():
        for config, amount in _amounts((recipe.licenses[one.license], one) for one in members).items():
            by_config[config][part] = amount
        for language, amount in _amounts((one.language, one) for one in members).items():
            by_language[language][part] = amount
    return Stats(
        name=recipe.name,
        read=len(documents) + len(dropped),
        kept=_amount(documents),
        by_split={part: _amount(members) for part, members in splits.items()},
        by_config=dict(sorted(by_config.items())),
        by_language=dict(sorted(by_language.items())),
        by_source=_amounts((one.source, one) for one in documents),
        by_license=_amounts((one.license, one) for one in documents),
        changed_by_step=dict(sorted(Counter(step for one in documents for step in one.steps).items())),
        dropped_by_reason=dict(sorted(Counter(one.reason for one in dropped).items())),
    )


def _amount(documents: Iterable[Document]) -> Amount:
    documents = list(documents)
    return Amount(len(documents), sum(one.bytes for one in documents))


def _amounts(keyed: Iterable[tuple[str, Document]]) -> dict[str, Amount]:
    groups: defaultdict[str, list[Document]] = defaultdict(list)
    for key, document in keyed:
        groups[key].append(document)
    return {key: _amount(members) for key, members in sorted(groups.items())}
