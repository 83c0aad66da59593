"""A server that notes which paths it was asked for, and answers as it is told."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Paths:
    """Serves on a free port until it is closed. `answers`: path → (status, body)."""

    def __init__(self, answers: dict[str, tuple[int, str]] | None = None) -> None:
        self.asked: list[str] = []
        paths = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args) -> None:
                pass

            def do_GET(self) -> None:
                paths.asked.append(self.path)
                status, body = (answers or {}).get(self.path.partition("?")[0], (200, "ok"))
                content = body.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Set-Cookie", "seen=1")
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
