"""Text for a character display: ASCII and half-width katakana (HD44780, character ROM A00), no kanji.

The reader's own Japanese sentences have readings here. Of a stranger's text kana and Latin letters are kept,
accents are dropped, and a kanji becomes '?': a reader for Japanese shops wants an OLED.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from reader_peripheral.texts import Lines

_HIRAGANA: Final = range(0x3041, 0x3097)
_TO_KATAKANA: Final = 0x60
_MARKS: Final = {"\u3099": "ﾞ", "\u309a": "ﾟ"}
_HALF: Final[Mapping[str, str]] = MappingProxyType(
    {unicodedata.normalize("NFKC", chr(half)): chr(half) for half in range(0xFF61, 0xFF9E)}
)
# ROM A00 has a yen sign at the backslash and an arrow at the tilde.
_ALIKE: Final = str.maketrans(
    {
        "\\": "/",
        "~": "-",
        "‐": "-",
        "–": "-",
        "—": "-",
        "−": "-",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "×": "x",
    }
)

READINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "準備完了": "ジュンビカンリョウ",
        "お支払いをお待ちしています。": "オシハライヲ オマチシテイマス",
        "カードをどうぞ": "カードヲ ドウゾ",
        "磁気リーダーに通してください。": "リーダーニ トオシテクダサイ",
        "もう一度どうぞ": "モウイチド ドウゾ",
        "暗証番号を入力": "アンショウバンゴウ",
        "お待ちください": "オマチクダサイ",
        "取消中": "トリケシチュウ",
        "承認されました": "ショウニンサレマシタ",
        "お支払い不成立": "オシハライ フセイリツ",
        "結果不明　再払い禁止": "サイバライ キンシ",
        "お店にご確認ください。": "ケッカフメイ: オミセニ ゴカクニンクダサイ",
        "Enterで閉じます。": "Enter: トジル",
        "次が最後です。": "ツギガ サイゴデス",
        "残り1回": "ノコリ 1カイ",
        "残り2回": "ノコリ 2カイ",
        "残り3回": "ノコリ 3カイ",
        "残り4回": "ノコリ 4カイ",
        "残り5回": "ノコリ 5カイ",
        "残り6回": "ノコリ 6カイ",
        "残り7回": "ノコリ 7カイ",
        "残り8回": "ノコリ 8カイ",
        "残り9回": "ノコリ 9カイ",
        "12桁までです。訂正キーかBackspaceを。": "12ケタマデ: テイセイキーカ Backspaceヲ",
        "暗証番号は4桁以上です。": "アンショウバンゴウハ 4ケタ イジョウデス",
        "暗証番号が違います。": "アンショウバンゴウガ チガイマス",
        "スマホに接続できません。もう一度お試しください。": "スマホニ セツゾクデキマセン モウイチドドウゾ",
        "スマホで拒否されました。": "スマホデ キョヒサレマシタ",
        "スマホの応答がありません。もう一度お試しください。": (
            "スマホノ オウトウガ アリマセン モウイチドドウゾ"
        ),
        "スマホで承認されませんでした。もう一度お試しください。": (
            "スマホデ ショウニン サレマセン モウイチドドウゾ"
        ),
        "お店が取り消しました。": "オミセガ トリケシマシタ",
        "リーダーに接続できません。もう一度お試しください。": (
            "リーダーニ セツゾクデキマセン モウイチドドウゾ"
        ),
        "このリーダーは停止中です。カード会社にご連絡ください。": (
            "リーダーハ テイシチュウ カードガイシャニ ゴレンラクヲ"
        ),
        "暗証番号が時間切れです。もう一度お試しください。": (
            "アンショウバンゴウガ ジカンギレデス モウイチドドウゾ"
        ),
        "取り消しました。": "トリケシマシタ",
        "暗証番号がありません。もう一度お試しください。": "アンショウバンゴウガ アリマセン モウイチドドウゾ",
        "リーダーは使用中でした。もう一度お試しください。": (
            "リーダーハ シヨウチュウデシタ モウイチド オタメシクダサイ"
        ),
        "リーダーの不具合です。もう一度お試しください。": (
            "リーダーノ フグアイデス モウイチド オタメシクダサイ"
        ),
        "通信を確認できません。もう一度お試しください。": (
            "ツウシンヲ カクニンデキマセン モウイチド オタメシクダサイ"
        ),
        "検査に失敗しました。もう一度お試しください。": (
            "ケンサニ シッパイシマシタ モウイチド オタメシクダサイ"
        ),
        "カードは停止中です。カード会社にご連絡ください。": (
            "カードハ テイシチュウ カードガイシャニ ゴレンラクヲ"
        ),
        "暗証番号は停止中です。カード会社にご連絡ください。": (
            "アンショウバンゴウ テイシチュウ カードガイシャニ ゴレンラクヲ"
        ),
        "スマホの不具合です。もう一度お試しください。": "スマホノ フグアイデス モウイチド オタメシクダサイ",
        "中断されました。もう一度お試しください。": "チュウダンサレマシタ モウイチド オタメシクダサイ",
        "カード会社の障害です。後でお試しください。": (
            "カードガイシャノ ショウガイデス アトデ オタメシクダサイ"
        ),
        "スマホで取り消されました。": "スマホデ トリケサレマシタ",
        "カードの向きをご確認ください。": "カードノ ムキヲ ゴカクニンクダサイ",
        "向きを確かめ、一定の速さで。": "ムキヲ タシカメ イッテイノ ハヤサデ",
        "カードを最後まで通してください。": "カードヲ サイゴマデ トオシテクダサイ",
        "一枚を一度だけ通してください。": "イチマイヲ イチドダケ トオシテクダサイ",
        "有効期限切れです。別のカードで。": "ユウコウキゲンギレデス ベツノ カードデ",
        "もう少しゆっくり通してください。": "モウスコシ ユックリ トオシテクダサイ",
        "代金は支払われていません。": "シハラッテ イマセン",
        "未登録のリーダーです。登録してください。": "ミトウロクデス トウロク シテクダサイ",
        "ご本人のリーダーをどうぞ。": "ゴホンニンノ リーダーヲ ドウゾ",
        "ICチップは使えません。": "ICチップハ ツカエマセン",
        "時間切れです。ICチップは使えません。": "ジカンギレデス ICチップハ ツカエマセン",
        "カードが通されませんでした。ICチップは使えません。": (
            "カードガ ミツカリマセン ICチップハ ツカエマセン"
        ),
        "読み取れませんでした。別のカードで。": "ヨミトレマセンデシタ ベツノ カードデ",
        "要求を信頼できません。お店にご確認を。": "シンライデキマセン オミセニ ゴカクニンヲ",
        "登録のないカードです。別のカードで。": "トウロクガ アリマセン ベツノ カードデ",
        "ここでは使えないカードです。別のカードで。": "ココデハ ツカエマセン ベツノ カードデ",
        "残高が足りません。カード会社にご確認を。": "ザンダカガ タリマセン カードガイシャニ ゴカクニンヲ",
        "暗証番号が違います。もう一度お試しください。": "アンショウバンゴウガ チガイマス モウイチドドウゾ",
        "接続が切れました。もう一度お試しください。": "セツゾクガ キレマシタ モウイチドドウゾ",
        "有効期限を読めません。一定の速さで。": "キゲンヲ ヨメマセン イッテイノ ハヤサデ",
        "番号を読めません。一定の速さで。": "バンゴウヲ ヨメマセン イッテイノ ハヤサデ",
        "磁気が壊れています。別のカードで。": "ジキガ コワレテイマス ベツノ カードデ",
        "お支払い用ではありません。別のカードで。": "シハライヨウデハ アリマセン ベツノ カードデ",
        "途中で止めずに通してください。": "トメズニ トオシテクダサイ",
        "正しく読めません。一定の速さで。": "ヨメマセン イッテイノ ハヤサデ",
    }
)
"""The reading of every Japanese sentence in texts.py, in katakana with spaces between the words."""


def cell_text(text: str) -> str:
    """`text` in what ROM A00 has, a character a cell: ASCII and half-width katakana, '?' for the rest."""
    cells = []
    for character in unicodedata.normalize("NFKC", text.translate(_ALIKE)).translate(_ALIKE):
        katakana = chr(ord(character) + _TO_KATAKANA) if ord(character) in _HIRAGANA else character
        parts = list(unicodedata.normalize("NFD", katakana))
        base, marks = parts[0], parts[1:]
        if katakana in _HALF:
            cells.append(_HALF[katakana])
        elif base in _HALF:
            cells.append(_HALF[base] + "".join(_MARKS.get(mark, "") for mark in marks))
        elif base.isascii() and base.isprintable():
            cells.append(base)
        elif not unicodedata.category(character).startswith(("M", "Cf")):
            cells.append("?")
    return "".join(cells)


def in_cells(lines: Lines) -> Lines:
    """A screen's words for a character display."""
    return Lines(
        headline=cell_text(READINGS.get(lines.headline, lines.headline)),
        notes=tuple(cell_text(READINGS.get(note, note)) for note in lines.notes),
        amount=lines.amount,
        merchant=cell_text(lines.merchant),
        order=cell_text(lines.order),
        typed=lines.typed,
        went_wrong=lines.went_wrong,
    )
