"""Cards: what people say about a repository in its README."""

import pytest
from huggingface_hub import EvalResult, HfApi, ModelCard, ModelCardData, metadata_load, metadata_update
from huggingface_hub.repocard import DatasetCard

pytestmark = pytest.mark.client("huggingface_hub")
api = HfApi()

validates_here = pytest.mark.since(
    "huggingface_hub", "2.2", "cards are validated by its maker's hub, whatever HF_ENDPOINT says"
)


@validates_here
def test_a_card_goes_there_and_back(repo):
    """ModelCard.push_to_hub and load: the same data and the same text; results become a model-index."""
    result = EvalResult("text-generation", "acme/data", "Data", "accuracy", 0.5)
    data = ModelCardData(license="apache-2.0", language=["en", "ko"], model_name="x", eval_results=[result])
    ModelCard(f"---\n{data.to_yaml()}\n---\n# 모델\n").push_to_hub(repo)
    card = ModelCard.load(repo, ignore_metadata_errors=False)
    assert card.data.to_dict() == data.to_dict()
    assert card.text.strip() == "# 모델"
    assert api.model_info(repo).card_data.eval_results[0].metric_value == 0.5


@validates_here
def test_metadata_is_updated_in_place(repo, tmp_path):
    """metadata_update adds and changes keys; changing a value needs overwrite."""
    api.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n# x\n", path_in_repo="README.md", repo_id=repo)
    metadata_update(repo, {"pipeline_tag": "text-generation"})
    with pytest.raises(ValueError, match="overwrite"):
        metadata_update(repo, {"license": "apache-2.0"})
    metadata_update(repo, {"license": "apache-2.0"}, overwrite=True)
    path = api.hf_hub_download(repo, "README.md", cache_dir=tmp_path)
    assert metadata_load(path) == {"license": "apache-2.0", "pipeline_tag": "text-generation"}


@validates_here
def test_a_dataset_has_a_card(dataset):
    """DatasetCard.push_to_hub and load."""
    DatasetCard("---\nlicense: cc0-1.0\n---\n# Data\n").push_to_hub(dataset, repo_type="dataset")
    assert DatasetCard.load(dataset).data.license == "cc0-1.0"


def test_broken_front_matter_is_refused_before_anything_is_sent(repo):
    """The hub's validate-yaml lets a client refuse a card whose front matter is no mapping."""
    head = api.repo_info(repo).sha
    with pytest.raises(ValueError, match=r"[Ii]nvalid|front matter|metadata"):
        api.upload_file(path_or_fileobj=b"---\n- a list\n---\n", path_in_repo="README.md", repo_id=repo)
    assert api.repo_info(repo).sha == head


@validates_here
def test_a_good_card_is_valid():
    """ModelCard.validate accepts front matter of known keys."""
    ModelCard("---\nlicense: apache-2.0\n---\n# x\n").validate(repo_type="model")
