"""The stages of a build, run as datatrove runs them, give the bytes of a build on one machine."""

import random

import pytest

from modeling_axk1.data.build import Settings, build, plan_recipe
from modeling_axk1.data.distributed import stages
from modeling_axk1.data.recipe import read_recipe
from modeling_axk1.data.sizes import Sizes
from modeling_axk1.errors import DataError
from modeling_axk1.files import file_digests
from tests.data.recipes import some_documents, write_recipe

SIZES = Sizes(file=1_000, shard=2_000, row_group=1_000)


@pytest.fixture
def recipe(tmp_path):
    return write_recipe(tmp_path / "recipe", some_documents(120))


@pytest.mark.parametrize("world_size", [1, 3, 7])
def test_any_number_of_tasks_in_any_order_gives_the_bytes_of_one_machine(tmp_path, recipe, world_size):
    expected = file_digests(build(recipe, tmp_path / "alone", Settings(sizes=SIZES)).out)
    settings = Settings(work=tmp_path / "work", sizes=SIZES)
    for stage in stages(plan_recipe(read_recipe(recipe)), tmp_path / "out", settings):
        ranks = list(range(world_size))
        random.Random(0).shuffle(ranks)
        for rank in [*ranks, ranks[0]]:  # one of them twice: it was killed, say
            stage(None, rank, world_size)
    assert file_digests(tmp_path / "out") == expected


def test_datatrove_s_own_executor_runs_the_stages(tmp_path, recipe):
    from datatrove.executor import LocalPipelineExecutor

    expected = file_digests(build(recipe, tmp_path / "alone", Settings(sizes=SIZES)).out)
    settings = Settings(work=tmp_path / "work", sizes=SIZES)
    for stage in stages(plan_recipe(read_recipe(recipe)), tmp_path / "out", settings):
        tasks = 1 if stage.alone else 3
        logs = str(tmp_path / "logs" / stage.name)
        LocalPipelineExecutor(pipeline=[stage], tasks=tasks, workers=1, logging_dir=logs).run()
    assert file_digests(tmp_path / "out") == expected


def test_a_work_folder_that_all_see_is_needed(tmp_path, recipe):
    with pytest.raises(DataError, match="needs a work folder that all of them see"):
        stages(plan_recipe(read_recipe(recipe)), tmp_path / "out", Settings())
