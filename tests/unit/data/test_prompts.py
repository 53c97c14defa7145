"""The bundled prompts use every letter of their language, so that a recording of all of them has each."""

import unicodedata

import pytest

from asrkit.data import prompts
from asrkit.text.characters import lower, lower_dotless_i

LETTERS = {
    "ar": "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي",
    "cs": "aábcčdďeéěfghiíjklmnňoóprřsštťuúůvyýzž",
    "da": "abcdefghijklmnoprstuvyæøå",
    "el": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐ",
    "fi": "adeghijklmnoprstuvyäö",
    "hi": "अआइईउऊऋएऐओऔकखगघचछजझटठडढतथदधनपफबभमयरलवशषसह",
    "hu": "aábcdeéfghiíjklmnoóöőprstuúüűvyz",
    "id": "abcdefghijklmnoprstuvwy",
    "ja": "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん",
    "nl": "abcdefghijklmnopqrstuvwxz",
    "no": "abcdefghijklmnoprstuvyæøå",
    "pl": "aąbcćdeęfghijklłmnńoóprsśtuwyzźż",
    "pt": "abcdefghijlmnopqrstuvxzáâãàçéêíóôõú",
    "ro": "aăâbcdefghiîjlmnoprsștțuvxz",
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "sv": "abcdefghijklmnoprstuvxyåäö",
    "sw": "abcdefghijklmnoprstuvwyz",
    "tr": "abcçdefgğhıijklmnoöprsştuüvyz",
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "vi": "aăâbcdđeêghiklmnoôơpqrstuưvxy",
}


@pytest.mark.parametrize("name", LETTERS)
def test_prompts_have_every_letter_of_the_language(name):
    lines = prompts.load(name)
    text = "".join((lower_dotless_i(line).lower() if name == "tr" else lower(line)) for line in lines)
    # The vowels of Vietnamese and the consonants of Hindi also stand below or before marks.
    parts = text + unicodedata.normalize("NFD", text)
    assert [letter for letter in LETTERS[name] if letter not in parts] == []
    assert len(lines) >= 20 and prompts.parse("\n".join(lines)) == lines
    assert max(map(len, lines)) <= 80, "short enough to be read at once"
    assert all(unicodedata.is_normalized("NFC", line) for line in lines)
