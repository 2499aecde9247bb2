"""A build on many machines: its stages as pipeline blocks for datatrove's executors (local, Slurm, Ray).

A block is called as datatrove calls any function in a pipeline, with (data, rank, world_size), and does its rank's
share; the work folder, which all machines must see, takes the results from one stage to the next. So the dataset has
the bytes that `axk1 data build` gives on one machine, provided that all machines have the same packages installed.

    from datatrove.executor import SlurmPipelineExecutor

    before = None
    for stage in stages(plan_recipe(read_recipe(recipe)), out, Settings(work=shared)):
        before = SlurmPipelineExecutor(pipeline=[stage], tasks=1 if stage.alone else 500, depends=before, ...)
    before.run()

A stage needs the one before it done by all ranks. What is killed may be run again, by any rank: what is finished is
not done anew. Unlike `axk1 data build`, this removes nothing from the work folder and keeps nobody else out of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modeling_axk1.data.build import write
from modeling_axk1.data.choice import Choice, choose
from modeling_axk1.data.parts import MakeParts
from modeling_axk1.data.plan import Plan, Settings
from modeling_axk1.data.prepare import fetch, index_evaluation, step
from modeling_axk1.data.raw import write_raw
from modeling_axk1.data.shards import WriteShards, plan_shards
from modeling_axk1.data.work import Work
from modeling_axk1.errors import DataError

Share = Callable[["Stage", int, int], None]


@dataclass
class Stage:
    """One stage of a build. `alone` says that it is work for one task: more would do the same."""

    name: str
    alone: bool
    work: Work
    out: Path
    share: Share

    def __call__(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        """Do the share of task `rank` of `world_size`."""
        if not self.alone or rank == 0:
            self.share(self, rank, world_size)


def stages(plan: Plan, out: Path, settings: Settings) -> list[Stage]:
    """Return the stages of a build in their order. `settings.work` is the folder that all tasks must see.

    Raises DataError when it is not given.
    """
    if settings.work is None:
        raise DataError("a build on many machines needs a work folder that all of them see: Settings(work=...)")
    work = Work(settings.work, plan, settings)
    shares: list[tuple[str, bool, Share]] = [
        ("fetch", True, _fetch),
        ("read", False, _read),
        ("index", True, _index),
        ("steps", False, _steps),
        ("choose", True, _choose),
        ("shards", False, _shards),
        ("finish", True, _finish),
    ]
    return [Stage(name, alone, work, out, share) for name, alone, share in shares]


def _fetch(stage: Stage, rank: int, world_size: int) -> None:
    fetch([*stage.work.plan.evaluation, *stage.work.plan.inputs])


def _read(stage: Stage, rank: int, world_size: int) -> None:
    work = stage.work
    folders = [(source, work.evaluation_raws[source.name]) for source in work.plan.evaluation]
    folders += [(source, work.raws[source.name]) for source in work.plan.inputs]
    for source, folder in folders[rank::world_size]:
        for _ in write_raw(source, folder, work.settings.sizes.file):
            pass


def _index(stage: Stage, rank: int, world_size: int) -> None:
    index_evaluation(stage.work)


def _steps(stage: Stage, rank: int, world_size: int) -> None:
    work = stage.work
    make = MakeParts(work.plan.recipe, work.index)
    tasks = [step(work, name, number) for name, raw in work.read().items() for number in range(raw.files)]
    for task in tasks[rank::world_size]:
        make.make(task.raw, task.part)


def _choose(stage: Stage, rank: int, world_size: int) -> None:
    work = stage.work
    parts = [part for of_source in work.parts().values() for part in of_source]
    choose(work.plan.recipe, parts, work.choice, whole=work.settings.whole)


def _shards(stage: Stage, rank: int, world_size: int) -> None:
    work = stage.work
    parts = [part for of_source in work.parts().values() for part in of_source]
    choice = Choice(work.choice / "fates", [0, *np.cumsum([part.rows for part in parts]).tolist()])
    shards = plan_shards(parts, choice, work.plan.recipe.licenses, work.settings.sizes.shard)
    write_shard = WriteShards(work.shards, parts, choice, work.settings.sizes.row_group)
    for shard in shards[rank::world_size]:
        for _ in write_shard(shard):
            pass


def _finish(stage: Stage, rank: int, world_size: int) -> None:
    write(stage.work.plan, stage.out, stage.work.settings)
