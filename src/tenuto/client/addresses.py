"""Server addresses: validation, endpoints, and display without secrets."""

from __future__ import annotations

import httpx2

_ENDPOINT = "/v1/complete"


def parse_base_url(url: object, source: str = "base_url") -> httpx2.URL:
    """Return the address of a server; its path ends in a slash.

    Args:
        url: A str or an `httpx2.URL`.
        source: Argument or variable that holds it, for messages.

    Raises:
        TypeError: It is neither.
        ValueError: It is not the address of a server.
    """
    if not isinstance(url, str | httpx2.URL):
        raise TypeError(f"{source} must be a str or an httpx2.URL, not {type(url).__name__}")
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError(f"{source} is not a valid URL; write it as http://HOST:PORT") from None
    if parsed.scheme not in ("http", "https") or not parsed.host or "%" in parsed.host:
        # Suggest the address with a scheme, unless it may hold a password.
        text = str(url)
        bare = "://" not in text and "@" not in text and not text.startswith("/")
        example = f"http://{text}" if bare and text.strip() else "http://HOST:PORT"
        raise ValueError(f"{source} must begin with http:// or https:// and name a host: {example}")
    if parsed.path.rstrip("/").endswith(_ENDPOINT):
        raise ValueError(f"{source} must end before {_ENDPOINT}, which the client adds")
    if not parsed.path.endswith("/"):
        parsed = parsed.copy_with(path=parsed.path + "/")
    return parsed


def endpoint(base_url: httpx2.URL, path: str) -> httpx2.URL:
    """Return the URL of a path such as `/v1/models`.

    A trailing `/v1` of the base URL, as in clients of other APIs, is ignored.
    """
    base = base_url.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return base_url.copy_with(path=base + path)


def shown(url: httpx2.URL) -> str:
    """Return an address without user name, password, query and fragment."""
    return origin(url) + ("" if url.path == "/" else url.path)


def origin(url: httpx2.URL) -> str:
    """Return scheme, host and port, as in `http://127.0.0.1:8000`."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
