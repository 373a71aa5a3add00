"""Answers that a vendor compresses without being asked: they are understood, but never a zip bomb."""

import zlib


class CompressionError(Exception):
    """One line that says why an answer can't be unpacked."""


def unpack(body: bytes, encoding: str, most: int) -> bytes:
    """At most the first `most` bytes of the content. Raises CompressionError, also if a shorter content is cut off."""
    if encoding not in ("gzip", "deflate"):
        raise CompressionError("it answers in a content encoding that was not asked for")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # zlib or gzip, as the data itself says
    try:
        found = unpacker.decompress(body, most)
    except zlib.error as error:
        raise CompressionError(f"its {encoding} answer can't be unpacked") from error
    if len(found) < most and not unpacker.eof:
        raise CompressionError(f"its {encoding} answer is not whole")
    return found
