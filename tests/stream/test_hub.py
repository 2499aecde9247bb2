"""A repository of a hub under a memory cap: one commit whatever its branch does, and the hub's own digests."""

import huggingface_hub
import pytest
import torch
from huggingface_hub import HfApi

from modeling_axk1.errors import WeightsError
from modeling_axk1.hub.server import serving
from tests.model.faulty import logits, shards_of, write_model
from tests.stream.test_digests import flip
from tests.stream.test_open import one_expert, under_a_cap


@pytest.fixture(scope="module")
def hub(written, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, serving(tmp_path_factory.mktemp("hub")) as endpoint:
        patch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        api = HfApi(endpoint=endpoint, token=False)
        api.create_repo("team/model")
        api.upload_folder(repo_id="team/model", folder_path=written[0])
        yield api


def test_a_branch_that_moves_changes_nothing_for_a_model_that_runs(written, hub, tmp_path):
    model = one_expert("team/model", cache_dir=tmp_path)
    commit = hub.model_info("team/model").sha
    hub.upload_folder(repo_id="team/model", folder_path=_other(tmp_path / "other"))
    assert torch.equal(logits(model), written[1])
    assert not torch.equal(logits(under_a_cap("team/model", cache_dir=tmp_path)), written[1])
    assert torch.equal(logits(under_a_cap(f"team/model@{commit}", cache_dir=tmp_path)), written[1])
    hub.upload_folder(repo_id="team/model", folder_path=written[0])


def _other(folder):
    write_model(folder, seed=1)
    return folder


def test_the_hubs_digests_are_checked_where_there_is_no_manifest(written, hub, tmp_path):
    cache = tmp_path / "cache"
    model = one_expert("team/model", cache_dir=cache, check_digests=True)
    assert torch.equal(logits(model), written[1])
    (journal,) = cache.glob("*/.held")
    del model
    shard = flip(journal.parent)
    (journal.parent / ".checked").unlink()
    with pytest.raises(WeightsError, match=f"{shard} must have SHA-256 [0-9a-f]+, as the hub says, got"):
        logits(one_expert("team/model", cache_dir=cache, check_digests=True))
    assert {each.name for each in shards_of(journal.parent)} == {each.name for each in shards_of(written[0])}


def test_a_repository_that_is_not_there_is_one_line(hub, tmp_path):
    with pytest.raises(
        WeightsError, match=r"team/none is no folder here, and as a repository: .* has no model"
    ) as error:
        under_a_cap("team/none", cache_dir=tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
