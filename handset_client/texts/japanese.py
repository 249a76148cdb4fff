"""What the phone says, in Japanese. The names and keys are those of english.py."""

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
        Step.LOOKING_FOR_READER: "ご確認の間に、カードリーダーに接続しています。",
        Step.READER_READY: "カードリーダーに接続しました。",
        Step.APPROVED_LOOKING_FOR_READER: "承認しました。カードリーダーを探しています。電源を入れてください。",
        Step.WAITING_FOR_ISSUER: "承認しました。銀行に問い合わせています。",
        Step.SWIPE_NOW: "カードリーダーで店名と金額を確かめてから、カードを通してください。",
        Step.CARD_SENT: "カードを読み取り、封をして銀行に送りました。",
        Step.ENTER_PIN: "カードリーダーで暗証番号を入力してください。",
        Step.PIN_SENT: "暗証番号に封をして銀行に送りました。",
        Step.CALLED_OFF: "取りやめました。銀行に伝えています。",
        Step.READER_LOST: "カードリーダーがこのお支払いを見失いました。銀行に伝えています。",
        Step.READER_MISSING: "カードリーダーが見つかりませんでした。銀行に伝えています。",
        Step.ASKING_FOR_OUTCOME: "銀行から応答がありません。お支払いの結果を問い合わせています。",
    }
)

NOTICES: Final[Mapping[NoticeKind, str]] = MappingProxyType(
    {
        NoticeKind.ISSUER_CONNECTED: "{detail} として銀行に接続しました。お店からの請求を待っています。",
        NoticeKind.ISSUER_AWAY: "銀行に接続できません（{detail}）。再試行しています。ネットワークを確かめてください。",
        NoticeKind.ISSUER_RETRY: "まだ銀行に接続できません。{detail} 秒後に再試行します。",
        NoticeKind.ISSUER_COMPLAINED: "銀行がこの電話の通信を受け付けませんでした。お支払いができないときは、このプログラムを更新するか、銀行にお電話ください。",
        NoticeKind.PAYMENT_WAITING: "次のお支払いが待っています: {detail}。今のお支払いの後に表示します。",
        NoticeKind.PAYMENT_WITHDRAWN: "待っていたお支払いが取り下げられました: {detail}。",
        NoticeKind.READER_FOUND: "カードリーダー {detail} が見つかりました。",
        NoticeKind.READER_NOT_FOUND: "カードリーダーがまだ見つかりません。電源を入れ、2 メートル以内に置いてください。"
        "別の電話が使用中のものは見つかりません。",
        NoticeKind.READER_ABSENT: "カードリーダー {detail} が応答しません。電源を入れ、2 メートル以内に置いてください。"
        "別の電話が使用中なら、空くまでお待ちください。",
        NoticeKind.SEVERAL_READERS: "近くに複数のカードリーダーがあります。{detail} を使います。{help}",
        NoticeKind.READER_CONNECTION_LOST: "カードリーダーとの接続が切れました。再接続しています。近くに置いてください。",
        NoticeKind.READER_RESUMED: "カードリーダーに再接続しました。続きから進めます。",
        NoticeKind.READER_FAILED: "カードリーダーとの間に問題があります。再試行しています。近くに置いてください。",
        NoticeKind.READER_BUSY: "カードリーダーは別の電話が使用中です。空くまでお待ちください。",
        NoticeKind.OTHER_READER: "カードリーダー {detail} は、選んだものではありません。引き続き探しています。",
        NoticeKind.READER_TOO_NEW: "カードリーダー {detail} のほうが新しい版です。このプログラムを更新してください。",
        NoticeKind.BLUETOOTH_OFF: "Bluetooth がオフか、ありません。オンにしてください: {help}",
        NoticeKind.BLUETOOTH_DENIED: "このプログラムは Bluetooth を使えません。許可してください: {help}",
        NoticeKind.BLUETOOTH_FAILED: "Bluetooth が応答しません。起動してください: {help}",
        NoticeKind.READER_STATUS: "カードリーダー: {detail}。",
        NoticeKind.OUTCOME_DELIVERED: "カードリーダーに結果を伝えました。",
        NoticeKind.OUTCOME_KEPT: "カードリーダーが見当たりません。次に接続したときに結果を伝えます。",
        NoticeKind.HISTORY_FAILED: "履歴を書き込めませんでした。ディスクの空きと、書き込めるかどうかを確かめてください。",
        NoticeKind.TURNED_AWAY: "{detail}",
    }
)

BLUETOOTH_HELP: Final[Mapping[tuple[NoticeKind, str], str]] = MappingProxyType(
    {
        (
            NoticeKind.BLUETOOTH_OFF,
            "linux",
        ): "bluetoothctl power on（変わらなければ rfkill unblock bluetooth）",
        (NoticeKind.BLUETOOTH_OFF, "darwin"): "システム設定 > Bluetooth",
        (NoticeKind.BLUETOOTH_OFF, "win32"): "設定 > Bluetooth とデバイス > Bluetooth",
        (NoticeKind.BLUETOOTH_DENIED, "linux"): "sudo usermod -aG bluetooth $USER を実行し、ログインし直す",
        (NoticeKind.BLUETOOTH_DENIED, "darwin"): "システム設定 > プライバシーとセキュリティ > Bluetooth で"
        "ターミナルを許可し、このプログラムを起動し直す",
        (
            NoticeKind.BLUETOOTH_DENIED,
            "win32",
        ): "設定 > プライバシーとセキュリティ > 無線 でデスクトップ アプリを許可",
        (NoticeKind.BLUETOOTH_FAILED, "linux"): "sudo systemctl enable --now bluetooth",
        (NoticeKind.BLUETOOTH_FAILED, "darwin"): "システム設定 > Bluetooth をいったんオフにしてオン",
        (NoticeKind.BLUETOOTH_FAILED, "win32"): "services.msc > Bluetooth サポート サービス > 開始",
    }
)

STATUSES: Final[Mapping[Status, str]] = MappingProxyType(
    {
        Status.IDLE: "待機中",
        Status.OFFERED: "請求を表示中",
        Status.WAITING_FOR_CARD: "カード待ち",
        Status.CARD_READ: "カード読み取り済み",
        Status.WAITING_FOR_PIN: "暗証番号待ち",
        Status.PIN_READ: "暗証番号入力済み",
        Status.APPROVED: "成立",
        Status.NOT_SETTLED: "不成立",
        Status.UNKNOWN_OUTCOME: "結果不明",
        Status.BUSY: "使用中",
        Status.ERROR: "故障",
    }
)

AWAY: Final[Mapping[str, str]] = MappingProxyType(
    {
        WhyAway.REFUSED: "接続先に誰もいません",
        WhyAway.NO_ANSWER: "時間内に応答がありません",
        WhyAway.NO_NETWORK: "ネットワークがつながっていません",
        WhyAway.NO_SUCH_NAME: "名前が見つかりません",
        WhyAway.CERTIFICATE: "証明書を信頼できません。独自の証明書には --ca-file が要ります",
        WhyAway.IN_TROUBLE: "応答が正しくありません",
        WhyAway.HUNG_UP: "接続が切れました",
        WhyAway.FAILED: "接続に失敗しました",
    }
)

TURNED_AWAY: Final[Mapping[str, str]] = MappingProxyType(
    {
        TurnedAway.REPLACED: "別のプログラムがこの電話の資格情報で接続したため、停止しました。handset-client は電話ごとに一つだけ起動してください。心当たりがなければ、登録し直してください。",
        TurnedAway.CREDENTIAL_UNKNOWN: "銀行はこの電話の資格情報を知りません。新しいワンタイムコードを銀行にもらい、次を実行してください: handset-client enrol",
        TurnedAway.BLOCKED: "銀行がこの電話を止めています。銀行にお電話ください。もう一度使うには、新しいワンタイムコードが要ります: handset-client enrol",
    }
)

NO_DETAIL: Final = "詳細なし"

_ASK_SHOP: Final = "お支払いを続けるには、お店にもう一度請求してもらってください。"
_ASK_BANK: Final = "銀行にお電話ください。"
_NOTHING: Final = "ほかにすることはありません。"

REASONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        NotSettled.HANDSET_UNREACHABLE: ("この電話につながりませんでした", _ASK_SHOP),
        NotSettled.DECLINED: ("お断りになりました", _NOTHING),
        HowDeclined.AND_BLOCKED: (
            "お断りになり、このお店をブロックしました",
            "このお店からの請求はもう届きません。元に戻すには、銀行に解除を頼んでください。",
        ),
        HowDeclined.BY_RULE: (
            "--approve-below の決まりにより断りました",
            "支払うには、上限を上げるか --headless なしで起動し、お店にもう一度請求してもらってください。",
        ),
        HowDeclined.BY_STOPPING: (
            "お支払いの前に、この電話の電源が切られました",
            "起動し直し、お支払いを続けるには、お店にもう一度請求してもらってください。",
        ),
        NotSettled.NO_RESPONSE: ("時間内に返答がありませんでした", _ASK_SHOP),
        NotSettled.APPROVAL_TIMEOUT: ("時間内に承認がありませんでした", _ASK_SHOP),
        NotSettled.CANCELLED_BY_MERCHANT: ("お店が取り消しました", _NOTHING),
        NotSettled.READER_UNAVAILABLE: (
            "カードリーダーにつながりませんでした",
            "カードリーダーの電源を入れて電話の近くに置き、お店にもう一度請求してもらってください。",
        ),
        NotSettled.READER_UNKNOWN: (
            "銀行に登録されていないカードリーダー{reader}です",
            "ご自分のカードリーダーを使う（設定か --reader で選べます）か、このリーダーを銀行に登録して、お店にもう一度請求してもらってください。",
        ),
        NotSettled.READER_BLOCKED: ("カードリーダー{reader}が銀行に止められています", _ASK_BANK),
        NotSettled.READER_NOT_CARDHOLDERS: (
            "ほかの人のカードリーダー{reader}です",
            "ご自分のカードリーダーを使い（設定か --reader で選べます）、お店にもう一度請求してもらってください。",
        ),
        NotSettled.CARD_TIMEOUT: ("時間内にカードが通されませんでした", _ASK_SHOP),
        NotSettled.PIN_TIMEOUT: ("時間内に暗証番号が入力されませんでした", _ASK_SHOP),
        NotSettled.REFUSED_USER_CANCELLED: ("カードリーダーで取り消されました", _NOTHING),
        NotSettled.REFUSED_NO_SWIPE: ("時間内にカードが通されませんでした", _ASK_SHOP),
        NotSettled.REFUSED_UNREADABLE_CARD: (
            "カードを読み取れませんでした",
            "カードの磁気面を拭くか別のカードを使い、お店にもう一度請求してもらってください。",
        ),
        NotSettled.REFUSED_NO_PIN: ("時間内に暗証番号が入力されませんでした", _ASK_SHOP),
        NotSettled.REFUSED_OFFER_REJECTED: (
            "カードリーダー{reader}が銀行の鍵を受け付けませんでした",
            "繰り返すときは、カードリーダーを登録し直してください。別の銀行のものかもしれません。",
        ),
        NotSettled.REFUSED_BUSY: (
            "カードリーダー{reader}が使用中でした",
            "空くのを待って、お店にもう一度請求してもらってください。",
        ),
        NotSettled.REFUSED_READER_FAULT: (
            "カードリーダー{reader}が故障しています",
            "カードリーダーを再起動し、お店にもう一度請求してもらってください。",
        ),
        NotSettled.ENVELOPE_INVALID: ("カードのデータが壊れて届きました", _ASK_SHOP),
        NotSettled.RESEAL_MISMATCH: ("カードのデータが銀行の検査に通りませんでした", _ASK_SHOP),
        NotSettled.UNKNOWN_CARD: ("銀行に登録のないカードです", "この銀行のカードを使ってください。"),
        NotSettled.EXPIRED_CARD: (
            "カードの有効期限が切れています",
            "新しいカードを使うか、銀行にお電話ください。",
        ),
        NotSettled.BLOCKED_CARD: ("カードが止められています", _ASK_BANK),
        NotSettled.CARD_NOT_CARDHOLDERS: ("ほかの人のカードです", "ご自分のカードを使ってください。"),
        NotSettled.INSUFFICIENT_FUNDS: (
            "口座の残高が足りません",
            "入金するか、別の方法でお支払いください。",
        ),
        NotSettled.WRONG_PIN: (
            "暗証番号が違います",
            "お店にもう一度請求してもらい、暗証番号を確かめて入力してください。",
        ),
        NotSettled.PIN_BLOCKED: ("暗証番号をこれ以上試せません", _ASK_BANK),
        NotSettled.HANDSET_FAULT: ("この電話がお支払いを見失いました", _ASK_SHOP),
        NotSettled.ISSUER_RESTARTED: ("銀行のシステムが再起動しました", _ASK_SHOP),
        NotSettled.INTERNAL_ERROR: (
            "銀行のシステムに障害があります",
            "しばらくしてからやり直すか、銀行にお電話ください。",
        ),
    }
)

REASON_UNKNOWN: Final = ("銀行からの理由はこの電話では分かりません", _ASK_SHOP)

WHAT: Final = "{merchant} {amount}"
WITH_CARD: Final = "（カード末尾 {last_four}）"
WHICH_READER: Final = "（{reader}）"

ENDINGS: Final[Mapping[End, tuple[str, str]]] = MappingProxyType(
    {
        End.COMPLETED: ("支払いました: {what}{card}。", _NOTHING),
        End.NOT_SETTLED: ("支払っていません: {what}。{why}。", "{next_step}"),
        End.UNKNOWN: (
            "支払われたかどうか、まだ分かりません: {what}。",
            "もう一度支払わないでください。カードリーダーの表示を見るか、お店か銀行にお尋ねください。",
        ),
        End.SEE_READER: (
            "銀行の判断は出ましたが、この電話には読めません: {what}。",
            "カードリーダーに表示されます。見るまでは、もう一度支払わないでください。",
        ),
    }
)

SWITCHED_OFF: Final = (
    "支払われたかどうか、まだ分かりません: {what}。銀行の返答の前に、この電話の電源が切られました。",
    "もう一度支払わないでください。この電話を起動し直すと、銀行に問い合わせます。または、カードリーダーの表示を見るか、お店か銀行にお尋ねください。",
)

DOUBTS: Final[Mapping[End, str]] = MappingProxyType(
    {
        End.UNKNOWN: "{merchant} への {amount} のお支払いは、まだ結果が分かりません。もう一度支払わないでください。カードリーダーの表示を見るか、お店か銀行にお尋ねください。",
        End.SEE_READER: "{merchant} への {amount} のお支払いの結果は、カードリーダーに表示されます。見るまでは、もう一度支払わないでください。",
    }
)

AMENDED: Final = "分からなかった結果が分かりました。"

TERMINAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "shop": "お店",
        "amount": "金額",
        "order": "内容",
        "keys": "[A] 承認   [D] 断る   [B] ブロック",
        "keys_piped": "a（承認）、d（断る）、b（断ってブロック）のどれかを入力し、Enter を押してください。残り {seconds} 秒",
        "confirm_block": "断って、{merchant} をブロックしますか？ このお店からの請求は届かなくなり、元に戻せるのは銀行だけです。X でブロック、ほかのキーで戻ります。",
        "not_blocked": "ブロックしませんでした。A で承認、D で断ります。",
        "seconds_left": "残り {seconds} 秒",
        "hint_undecided": "A で承認、D で断ります。B で断ってお店をブロックします（Q で終了）。",
        "hint_revocable": "D でこのお支払いを取りやめます。",
        "choose_reader": "選んでおくには: handset-client readers",
        "page_link": "電話の画面: {link}",
        "page_keys": "リンクは一度だけ使えます。L で新しいリンクを出し、Q で終了します。",
        "page_another": "新しいリンク: {link}",
        "hint_too_late": "もう取りやめられません。結果をお待ちください。",
    }
)

PAGE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "title": "Blind Relay",
        "home": "お支払い",
        "skip": "本文へ移動",
        "tagline": "自分のリーダーで払う。\n中身は見えない。",
        "tagline_more": "このページがあなたの電話です。カードリーダーが銀行あてに封をしたものを運ぶだけで、読むことはできません。",
        "keys_title": "キーボード",
        "key_approve": "承認する",
        "key_decline": "断る・取りやめる",
        "key_block": "断ってブロックする",
        "key_done": "レシートを閉じる・戻る",
        "settings": "設定",
        "back": "戻る",
        "connections": "接続",
        "bank": "銀行",
        "bank_connecting": "接続しています…",
        "bank_connected": "接続しました。請求を待っています。",
        "bank_away": "接続できません。再試行しています。ネットワークを確かめてください。",
        "number": "あなたの番号",
        "number_hint": "支払うお店に伝えてください。",
        "reader": "カードリーダー",
        "reader_idle": "お店から請求が来ると、自動で接続します。",
        "reader_looking": "接続しています…",
        "reader_ready": "接続しました。",
        "history": "履歴",
        "history_empty": "お支払いはまだありません",
        "history_empty_hint": "お店からの請求は、ここに表示されます。",
        "request": "お支払いの請求",
        "request_of": "{merchant} から {amount} の請求",
        "wants": "からの請求",
        "for": "内容",
        "approve": "承認する",
        "decline": "断る",
        "block": "断って、この店をブロックする",
        "block_title": "{merchant} をブロックしますか？",
        "block_text": "この請求を断り、このお店からの請求がこの電話に届かないようにします。元に戻せるのは銀行だけです。",
        "block_back": "戻る",
        "block_confirm": "断ってブロックする",
        "seconds_left": "あと {seconds} 秒で締め切り",
        "check": "店名と金額を確かめてください。カードを読むのは、あなたのカードリーダーだけです。",
        "answering": "お待ちください…",
        "progress": "お支払い",
        "stage_reader": "カードリーダー",
        "stage_bank": "銀行",
        "stage_card": "カードリーダーにカードを通す",
        "stage_pin": "カードリーダーで暗証番号を入力する",
        "stage_result": "レシート",
        "stage_done": "完了",
        "stage_current": "進行中",
        "head_reader": "リーダーに接続中",
        "head_bank": "銀行に問い合わせ中",
        "head_card": "カードを通す",
        "head_card_sent": "カードを送信しました",
        "head_pin": "暗証番号を入力",
        "head_pin_sent": "もうすぐ終わります",
        "head_ending": "お支払いを終了中",
        "head_asking": "結果を問い合わせ中",
        "call_off": "取りやめる",
        "too_late": "このお支払いは、もう取りやめられません。",
        "receipt": "レシート",
        "paid": "支払い完了",
        "not_paid": "支払っていません",
        "not_known": "まだ分かりません",
        "see_reader": "リーダーの表示を確認",
        "known_now": "分からなかった結果が分かりました。{happened}",
        "next": "次にすること",
        "shop": "お店",
        "card": "カード",
        "card_ending": "末尾 {last_four}",
        "when": "日時",
        "done": "閉じる",
        "dismiss": "通知を閉じる",
        "language": "言語",
        "theme": "テーマ",
        "theme_system": "システム",
        "theme_light": "ライト",
        "theme_dark": "ダーク",
        "reader_choice": "使うカードリーダー",
        "reader_any": "応答したリーダー",
        "reader_any_hint": "近くに自分のリーダーしかないときに。",
        "reader_seen": "この電話が見つけたもの",
        "choose_reader": "自分のものでなければ、設定で選んでください。",
        "reader_next": "次のお支払いから有効です。",
        "attention": "請求が来たとき",
        "sound": "音を鳴らす",
        "notify": "デスクトップに通知する",
        "hint_touch": "一度、この画面に触れてください。それまでは、請求が届いてもブラウザーは音を鳴らしません。",
        "hint_sound": "音がオフです。請求が届いても音が鳴りません。",
        "hint_notify": "通知がオフです。この画面が隠れていると、請求に気づかないことがあります。",
        "hint_denied": "ブラウザーがこのページの通知を許可していません。この画面が隠れていると、請求に気づかないことがあります。ブラウザーの設定で、このページの通知を許可してください。",
        "hint_on": "オンにする",
        "hint_away": "このヒントを今後表示しない",
        "notify_denied": "ブラウザーが許可していません。先にこのページの通知を許可してください。",
        "privacy": "この電話が知っていること",
        "privacy_text": "店名、金額、内容、結果、カード番号の下 4 桁だけです。カード番号と暗証番号は、カードリーダーが銀行あてに封をするので、この電話には分かりません。",
        "offline": "電話のプログラムが応答しません。再試行しています…",
        "closed": "このページはロックされています",
        "closed_text": "この電話で支払えるのは、このコンピューターを使っている本人だけです。handset-client が端末に表示したリンクを開いてください。リンクは一度だけ使えます。端末で L を押すと新しいリンクが出ます。",
        "stopped": "電話の電源が切れています",
        "reconnect": "再接続する",
        "stopped_text": "handset-client が終了しました。もう一度起動してください: handset-client run",
    }
)
