"""All that has pages. A new feature is one line here."""

from typing import Protocol

from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.browse.blob import FilePages
from modeling_axk1.hub.server.browse.card import Cards
from modeling_axk1.hub.server.browse.columns import Columns
from modeling_axk1.hub.server.browse.compare import Comparisons
from modeling_axk1.hub.server.browse.history import Histories
from modeling_axk1.hub.server.browse.images import Images
from modeling_axk1.hub.server.browse.lists import Lists
from modeling_axk1.hub.server.browse.results import Results
from modeling_axk1.hub.server.browse.rows import Rows
from modeling_axk1.hub.server.browse.settings import Settings
from modeling_axk1.hub.server.browse.sign_in import SignIn
from modeling_axk1.hub.server.browse.site import Site
from modeling_axk1.hub.server.browse.static import Static
from modeling_axk1.hub.server.browse.tensors import Tensors
from modeling_axk1.hub.server.browse.tree import Trees
from modeling_axk1.hub.server.store import BlobStore


class Feature(Protocol):
    """Some pages."""

    def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
        """Keep what the pages need."""

    def routes(self) -> list[Route]:
        """Return their routes."""


# In the order in which addresses are looked at: those of the site before those of repositories, which match more.
FEATURES: tuple[type[Feature], ...] = (
    Static,
    Settings,
    SignIn,
    Lists,
    Cards,
    Trees,
    FilePages,
    Images,
    Histories,
    Comparisons,
    Tensors,
    Rows,
    Columns,
    Results,
)


def pages(site: Site, access: Access, blobs: BlobStore) -> list[Route]:
    """Return the routes of all pages."""
    return [route for feature in FEATURES for route in feature(site, access, blobs).routes()]
