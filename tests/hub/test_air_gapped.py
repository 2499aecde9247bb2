"""A release reaches a site without a network and is proved there, each step one command; the network really is off.

The commands run as a person would type them, in a network namespace that has a loopback and nothing else. Where this
system allows none, every way but loopback leads through a proxy that is not there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.releases import finish_set, make_dataset, make_keys, make_model

# What a namespace lacks at first: its loopback is down.
LOOPBACK_UP = """
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", 1))
"""

NO_WAY_OUT = """
import socket
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
except OSError as error:
    print(type(error).__name__, error)
else:
    raise SystemExit("there is a way out")
"""

LOAD = """
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("team/nano", revision="v0.1")
model = AutoModelForCausalLM.from_pretrained("team/nano", revision="v0.1")
print(tokenizer.decode(model.generate(**tokenizer("a model", return_tensors="pt"), max_new_tokens=3)[0]))
from datasets import load_dataset
print(load_dataset("team/text", revision="v0.1")["train"].num_rows, "rows")
"""

# Two hubs, and between them only what can be carried.
STEPS = """
set -eu
serve() {
    axk1 hub serve --root "$1" --port "$2" >"$1.log" 2>&1 &
    echo $! >>pids
    for _ in $(seq 300); do grep -q " at http" "$1.log" && return; sleep 0.1; done
    cat "$1.log"; exit 1
}
trap 'kill $(cat pids)' EXIT

serve hub1 18471
axk1 hub publish out --to http://127.0.0.1:18471

serve hub2 18472
axk1 hub mirror --release out --from http://127.0.0.1:18471 --to http://127.0.0.1:18472
axk1 hub verify out --from http://127.0.0.1:18472 --key release.pub.pem

axk1 hub bundle out --out release.tar --volume-size 100KB
mkdir stick && mv release.tar.* stick
axk1 hub verify stick/release.tar --key release.pub.pem
serve hub3 18473
axk1 hub publish stick/release.tar --to http://127.0.0.1:18473
axk1 hub verify out --from http://127.0.0.1:18473 --stream --key release.pub.pem

HF_ENDPOINT=http://127.0.0.1:18472 HF_HUB_DISABLE_XET=1 python load.py
axk1 hub verify --cache
"""


def without_network() -> tuple[list[str], dict[str, str]]:
    """Return what goes before a command, and what into its environment, so that it reaches loopback alone."""
    for namespace in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if shutil.which("unshare") and subprocess.run([*namespace, "true"], capture_output=True).returncode == 0:
            return namespace, {}
    nowhere = "http://127.0.0.1:9"
    return [], {"http_proxy": nowhere, "https_proxy": nowhere, "no_proxy": "127.0.0.1,localhost"}


@pytest.mark.slow
def test_from_a_release_to_a_loaded_model_with_the_network_off(tmp_path):
    private, _ = make_keys(tmp_path)
    make_dataset(tmp_path / "out/datasets/team/text")
    (tmp_path / "out/models/team/nano").mkdir(parents=True)
    make_model(tmp_path / "out/models/team/nano")
    finish_set(tmp_path / "out", [("dataset", "team/text"), ("model", "team/nano")], private)

    (tmp_path / "load.py").write_text(LOAD)
    (tmp_path / "bin").mkdir()
    for name, command in (
        ("axk1", f'"{sys.executable}" -m modeling_axk1 "$@"'),
        ("python", f'"{sys.executable}" "$@"'),
    ):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\nexec {command}\n")
        (tmp_path / "bin" / name).chmod(0o755)

    namespace, changes = without_network()
    prepare = f"{sys.executable} up.py && {sys.executable} out.py" if namespace else "true"
    (tmp_path / "up.py").write_text(LOOPBACK_UP)
    (tmp_path / "out.py").write_text(NO_WAY_OUT)
    (tmp_path / "steps.sh").write_text(STEPS)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment = {
        **kept,
        **changes,
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "home/.cache"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [*namespace, "bash", "-c", f"{prepare} && bash steps.sh"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    if namespace:
        assert "Network is unreachable" in done.stdout
    said = done.stdout
    assert said.count("published http://127.0.0.1:1847") == 6, "two repositories on each of three hubs"
    # Two on a hub, two in the bundle, two on the third hub; and two in the cache, where no signature was downloaded.
    assert said.count("every SHA-256 as published") == 8
    assert said.count("  checked: model.sig") == 6
    assert "logits within 0.0e+00" in said
    assert "dataset team/text: rows train 5, test 2" in said
    assert "5 rows" in said
    assert "a model" in said
