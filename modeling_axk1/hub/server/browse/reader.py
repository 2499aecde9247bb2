"""What one reader wants: the language and the theme, by cookie, else by what the browser says."""

from dataclasses import dataclass

from starlette.requests import Request

from modeling_axk1.hub.server.browse.words import LANGUAGES, Language

LANGUAGE_COOKIE = "axk1_language"
THEME_COOKIE = "axk1_theme"
# "auto" follows the system (prefers-color-scheme).
THEMES = ("auto", "light", "dark")


@dataclass(frozen=True)
class Reader:
    """One reader's choices."""

    language: Language
    theme: str


def reader_of(request: Request) -> Reader:
    """Return what the sender of a request wants; what cannot be read counts as not said."""
    cookies = request.cookies
    chosen = next((name for name in LANGUAGES if name == cookies.get(LANGUAGE_COOKIE)), None)
    theme = cookies.get(THEME_COOKIE, "")
    language = chosen or preferred_language(request.headers.get("accept-language", ""))
    return Reader(language, theme if theme in THEMES else "auto")


def preferred_language(header: str) -> Language:
    """Return the language of ours that an Accept-Language header likes best; English when it likes none.

    Example: `preferred_language("ko-KR,ko;q=0.9,en;q=0.8") == "ko"`.
    """
    best: dict[str, float] = {}
    for part in header[:1000].split(","):
        name, _, weight = part.strip().partition(";q=")
        try:
            liking = float(weight) if weight else 1.0
        except ValueError:
            continue
        primary = name.split("-")[0].lower()
        best[primary] = max(best.get(primary, 0.0), liking)
    liked = max(LANGUAGES, key=lambda language: best.get(language, 0.0))
    return liked if best.get(liked, 0.0) > 0 else "en"
