"""Who may do what here: the one door through which every route comes to a repository."""

from typing import Literal

from starlette.requests import Request

from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.repository import Repository

# Each includes the ones before it: read a repository; change it; make, delete and settle what it is.
Right = Literal["read", "write", "admin"]


class Access:
    """The door. This hub has no accounts yet: whoever reaches it may do everything."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def repository(self, request: Request, kind: str, right: Right) -> Repository:
        """Return the repository that a request's path names; refuses an unknown one."""
        return self._catalog.get(kind, request.path_params["namespace"], request.path_params["name"])
