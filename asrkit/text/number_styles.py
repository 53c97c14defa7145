"""How languages write numbers in digits, and what their readers say for the signs beside them.

Only what every reader says in the same way is listed; anything else is not read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

MONTHS = {
    "en": "jan(?:uary)? feb(?:ruary)? mar(?:ch)? apr(?:il)? may june? july? aug(?:ust)? sept?(?:ember)? oct(?:ober)? "
    "nov(?:ember)? dec(?:ember)?",
    "de": "januar jänner februar märz april mai juni juli august september oktober november dezember",
    "sv": "januari februari mars april maj juni juli augusti september oktober november december",
    "da": "januar februar marts april maj juni juli august september oktober november december",
    "no": "januar februar mars april mai juni juli august september oktober november desember",
    "nn": "januar februar mars april mai juni juli august september oktober november desember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
}
"""Names of months, as regular expressions, beside which a day may be an ordinal."""


@dataclass(frozen=True)
class Style:
    """The conventions of one language.

    decimal: the decimal sign. groups_by_space: whether a plain space groups digits. point: the word for the decimal
    sign, empty where decimals are not read alike; digits_of_decimals: "each" digit by itself, "number" for up to two
    digits as a number, "one" where only a single digit is certain. years: "pairs" (nineteen eighty-four), "unread"
    where 1100 to 1999 may be read so, "ordinal" where years are inflected ordinals, "cardinal". has_dot_ordinals:
    whether 3. is an ordinal. days: what a number beside a month may be: "any" ordinal, "first" for 1 only, "" for a
    cardinal.

    minus, percent, number_sign, degrees (one, several), oclock: words, empty where they are not known or inflected.
    currencies: sign -> (one, several). one: the number 1 before a currency. power: exponent sign -> words.
    fractions: sign -> words after a whole number.
    """

    decimal: str = ","
    groups_by_space: bool = False
    point: str = ""
    digits_of_decimals: str = "one"
    years: str = "cardinal"
    has_dot_ordinals: bool = False
    days: str = ""
    minus: str = ""
    percent: str = ""
    is_percent_first: bool = False
    number_sign: str = ""
    degrees: tuple[str, str] = ("", "")
    currencies: dict[str, tuple[str, str]] = field(default_factory=dict)
    one: str = ""
    powers: dict[str, str] = field(default_factory=dict)
    fractions: dict[str, str] = field(default_factory=dict)


_EURO = {"€": ("euro", "euros")}
_ENGLISH = Style(
    ".",
    point="point",
    digits_of_decimals="each",
    years="pairs",
    days="any",
    minus="minus",
    percent="percent",
    number_sign="number",
    degrees=("degree", "degrees"),
    currencies={
        "$": ("dollar", "dollars"),
        "€": ("euro", "euros"),
        "£": ("pound", "pounds"),
        "¥": ("yen", "yen"),
        "₹": ("rupee", "rupees"),
        "₦": ("naira", "naira"),
    },
    one="one",
    powers={"²": "squared", "³": "cubed"},
    fractions={"½": "and a half", "¼": "and a quarter", "¾": "and three quarters", "⅓": "and a third"},
)
_GERMAN = Style(
    point="komma",
    digits_of_decimals="each",
    years="unread",
    has_dot_ordinals=True,
    days="any",
    minus="minus",
    percent="Prozent",
    number_sign="Nummer",
    degrees=("Grad", "Grad"),
    currencies={"€": ("Euro", "Euro"), "$": ("Dollar", "Dollar"), "£": ("Pfund", "Pfund")},
    one="ein",
    powers={"²": "hoch zwei", "³": "hoch drei"},
    fractions={"½": "einhalb"},
)
_FRENCH = Style(
    groups_by_space=True,
    point="virgule",
    digits_of_decimals="number",
    days="first",
    minus="moins",
    percent="pour cent",
    number_sign="numéro",
    degrees=("degré", "degrés"),
    currencies={**_EURO, "$": ("dollar", "dollars")},
    one="un",
)
_SPANISH = Style(
    groups_by_space=True,
    point="coma",
    days="first",
    minus="menos",
    percent="por ciento",
    number_sign="número",
    degrees=("grado", "grados"),
    currencies=_EURO,  # $ stands for pesos, too
    one="un",
)
_PORTUGUESE = Style(
    groups_by_space=True,
    point="vírgula",
    days="first",
    minus="menos",
    percent="por cento",
    number_sign="número",
    currencies={**_EURO, "R$": ("real", "reais")},
    one="um",
)
_NORWEGIAN = Style(
    groups_by_space=True,
    point="komma",
    years="unread",
    has_dot_ordinals=True,
    days="any",
    minus="minus",
    percent="prosent",
    number_sign="nummer",
)
# Cases: numbers have other forms after most words, so that little is read without a doubt.
_WITH_CASES = Style(groups_by_space=True, has_dot_ordinals=True, days="any", years="ordinal")

_STYLES = {
    "en": _ENGLISH,
    "de": _GERMAN,
    "fr": _FRENCH,
    "es": _SPANISH,
    "pt": _PORTUGUESE,
    "it": Style(
        groups_by_space=True,
        point="virgola",
        days="first",
        minus="meno",
        percent="per cento",
        number_sign="numero",
        currencies={"€": ("euro", "euro")},
        one="un",
    ),
    "ca": Style(groups_by_space=True, point="coma", days="first", minus="menys", percent="per cent"),
    "ro": Style(groups_by_space=True, point="virgulă", days="first", minus="minus", percent="la sută"),
    "nl": Style(
        groups_by_space=True,
        point="komma",
        years="unread",
        minus="min",
        percent="procent",
        number_sign="nummer",
        currencies={"€": ("euro", "euro"), "$": ("dollar", "dollar")},
        one="een",
    ),
    "af": Style(groups_by_space=True, point="komma", years="unread", minus="minus", percent="persent"),
    "sv": Style(
        groups_by_space=True,
        point="komma",
        years="unread",
        days="any",
        minus="minus",
        percent="procent",
        number_sign="nummer",
        currencies={"€": ("euro", "euro")},
        one="en",
    ),
    "da": Style(
        groups_by_space=True,
        point="komma",
        years="unread",
        has_dot_ordinals=True,
        days="any",
        minus="minus",
        percent="procent",
        number_sign="nummer",
    ),
    "no": _NORWEGIAN,
    "nn": _NORWEGIAN,
    "hu": Style(groups_by_space=True, has_dot_ordinals=True, minus="mínusz", percent="százalék"),
    "tr": Style(has_dot_ordinals=True, minus="eksi", percent="yüzde", is_percent_first=True, number_sign="numara"),
    "az": Style(has_dot_ordinals=True, minus="mənfi", percent="faiz"),
    "id": Style(
        point="koma", digits_of_decimals="each", years="unread", minus="minus", percent="persen", number_sign="nomor"
    ),
    "ms": Style(
        ".", point="perpuluhan", digits_of_decimals="each", years="unread", percent="peratus", number_sign="nombor"
    ),
    "vi": Style(point="phẩy", minus="âm", percent="phần trăm"),
    "el": Style(days="any", point="κόμμα", percent="τοις εκατό", minus="μείον"),
    "bg": Style(groups_by_space=True, days="any", percent="процента"),
    "eo": Style(groups_by_space=True, point="komo", minus="minus"),
    "hi": Style(".", point="दशमलव", digits_of_decimals="each", years="unread", percent="प्रतिशत"),
    "ne": Style(".", point="दशमलव", digits_of_decimals="each", years="unread", percent="प्रतिशत"),
    "bn": Style(".", point="দশমিক", digits_of_decimals="each", years="unread"),
    "zh": Style(".", point="点", digits_of_decimals="each", percent="百分之", is_percent_first=True),
    "zh_Hant": Style(".", point="點", digits_of_decimals="each", percent="百分之", is_percent_first=True),
    "yue": Style(".", point="點", digits_of_decimals="each", percent="百分之", is_percent_first=True),
    "yue_Hans": Style(".", point="点", digits_of_decimals="each", percent="百分之", is_percent_first=True),
    "ja": Style(".", point="点", digits_of_decimals="each", percent="パーセント"),
    "ko": Style(".", point="점", digits_of_decimals="each", percent="퍼센트"),
    "th": Style(".", point="จุด", digits_of_decimals="each", percent="เปอร์เซ็นต์"),
    **dict.fromkeys("am kn km lo my sw fil he ta te".split(), Style(".")),
    **dict.fromkeys("fa ka".split(), Style()),
    **dict.fromkeys(
        "ru uk be pl cs sk sl hr bs sr sr_Latn mk lt lv et fi is fo se kk kz ky tg hy".split(), _WITH_CASES
    ),
}
_MIXED = frozenset("de_CH fr_CH".split())
"""Their decimal sign is a point or a comma, so decimals are not read."""


@lru_cache(maxsize=64)
def find_style(language: str) -> Style:
    """Return the style of a language, of its main variety, or one that reads nothing but whole numbers."""
    primary = language.partition("_")[0]
    style = _STYLES.get(language) or _STYLES.get(primary) or Style()
    if language in _MIXED:
        return Style(**{**style.__dict__, "point": ""})
    return style


def find_months(language: str) -> str:
    """Return the names of months as one regular expression, empty if they are not known."""
    return "|".join(MONTHS.get(language.partition("_")[0], "").split())
