"""A client of hub_soak.py: does random things to a hub until it is killed, and notes what the hub acknowledged.

    python hub_soak_client.py ENDPOINT NOTES SEED

Each line of NOTES is one acknowledged commit: {"repo", "commit", "files": {path: SHA-256}}, and a tag if one was made.
"""

import contextlib
import hashlib
import json
import random
import sys
import time
from pathlib import Path

import httpx
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError

REPOSITORIES = ("soak/one", "soak/two")


class Client:
    """One client with its random choices; `notes` is a file of its own that outlives it."""

    def __init__(self, endpoint: str, notes: Path, seed: int) -> None:
        self._api = HfApi(endpoint=endpoint, token=False)
        self._endpoint = endpoint
        self._notes = notes
        self._chance = random.Random(seed)  # noqa: S311  # what happens next is no secret
        self._name = f"{notes.stem}-{seed}"
        self._number = 0

    def commit(self) -> None:
        """Add a large and a small file, sometimes delete one, sometimes tag the commit."""
        repo = self._chance.choice(REPOSITORIES)
        self._number += 1
        large = self._chance.randbytes(self._chance.randint(1, 6_000_000))
        small = self._chance.randbytes(100).hex().encode()
        files = {f"{self._name}/{self._number}.bin": large, f"{self._name}/{self._number}.txt": small}
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(path, content) for path, content in files.items()
        ]
        if self._number > 3 and self._chance.random() < 0.2:
            operations.append(CommitOperationDelete(f"{self._name}/{self._number - 3}.txt"))
        made = self._api.create_commit(repo, operations, commit_message=f"{self._name} {self._number}")
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        note = {"repo": repo, "commit": made.oid, "files": digests}
        self._note(note)
        if self._chance.random() < 0.3:
            tag = f"{self._name}-{self._number}"
            self._api.create_tag(repo, tag=tag, revision=made.oid)
            self._note({**note, "tag": tag})

    def download(self) -> None:
        """Take an acknowledged file and check its digest; sometimes leave in the middle."""
        notes = [json.loads(line) for line in self._notes.read_text().splitlines() if line.endswith("}")]
        if not notes:
            return
        note = self._chance.choice(notes)
        path, digest = self._chance.choice(sorted(note["files"].items()))
        found = hashlib.sha256()
        url = f"{self._endpoint}/{note['repo']}/resolve/{note['commit']}/{path}"
        with httpx.stream("GET", url) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_bytes(65536):
                found.update(chunk)
                if self._chance.random() < 0.005:
                    return
        if found.hexdigest() != digest:
            self._note({"wrong": f"{url}: {found.hexdigest()}, expected {digest}"})

    def look(self) -> None:
        """Ask for what clients list."""
        repo = self._chance.choice(REPOSITORIES)
        self._api.repo_info(repo, files_metadata=True)
        self._api.list_repo_refs(repo)
        self._api.list_repo_commits(repo)

    def come_and_go(self) -> None:
        """Make a repository, put something in it and delete it."""
        repo = f"soak/{self._name}-{self._number}"
        self._api.create_repo(repo, exist_ok=True)
        self._api.upload_file(path_or_fileobj=b"soon gone", path_in_repo="a.txt", repo_id=repo)
        self._api.delete_repo(repo)

    def run(self) -> None:
        """Go on until killed."""
        for repo in REPOSITORIES:
            with contextlib.suppress(HfHubHTTPError, httpx.HTTPError):
                self._api.create_repo(repo, exist_ok=True)
        deeds = [self.commit] * 4 + [self.download] * 6 + [self.look] * 2 + [self.come_and_go]
        while True:
            try:
                self._chance.choice(deeds)()
            except (HfHubHTTPError, httpx.HTTPError, RuntimeError):
                time.sleep(0.2)  # two committed at the same time, or the server was killed: both are meant to happen

    def _note(self, note: dict[str, object]) -> None:
        # One write of a line: a kill leaves it whole or not there.
        with self._notes.open("a") as file:
            file.write(json.dumps(note) + "\n")


if __name__ == "__main__":
    Client(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])).run()
