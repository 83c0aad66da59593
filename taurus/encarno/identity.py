"""Makes headers of a scenario's cookies and authorization."""

import base64
from urllib.parse import urlsplit

from bzt import TaurusConfigError

from .notes import Notes
from .request import Target, without_user
from .variables import text_of

_COOKIE_KEYS = frozenset("name value domain path secure".split())
_AUTHORIZATION_KEYS = frozenset("url name password domain realm mechanism".split())


def identity_of(scope: dict, target: Target, notes: Notes) -> dict[str, str]:
    """The headers for this target."""
    headers = {}
    pairs = [cookie for cookie in _cookies(scope, notes) if _is_sent(cookie, target)]
    if pairs:
        headers["Cookie"] = "; ".join(
            f"{text_of(cookie['name'])}={text_of(cookie['value'])}" for cookie in pairs
        )
    for entry in _authorizations(scope, notes):
        if _is_asked(entry, target):
            secret = f"{text_of(entry['name'])}:{text_of(entry['password'])}"
            headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
            break
    return headers


def _cookies(scope: dict, notes: Notes) -> list[dict]:
    cookies = scope.get("cookies") or []
    if not isinstance(cookies, list) or not all(isinstance(cookie, dict) for cookie in cookies):
        raise TaurusConfigError("cookies: write a list of maps with name, value and domain")
    for cookie in cookies:
        notes.unknown_keys("cookies", cookie, _COOKIE_KEYS)
        for key in ("name", "value", "domain"):
            if cookie.get(key) is None:
                raise TaurusConfigError(f"cookies: {text_of(cookie.get('name'))!r} has no {key}")
    return cookies


def _is_sent(cookie: dict, target: Target) -> bool:
    split = urlsplit(target.address)
    domain = text_of(cookie["domain"]).lower()
    host = (split.hostname or "").lower()
    bare = domain.removeprefix(".")
    if host != bare and not (domain.startswith(".") and host.endswith(f".{bare}")):
        return False
    if cookie.get("secure") and split.scheme != "https":
        return False
    path, asked = text_of(cookie.get("path")) or "/", target.path.partition("?")[0]
    return asked == path or asked.startswith(path if path.endswith("/") else f"{path}/")


def _authorizations(scope: dict, notes: Notes) -> list[dict]:
    entries = []
    for entry in authorization_list(scope):
        notes.unknown_keys("authorization", entry, _AUTHORIZATION_KEYS)
        where = entry.get("url") or entry.get("domain")
        if not (entry.get("name") and entry.get("password") and where):
            raise TaurusConfigError("authorization: write name, password, and url or domain")
        mechanism = text_of(entry.get("mechanism")).upper()
        place = f"authorization for {without_user(text_of(where))}"
        if mechanism not in ("", "BASIC", "BASIC_DIGEST"):
            notes.warn(f"{place}: encarno has no {mechanism}: it is left out")
            continue
        if mechanism != "BASIC":
            notes.warn(
                f"{place}: encarno sends Basic with each request, and never Digest; "
                "write mechanism: basic if that is meant"
            )
        entries.append(entry)
    return entries


def authorization_list(scope: dict) -> list[dict]:
    """The entries of `authorization`, for which Taurus has three forms."""
    given = scope.get("authorization") or []
    if isinstance(given, dict):
        given = given.get("list") or [] if "list" in given or "clear" in given else [given]
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise TaurusConfigError("authorization: write a list of maps with url, name and password")
    return given


def _is_asked(entry: dict, target: Target) -> bool:
    url = text_of(entry.get("url"))
    if url:
        base = urlsplit(url if "://" in url else f"http://{url}")
        host = base.netloc.rpartition("@")[2].lower()
        same = host == urlsplit(target.address).netloc.lower()
        return same and target.path.startswith(base.path or "/")
    return urlsplit(target.address).hostname == text_of(entry.get("domain")).lower()
