"""A site with sessions, which notes what it was sent wrongly."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Site:
    """Serves on a free port until it is closed."""

    def __init__(self) -> None:
        self.logins: list[str] = []
        self.wrong: list[str] = []
        self.lock = threading.Lock()
        site = self

        class Handler(_Handler):
            pass

        Handler.site = site
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *_args) -> None:
        pass

    def do_POST(self) -> None:
        body_bytes = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/size":
            self._note(body_bytes == bytes(range(256)) * 8192, "the file's bytes are others")
            self._answer(200)
            return
        body = body_bytes.decode()
        if self.path == "/login":
            self._login(parse_qs(body))
        elif self.path == "/echo" and self._user():
            right = f"Grüße {self._user()} €"
            self._note(body == right, f"{body!r} is not {right!r}")
            self._answer(200, b"ok (1+1)")
        else:
            self._answer(403)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        user = self._user()
        if path == "/home" and user:
            token = f"token/{self._session()}"
            headers = {"ETag": f'"{self._session()}"'}
            self._answer(200, json.dumps({"deep": [{"token": token}]}).encode(), headers)
        elif path.startswith("/items/") and user:
            session = self._session()
            self._note(path == f"/items/token/{session}", f"{path} of {session}")
            self._note(self.headers["If-None-Match"] == session, "the ETag is another one")
            self._answer(200, f"items of {user}".encode())
        elif path == "/oops":
            self._answer(200, b"oops")
        else:
            self._note(False, f"{self.path} without a session, or not at all")
            self._answer(403)

    def _login(self, form: dict) -> None:
        self._note("Cookie" not in self.headers, "a new user has a cookie already")
        user = form["user"][0]
        right = {"ann": "Grüße", "bob": "a,b", "eve": "x y"}[user]
        self._note(form["word"] == [right], f"{form} is wrong")
        with self.site.lock:
            number = len(self.site.logins)
            self.site.logins.append(user)
        cookie = f"session={user}-{number}; Path=/; HttpOnly"
        self._answer(302, b"", {"Location": "/home", "Set-Cookie": cookie})

    def _session(self) -> str:
        return (self.headers["Cookie"] or "").partition("session=")[2].partition(";")[0]

    def _user(self) -> str:
        return self._session().partition("-")[0]

    def _note(self, right: bool, text: str) -> None:
        if not right:
            with self.site.lock:
                self.site.wrong.append(f"{self.command} {self.path}: {text}")

    def _answer(self, status: int, body: bytes = b"", headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
