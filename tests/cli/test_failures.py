"""What goes wrong most often, as a table: what is typed, and the one line that answers it, its next step included."""

import errno
import os
import socket
import subprocess
import sys

import pytest

from modeling_axk1.cli.failures import failure
from modeling_axk1.hub.server import serving

# Typed in a folder that holds an empty folder `empty` and a file `notes.txt`.
TABLE = {
    # A folder that is not there, or is something else.
    "weights verify nope": "PATH must be a folder with a checkpoint, got nope; see `axk1 weights verify --help`",
    "weights inspect empty": (
        "empty must hold model.safetensors.index.json or model.safetensors, and holds neither; is it a checkpoint?"
    ),
    "weights inspect nope": (
        "PLACE must be a folder with a checkpoint, an address like https://host/folder/, or a repository like "
        "owner/name or owner/name@revision, got nope; see `axk1 weights inspect --help`"
    ),
    "weights convert empty out": (
        "convert needs to know what shall be otherwise, such as --to fp8; see `axk1 weights convert --help`"
    ),
    "weights check empty": (
        "empty cannot be checked: nothing says what its files must be (no SHA256SUMS in the folder); "
        "`axk1 weights manifest` records what they are now"
    ),
    "weights manifest empty --check": (
        "empty must hold MANIFEST.json to be compared with; `axk1 weights manifest empty` writes it"
    ),
    "serve empty": "empty has no config.json; `axk1 hub export` makes a folder that can be served",
    "serve nope": "MODEL must be a folder, or NAMESPACE/NAME on a hub, got nope; see `axk1 serve --help`",
    "data build nope --out out": "no recipe at nope (a folder of texts is built with --language and --license)",
    "data build empty --out out --language ko --license MIT": "no .txt or .jsonl files in empty",
    "data check empty": "empty is not a dataset folder: it has no SHA256SUMS; `axk1 data build` makes one",
    "data stats empty": "empty has no stats.json; it is written by `axk1 data build`",
    "tokenizer train empty --out out": (
        "empty is not a dataset folder: it has no SHA256SUMS; `axk1 data build` makes one"
    ),
    "tokenizer check empty": "no tokenizer.json in empty; make one with `axk1 tokenizer train`",
    "tokenizer report empty": "there is no text to measure on; give some with --unseen or --text",
    "train pretrain --data empty --tokenizer empty --out out": (
        "no tokenizer.json in empty; make one with `axk1 tokenizer train`"
    ),
    "hub export empty --tokenizer empty --data empty --out out --repo a/b --dataset a/c": (
        "empty has no train.json, which `axk1 train pretrain` writes; nothing was exported"
    ),
    "hub check empty": (
        "empty is no release: it has neither release.json nor README.md; `axk1 hub export` makes one"
    ),
    "hub publish nope --repo a/b --to http://127.0.0.1:9": "nope is not a folder; check the path",
    "hub publish empty --to http://127.0.0.1:9": (
        "empty is no release set (it has no release.json): --repo must say where it goes; see `axk1 hub publish --help`"
    ),
    "hub bundle empty --out out.tar": (
        "empty is no release set: it has no release.json; `axk1 hub export` makes one"
    ),
    "hub verify notes.txt": (
        "notes.txt is no bundle: it must begin with bundle.json as `axk1 hub bundle` writes it"
    ),
    "hub verify": (
        "say what to prove: NAMESPACE/NAME, a release set, a folder, a bundle, or --cache; "
        "see `axk1 hub verify --help`"
    ),
    "hub usage --root empty": "empty holds no hub; `axk1 hub serve` makes one",
    "hub restore nope --root out": "there is no backup at nope; `axk1 hub backup` makes one",
    "hub token revoke minji --root empty": "minji has no token on this hub; `axk1 hub token list` shows who has",
    "hub serve --root notes.txt": (
        "notes.txt must be a folder that the hub can write: File exists; choose another --root"
    ),
    "weights sign empty --key nope.pem": "No such file or directory: nope.pem; check the path",
    # Nobody is there, or the address is none.
    "hub verify a/b --from http://127.0.0.1:9 --revision v1": (
        "cannot reach the hub at http://127.0.0.1:9: [Errno 111] Connection refused; "
        "is it running? `axk1 hub serve` runs one"
    ),
    "hub publish empty --repo a/b --to example.org": (
        "a hub's address must look like http://127.0.0.1:8000, got 'example.org'; see `axk1 hub publish --help`"
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    return tmp_path


@pytest.mark.parametrize("typed", TABLE)
def test_the_line(run_axk1_here, folder, typed):
    result = run_axk1_here(*typed.split(), cwd=folder)
    assert (result.stdout, result.stderr) == ("", f"axk1: error: {TABLE[typed]}\n")
    assert result.returncode == (2 if "--help`" in result.stderr else 1)


def test_every_line_of_the_table_has_a_next_step():
    """A command to type, an option to give, or a question that the reader can answer by looking."""
    steps = ("`axk1 ", "--", "check the path", "is it a checkpoint?", ".txt or .jsonl")
    assert [line for line in TABLE.values() if not any(step in line for step in steps)] == []


def test_no_network_names_the_setting_that_leads_elsewhere(run_axk1, folder):
    result = run_axk1("weights", "inspect", "skt/A.X-K1", cwd=folder, env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert result.returncode == 1
    assert result.stderr == (
        "axk1: error: skt/A.X-K1 is no folder here, and as a repository: skt/A.X-K1 on http://127.0.0.1:9 cannot be "
        "reached: [Errno 111] Connection refused; HF_ENDPOINT names another hub\n"
    )


def test_a_port_in_use(run_axk1_here, folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_axk1_here("hub", "serve", "--root", "hub", "--port", port, cwd=folder)
    line = f"axk1: error: port {port} on 127.0.0.1 is taken; choose another with --port\n"
    assert (result.returncode, result.stderr) == (1, line)


def test_an_address_of_another_machine(run_axk1_here, folder):
    result = run_axk1_here("hub", "serve", "--root", "hub", "--host", "192.0.2.1", cwd=folder)
    line = "axk1: error: 192.0.2.1 is not an address of this machine; choose another with --host"
    assert (result.returncode, result.stderr.splitlines()[-1]) == (1, line)


@pytest.mark.parametrize("token", ["", "axk1_01234567_wrong"], ids=["none", "wrong"])
def test_no_token_and_a_wrong_one(run_axk1_here, folder, monkeypatch, token):
    (folder / "empty" / "README.md").write_text("# A card\n")
    monkeypatch.setenv("HF_TOKEN", token)
    with serving(folder / "hub", policy="tokens") as endpoint:
        result = run_axk1_here("hub", "publish", "empty", "--repo", "a/b", "--to", endpoint, cwd=folder)
    assert result.returncode == 1
    assert result.stderr.startswith(f"axk1: error: {endpoint} refused ")
    assert result.stderr.endswith("; put a token that may do this into HF_TOKEN\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/model.safetensors"),
            "No space left on device: /data/model.safetensors; free some space and run the same command again",
        ),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/data"),
            "Permission denied: /data; check whose it is with `ls -ld`, or name another place",
        ),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "Too many open files; raise the limit with `ulimit -n`"),
        (OSError("A library's\nparagraph."), "A library's paragraph."),
        (KeyboardInterrupt(), "interrupted; run the same command again to go on"),
        (
            ModuleNotFoundError("No module named 'rensa'", name="rensa"),
            "this needs rensa, which is not installed: pip install 'axk1[data]'",
        ),
    ],
)
def test_what_the_system_refuses(error, line):
    assert failure(error)[0] == line


@pytest.mark.parametrize(
    ("arguments", "missing", "line"),
    [
        (
            ["weights", "keygen", "release"],
            "model_signing",
            "signatures need the extra `sign`: pip install 'axk1[sign]'",
        ),
        (["serve", "empty"], "fastapi", "a server needs more packages, such as fastapi: pip install 'axk1[serve]'"),
    ],
)
def test_an_extra_that_is_not_installed(folder, arguments, missing, line):
    code = f"import sys; sys.modules['{missing}'] = None\nfrom modeling_axk1.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith(f"axk1: error: {line}")
    assert result.stderr.count("\n") == 1


def test_what_nobody_expected_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        failure(ZeroDivisionError())
    with pytest.raises(ModuleNotFoundError):
        failure(ModuleNotFoundError("No module named 'x'", name="x"))
