"""Each line was compared with what speakers of the language write; <…> is left unread, {…} is an assumed form."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.text.number_words import cardinal, languages
from asrkit.text.numbers import read_numbers, spell_numbers

MARKS = {"read": "{}", "assumed": "{{{}}}", "unread": "<{}>"}

TABLE = {
    "fr": """
        25 000 habitants|vingt-cinq mille habitants
        25\u00a0000 25\u202f000,5|vingt-cinq mille vingt-cinq mille virgule cinq
        25'000 et 1.234.567|vingt-cinq mille et un million deux cent trente-quatre mille cinq cent soixante-sept
        à 14h30, à 9h, à 1h, 21 h 05|à quatorze heures trente , à neuf heures , à une heure , vingt et une heures cinq
        à 12:45 0h15|à douze heures quarante-cinq zéro heure quinze
        de 9h-12h, 1h30min|de <9h-12h> , <1h30min>
        le 1er, la 1ère, le 2e, le 21ème|le premier , la première , le deuxième , le vingt et unième
        3,5 3,14 3,05|trois virgule cinq trois virgule quatorze trois virgule zéro cinq
        5 € 1 € 80 € 5,50 €|cinq euros un euro quatre-vingts euros cinq euros cinquante
        50 % il fait -5|cinquante pour cent il fait moins cinq
        n° 5 №7|numéro cinq numéro sept
        06 12 34 56 78|<06 12 34 56 78>
        le 5 mai 2024, le 1 mai|le cinq mai deux mille vingt-quatre , le <1> mai
        1 femme 21 femmes 2 femmes|{un} femme {vingt et un} femmes deux femmes
        page 1|page un
        12/05/2024 24/7 1/2 5½ 10²|<12/05/2024> <24/7> <1/2> <5½> <10²>
        100 200 300|<100 200 300>
        """,
    "en": """
        add 5½ cups, ½ cup|add five and a half cups, <½> cup
        10² 2³ m² x³|ten squared two cubed <m²> <x³>
        the 1990s, the 90s, the 2010s|the nineteen nineties , the nineties , the twenty tens
        in 1984, since 2024|in nineteen eighty-four , since twenty twenty-four
        in 1905, May 1999|in nineteen oh five , May nineteen ninety-nine
        1984 people, 2024|<1984> people, <2024>
        25\u00a0000 people|twenty-five thousand people
        25 000 people|twenty-five thousand people
        7 391|<7 391>
        7 3 9 1|seven three nine one
        1,234.50|one thousand two hundred and thirty-four point five zero
        1,5 1.000 12,34,567|<1,5> <1.000 12,34,567>
        10:30 10:05 13:15|ten thirty ten oh five thirteen fifteen
        10:00 10:00am 7.30 p.m.|<10:00> ten am seven thirty pm
        the 3rd, 11th, 21st, 2th|the third , eleventh , twenty-first , <2th>
        $5 $1 €20 £3 $5 million|five dollars one dollar twenty euros three pounds five million dollars
        $5.50 $25m|<$5.50> <$25m>
        50% 3.5 %|fifty percent three point five percent
        5-10 5–10 1914-1918 2:1|<5-10> <5–10> <1914-1918> <2:1>
        it is −5 or -5|it is minus five or minus five
        007 .5 12345678|<007> <.5> <12345678>
        555-1234 +49 30 1234567|<555-1234> <+49 30 1234567>
        1.2.2024 2024-05-01 May 5|<1.2.2024> <2024-05-01> May <5>
        a 5-year-old, mp3, H₂O|a five -year-old, mp three , H two O
        h323 2x 4x4 3a 5m|<h323> <2x> <4x4> <3a> <5m>
        5°C 1°|five degrees celsius one degree
        covid-19|covid nineteen
        1⁄2 10^6 90210; 25000|<1⁄2> <10^6> <90210>; twenty-five thousand
        """,
    "de": """
        25.000; 25 000; 3,5|fünfundzwanzigtausend; fünfundzwanzigtausend; drei komma fünf
        um 14:30 Uhr, 9 Uhr, 1 Uhr|um vierzehn Uhr dreißig , neun Uhr , ein Uhr
        12.30 Uhr und 14:30|zwölf Uhr dreißig und <14:30>
        am 3. Mai, am 24.12.|am <3> . Mai, am <24.12> .
        die 1990er, die 90er|die neunzehnhundertneunziger , die neunziger
        5 € 1 € 101 € 5,50 €|fünf Euro ein Euro einhundertein Euro fünf Euro fünfzig
        im Jahr 1984; 1984|im Jahr neunzehnhundertvierundachtzig ; <1984>
        1 Haus 3 Häuser|{eins} Haus drei Häuser
        5½ 1½ 1,000; 3.14|fünfeinhalb <1½> <1,000> ; <3.14>
        """,
    "es": """
        25 000; 25.000; 1.234,5|veinticinco mil; veinticinco mil; mil doscientos treinta y cuatro coma cinco
        22 años 21 años 200 casas|veintidós años {veintiuno} años {doscientos} casas
        21.000|veintiún mil
        el 3º la 3ª la 3a|el tercero la tercera la <3a>
        5 € 21 € $5|cinco euros veintiún euros <$5>
        3,14 14:30|<3,14> <14:30>
        """,
    "pt": "R$ 5 2 casas 5 %|cinco reais {dois} casas cinco por cento\n14h30|<14h30>",
    "it": "1.000 persone il 3º 14:30|mille persone il terzo <14:30>",
    "nl": "25.000 de 3e € 5 2500|vijfentwintigduizend de derde vijf euro {tweeduizend vijfhonderd}",
    "sv": "25 000 kr, 3:e, 1 hus, 1984, 5 maj|tjugofemtusen kr, tredje , {ett} hus, <1984> , <5> maj",
    "no": "1 000 kr 21|tusen kr tjueen",
    "da": "25 25.000|femogtyve {femogtyve tusind}",
    "ru": """
        7 3 9|семь три девять
        25 000 книг|{двадцать пять тысяч} книг
        в 1984 году 90-х 2020 г.|в <1984> году <90-х> <2020> г.
        """,
    "pl": "25 000 ludzi o 14:30|{dwadzieścia pięć tysięcy} ludzi o <14:30>",
    "tr": "saat 5'te %50 1984'te 25|saat beşte yüzde elli bin dokuz yüz seksen dörtte yirmi beş",
    "hu": "2 alma 12|{kettő} alma tizenkettő",
    "fi": "3 omenaa 5:n|{kolme} omenaa <5:n>",
    "el": "12 99|δώδεκα ενενήντα εννέα",
    "ar": "٢٥ كتاب|{خمسة وعشرون} كتاب",
    "he": "ב-5 ספרים|<ב-5> ספרים",
    "bn": "1984 ৫টি|<1984> <৫টি>",
    "hi": "२१ और 3.5 1,23,456|इक्कीस और तीन दशमलव पाँच एक लाख तेईस हज़ार चार सौ छप्पन",
    "en_IN": "12,34,567|twelve lakh thirty-four thousand five hundred and sixty-seven",
    "zh": "2024年 2个 50% 13800138000|二 零 二 四 年 {二} 个 百分之五十 <13800138000>",
    "ja": "2024年|二千二十四 年",
    "ko": "3개 20살 5시 10분|세 개 스무 살 다섯 시 십 분",
    "th": "มี3คน|มี สาม คน",
    "id": "25.000 orang ke-3 1990-an|dua puluh lima ribu orang <ke-3> <1990-an>",
    "fr_BE": "80; 1 234 567|quatre-vingts; un million deux cent trente-quatre mille cinq cent soixante-sept",
    "sr": "имам 5|имам <5>",
    "am": "10000|<10000>",
}
CASES = [
    (language, *line.strip().split("|")) for language, lines in TABLE.items() for line in lines.strip().splitlines()
]


def describe(text, language):
    parts = read_numbers(text, language)
    return " ".join(
        " ".join(part.text if part.status == "text" else MARKS[part.status].format(part.text) for part in parts).split()
    )


@pytest.mark.parametrize(("language", "text", "expected"), CASES)
def test_numbers(language, text, expected):
    def even(described):
        return re.sub(r" ?([,;]) ?", r"\1 ", described).strip()

    assert even(describe(text, language)) == even(expected)


@pytest.mark.parametrize("language", ["en", "fr", "de", "es", "it", "pt", "nl", "sv", "tr", "id", "fa", "hi", "ro"])
@given(value=st.integers(0, 999_999))
def test_grouped_numbers_are_the_same_number(language, value):
    words = cardinal(value, language).text
    for sign in ("\u00a0", "\u202f", "\u2009", "'", "\u2019"):
        assert spell_numbers(f"{value:,}".replace(",", sign), language) in (words, f"{value:,}".replace(",", sign))
    if value >= 1000:
        assert spell_numbers(f"{value:,}".replace(",", "\u00a0"), language) == words


@given(text=st.text(alphabet="0123456789 .,:-/hs%€½²'abC\u00a0", max_size=14), language=st.sampled_from(sorted(TABLE)))
def test_every_digit_is_read_or_kept_once(text, language):
    parts = read_numbers(text, language)
    unread = "".join(part.text for part in parts if part.status == "unread")
    assert not any(character.isdecimal() for part in parts if part.status != "unread" for character in part.text)
    assert sum(map(str.isdecimal, unread)) <= sum(map(str.isdecimal, text))


def test_every_language_has_words():
    for language in languages():
        for value in (0, 7, 21, 99):
            words = cardinal(value, language)
            assert words is None or (words.text and not any(map(str.isdecimal, words.text)))
