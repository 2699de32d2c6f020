"""As much of S3 as an archive needs, in memory: objects, uploads in parts, lists. For tests on 127.0.0.1 only.

It stands for a server of somebody else; signatures are not looked at.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Buckets:
    """What is stored: keys begin with their bucket. `port` is where it listens."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.port = 0


@contextmanager
def serving() -> Iterator[Buckets]:
    """A server on a free port, gone at the end."""
    buckets = Buckets()

    class Handler(_Handler):
        kept = buckets

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    buckets.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield buckets
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _unchunked(sent: BinaryIO) -> bytes:
    body = b""
    while length := int(sent.readline().partition(b";")[0], 16):
        body += sent.read(length)
        sent.readline()
    return body


class _Handler(BaseHTTPRequestHandler):
    kept: Buckets
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._get(with_body=False)

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            self._list(query)
        else:
            self._get(with_body=True)

    def do_PUT(self) -> None:
        query, body = parse_qs(urlsplit(self.path).query), self._body()
        if "uploadId" in query:
            self.kept.uploads[query["uploadId"][0]][int(query["partNumber"][0])] = body
        else:
            self.kept.objects[self._key()] = body
        self._answer(200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def do_POST(self) -> None:
        query, key = parse_qs(urlsplit(self.path).query, keep_blank_values=True), self._key()
        self._body()
        if "uploads" in query:
            upload = f"upload-{len(self.kept.uploads)}"
            self.kept.uploads[upload] = {}
            text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        else:
            parts = self.kept.uploads[query["uploadId"][0]]
            self.kept.objects[key] = b"".join(parts[number] for number in sorted(parts))
            text = "<CompleteMultipartUploadResult><ETag>whole</ETag></CompleteMultipartUploadResult>"
        self._answer(200, text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).strip("/")

    def _body(self) -> bytes:
        """What was sent, out of up to two layers of chunks: those of HTTP, and signed ones of AWS in them."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            sent = _unchunked(self.rfile)
            # What ends the trailers.
            self.rfile.readline()
        else:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return _unchunked(BytesIO(sent)) if "x-amz-decoded-content-length" in self.headers else sent

    def _get(self, *, with_body: bool) -> None:
        found = self.kept.objects.get(self._key())
        if found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>" if with_body else b"")
            return
        span = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        first, last = (int(span[0]), int(span[2])) if span[2] else (0, len(found) - 1)
        body = found[first : last + 1]
        self._answer(206 if span[2] else 200, body, {"ETag": '"x"'}, with_body=with_body)

    def _list(self, query: dict[str, list[str]]) -> None:
        bucket, prefix = self._key(), query.get("prefix", [""])[0]
        keys = [key.partition("/")[2] for key in sorted(self.kept.objects) if key.startswith(f"{bucket}/{prefix}")]
        files, folders = list[str](), set[str]()
        for key in keys:
            inner = key.removeprefix(prefix)
            if "delimiter" in query and "/" in inner:
                folders.add(f"{prefix}{inner.partition('/')[0]}/")
            else:
                files.append(key)
        listed = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.kept.objects[f'{bucket}/{key}'])}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in files
        )
        listed += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
        self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{listed}</ListBucketResult>".encode())

    def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None, *, with_body: bool = True) -> None:
        self.send_response(code)
        given = {"Content-Type": "application/xml", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)
