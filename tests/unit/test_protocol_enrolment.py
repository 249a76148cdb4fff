"""Enrolment codes: survive pasting, notice every slip, never show their secret."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.enrolment import EnrolmentCode, EnrolmentKind, check_issuer_url, is_loopback
from protocol.errors import InputError
from protocol.identifiers import IssuerId, PublicKey

ALPHABET = string.ascii_letters + string.digits + "-_"


def code(kind: EnrolmentKind = EnrolmentKind.READER) -> EnrolmentCode:
    return EnrolmentCode(
        kind,
        "https://bank.example:8443/pay",
        IssuerId("bank.example"),
        PublicKey(bytes(range(32))),
        b"0123456789abcdef",
    )


@given(
    st.sampled_from(EnrolmentKind),
    st.sampled_from(
        ["https://a", "http://127.0.0.1:8080", "https://[::1]:8443/", "https://x.example/" + "p" * 180]
    ),
    st.from_regex(r"\A[a-z0-9.-]{1,32}\Z").map(IssuerId),
    st.binary(min_size=32, max_size=32).map(PublicKey),
    st.binary(min_size=16, max_size=16),
)
def test_a_code_comes_back(
    kind: EnrolmentKind, url: str, issuer: IssuerId, key: PublicKey, secret: bytes
) -> None:
    made = EnrolmentCode(kind, url, issuer, key, secret)
    assert EnrolmentCode.parse(made.text()) == made
    assert made.text().startswith(kind.value)


@given(st.lists(st.integers(0, 180), max_size=8), st.sampled_from([" ", "\n", "\r\n\t", "\u3000"]))
def test_white_space_from_pasting_is_no_matter(places: list[int], space: str) -> None:
    text = code().text()
    for place in sorted(places, reverse=True):
        text = text[:place] + space + text[place:]
    assert EnrolmentCode.parse(text) == code()


def test_every_mistyped_character_is_noticed() -> None:
    text = code().text()
    for at in range(5, len(text)):
        for new in ALPHABET:
            if new != text[at]:
                with pytest.raises(InputError) as refusal:
                    EnrolmentCode.parse(text[:at] + new + text[at + 1 :])
                assert refusal.value.code == "mistyped_enrolment_code"


def test_every_missing_tail_is_noticed() -> None:
    text = code().text()
    for cut in range(5, len(text)):
        with pytest.raises(InputError) as refusal:
            EnrolmentCode.parse(text[:cut])
        assert refusal.value.code == "mistyped_enrolment_code"
    for tail in ("A", "AA", "=", "AAAA"):
        with pytest.raises(InputError):
            EnrolmentCode.parse(text + tail)


def test_a_handsets_code_is_not_a_readers() -> None:
    text = code(EnrolmentKind.HANDSET).text()
    with pytest.raises(InputError):
        EnrolmentCode.parse("brr1." + text.removeprefix("brh1."))


@pytest.mark.parametrize("text", ["", "hello", "brx1.AAAA", "BRH1.AAAA", "https://bank.example"])
def test_what_is_no_code_is_told_so(text: str) -> None:
    with pytest.raises(InputError) as refusal:
        EnrolmentCode.parse(text)
    assert refusal.value.code == "not_an_enrolment_code"


@given(st.text(max_size=300))
def test_noise_is_an_input_error(noise: str) -> None:
    for text in (noise, "brh1." + noise, "brr1." + noise):
        with pytest.raises(InputError):
            EnrolmentCode.parse(text)


def test_a_megabyte_is_refused_at_once() -> None:
    with pytest.raises(InputError):
        EnrolmentCode.parse("brh1." + "A" * 1_000_000)


def test_the_secret_is_in_no_repr_and_no_error() -> None:
    assert "0123456789abcdef" not in repr(code())
    with pytest.raises(InputError) as refusal:
        EnrolmentCode.parse(code().text()[:-1])
    assert code().text()[40:60] not in f"{refusal.value!r}"
    assert refusal.value.__context__ is None or refusal.value.__suppress_context__


@pytest.mark.parametrize("url", ["https://bank.example", "http://localhost:8080", "https://[::1]:8443/pay"])
def test_issuer_urls(url: str) -> None:
    assert check_issuer_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bank.example",
        "ftp://bank.example",
        "https://",
        "https://user:pw@bank.example",
        "https://bank.example?x=1",
        "https://bank.example#x",
        "https://bank.example:99999",
        "https://bank.example:x",
        "https://[::1",
        "https://bank example",
        "https://bänk.example",
        "https://bank.example/" + "p" * 200,
        "https://bank.example\x1b[31m",
    ],
)
def test_issuer_urls_refused(url: str) -> None:
    with pytest.raises(InputError) as refusal:
        check_issuer_url(url)
    assert refusal.value.code == "invalid_issuer_url"


def test_a_code_with_a_key_or_secret_of_another_size_cannot_be_made() -> None:
    for key, secret in ((bytes(31), bytes(16)), (bytes(32), bytes(15))):
        with pytest.raises(ValueError):
            EnrolmentCode(EnrolmentKind.READER, "https://a", IssuerId("a"), PublicKey(key), secret)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_known_by_its_address(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "localhost.example", "127.0.0.1.example", "issuer.example", "192.168.0.1"]
)
def test_no_other_host_passes_for_this_machine(host: str) -> None:
    assert not is_loopback(host)
