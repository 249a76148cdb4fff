"""The one-time code from a picture: as printed, photographed, turned, see-through; and what is none."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import segno
from PIL import Image, ImageFilter

from handset_client.adapters.qr_picture import read_code
from protocol.enrolment import EnrolmentCode, EnrolmentKind
from protocol.errors import InputError
from protocol.identifiers import IssuerId, PublicKey

CODE = EnrolmentCode(
    EnrolmentKind.HANDSET,
    "https://issuer.example",
    IssuerId("bank"),
    PublicKey(b"\x01" * 32),
    bytes(range(16)),
).text()


def qr(text: str = CODE, scale: int = 6, border: int = 4) -> Image.Image:
    stream = io.BytesIO()
    segno.make(text, error="m").save(stream, kind="png", scale=scale, border=border)
    return Image.open(stream).convert("RGB")


def saved(folder: Path, image: Image.Image, name: str = "code.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_a_screenshot(tmp_path: Path) -> None:
    assert read_code(saved(tmp_path, qr())) == CODE


@pytest.mark.parametrize("name", ["code.jpg", "code.webp", "code.gif", "code.bmp"])
def test_other_formats(tmp_path: Path, name: str) -> None:
    assert read_code(saved(tmp_path, qr(), name)) == CODE


@pytest.mark.parametrize("degrees", [90, 180, 270, 7, -20])
def test_a_picture_taken_askew(tmp_path: Path, degrees: int) -> None:
    turned = qr().rotate(degrees, expand=True, fillcolor="white")
    assert read_code(saved(tmp_path, turned)) == CODE


def test_a_photograph_of_a_page(tmp_path: Path) -> None:
    page = Image.new("RGB", (1600, 1200), (200, 195, 180))
    page.paste(qr(scale=5), (700, 400))
    blurred = page.rotate(4, fillcolor=(200, 195, 180)).filter(ImageFilter.GaussianBlur(1.2))
    assert read_code(saved(tmp_path, blurred, "page.jpg", quality=60)) == CODE


def test_a_transparent_ground_is_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", qr().size, (0, 0, 0, 0))
    black = qr().convert("L").point(lambda value: 255 - value)
    clear.paste((0, 0, 0, 255), mask=black)
    assert read_code(saved(tmp_path, clear)) == CODE


def test_light_on_dark(tmp_path: Path) -> None:
    assert read_code(saved(tmp_path, qr().point(lambda value: 255 - value))) == CODE


def test_of_several_qr_codes_the_enrolment_code(tmp_path: Path) -> None:
    both = Image.new("RGB", (1200, 600), "white")
    both.paste(qr("https://bank.example/help"), (0, 0))
    both.paste(qr(scale=4), (620, 20))
    assert read_code(saved(tmp_path, both)) == CODE


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (Image.new("RGB", (300, 300), "white"), "no_qr_code"),
        (qr("https://bank.example/help"), "no_enrolment_code"),
    ],
    ids=["blank", "another code"],
)
def test_a_picture_without_the_code(tmp_path: Path, picture: Image.Image, code: str) -> None:
    with pytest.raises(InputError) as refused:
        read_code(saved(tmp_path, picture))
    assert refused.value.code == code


def test_two_enrolment_codes_are_one_too_many(tmp_path: Path) -> None:
    other = EnrolmentCode(
        EnrolmentKind.READER, "https://issuer.example", IssuerId("bank"), PublicKey(b"\x01" * 32), bytes(16)
    ).text()
    both = Image.new("RGB", (1300, 700), "white")
    both.paste(qr(), (0, 0))
    both.paste(qr(other), (650, 0))
    with pytest.raises(InputError, match="several") as refused:
        read_code(saved(tmp_path, both))
    assert CODE not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, b"GIF89a\xff\xff"])
def test_what_is_no_picture(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "code.png").write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_code(tmp_path / "code.png")
    assert refused.value.code == "picture_unreadable"


def test_half_a_picture(tmp_path: Path) -> None:
    whole = saved(tmp_path, qr()).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        read_code(tmp_path / "half.png")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_code(tmp_path / "none.png")


def test_a_bomb_of_a_picture_is_not_unpacked(tmp_path: Path) -> None:
    bomb = saved(tmp_path, Image.new("1", (20_000, 9_000)), "bomb.png")
    assert bomb.stat().st_size < 100_000
    with pytest.raises(InputError, match="too large"):
        read_code(bomb)
