"""The words of the reader's screens in English and Japanese: a headline, notes, the bill."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from protocol.messages import LONGEST_MERCHANT_NAME, LONGEST_ORDER
from protocol.messages import NotSettled as NotSettledReason
from protocol.money import Money, format_money
from protocol.text import shown
from protocol.track_data import TrackFault
from reader_peripheral import screens


class Language(StrEnum):
    """Languages the reader speaks."""

    ENGLISH = "en"
    JAPANESE = "ja"


@dataclass(frozen=True, slots=True)
class Lines:
    """A screen in words: the headline, what to know or do, and the signed bill.

    `typed` is how many digits of a PIN are typed, None where none is asked for. `went_wrong` says that the
    notes matter more than the bill. A display pages what does not fit.
    """

    headline: str
    notes: tuple[str, ...] = ()
    amount: Money | None = None
    merchant: str = ""
    order: str = ""
    typed: int | None = None
    went_wrong: bool = False

    @property
    def details(self) -> tuple[str, ...]:
        """All but the headline, a line each, in order of weight."""
        if self.amount is None:
            return self.notes
        return (*self.notes, format_money(self.amount), self.merchant, self.order)


_R, _F, _H = NotSettledReason, TrackFault, screens.EndedHere
_Reason = NotSettledReason | screens.EndedHere

# A card with a chip is mostly put in, not swiped; nothing here could tell the shop's terminal from this one.
_NO_CHIP = ("No chip slot: use the stripe.", "ICチップは使えません。")

REASONS: dict[_Reason, tuple[str, str]] = {
    _R.HANDSET_UNREACHABLE: (
        "The phone cannot be reached: try again.",
        "スマホに接続できません。もう一度お試しください。",
    ),
    _R.DECLINED: ("Declined on the phone.", "スマホで拒否されました。"),
    _R.NO_RESPONSE: (
        "Nobody answered on the phone: try again.",
        "スマホの応答がありません。もう一度お試しください。",
    ),
    _R.APPROVAL_TIMEOUT: (
        "Not approved on the phone in time: try again.",
        "スマホで承認されませんでした。もう一度お試しください。",
    ),
    _R.CANCELLED_BY_MERCHANT: ("Cancelled by the shop.", "お店が取り消しました。"),
    _R.READER_UNAVAILABLE: (
        "The phone did not find this reader: try again.",
        "リーダーに接続できません。もう一度お試しください。",
    ),
    _R.READER_UNKNOWN: (
        "The card company does not know this reader: enrol it.",
        "未登録のリーダーです。登録してください。",
    ),
    _R.READER_BLOCKED: (
        "This reader is blocked: call the card company.",
        "このリーダーは停止中です。カード会社にご連絡ください。",
    ),
    _R.READER_NOT_CARDHOLDERS: (
        "This reader is not yours: use your own.",
        "ご本人のリーダーをどうぞ。",
    ),
    _R.CARD_TIMEOUT: (f"No card in time. {_NO_CHIP[0]}", f"時間切れです。{_NO_CHIP[1]}"),
    _R.PIN_TIMEOUT: (
        "No PIN was typed in time: try again.",
        "暗証番号が時間切れです。もう一度お試しください。",
    ),
    _R.REFUSED_USER_CANCELLED: ("You cancelled it.", "取り消しました。"),
    _R.REFUSED_NO_SWIPE: (
        f"No card was swiped. {_NO_CHIP[0]}",
        f"カードが通されませんでした。{_NO_CHIP[1]}",
    ),
    _R.REFUSED_UNREADABLE_CARD: (
        "The card could not be read: try another.",
        "読み取れませんでした。別のカードで。",
    ),
    _R.REFUSED_NO_PIN: ("No PIN was typed: try again.", "暗証番号がありません。もう一度お試しください。"),
    _R.REFUSED_BUSY: ("This reader was busy: try again.", "リーダーは使用中でした。もう一度お試しください。"),
    _R.REFUSED_OFFER_REJECTED: (
        "This reader did not trust the request: ask the shop.",
        "要求を信頼できません。お店にご確認を。",
    ),
    _R.REFUSED_READER_FAULT: (
        "This reader failed: try again.",
        "リーダーの不具合です。もう一度お試しください。",
    ),
    _R.ENVELOPE_INVALID: (
        "The card company could not check the data: try again.",
        "通信を確認できません。もう一度お試しください。",
    ),
    _R.RESEAL_MISMATCH: (
        "The card company's check failed: try again.",
        "検査に失敗しました。もう一度お試しください。",
    ),
    _R.UNKNOWN_CARD: (
        "The card company does not know this card: try another.",
        "登録のないカードです。別のカードで。",
    ),
    _R.EXPIRED_CARD: ("The card has expired: try another.", "有効期限切れです。別のカードで。"),
    _R.BLOCKED_CARD: (
        "The card is blocked: call the card company.",
        "カードは停止中です。カード会社にご連絡ください。",
    ),
    _R.CARD_NOT_CARDHOLDERS: (
        "This card is not for this reader: try another.",
        "ここでは使えないカードです。別のカードで。",
    ),
    _R.INSUFFICIENT_FUNDS: (  # all cards of a person draw from one account
        "Not enough money in the account: ask the card company.",
        "残高が足りません。カード会社にご確認を。",
    ),
    _R.WRONG_PIN: ("The PIN was wrong: try again.", "暗証番号が違います。もう一度お試しください。"),
    _R.PIN_BLOCKED: (
        "The PIN is blocked: call the card company.",
        "暗証番号は停止中です。カード会社にご連絡ください。",
    ),
    _R.HANDSET_FAULT: ("The phone failed: try again.", "スマホの不具合です。もう一度お試しください。"),
    _R.ISSUER_RESTARTED: (
        "The card company restarted: try again.",
        "中断されました。もう一度お試しください。",
    ),
    _R.INTERNAL_ERROR: (
        "The card company failed: try again later.",
        "カード会社の障害です。後でお試しください。",
    ),
    _H.CONNECTION_LOST: (
        "The connection was lost: try again.",
        "接続が切れました。もう一度お試しください。",
    ),
    _H.PHONE_CANCELLED: ("Cancelled on the phone.", "スマホで取り消されました。"),
}

FAULTS: dict[TrackFault, tuple[str, str]] = {
    _F.NOTHING_READ: ("Nothing was read: turn the card round.", "カードの向きをご確認ください。"),
    _F.TRACK_ERROR: ("Unreadable: turn it, or swipe evenly.", "向きを確かめ、一定の速さで。"),
    _F.NO_END_SENTINEL: ("Swipe the whole card.", "カードを最後まで通してください。"),
    _F.TOO_LONG: ("Swipe one card, once.", "一枚を一度だけ通してください。"),
    _F.BAD_MONTH: ("Expiry date misread: swipe evenly.", "有効期限を読めません。一定の速さで。"),
    _F.EXPIRED: ("The card has expired: try another.", "有効期限切れです。別のカードで。"),
    _F.LUHN: ("Card number misread: swipe evenly.", "番号を読めません。一定の速さで。"),
    _F.TRACKS_DISAGREE: ("Its tracks differ: try another card.", "磁気が壊れています。別のカードで。"),
    _F.NOT_A_BANK_CARD: ("Not a payment card: try another.", "お支払い用ではありません。別のカードで。"),
    _F.KEYS_LOST: ("Part was lost: swipe more slowly.", "もう少しゆっくり通してください。"),
    _F.TIMEOUT: ("The swipe did not end: do it in one go.", "途中で止めずに通してください。"),
    _F.MALFORMED: ("The stripe was misread: swipe evenly.", "正しく読めません。一定の速さで。"),
}
# What comes of a chip that is pushed into a swiper: little or nothing. Who does it twice is told.
_PERHAPS_A_CHIP = frozenset({_F.NOTHING_READ, _F.TRACK_ERROR, _F.NO_END_SENTINEL, _F.TIMEOUT, _F.MALFORMED})


def describe(screen: screens.Screen, language: Language) -> Lines:
    """A screen in words. Merchant and order come from a signed offer and are still made safe to show."""
    japanese = language is Language.JAPANESE

    def say(english: str, other: str) -> str:
        return other if japanese else english

    match screen:
        case screens.Idle():
            return Lines(
                say("Ready", "準備完了"), (say("Waiting for a payment.", "お支払いをお待ちしています。"),)
            )
        case screens.Offer(bill):
            return _with_bill(
                say("Swipe your card", "カードをどうぞ"),
                bill,
                *(("磁気リーダーに通してください。",) if japanese else ()),
            )
        case screens.BadSwipe(bill, fault, left, again):
            notes = [FAULTS[fault][japanese]]
            if again and fault in _PERHAPS_A_CHIP:
                notes.append(_NO_CHIP[japanese])
            last = say("Last try.", "次が最後です。")
            notes.append(last if left == 1 else say(f"{left} tries left.", f"残り{left}回"))
            return _with_bill(say("Swipe again", "もう一度どうぞ"), bill, *notes, went_wrong=True)
        case screens.EnterPin():
            return _enter_pin(screen, japanese)
        case screens.Working(bill):
            return _with_bill(say("Please wait", "お待ちください"), bill)
        case screens.Cancelling(bill, reason):
            return _with_bill(say("Cancelling", "取消中"), bill, REASONS[reason][japanese], went_wrong=True)
        case screens.Approved(bill):
            return _with_bill(say("APPROVED", "承認されました"), bill)
        case screens.NotSettled(bill, reason):
            why = (REASONS[reason][japanese],) if reason is not None else ()
            nothing_paid = say("No money taken.", "代金は支払われていません。")
            return _with_bill(say("NOT PAID", "お支払い不成立"), bill, *why, nothing_paid, went_wrong=True)
        case screens.Unknown(bill):
            ask = say("Result unknown: ask the shop.", "お店にご確認ください。")
            close = say("Enter: close", "Enterで閉じます。")
            return _with_bill(
                say("DO NOT PAY AGAIN", "結果不明　再払い禁止"), bill, ask, close, went_wrong=True
            )


def _with_bill(
    headline: str, bill: screens.Bill, *notes: str, typed: int | None = None, went_wrong: bool = False
) -> Lines:
    merchant, order = shown(bill.merchant, LONGEST_MERCHANT_NAME), shown(bill.order, LONGEST_ORDER)
    return Lines(headline, notes, bill.amount, merchant, order, typed, went_wrong)


def _enter_pin(screen: screens.EnterPin, japanese: bool) -> Lines:
    hints = {
        screens.PinHint.NONE: None,
        screens.PinHint.TOO_LONG: (
            "Too long: press Clear or Backspace.",
            "12桁までです。訂正キーかBackspaceを。",
        ),
        screens.PinHint.TOO_SHORT: ("A PIN has at least 4 digits.", "暗証番号は4桁以上です。"),
    }
    hint = hints[screen.hint]
    notes = [hint[japanese]] if hint else []
    if screen.again:
        notes.append("暗証番号が違います。" if japanese else "That PIN was wrong.")
    if screen.tries_left == 1:
        notes.append("次が最後です。" if japanese else "Last try.")
    elif screen.again:
        notes.append(f"残り{screen.tries_left}回" if japanese else f"{screen.tries_left} tries left.")
    notes.append(f"カード ****{screen.last_four}" if japanese else f"Card ****{screen.last_four}")
    headline = "暗証番号を入力" if japanese else "Enter PIN"
    wrong = hint is not None or screen.again
    return _with_bill(headline, screen.bill, *notes, typed=screen.stars, went_wrong=wrong)
