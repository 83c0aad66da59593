"""The protocols, and what each of them sends."""

from bzt import TaurusConfigError

from .variables import text_of

# The protocol of a wasm component. encarno's configuration has no name for it.
NIB = "nib"
_HTTP = "http https http2 h2 h2c http3 h3 wrpc-http".split()
_CALLS = "grpc grpcs".split()
# What is sent is a request's body alone. All but UDP have one address for a run.
_BYTES = ["udp", *"tcp tls websocket ws wss wrpc echo".split(), NIB]
# The headers are those of the handshake, or of each call.
_WITH_HEADERS = "websocket ws wss wrpc".split()
_EXAMPLES = {
    "tls": "tls://host:6379",
    "websocket": "ws://host/path",
    "ws": "ws://host/path",
    "wss": "wss://host/path",
    "wrpc": "wrpc+nats://host:4222/wasmtime",
    "wrpc-http": "wrpc+nats://host:4222/wasmtime/http",
    "echo": "echo://host:7",
}


def protocol_of(*sources: dict) -> str:
    """The protocol that the first of these sources asks for that asks for any."""
    for source in sources:
        named, nib = text_of(source.get("protocol")), source.get(NIB)
        if named and nib:
            raise TaurusConfigError(f"nib is a protocol itself: leave protocol: {named} out")
        if nib:
            return NIB
        if named:
            known = [*_HTTP, *_CALLS, *_BYTES[:-1], "dummy"]
            if named not in known:
                names = ", ".join(known)
                raise TaurusConfigError(f"protocol: {named!r} isn't known: write one of {names}")
            return named
    return "http"


def sends_http(protocol: str) -> bool:
    """Whether it sends HTTP requests, with cookies and redirects."""
    return protocol in _HTTP


def sends_calls(protocol: str) -> bool:
    """Whether a request is a call with a body of JSON."""
    return protocol in _CALLS


def sends_bytes(protocol: str) -> bool:
    """Whether a request is its body alone."""
    return protocol in _BYTES


def has_one_address(protocol: str) -> bool:
    """Whether all requests go to `default-address`, whose path belongs to the connection."""
    return protocol == "wrpc-http" or (protocol in _BYTES and protocol != "udp")


def has_headers(protocol: str) -> bool:
    """Whether the headers of a scenario belong to connections or calls."""
    return protocol in _WITH_HEADERS


def example_of(protocol: str) -> str:
    """A URL of a protocol that has one address."""
    return _EXAMPLES.get(protocol, "tcp://host:6379")
