"""Answers that a vendor packs unasked: they are understood, but a bomb is never unpacked."""

import zlib


class CompressionError(Exception):
    """One line that says what is wrong with it."""


def unpack(body: bytes, encoding: str, most: int) -> bytes:
    """The first `most` bytes of what is in it. Raises CompressionError, where it holds less also if it is not whole."""
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
