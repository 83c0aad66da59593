"""Makes the bytes of a request."""

import base64
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from bzt import TaurusConfigError

from .body import Body, form_of
from .variables import CONTENT_LENGTH, text_of

# The characters that aren't encoded. "%" is one, because a URL may be encoded already.
_SAFE = "%/:=&?~+!$,;'@()*[]{}|-._"
_USER = re.compile(r"^([^/?#]*//)[^/?#]*@")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~\w${}-]+")


@dataclass(frozen=True)
class Target:
    """The server of a request, and the path on it."""

    address: str
    host: str
    path: str
    user_info: str = ""


def target_of(url: str, default_address: str, query: dict | None = None) -> Target:
    """Parses a URL, which is absolute or relative to the default address."""
    split = _split(url)
    if not split.netloc:
        base = _split(default_address if "://" in default_address else f"http://{default_address}")
        if not base.netloc:
            raise TaurusConfigError(f"{url!r} isn't a whole URL, and there is no default-address")
        split = split._replace(scheme=base.scheme, netloc=base.netloc)
    user_info, _, host = split.netloc.rpartition("@")
    path = quote(split.path or "/", safe=_SAFE)
    if not path.startswith("/") and not path.startswith("${"):
        path = f"/{path}"
    search = [quote(split.query, safe=_SAFE)] if split.query else []
    search += [form_of(query)] if query else []
    path += f"?{'&'.join(search)}" if search else ""
    return Target(f"{split.scheme}://{host}", host, path, user_info)


def head_of(method: str, target: Target, headers: dict[str, str], body: Body, live: bool) -> bytes:
    """The head of a request. If `live`, variables change the length of its body."""
    if not _TOKEN.fullmatch(method):
        raise TaurusConfigError(f"method: {method!r} isn't one")
    names = {name.lower() for name in headers}
    lines = [f"{method} {target.path} HTTP/1.1"]
    if "host" not in names:
        lines.append(f"Host: {target.host}")
    if target.user_info and "authorization" not in names:
        secret = base64.b64encode(target.user_info.encode()).decode()
        lines.append(f"Authorization: Basic {secret}")
    if body.content_type and "content-type" not in names:
        lines.append(f"Content-Type: {body.content_type}")
    if not names & {"content-length", "transfer-encoding"} and (
        body.parts or method in ("POST", "PUT", "PATCH")
    ):
        lines.append(f"Content-Length: {CONTENT_LENGTH if live else len(body)}")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or "\r" in value or "\n" in value:
            # The value may be a secret.
            raise TaurusConfigError(f"headers: {name!r} isn't a name with a value of one line")
        lines.append(f"{name}: {value}")
    head = "\r\n".join([*lines, "", ""])
    if not live:
        head = head.replace(CONTENT_LENGTH, str(len(body)))
    return head.encode()


def merged_headers(*sources: dict | None) -> dict[str, str]:
    """Merges headers. A later one overrides an earlier one, regardless of case."""
    merged: dict[str, tuple[str, str]] = {}
    for source in sources:
        for name, value in (source or {}).items():
            merged[str(name).lower()] = (str(name), text_of(value))
    return dict(merged.values())


def without_user(url: str) -> str:
    """The URL without name and password, so that it can be shown."""
    return _USER.sub(r"\1", url)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise TaurusConfigError(f"{without_user(url)!r} isn't a URL: {error}") from error
