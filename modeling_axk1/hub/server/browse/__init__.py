"""The pages of the hub: cards, files, revisions, tensors, rows and results, for people with a browser.

    site.py         what every page has: templates, words, the content security policy, who is signed in
    address.py      where a page is: the repository, the revision and the addresses below it
    reader.py       what one reader wants: the language and the theme
    words.py        words/*.toml: every text of the pages, in English and Korean
    shown.py        how values are shown: bytes, dates, digests, text that strangers wrote
    features.py     the list of what has pages; a feature is one class, its templates and its words
    errors.py       what went wrong, as a page; sign_in.py, settings.py, static.py what is the site itself

    lists.py        the front page, search and filters (summaries.py)
    card.py         a card (markdown.py, front_matter.py) and how to load what it is about (snippet.py)

    tree.py         a folder (folder.py, last_change.py); blob.py one file (text.py); images.py pictures of cards
    history.py      branches, tags, commits
    compare.py      what changed (changed.py: files, tensor_changes.py), and how (detail.py: lines, keys, footers)
    results.py      figures and where they come from (result_file.py), compared with the card (claims.py)

    tensors.py      the tensors of a checkpoint or of a plan
    rows.py         a dataset's rows, and columns.py their statistics (dataset.py: of which split; splits.py)
    sandbox.py      reads what strangers uploaded apart from the hub (sandboxed/, on_disk.py); kept.py what it found

A feature is made as `Feature(site, access, blobs)` and returns its routes; a page is one function:

    class Files:
        def __init__(self, site: Site, access: Access, blobs: BlobStore) -> None:
            self._site = site

        def routes(self) -> list[Route]:
            return of_both_kinds("/tree/{revision:quoted}", self._tree)

        def _tree(self, kind: str, request: Request) -> Response:  # plain `def`: runs in a thread, may block
            page = self._site.repository_page(request, kind)  # asks `access`; refuses what may not be seen
            return self._site.render(request, "tree.html", page=page, files=page.repository.listing(page.commit))

Its template extends "repository.html" and says which tab it belongs to. Pages read without JavaScript, and no style
attribute and no inline script or style reaches the browser: the content security policy forbids them.
"""
