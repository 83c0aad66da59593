"""Bodies of requests: text, maps, files, uploads."""

import json
import mimetypes
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

from bzt import TaurusConfigError

from .variables import text_of

COPY_BYTES = 1 << 20


@dataclass
class Body:
    """Bytes, and files. Files are copied when they are needed, because they may be large."""

    parts: list[bytes | Path] = field(default_factory=list)
    content_type: str = ""

    def __len__(self) -> int:
        lengths = (len(p) if isinstance(p, bytes) else os.path.getsize(p) for p in self.parts)
        return sum(lengths)

    def inline(self) -> bytes:
        """The bytes that aren't in files."""
        return b"".join(part for part in self.parts if isinstance(part, bytes))

    def write(self, out: BinaryIO) -> None:
        for part in self.parts:
            if isinstance(part, bytes):
                out.write(part)
                continue
            with open(part, "rb") as file:
                while chunk := file.read(COPY_BYTES):
                    out.write(chunk)


def form_of(value: dict) -> str:
    """A map as a form. The `${}` of variables isn't encoded."""
    return urlencode({k: text_of(v) for k, v in value.items()}, safe="${}")


def body_of(request: dict, method: str, content_type: str, find: Callable[[str], str]) -> Body:
    """The body that a request's keys describe."""
    value = request.get("body")
    uploads = request.get("upload-files") or []
    if uploads:
        return _upload(uploads, value, method, find)
    if value in (None, "") and request.get("body-file"):
        return Body([_file(find(text_of(request["body-file"])), "body-file")])
    if value is None or (isinstance(value, dict) and method == "GET"):
        return Body()
    if isinstance(value, dict | list):
        flat = isinstance(value, dict) and not any(
            isinstance(item, dict | list) for item in value.values()
        )
        if flat and "json" not in content_type.lower():
            return Body([form_of(value).encode()], "application/x-www-form-urlencoded")
        return Body([json.dumps(value, ensure_ascii=False).encode()], "application/json")
    return Body([text_of(value).encode()])


def _upload(uploads: list, fields: object, method: str, find: Callable[[str], str]) -> Body:
    files = []
    for upload in uploads:
        if not isinstance(upload, dict) or not upload.get("path"):
            raise TaurusConfigError("upload-files: each item needs a path")
        path = _file(find(text_of(upload["path"])), "upload-files")
        kind = upload.get("mime-type") or mimetypes.guess_type(path.name)[0]
        files.append((upload.get("param"), path, kind or "application/octet-stream"))
    if method == "PUT" and len(files) == 1 and not files[0][0]:
        return Body([files[0][1]], files[0][2])
    boundary = f"encarno-{uuid.uuid4().hex}"
    body = Body([], f"multipart/form-data; boundary={boundary}")
    items = fields.items() if isinstance(fields, dict) else ()
    for name, value in items:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'
        body.parts.append(f"{head}{text_of(value)}\r\n".encode())
    for param, path, kind in files:
        if not param:
            raise TaurusConfigError(f"upload-files: {path} needs a param, the name of its field")
        names = f'name="{_quoted(param)}"; filename="{_quoted(path.name)}"'
        head = f"--{boundary}\r\nContent-Disposition: form-data; {names}\r\n"
        body.parts += [f"{head}Content-Type: {kind}\r\n\r\n".encode(), path, b"\r\n"]
    body.parts.append(f"--{boundary}--\r\n".encode())
    return body


def _quoted(name: object) -> str:
    """A name as browsers write it into Content-Disposition."""
    return text_of(name).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _file(path: str, key: str) -> Path:
    if not os.path.isfile(path):
        raise TaurusConfigError(f"{key}: there is no file {path}")
    return Path(path)
