"""Reports of a MagTek reader in HID mode, made from the text of a swipe."""

from __future__ import annotations


def report_of(text: str, *, encoding: int = 0) -> bytes:
    """`%…?;…?+…?` as 337 bytes; `E` between sentinels is a track that could not be decoded."""
    status, lengths, fields = bytearray(3), bytearray(3), [b"", b"", b""]
    while text:
        track = "%;+".index(text[0])
        piece, text = text[: text.index("?") + 1], text[text.index("?") + 1 :]
        if piece[1:-1] == "E":
            status[track] = 1
        else:
            lengths[track] = len(piece)
            fields[track] = piece.encode()
    # What lies behind a field's length is undefined: here the rest of the swipe before.
    return bytes(status + lengths) + bytes([encoding]) + b"".join(field.ljust(110, b"x") for field in fields)
