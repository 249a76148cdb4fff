"""The words of the reader's screens in English and Japanese: a headline and details, a line each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from protocol.messages import NotSettled as NotSettledReason
from protocol.money import format_money
from protocol.text import shown
from protocol.track_data import TrackFault
from reader_peripheral import screens


class Language(StrEnum):
    """Languages the reader speaks."""

    ENGLISH = "en"
    JAPANESE = "ja"


@dataclass(frozen=True, slots=True)
class Lines:
    """A screen in words: the headline, then details in order of weight."""

    headline: str
    details: tuple[str, ...] = ()


_R, _F, _H = NotSettledReason, TrackFault, screens.EndedHere
_Reason = NotSettledReason | screens.EndedHere

REASONS: dict[_Reason, tuple[str, str]] = {
    _R.HANDSET_UNREACHABLE: ("The phone cannot be reached.", "電話に接続できません。"),
    _R.DECLINED: ("Declined on the phone.", "電話で拒否されました。"),
    _R.NO_RESPONSE: ("Nobody answered on the phone.", "電話で応答がありませんでした。"),
    _R.APPROVAL_TIMEOUT: ("Not approved on the phone in time.", "時間内に電話で承認されませんでした。"),
    _R.CANCELLED_BY_MERCHANT: ("Cancelled by the shop.", "お店が取り消しました。"),
    _R.READER_UNAVAILABLE: ("The phone could not reach this reader.", "電話がこのリーダーに接続できません。"),
    _R.READER_UNKNOWN: ("The issuer does not know this reader.", "発行会社に未登録のリーダーです。"),
    _R.READER_BLOCKED: ("This reader is blocked.", "このリーダーは停止されています。"),
    _R.READER_NOT_CARDHOLDERS: ("This reader belongs to somebody else.", "他の会員のリーダーです。"),
    _R.CARD_TIMEOUT: ("No card in time.", "時間内にカードが読まれませんでした。"),
    _R.PIN_TIMEOUT: ("No PIN in time.", "時間内に暗証番号が入力されませんでした。"),
    _R.REFUSED_USER_CANCELLED: ("Cancelled here.", "取り消しました。"),
    _R.REFUSED_NO_SWIPE: ("No card was swiped.", "カードが通されませんでした。"),
    _R.REFUSED_UNREADABLE_CARD: ("The card could not be read.", "カードを読み取れませんでした。"),
    _R.REFUSED_NO_PIN: ("No PIN was typed.", "暗証番号が入力されませんでした。"),
    _R.REFUSED_BUSY: ("This reader was busy.", "リーダーは使用中でした。"),
    _R.REFUSED_OFFER_REJECTED: ("This reader refused the offer.", "リーダーが要求を拒否しました。"),
    _R.REFUSED_READER_FAULT: ("This reader failed.", "リーダーの故障です。"),
    _R.ENVELOPE_INVALID: ("The issuer could not open the message.", "発行会社が通信を確認できません。"),
    _R.RESEAL_MISMATCH: ("The issuer's check failed.", "発行会社の検査に失敗しました。"),
    _R.UNKNOWN_CARD: ("The issuer does not know this card.", "登録のないカードです。"),
    _R.EXPIRED_CARD: ("The card has expired.", "カードの有効期限が切れています。"),
    _R.BLOCKED_CARD: ("The card is blocked.", "カードは停止されています。"),
    _R.CARD_NOT_CARDHOLDERS: ("This card is not for this reader.", "このリーダーでは使えないカードです。"),
    _R.INSUFFICIENT_FUNDS: ("Not enough money in the account.", "残高が足りません。"),
    _R.WRONG_PIN: ("The PIN was wrong.", "暗証番号が違います。"),
    _R.PIN_BLOCKED: ("The PIN is blocked: call the issuer.", "暗証番号は停止中です。ご連絡ください。"),
    _R.HANDSET_FAULT: ("The phone failed.", "電話の故障です。"),
    _R.ISSUER_RESTARTED: ("The issuer restarted: try again.", "再起動しました。もう一度お試しください。"),
    _R.INTERNAL_ERROR: ("The issuer failed: try again later.", "発行会社の故障です。後でお試しください。"),
    _H.CONNECTION_LOST: ("The connection was lost.", "接続が切れました。"),
    _H.PHONE_CANCELLED: ("Cancelled on the phone.", "電話で取り消されました。"),
}

FAULTS: dict[TrackFault, tuple[str, str]] = {
    _F.NOTHING_READ: ("Nothing was read.", "読み取れませんでした。"),
    _F.TRACK_ERROR: ("The stripe could not be read.", "磁気を読み取れませんでした。"),
    _F.NO_END_SENTINEL: ("Swipe the whole card.", "カードを最後まで通してください。"),
    _F.TOO_LONG: ("Swipe one card, once.", "一枚を一度だけ通してください。"),
    _F.BAD_MONTH: ("The expiry date was misread.", "有効期限を読み取れませんでした。"),
    _F.EXPIRED: ("The card has expired.", "有効期限切れのカードです。"),
    _F.LUHN: ("The card number was misread.", "番号を読み取れませんでした。"),
    _F.TRACKS_DISAGREE: ("The tracks disagree.", "磁気の内容が一致しません。"),
    _F.NOT_A_BANK_CARD: ("Not a payment card.", "お支払いに使えないカードです。"),
    _F.KEYS_LOST: ("Part of the swipe was lost.", "読み取りが途切れました。"),
    _F.TIMEOUT: ("The swipe did not end.", "読み取りが終わりませんでした。"),
    _F.MALFORMED: ("The stripe was misread.", "磁気を読み取れませんでした。"),
}


def describe(screen: screens.Screen, language: Language) -> Lines:
    """A screen in words. Merchant and order come from a signed offer and are still made safe to show."""
    japanese = language is Language.JAPANESE

    def say(english: str, other: str) -> str:
        return other if japanese else english

    match screen:
        case screens.Idle():
            return Lines(say("Ready", "準備完了"))
        case screens.Offer(bill):
            return Lines(
                say("Swipe your card", "カードを通してください"),
                (*_bill(bill), say("Cancel: Esc", "取消: Esc")),
            )
        case screens.BadSwipe(bill, fault, left):
            swipe_again = say(f"Swipe again ({left} left)", f"もう一度通してください (残り{left}回)")
            return Lines(swipe_again, (FAULTS[fault][japanese], *_bill(bill)))
        case screens.EnterPin():
            return _enter_pin(screen, japanese)
        case screens.Working(bill):
            return Lines(say("Please wait", "お待ちください"), _bill(bill))
        case screens.Cancelling(bill, reason):
            return Lines(say("Cancelling", "取消中"), (REASONS[reason][japanese], *_bill(bill)))
        case screens.Approved(bill):
            return Lines(say("APPROVED", "承認されました"), _bill(bill))
        case screens.NotSettled(bill, reason):
            why = (REASONS[reason][japanese],) if reason is not None else ()
            nothing_paid = say("Nothing was paid.", "支払いはされていません。")
            return Lines(say("NOT SETTLED", "未決済"), (*why, nothing_paid, *_bill(bill)))
        case screens.Unknown(bill):
            headline = say("UNKNOWN: DO NOT PAY AGAIN", "結果不明: もう一度支払わないでください")
            ask = say("Ask the shop whether it is paid. Enter: close", "お店にご確認ください。Enter: 閉じる")
            return Lines(headline, (ask, *_bill(bill)))


def _bill(bill: screens.Bill) -> tuple[str, ...]:
    return format_money(bill.amount), shown(bill.merchant, 40), shown(bill.order, 80)


def _enter_pin(screen: screens.EnterPin, japanese: bool) -> Lines:
    hints = {
        screens.PinHint.NONE: None,
        screens.PinHint.TOO_LONG: (
            "A PIN has at most 12 digits: press Clear.",
            "暗証番号は12桁までです。訂正してください。",
        ),
        screens.PinHint.TOO_SHORT: ("A PIN has at least 4 digits.", "暗証番号は4桁以上です。"),
    }
    hint = hints[screen.hint]
    details = [hint[japanese]] if hint else []
    if screen.again:
        details.append("暗証番号が違います。" if japanese else "That PIN was wrong.")
    if screen.again or screen.tries_left == 1:
        left = screen.tries_left
        details.append(f"残り{left}回" if japanese else f"Tries left: {left}")
    card = f"カード ****{screen.last_four}" if japanese else f"Card ****{screen.last_four}"
    headline = "暗証番号" if japanese else "Enter PIN"
    return Lines(headline, (*details, card, *_bill(screen.bill)))
