"""What the phone says, in English. Its sister files hold the same names and keys."""

# ruff: noqa: E501 - a sentence stays in one piece, and full-width characters count twice

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from handset_client.effects import End, HowDeclined, NoticeKind, Step, TurnedAway, WhyAway
from protocol.gatt import Status
from protocol.messages import NotSettled

STEPS: Final[Mapping[Step, str]] = MappingProxyType(
    {
        Step.LOOKING_FOR_READER: "Connecting to your card reader while you decide.",
        Step.READER_READY: "Your card reader is connected.",
        Step.APPROVED_LOOKING_FOR_READER: "Approved. Looking for your card reader: switch it on.",
        Step.WAITING_FOR_ISSUER: "Approved. Asking your bank.",
        Step.SWIPE_NOW: "Check shop and amount on the reader, then swipe your card.",
        Step.CARD_SENT: "Card read, sealed and sent to your bank.",
        Step.ENTER_PIN: "Enter your PIN on the reader.",
        Step.PIN_SENT: "PIN sealed and sent to your bank.",
        Step.CALLED_OFF: "Called off. Telling your bank.",
        Step.READER_LOST: "The card reader lost this payment. Telling your bank.",
        Step.READER_MISSING: "No card reader was found. Telling your bank.",
        Step.ASKING_FOR_OUTCOME: "Your bank has gone quiet. Asking how this payment ended.",
    }
)

NOTICES: Final[Mapping[NoticeKind, str]] = MappingProxyType(
    {
        NoticeKind.ISSUER_CONNECTED: "Connected to your bank as {detail}. Waiting to be called.",
        NoticeKind.ISSUER_AWAY: "No connection to your bank ({detail}). Trying again; check the network.",
        NoticeKind.ISSUER_RETRY: "Still no connection to your bank. Next try in {detail} s.",
        NoticeKind.ISSUER_COMPLAINED: "Your bank did not understand this phone. If payments fail, update this program or call your bank.",
        NoticeKind.PAYMENT_WAITING: "Another payment is waiting: {detail}. It comes up after this one.",
        NoticeKind.PAYMENT_WITHDRAWN: "A waiting payment was withdrawn: {detail}.",
        NoticeKind.READER_FOUND: "Card reader {detail} found.",
        NoticeKind.READER_NOT_FOUND: "No card reader found yet. Switch it on and keep it within two metres; "
        "one that another phone is using cannot be seen.",
        NoticeKind.READER_ABSENT: "Your card reader {detail} does not answer. Switch it on and keep it within "
        "two metres; if another phone is using it, wait until it is free.",
        NoticeKind.SEVERAL_READERS: "Several card readers are in range: using {detail}. {help}",
        NoticeKind.READER_CONNECTION_LOST: "Connection to the card reader lost. Reconnecting; keep it near.",
        NoticeKind.READER_RESUMED: "Card reader connected again; going on where it stopped.",
        NoticeKind.READER_FAILED: "Trouble with the card reader. Trying again; keep it near.",
        NoticeKind.READER_BUSY: "The card reader is in use by another phone. Wait until it is free.",
        NoticeKind.OTHER_READER: "Card reader {detail} is not the one chosen. Looking further.",
        NoticeKind.READER_TOO_NEW: "Card reader {detail} speaks a newer version. Update this program.",
        NoticeKind.BLUETOOTH_OFF: "Bluetooth is off or missing. Switch it on: {help}",
        NoticeKind.BLUETOOTH_DENIED: "This program may not use Bluetooth. Allow it: {help}",
        NoticeKind.BLUETOOTH_FAILED: "Bluetooth does not answer. Start it: {help}",
        NoticeKind.READER_STATUS: "Card reader: {detail}.",
        NoticeKind.OUTCOME_DELIVERED: "The card reader has the outcome.",
        NoticeKind.OUTCOME_KEPT: "The card reader is away. It gets the outcome when it is next connected.",
        NoticeKind.HISTORY_FAILED: "Could not write the history. Check the disk: it may be full, or not yours to write on.",
        NoticeKind.TURNED_AWAY: "{detail}",
    }
)

BLUETOOTH_HELP: Final[Mapping[tuple[NoticeKind, str], str]] = MappingProxyType(
    {
        (
            NoticeKind.BLUETOOTH_OFF,
            "linux",
        ): "bluetoothctl power on (if it stays off: rfkill unblock bluetooth).",
        (NoticeKind.BLUETOOTH_OFF, "darwin"): "System Settings > Bluetooth.",
        (NoticeKind.BLUETOOTH_OFF, "win32"): "Settings > Bluetooth & devices > Bluetooth.",
        (NoticeKind.BLUETOOTH_DENIED, "linux"): "sudo usermod -aG bluetooth $USER, then log in again.",
        (
            NoticeKind.BLUETOOTH_DENIED,
            "darwin",
        ): "System Settings > Privacy & Security > Bluetooth, switch on your "
        "terminal, then start this program again.",
        (
            NoticeKind.BLUETOOTH_DENIED,
            "win32",
        ): "Settings > Privacy & security > Radios, let desktop apps control radios.",
        (NoticeKind.BLUETOOTH_FAILED, "linux"): "sudo systemctl enable --now bluetooth",
        (NoticeKind.BLUETOOTH_FAILED, "darwin"): "System Settings > Bluetooth, switch it off and on.",
        (NoticeKind.BLUETOOTH_FAILED, "win32"): "services.msc > Bluetooth Support Service > Start.",
    }
)
"""What to do, by what is wrong and by sys.platform. What is not here is a Linux of some kind."""

STATUSES: Final[Mapping[Status, str]] = MappingProxyType(
    {status: status.name.lower().replace("_", " ").replace("pin", "PIN") for status in Status}
)

AWAY: Final[Mapping[str, str]] = MappingProxyType(
    {
        WhyAway.REFUSED: "nobody answers there",
        WhyAway.NO_ANSWER: "no answer in time",
        WhyAway.NO_NETWORK: "no way there",
        WhyAway.NO_SUCH_NAME: "its name is not found",
        WhyAway.CERTIFICATE: "its certificate is not trusted; a private one needs --ca-file",
        WhyAway.IN_TROUBLE: "it answers, but not as it should",
        WhyAway.HUNG_UP: "the connection was cut",
        WhyAway.FAILED: "the connection failed",
    }
)

TURNED_AWAY: Final[Mapping[str, str]] = MappingProxyType(
    {
        TurnedAway.REPLACED: "Another program connected with this phone's credential, so this one stops. Run one handset-client for each phone; enrol again if it was not you.",
        TurnedAway.CREDENTIAL_UNKNOWN: "Your bank does not know this phone's credential. Ask it for a new one-time code and run: handset-client enrol",
        TurnedAway.BLOCKED: "Your bank has blocked this phone. Call your bank; to use it again you need a new one-time code: handset-client enrol",
    }
)

NO_DETAIL: Final = "no details"

_ASK_SHOP: Final = "Ask the shop to try again if you still want to pay."
_ASK_BANK: Final = "Call your bank."

REASONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        NotSettled.HANDSET_UNREACHABLE: ("this phone could not be reached", _ASK_SHOP),
        NotSettled.DECLINED: ("you declined", "Nothing more to do."),
        HowDeclined.AND_BLOCKED: (
            "you declined and blocked this shop",
            "It cannot ask this phone again. Changed your mind? Ask your bank to unblock it.",
        ),
        HowDeclined.BY_RULE: (
            "the rule of --approve-below declined it",
            "To pay it, raise the limit or run without --headless, and ask the shop to try again.",
        ),
        HowDeclined.BY_STOPPING: (
            "this phone was switched off before it was paid",
            "Start it again, and ask the shop to try again if you still want to pay.",
        ),
        NotSettled.NO_RESPONSE: ("there was no answer in time", _ASK_SHOP),
        NotSettled.APPROVAL_TIMEOUT: ("there was no approval in time", _ASK_SHOP),
        NotSettled.CANCELLED_BY_MERCHANT: ("the shop cancelled it", "Nothing more to do."),
        NotSettled.READER_UNAVAILABLE: (
            "your card reader could not be reached",
            "Switch the reader on, keep it near the phone, and ask the shop to try again.",
        ),
        NotSettled.READER_UNKNOWN: (
            "your bank does not know this card reader{reader}",
            "Use your own reader (choose it in the settings, or with --reader), or enrol this one with your bank; then ask the shop to try again.",
        ),
        NotSettled.READER_BLOCKED: ("your bank has blocked this card reader{reader}", _ASK_BANK),
        NotSettled.READER_NOT_CARDHOLDERS: (
            "this card reader{reader} belongs to somebody else",
            "Use your own reader (choose it in the settings, or with --reader), and ask the shop to try again.",
        ),
        NotSettled.CARD_TIMEOUT: ("no card was swiped in time", _ASK_SHOP),
        NotSettled.PIN_TIMEOUT: ("no PIN was entered in time", _ASK_SHOP),
        NotSettled.REFUSED_USER_CANCELLED: ("it was cancelled on the card reader", "Nothing more to do."),
        NotSettled.REFUSED_NO_SWIPE: ("no card was swiped in time", _ASK_SHOP),
        NotSettled.REFUSED_UNREADABLE_CARD: (
            "the card could not be read",
            "Clean the card's stripe or use another card, and ask the shop to try again.",
        ),
        NotSettled.REFUSED_NO_PIN: ("no PIN was entered in time", _ASK_SHOP),
        NotSettled.REFUSED_OFFER_REJECTED: (
            "the card reader{reader} did not accept the bank's offer",
            "If it happens again, enrol the reader anew: it may belong to another bank.",
        ),
        NotSettled.REFUSED_BUSY: (
            "the card reader{reader} was busy",
            "Wait until it is free; ask the shop to try again.",
        ),
        NotSettled.REFUSED_READER_FAULT: (
            "the card reader{reader} has a fault",
            "Restart the reader, and ask the shop to try again.",
        ),
        NotSettled.ENVELOPE_INVALID: ("the card data arrived damaged", _ASK_SHOP),
        NotSettled.RESEAL_MISMATCH: ("the card data failed your bank's check", _ASK_SHOP),
        NotSettled.UNKNOWN_CARD: ("your bank does not know this card", "Use a card of this bank."),
        NotSettled.EXPIRED_CARD: ("the card has expired", "Use your new card, or call your bank."),
        NotSettled.BLOCKED_CARD: ("the card is blocked", _ASK_BANK),
        NotSettled.CARD_NOT_CARDHOLDERS: ("the card belongs to somebody else", "Use your own card."),
        NotSettled.INSUFFICIENT_FUNDS: (
            "there is not enough money on the account",
            "Top up, or pay another way.",
        ),
        NotSettled.WRONG_PIN: ("the PIN was wrong", "Ask the shop to try again, and take care with the PIN."),
        NotSettled.PIN_BLOCKED: ("there are no PIN tries left", _ASK_BANK),
        NotSettled.HANDSET_FAULT: ("this phone lost the payment", _ASK_SHOP),
        NotSettled.ISSUER_RESTARTED: ("your bank's system restarted", _ASK_SHOP),
        NotSettled.INTERNAL_ERROR: ("your bank's system failed", "Try again later, or call your bank."),
    }
)

REASON_UNKNOWN: Final = ("your bank gave no reason known here", _ASK_SHOP)

WHAT: Final = "{amount} to {merchant}"
WITH_CARD: Final = " with card ending {last_four}"
WHICH_READER: Final = " ({reader})"

ENDINGS: Final[Mapping[End, tuple[str, str]]] = MappingProxyType(
    {
        End.COMPLETED: ("Paid {what}{card}.", "Nothing more to do."),
        End.NOT_SETTLED: ("Not paid: {what}: {why}.", "{next_step}"),
        End.UNKNOWN: (
            "Not known yet whether {what} was paid.",
            "Do not pay again. Look at the reader's display, or ask the shop or your bank.",
        ),
        End.SEE_READER: (
            "Your bank has decided about {what}; this phone cannot read the answer.",
            "The reader's display shows it. Do not pay again before you have seen it.",
        ),
    }
)
"""How a payment ended, and the next step, as two lines."""

SWITCHED_OFF: Final = (
    "Not known yet whether {what} was paid: this phone was switched off before your bank had answered.",
    "Do not pay again. Start this phone again, and it asks your bank. Or look at the reader's display, or ask the shop or your bank.",
)
"""The same for an end that this phone did not wait for."""

DOUBTS: Final[Mapping[End, str]] = MappingProxyType(
    {
        End.UNKNOWN: "The payment of {amount} to {merchant} is not known yet: do not pay it again. Look at the reader's display, or ask the shop or your bank.",
        End.SEE_READER: "The reader's display shows how the payment of {amount} to {merchant} ended. Do not pay it again before you have seen it.",
    }
)
"""What is left to say of a payment in doubt when another one is on show."""

AMENDED: Final = "It is known now. "
"""Before the first of these lines, where the person had been left in doubt."""

TERMINAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "shop": "Shop",
        "amount": "Amount",
        "order": "For",
        "keys": "[A]pprove   [D]ecline   [B]lock",
        "keys_piped": "Type a (approve), d (decline) or b (decline and block), Enter.   {seconds} seconds to answer",
        "confirm_block": "Decline, and block {merchant}? It cannot ask this phone again; only your bank can undo it. Press X to block. Any other key goes back.",
        "not_blocked": "Not blocked. Press A to approve or D to decline.",
        "seconds_left": "{seconds} seconds left",
        "hint_undecided": "Press A to approve or D to decline; B declines and blocks the shop (Q quits).",
        "hint_revocable": "Press D to call this payment off.",
        "choose_reader": "To choose one for good: handset-client readers",
        "page_link": "The phone's screen: {link}",
        "page_keys": "The link works once. Press L for another, Q to quit.",
        "page_another": "Another link: {link}",
        "hint_too_late": "It is too late to call this payment off. Wait for the result.",
    }
)
"""What the screen in a terminal says beside the above."""

PAGE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "title": "Blind Relay",
        "home": "Payments",
        "skip": "Skip to the content",
        "tagline": "Pays with your reader.\nSees none of it.",
        "tagline_more": "This page is your phone. It carries what your card reader seals for your bank, and can read none of it.",
        "keys_title": "Keyboard",
        "key_approve": "Approve",
        "key_decline": "Decline, or call off",
        "key_block": "Decline and block",
        "key_done": "Close a receipt, go back",
        "settings": "Settings",
        "back": "Back",
        "connections": "Connections",
        "bank": "Your bank",
        "bank_connecting": "Connecting …",
        "bank_connected": "Connected. Waiting to be called.",
        "bank_away": "No connection. Trying again; check the network.",
        "number": "Your number",
        "number_hint": "Tell it to the shop that you want to pay.",
        "reader": "Card reader",
        "reader_idle": "Connects by itself when a shop asks.",
        "reader_looking": "Connecting …",
        "reader_ready": "Connected.",
        "history": "History",
        "history_empty": "No payments yet",
        "history_empty_hint": "When a shop asks for money, the request comes up here.",
        "request": "Payment request",
        "request_of": "{merchant} asks for {amount}",
        "wants": "asks for",
        "for": "For",
        "approve": "Approve",
        "decline": "Decline",
        "block": "Decline and block this shop",
        "block_title": "Block {merchant}?",
        "block_text": "This declines the request, and the shop cannot ask this phone again. Only your bank can undo it.",
        "block_back": "Back",
        "block_confirm": "Decline and block",
        "seconds_left": "{seconds} seconds to answer",
        "check": "Check shop and amount. Your card is read by your own reader.",
        "answering": "One moment …",
        "progress": "Payment",
        "stage_reader": "Card reader",
        "stage_bank": "Your bank",
        "stage_card": "Swipe your card on the reader",
        "stage_pin": "Enter your PIN on the reader",
        "stage_result": "Receipt",
        "stage_done": "done",
        "stage_current": "now",
        "head_reader": "Connecting to reader",
        "head_bank": "Asking your bank",
        "head_card": "Swipe your card",
        "head_card_sent": "Card sent",
        "head_pin": "Enter your PIN",
        "head_pin_sent": "Almost done",
        "head_ending": "Ending the payment",
        "head_asking": "Asking how it ended",
        "call_off": "Call off",
        "too_late": "It is too late to call this payment off.",
        "receipt": "Receipt",
        "paid": "Paid",
        "not_paid": "Not paid",
        "not_known": "Not known yet",
        "see_reader": "Look at the reader",
        "known_now": "It is known now. {happened}",
        "next": "What to do next",
        "shop": "Shop",
        "card": "Card",
        "card_ending": "ending {last_four}",
        "when": "When",
        "done": "Done",
        "dismiss": "Dismiss",
        "language": "Language",
        "theme": "Theme",
        "theme_system": "System",
        "theme_light": "Light",
        "theme_dark": "Dark",
        "reader_choice": "Which card reader",
        "reader_any": "Any reader that answers",
        "reader_any_hint": "Good where yours is the only one near.",
        "reader_seen": "Seen by this phone",
        "choose_reader": "If that is not yours, choose yours under Settings.",
        "reader_next": "Counts from the next payment on.",
        "attention": "When a request comes",
        "sound": "Play a sound",
        "notify": "Notify on the desktop",
        "hint_touch": "Click or tap here once: until then your browser plays no sound when a request comes.",
        "hint_sound": "Sound is off: you do not hear when a request comes.",
        "hint_notify": "Notifications are off: behind other windows, this page may go unseen when a request comes.",
        "hint_denied": "Your browser allows no notifications: behind other windows, this page may go unseen when a request comes. Allow them in the browser's settings for this page.",
        "hint_on": "Turn on",
        "hint_away": "Do not show this hint again",
        "notify_denied": "This browser does not allow it. Allow notifications for this page first.",
        "privacy": "What this phone knows",
        "privacy_text": "Shop, amount, order, outcome and the card's last four digits. Never the card number, never the PIN: your reader seals them for your bank.",
        "offline": "The phone program does not answer. Trying again …",
        "closed": "This page is locked",
        "closed_text": "Only the person at this computer may pay with this phone. Open the link that handset-client shows in its terminal; each link works once. Press L there for a new one.",
        "stopped": "The phone is switched off",
        "stopped_text": "handset-client has stopped. Start it again: handset-client run",
        "reconnect": "Connect again",
    }
)
"""The labels of the page. Names in braces are filled in by the page."""
