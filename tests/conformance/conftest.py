"""Contracts between a hub and its clients, tried with the clients themselves.

    pytest tests/conformance                                        this project's own hub, started for the run
    pytest tests/conformance --hub https://hub.example --hub-token-env HUB_TOKEN --namespace someone
    pytest tests/conformance --hub http://127.0.0.1:8000 --hub-lacks git,xet --hub-report table.md

Tests marked `client(NAME)` run inside a process of that client: once with the oldest that this project admits, once
with the newest. What a hub lacks is named by whoever runs the suite; nothing else is skipped. Everything that a test
makes on the hub has a name of its own and is deleted again.
"""

import inspect
import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import HfApi
from packaging.version import Version

from modeling_axk1.hub.server import serving
from tests.conformance.clients import AGES, ROOT, Client, environment_folder, oldest_requirements
from tests.conformance.report import Table

# What a hub may do without and still be one.
CAPABILITIES = {
    "accounts": "tokens and private repositories (needs --hub-token-env)",
    "duplicate": "a large file copied from another repository without its bytes passing by (needs xet)",
    "git": "git clone, fetch and push over HTTP, large files by git-lfs",
    "list": "lists of models and datasets",
    "move": "another name for a repository",
    "squash": "a branch's history as one commit",
    "xet": "large files by the xet protocol",
}
# Without tokens whoever reaches our hub is everybody; the rest is what it cannot do yet.
OUR_HUB_LACKS = "accounts,duplicate"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hub conformance")
    group.addoption("--hub", metavar="URL", help="the hub to test; default: this project's own, started for the run")
    group.addoption("--hub-token-env", metavar="VAR", help="environment variable with a token that may write")
    group.addoption("--namespace", help="where repositories are made; default: the user that the token belongs to")
    group.addoption("--hub-lacks", metavar="A,B", help=f"what this hub cannot do, of {', '.join(CAPABILITIES)}")
    group.addoption("--hub-report", metavar="FILE", type=Path, help="write what was tested to FILE.json or FILE.md")


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "client(name): run within a process of this client, oldest and newest",
        "by(name): what stands between the test and the hub, where that is no Python client",
        "since(client, version, why): skipped with an older client, which cannot do this with any hub but its maker's",
        "needs(capability): skipped on a hub that lacks it, when the caller says so",
        "both_transports: run with large files over LFS and over xet",
    ):
        config.addinivalue_line("markers", marker)
    if unknown := lacks(config) - CAPABILITIES.keys():
        raise pytest.UsageError(f"--hub-lacks must name some of {sorted(CAPABILITIES)}, got {sorted(unknown)}")
    if (report := config.getoption("--hub-report", None)) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Table(report, config.getoption("--hub") or "this project's own"))


def lacks(config: pytest.Config) -> set[str]:
    """What the caller says that the hub cannot do."""
    told = config.getoption("--hub-lacks", None)
    if told is None:
        told = "" if config.getoption("--hub", None) else OUR_HUB_LACKS
    return {name for name in told.split(",") if name}


@dataclass
class Hub:
    """The hub under test."""

    endpoint: str
    token: str | None
    namespace: str

    @property
    def api(self) -> HfApi:
        """A client to prepare and clean up with."""
        return HfApi(endpoint=self.endpoint, token=self.token or False)

    @property
    def headers(self) -> dict[str, str]:
        """What a bare request needs."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


@pytest.fixture(scope="session")
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    endpoint, variable, namespace = (
        request.config.getoption(option, None) for option in ("--hub", "--hub-token-env", "--namespace")
    )
    if "xet" in lacks(request.config):
        # What this process prepares goes the way that the hub knows; the clients' environments say it for themselves.
        huggingface_hub.constants.HF_HUB_DISABLE_XET = True
    if endpoint is None:
        with serving(tmp_path_factory.mktemp("hub")) as endpoint:
            yield Hub(endpoint, None, namespace or "conformance")
    else:
        token = os.environ[variable] if variable else None
        namespace = namespace or HfApi(endpoint=endpoint, token=token or False).whoami()["name"]
        yield Hub(endpoint.rstrip("/"), token, namespace)


@pytest.fixture(scope="session")
def oldest_clients(request: pytest.FixtureRequest) -> Path:
    """The folder with the oldest clients."""
    return environment_folder(request.config.cache.mkdir("conformance"), oldest_requirements())


@pytest.fixture(scope="session")
def clients(request: pytest.FixtureRequest, hub: Hub, tmp_path_factory: pytest.TempPathFactory):
    """Give the client of an age and a transport, started when it is first asked for."""
    started: dict[tuple[str, str], Client] = {}

    def client(age: str, transport: str) -> Client:
        if (age, transport) not in started:
            env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTEST_"))}
            env |= {
                "HF_ENDPOINT": hub.endpoint,
                "HF_HOME": str(tmp_path_factory.mktemp("home")),
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            }
            env |= {"HF_TOKEN": hub.token} if hub.token else {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
            env |= {"HF_HUB_DISABLE_XET": "1"} if transport == "lfs" else {}
            folders, scripts = [str(ROOT)], Path(sys.prefix) / "bin"
            if age == "oldest":
                built = request.getfixturevalue("oldest_clients")
                folders, scripts = [str(built), str(ROOT)], built / "bin"
            env["PYTHONPATH"] = os.pathsep.join(folders)
            started[age, transport] = Client(age, env, scripts)
            started[age, transport].start()
        return started[age, transport]

    yield client
    for one in started.values():
        one.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try every client in both ages, and in both transports where these matter."""
    if metafunc.definition.get_closest_marker("client"):
        metafunc.fixturenames.append("client")
    if "client" in metafunc.fixturenames:
        needs = {"lfs": (), "xet": pytest.mark.needs("xet")}
        usual = "lfs" if "xet" in lacks(metafunc.config) else "xet"
        both = metafunc.definition.get_closest_marker("both_transports")
        metafunc.parametrize(
            "client",
            [
                pytest.param((age, transport), id=f"{age}-{transport}", marks=needs[transport])
                for age in AGES
                for transport in (needs if both else [usual])
            ],
            indirect=True,
        )


@pytest.fixture
def client(request: pytest.FixtureRequest, clients) -> Client:
    """The client that this test is for, of the age and with the transport at hand."""
    client = clients(*request.param)
    told = dict(request.node.user_properties)
    version = client.versions.get(told["client"], client.versions["huggingface_hub"])
    request.node.user_properties.append(("version", version))
    return client


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say for the table what a test is about; skip what the caller says that the hub lacks."""
    by = item.get_closest_marker("client") or item.get_closest_marker("by")
    contract = inspect.getdoc(item.obj) or item.originalname.removeprefix("test_").replace("_", " ")
    item.user_properties += [
        ("capability", item.module.__name__.rpartition("test_")[2].replace("_", " ")),
        ("contract", " ".join(contract.split("\n\n")[0].split())),
        ("client", by.args[0]),
    ]
    for marker in item.iter_markers("needs"):
        if marker.args[0] in lacks(item.config):
            pytest.skip(f"this hub lacks {marker.args[0]}: {CAPABILITIES[marker.args[0]]}")


CLIENT = pytest.StashKey[Client]()


@pytest.fixture(autouse=True)
def _where_it_runs(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("client"):
        request.node.stash[CLIENT] = client = request.getfixturevalue("client")
        for marker in request.node.iter_markers("since"):
            name, version, why = marker.args
            if Version(client.versions[name]) < Version(version):
                pytest.skip(f"{name} before {version}: {why}")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is marked `client` where that client is installed."""
    if CLIENT not in pyfuncitem.stash:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    failure = pyfuncitem.stash[CLIENT].call(pyfuncitem.module.__name__, pyfuncitem.originalname, arguments)
    if failure is not None:
        pytest.fail(failure, pytrace=False)
    return True


@pytest.fixture
def free_name(hub: Hub, request: pytest.FixtureRequest) -> str:
    """The name of a repository that nobody has yet."""
    test = request.node.originalname.removeprefix("test_")[:48].strip("_")
    return f"{hub.namespace}/{test}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def repo(hub: Hub, free_name: str) -> Iterator[str]:
    """A fresh model repository."""
    hub.api.create_repo(free_name)
    yield free_name
    hub.api.delete_repo(free_name, missing_ok=True)


@pytest.fixture
def dataset(hub: Hub, free_name: str) -> Iterator[str]:
    """A fresh dataset repository."""
    hub.api.create_repo(free_name, repo_type="dataset")
    yield free_name
    hub.api.delete_repo(free_name, repo_type="dataset", missing_ok=True)


@pytest.fixture
def endpoint(hub: Hub) -> str:
    return hub.endpoint
