"""The one-time code from a picture of its QR code (screenshot, photo, scan), on Pillow and zxing-cpp."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import zxingcpp
from PIL import Image, ImageOps, UnidentifiedImageError

from protocol.enrolment import EnrolmentKind
from protocol.errors import InputError

MOST_PIXELS: Final = 100_000_000
"""A phone's camera makes 12 to 50 million; beyond this a small file may be a bomb that fills memory."""


def read_code(picture: Path) -> str:
    """The text of the enrolment code in a picture file.

    Raises InputError: picture_unreadable, no_qr_code, no_enrolment_code, several_enrolment_codes.
    """
    texts = {barcode.text for barcode in _barcodes(picture)}
    if not texts:
        raise InputError(
            "no_qr_code",
            f"No QR code can be read in {picture}. Take the picture straight on, with the whole code and its "
            "white margin in it, sharp and without glare.",
        )
    codes = [text for text in texts if text.strip().startswith(tuple(kind.value for kind in EnrolmentKind))]
    if not codes:
        raise InputError(
            "no_enrolment_code", f"The QR code in {picture} is no enrolment code. Use the one from your bank."
        )
    if len(codes) > 1:
        raise InputError(
            "several_enrolment_codes",
            f"There are several enrolment codes in {picture}. Cut it down to the one for this phone.",
        )
    return codes[0]


def _barcodes(picture: Path) -> list[zxingcpp.Barcode]:
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures on the way to refusing them; our own limit stands below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(picture) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise _too_large(picture)
                grey = ImageOps.exif_transpose(_on_white(image)).convert("L")
    except InputError:  # which is a ValueError
        raise
    except Image.DecompressionBombError:
        raise _too_large(picture) from None
    except FileNotFoundError:
        raise InputError("picture_unreadable", f"There is no file {picture}.") from None
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError):
        # Pillow's decoders raise SyntaxError and ValueError for damaged files.
        raise InputError(
            "picture_unreadable", f"{picture} is no picture that can be read. Use a PNG or JPEG file."
        ) from None
    return list(zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)))


def _too_large(picture: Path) -> InputError:
    return InputError("picture_unreadable", f"{picture} is too large. Cut it down to the QR code.")


def _on_white(image: Image.Image) -> Image.Image:
    """A transparent ground is white to the eye and black to a decoder."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image
    exif = image.getexif()
    clear = image.convert("RGBA")
    ground = Image.new("RGBA", clear.size, "white")
    ground.alpha_composite(clear)
    ground.getexif().update(exif)
    return ground
