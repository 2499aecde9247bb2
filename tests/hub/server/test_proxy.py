"""Behind nginx with TLS: stock clients, the addresses they are given, and headers that nobody may forge.

Needs nginx and openssl on the machine.
"""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass

import httpx
import pytest

from modeling_axk1.hub.server import deploy
from modeling_axk1.hub.server.accounts import Accounts
from tests.hub.conftest import files_of
from tests.hub.server.test_logs import hub
from tests.hub.server.test_process import command

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


@dataclass
class Front:
    """A hub with tokens behind nginx."""

    endpoint: str
    certificate: str
    token: str
    inside: str


def trusting(certificate):
    return ssl.create_default_context(cafile=str(certificate))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    token = Accounts(folder / "hub").add("team", "write")[1]
    with command(folder / "hub", "--behind-proxy") as (_, lines):
        inside, port = lines[0].split()[-1], free_port()
        server = deploy.nginx("localhost", certificate, key, port=int(inside.rpartition(":")[2]), tls_port=port)
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
            f"user {'root' if os.getuid() == 0 else ''};\nhttp {{\n{temporary}{server}\n}}\n"
        )
        with subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.PIPE) as nginx:
            endpoint = f"https://localhost:{port}"
            try:
                deadline = time.monotonic() + 10
                while True:
                    try:
                        httpx.get(f"{endpoint}/health", verify=trusting(certificate))
                        break
                    except httpx.ConnectError:
                        assert time.monotonic() < deadline
                        assert nginx.poll() is None, nginx.stderr.read()
                        time.sleep(0.05)
                yield Front(endpoint, str(certificate), token, inside)
            finally:
                nginx.send_signal(signal.SIGQUIT)


STOCK_CLIENT = """
import sys
from huggingface_hub import HfApi, snapshot_download
folder, back = sys.argv[1:]
HfApi().create_repo("team/model", private=True)
HfApi().upload_folder(repo_id="team/model", folder_path=folder)
HfApi().create_tag("team/model", tag="v1")
snapshot_download("team/model", revision="v1", local_dir=back)
"""


class TestNginx:
    def test_a_stock_client_uploads_and_downloads(self, front, folder, tmp_path):
        environment = {
            **os.environ,
            "HF_ENDPOINT": front.endpoint,
            "HF_TOKEN": front.token,
            "HF_HUB_DISABLE_XET": "1",
            "SSL_CERT_FILE": front.certificate,
            "HF_HOME": str(tmp_path / "home"),
        }
        back = tmp_path / "back"
        subprocess.run([sys.executable, "-c", STOCK_CLIENT, folder, back], check=True, env=environment)
        downloaded = {name: content for name, content in files_of(back).items() if not name.startswith(".cache")}
        assert downloaded == files_of(folder)

    def test_git_clones(self, front, tmp_path):
        httpx.post(
            f"{front.endpoint}/api/repos/create",
            json={"name": "gitted"},
            headers={"Authorization": f"Bearer {front.token}"},
            verify=trusting(front.certificate),
        ).raise_for_status()
        address = front.endpoint.replace("https://", f"https://team:{front.token}@")
        subprocess.run(
            ["git", "clone", "-q", f"{address}/team/gitted", tmp_path / "clone"],
            check=True,
            env={**os.environ, "GIT_SSL_CAINFO": front.certificate},
        )
        assert (tmp_path / "clone" / ".gitattributes").exists()

    def test_a_browser_signs_in(self, front):
        with httpx.Client(base_url=front.endpoint, verify=trusting(front.certificate)) as browser:
            token = {"token": front.token}
            answer = browser.post("/-/sign-in", data=token, headers={"Origin": front.endpoint})
            assert answer.status_code == 303
            assert "; secure" in answer.headers["set-cookie"].lower()
            assert browser.get("/").status_code == 200
            elsewhere = {"Origin": "https://evil.example"}
            assert browser.post("/-/sign-out", headers=elsewhere).status_code == 403

    def test_every_address_in_an_answer_is_the_one_that_clients_reach(self, front):
        answer = httpx.post(
            f"{front.endpoint}/api/repos/create",
            json={"name": "addressed"},
            headers={"Authorization": f"Bearer {front.token}"},
            verify=trusting(front.certificate),
        )
        assert answer.json()["url"] == f"{front.endpoint}/team/addressed"
        oid = "0" * 64
        batch = httpx.post(
            f"{front.endpoint}/team/addressed.git/info/lfs/objects/batch",
            json={"operation": "upload", "objects": [{"oid": oid, "size": 5}]},
            headers={"Authorization": f"Bearer {front.token}"},
            verify=trusting(front.certificate),
        ).json()
        assert batch["objects"][0]["actions"]["upload"]["href"].startswith(f"{front.endpoint}/team/addressed.git/")

    def test_clients_cannot_choose_what_the_proxy_says(self, front):
        answer = httpx.post(
            f"{front.endpoint}/api/repos/create",
            json={"name": "forged"},
            headers={
                "Authorization": f"Bearer {front.token}",
                "X-Forwarded-Host": "evil.example",
                "X-Forwarded-Proto": "http",
            },
            verify=trusting(front.certificate),
        )
        assert answer.json()["url"] == f"{front.endpoint}/team/forged"

    def test_behind_a_proxy_the_default_asks_for_tokens(self, front):
        assert httpx.get(f"{front.endpoint}/api/models", verify=trusting(front.certificate)).status_code == 401


FORGED = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "1.2.3.4"}


class TestForwardedHeaders:
    def test_without_a_proxy_they_mean_nothing(self, tmp_path):
        with hub(tmp_path) as endpoint:
            assert f"HF_ENDPOINT={endpoint}<" in httpx.get(endpoint, headers=FORGED).text

    def test_with_one_they_are_what_the_client_sent(self, tmp_path):
        with hub(tmp_path, behind_proxy=True) as endpoint:
            assert "HF_ENDPOINT=https://evil.example<" in httpx.get(endpoint, headers=FORGED).text

    @pytest.mark.parametrize("host", ["a b", "a/b", "a@b", 'a"><script>', "a:123456", ""])
    def test_what_is_no_host_is_left_out(self, tmp_path, host):
        with hub(tmp_path, behind_proxy=True) as endpoint:
            answer = httpx.get(endpoint, headers={"X-Forwarded-Host": host, "X-Forwarded-Proto": "javascript"})
            assert f"HF_ENDPOINT={endpoint}<" in answer.text


class TestSystemd:
    def test_the_unit_is_sound_and_hardened(self, run_axk1, tmp_path):
        unit = tmp_path / "axk1-hub.service"
        unit.write_text(run_axk1("hub", "deploy", "systemd").stdout)
        verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
        assert (verified.returncode, verified.stderr) == (0, "")
        judged = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--threshold=25", unit], capture_output=True, text=True
        )
        assert judged.returncode == 0, judged.stdout
