"""One hub as publish, mirror and verify speak with it: every call tried again when the connection or the hub fails.

The routes are those of huggingface_hub. Whatever goes wrong is one line of HubError without the token in it, and no
exception beneath it: what a library says may repeat what it was sent.
"""

import base64
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

from modeling_axk1.errors import HubError, ReleasedTagError
from modeling_axk1.hub.client import IS_IT_RUNNING, check_endpoint, needs_token
from modeling_axk1.hub.repo import RemoteFile, Repo, described

ATTEMPTS = 8
ATTEMPTS_AT_500 = 4  # the hub is there and cannot: seldom a matter of time
FIRST_WAIT = 0.25  # seconds before the second attempt, doubled before each further one: half a minute in all
LONGEST_WAIT = 60.0  # however long a hub asks us to wait
TIMEOUT = (10.0, 300.0, 60.0, None)  # connect, read (a hub may take its time to store 5 GB), write, pool

BRANCH = "main"
MOST_FILES = 1_000_000
_PAGE_FILES = 256
_LFS = "application/vnd.git-lfs+json"


class Remote:
    """The hub at `endpoint`; `token` goes to it and to no other host."""

    def __init__(self, endpoint: str, token: str | None = None) -> None:
        """Send nothing yet; raises UsageError for what is no address of a hub."""
        self.endpoint = check_endpoint(endpoint)
        self.token = token
        self._answered = False

    def __repr__(self) -> str:
        return f"Remote({self.endpoint!r})"

    # What is there

    def references(self, repo: Repo) -> tuple[dict[str, str], dict[str, str]] | None:
        """Return (branches, tags) as {name: commit}, None when there is no such repository."""
        answer = self._call("GET", f"{repo.api}/refs", accept={404}, what=repo.id)
        if answer.status_code == 404:
            return None
        refs = self._json(answer)
        with self._expecting("references"):
            branches = {str(ref["name"]): str(ref["targetCommit"]) for ref in refs["branches"]}
            return branches, {str(ref["name"]): str(ref["targetCommit"]) for ref in refs["tags"]}

    def resolve(self, repo: Repo, revision: str) -> str:
        """Return the commit that a tag, branch or commit id names; raises HubError when it names nothing."""
        references = self.references(repo)
        for names in reversed(references or ()):
            if revision in names:
                return names[revision]
        answer = self._call("GET", f"{repo.api}/revision/{quote(revision, safe='')}", what=f"{repo.id} {revision}")
        commit = self._json(answer).get("sha")
        if not isinstance(commit, str) or not commit.isalnum():
            raise HubError(f"{self.endpoint} must name the commit of {repo.id} {revision}, got {commit!r:.60}")
        return commit

    def files(self, repo: Repo, commit: str) -> dict[str, RemoteFile]:
        """Return {path: file} at a commit, without .gitattributes, which is the hub's own."""
        found: dict[str, RemoteFile] = {}
        tree = f"{repo.api}/tree/{commit}"
        place = f"{tree}?recursive=true"
        while place:
            answer = self._call("GET", place, what=f"the files of {repo.id}")
            with self._expecting("files"):
                for entry in self._json(answer, list):
                    if entry["type"] == "file" and entry["path"] != ".gitattributes":
                        found[str(entry["path"])] = described(entry)
            if len(found) > MOST_FILES:
                raise HubError(f"{repo.id} must hold at most {MOST_FILES:,} files")
            following = answer.links.get("next", {}).get("url")
            # Only the query of the next page's address: a mirror passes on that of the hub it mirrors.
            after = f"{tree}?{urlsplit(following).query}" if following else ""
            place = after if after != place else ""
        return dict(sorted(found.items()))

    # What is changed

    def create(self, repo: Repo) -> str:
        """Make the repository unless it is there; return the head of its main branch."""
        namespace, name = repo.id.split("/")
        body = {"name": name, "organization": namespace, "type": repo.type}
        self._call("POST", "api/repos/create", json_body=body, accept={409}, what=repo.id)
        references = self.references(repo)
        if references is None or BRANCH not in references[0]:
            raise HubError(f"{self.endpoint} has no branch {BRANCH} in {repo.id} after making it")
        return references[0][BRANCH]

    def large_files(self, repo: Repo, files: Mapping[str, int], sample: Callable[[str], bytes]) -> set[str]:
        """Return which of `files` ({path: bytes}) the hub wants as large ones; `sample` gives a file's first bytes."""
        large: set[str] = set()
        paths = list(files)
        for start in range(0, len(paths), _PAGE_FILES):
            asked = paths[start : start + _PAGE_FILES]
            body = {
                "files": [
                    {"path": path, "size": files[path], "sample": base64.b64encode(sample(path)).decode()}
                    for path in asked
                ]
            }
            answer = self._call("POST", f"{repo.api}/preupload/{BRANCH}", json_body=body, what=repo.id)
            with self._expecting("upload modes"):
                for item in self._json(answer)["files"]:
                    if item.get("shouldIgnore"):
                        raise HubError(f"{repo.id} ignores {item['path']} by its .gitignore; a release is sent whole")
                    # An empty file is never a large one: object stores refuse it.
                    if item["uploadMode"] == "lfs" and files[item["path"]]:
                        large.add(item["path"])
        return large

    def uploads(self, repo: Repo, digests: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """Return {SHA-256: how to upload it} for those of `digests` ({SHA-256: bytes}) that the hub lacks."""
        wanted: dict[str, dict[str, Any]] = {}
        oids = list(digests)
        for start in range(0, len(oids), _PAGE_FILES):
            body = {
                "operation": "upload",
                "transfers": ["basic", "multipart"],
                "hash_algo": "sha256",
                "ref": {"name": BRANCH},
                "objects": [{"oid": oid, "size": digests[oid]} for oid in oids[start : start + _PAGE_FILES]],
            }
            answer = self._call(
                "POST",
                f"{repo.page}.git/info/lfs/objects/batch",
                json_body=body,
                headers={"accept": _LFS, "content-type": _LFS},
                what=repo.id,
            )
            with self._expecting("LFS objects"):
                for item in self._json(answer)["objects"]:
                    if "error" in item:
                        raise HubError(self._line(f"{self.endpoint} refused a large file: {item['error']['message']}"))
                    if "upload" in (item.get("actions") or {}):
                        wanted[item["oid"]] = item["actions"]
        return wanted

    def put(self, url: str, headers: Mapping[str, str], body: Callable[[], Iterator[bytes]], size: int) -> Any:
        """Send `size` bytes to an address that the hub gave; `body` begins anew with every attempt."""
        sent = {"content-length": str(size), "content-type": "application/octet-stream", **headers}
        return self._call("PUT", url, content=body, headers=sent, what="a large file")

    def post(self, url: str, headers: Mapping[str, str], body: Any) -> None:
        """Send JSON to an address that the hub gave."""
        lfs = {"accept": _LFS, "content-type": _LFS}
        self._call("POST", url, json_body=body, headers={**lfs, **headers}, what="a large file")

    def commit(
        self, repo: Repo, parent: str, message: str, lines: Callable[[], Iterable[dict[str, Any]]]
    ) -> str | None:
        """Put `lines` on the main branch as one commit on top of `parent`; None when the branch is elsewhere by now."""
        header = {"key": "header", "value": {"summary": message, "description": "", "parentCommit": parent}}

        def body() -> Iterator[bytes]:
            for line in (header, *lines()):
                yield json.dumps(line).encode() + b"\n"

        ndjson = {"content-type": "application/x-ndjson"}
        answer = self._call(
            "POST", f"{repo.api}/commit/{BRANCH}", content=body, headers=ndjson, accept={409, 412}, what=repo.id
        )
        with self._expecting("a commit"):
            return None if answer.status_code in (409, 412) else str(self._json(answer)["commitOid"])

    def check_card(self, card: str, repo: Repo) -> None:
        """Have the hub check the card's front matter; raises HubError with what it says is wrong."""
        body = {"content": card, "repoType": repo.type}
        answer = self._call("POST", "api/validate-yaml", json_body=body, accept={400, 404}, what="README.md")
        if answer.status_code == 400:
            errors = self._json(answer).get("errors") or [{}]
            raise HubError(self._line(f"{self.endpoint} refused README.md: {errors[0].get('message')}"))

    def tag(self, repo: Repo, tag: str, commit: str) -> None:
        """Name a commit for good; raises ReleasedTagError when the name is another commit's."""
        answer = self._call("POST", f"{repo.api}/tag/{commit}", json_body={"tag": tag}, accept={409}, what=repo.id)
        if answer.status_code == 409:
            references = self.references(repo)
            other = references[1].get(tag) if references else None
            if other != commit:
                what = f"is released (commit {other[:12]})" if other else "is the name of a branch or lies in one's way"
                raise ReleasedTagError(f"tag {tag} of {repo.id} {what}; publish under a new tag")

    # Inside

    def _call(
        self,
        method: str,
        place: str,
        *,
        what: str,
        json_body: Any = None,
        content: Callable[[], Iterator[bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Iterable[int] = (),
    ) -> Any:
        """Send a request until it is answered; return the answer if it is a success or in `accept`."""
        from huggingface_hub.errors import HTTPError
        from huggingface_hub.utils import build_hf_headers, get_session

        url = place if urlsplit(place).scheme else f"{self.endpoint}/{place}"
        own = urlsplit(url)[:2] == urlsplit(self.endpoint)[:2]
        sent = {**build_hf_headers(token=(self.token if own else None) or False), **(headers or {})}
        tried, attempts = 0, ATTEMPTS
        while True:
            wait, final, status = 0.0, False, 0
            try:
                answer = get_session().request(
                    method, url, json=json_body, content=content() if content else None, headers=sent, timeout=TIMEOUT
                )
                self._answered = True
                if answer.is_success or answer.status_code in accept:
                    return answer
                reason, status = self._said(answer), answer.status_code
                final = answer.status_code not in (408, 425, 429) and answer.status_code < 500
                final = final or answer.status_code in (501, 507)  # asking again makes no difference
                attempts = ATTEMPTS_AT_500 if answer.status_code == 500 else ATTEMPTS
                asked = answer.headers.get("retry-after", "")
                wait = float(asked) if asked.isascii() and asked.isdigit() else 0.0
            except (HTTPError, ConnectionError) as error:
                reason = self._line(str(error) or type(error).__name__)
            tried += 1
            if final:
                raise HubError(f"{self.endpoint} refused {what}: {reason}{needs_token(status)}")
            if not self._answered and tried == 2:  # nobody is there: a person waits for this line
                raise HubError(f"cannot reach the hub at {self.endpoint}: {reason}; {IS_IT_RUNNING}")
            if tried >= attempts:
                raise HubError(f"{self.endpoint} failed at {what}, tried {tried} times: {reason}")
            time.sleep(min(max(wait, FIRST_WAIT * 2 ** (tried - 1)), LONGEST_WAIT))

    @contextmanager
    def _expecting(self, what: str) -> Iterator[None]:
        """Turn an answer of another shape than a hub's into one line."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError):
            raise HubError(f"{self.endpoint} must answer with {what} as a hub does: is it one?") from None

    def _json(self, answer: Any, kind: type = dict) -> Any:
        try:
            value = json.loads(self._clean(answer.text))
        except ValueError:
            value = None
        if not isinstance(value, kind):
            raise HubError(f"{self.endpoint} must answer as a hub does, got {type(value).__name__}: is it one?")
        return value

    def _said(self, answer: Any) -> str:
        said = answer.headers.get("x-error-message")
        if not said:
            try:
                said = json.loads(answer.text)["error"]
            except (ValueError, KeyError, TypeError):
                said = f"HTTP status {answer.status_code}"
        return self._line(str(said))

    def _line(self, text: str) -> str:
        """Return what a hub or the connection said: one line, not long, never with the token in it."""
        return " ".join(self._clean(text).split())[:500]

    def _clean(self, text: str) -> str:
        """Return what a hub said without the token, which it may repeat in whatever it answers."""
        return text.replace(self.token, "***") if self.token else text
