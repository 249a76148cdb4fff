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
        "代金は支払われていません。": "ダイキンハ シハラワレテイマセン",
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
        "スマホに接続できません。": "スマホニ セツゾクデキマセン",
        "スマホで拒否されました。": "スマホデ キョヒサレマシタ",
        "スマホで応答がありませんでした。": "スマホデ オウトウガ アリマセンデシタ",
        "時間内にスマホで承認されませんでした。": "ジカンナイニ スマホデ ショウニンサレマセンデシタ",
        "お店が取り消しました。": "オミセガ トリケシマシタ",
        "スマホがこのリーダーに接続できません。": "スマホガ リーダーニ セツゾクデキマセン",
        "カード会社に未登録のリーダーです。": "ミトウロクノ リーダーデス",
        "このリーダーは停止中です。カード会社にご連絡ください。": (
            "リーダーハ テイシチュウデス カードガイシャニ ゴレンラククダサイ"
        ),
        "ご本人のリーダーではありません。": "ゴホンニンノ リーダーデハ アリマセン",
        "時間内にカードが読まれませんでした。": "ジカンナイニ カードガ ヨマレマセンデシタ",
        "時間内に暗証番号が入力されませんでした。": (
            "ジカンナイニ アンショウバンゴウガ ニュウリョク サレマセンデシタ"
        ),
        "取り消しました。": "トリケシマシタ",
        "カードが通されませんでした。": "カードガ トオサレマセンデシタ",
        "カードを読み取れませんでした。": "カードヲ ヨミトレマセンデシタ",
        "暗証番号が入力されませんでした。": "アンショウバンゴウガ ニュウリョク サレマセンデシタ",
        "リーダーは使用中でした。もう一度お試しください。": (
            "リーダーハ シヨウチュウデシタ モウイチド オタメシクダサイ"
        ),
        "要求を信頼できず、拒否しました。": "ヨウキュウヲ シンライデキズ キョヒシマシタ",
        "リーダーの不具合です。もう一度お試しください。": (
            "リーダーノ フグアイデス モウイチド オタメシクダサイ"
        ),
        "通信を確認できません。もう一度お試しください。": (
            "ツウシンヲ カクニンデキマセン モウイチド オタメシクダサイ"
        ),
        "検査に失敗しました。もう一度お試しください。": (
            "ケンサニ シッパイシマシタ モウイチド オタメシクダサイ"
        ),
        "登録のないカードです。": "トウロクノナイ カードデス",
        "カードの有効期限が切れています。": "カードノ ユウコウキゲンガ キレテイマス",
        "カードは停止中です。カード会社にご連絡ください。": (
            "カードハ テイシチュウデス カードガイシャニ ゴレンラククダサイ"
        ),
        "このリーダーでは使えないカードです。": "コノリーダーデハ ツカエナイ カードデス",
        "残高が足りません。": "ザンダカガ タリマセン",
        "暗証番号は停止中です。カード会社にご連絡ください。": (
            "アンショウバンゴウハ テイシチュウデス カードガイシャニ ゴレンラククダサイ"
        ),
        "スマホの不具合です。もう一度お試しください。": "スマホノ フグアイデス モウイチド オタメシクダサイ",
        "中断されました。もう一度お試しください。": "チュウダンサレマシタ モウイチド オタメシクダサイ",
        "カード会社の障害です。後でお試しください。": (
            "カードガイシャノ ショウガイデス アトデ オタメシクダサイ"
        ),
        "接続が切れました。": "セツゾクガ キレマシタ",
        "スマホで取り消されました。": "スマホデ トリケサレマシタ",
        "カードの向きをご確認ください。": "カードノ ムキヲ ゴカクニンクダサイ",
        "向きを確かめ、一定の速さで。": "ムキヲ タシカメ イッテイノ ハヤサデ",
        "カードを最後まで通してください。": "カードヲ サイゴマデ トオシテクダサイ",
        "一枚を一度だけ通してください。": "イチマイヲ イチドダケ トオシテクダサイ",
        "有効期限を読み取れませんでした。": "ユウコウキゲンヲ ヨミトレマセンデシタ",
        "有効期限切れです。別のカードで。": "ユウコウキゲンギレデス ベツノ カードデ",
        "番号を読み取れませんでした。": "バンゴウヲ ヨミトレマセンデシタ",
        "磁気の内容が一致しません。": "ジキノ ナイヨウガ イッチシマセン",
        "お支払い用カードではありません。": "オシハライヨウ カードデハ アリマセン",
        "もう少しゆっくり通してください。": "モウスコシ ユックリ トオシテクダサイ",
        "読み取りが終わりませんでした。": "ヨミトリガ オワリマセンデシタ",
        "正しく読み取れませんでした。": "タダシク ヨミトレマセンデシタ",
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
