import pytest

from asrkit.languages import guess_language, has_dotless_i

SENTENCES = {
    "en": "The weather was fine and we went to the lake, but it is cold now and you have not seen it.",
    "de": "Das Wetter war schön und wir sind an den See gefahren, aber es ist nicht mehr warm, und ich bin auch müde.",
    "es": "La casa de los abuelos está en un pueblo que no es muy grande, y las calles son como las de antes.",
    "fr": "La maison est dans la rue du port et il y a des bateaux pour les enfants qui ne sont pas à vous.",
    "it": "Il libro che ho letto è di una scrittrice che non conosco, e le storie sono per la gente con gli occhi.",
    "pt": "O menino não sabe que a casa é do avô, mas ele quer um cão para se divertir com os amigos.",
    "nl": "Het is een mooie dag en de kinderen zijn met hun vader op het strand, maar ik ben niet van plan te gaan.",
    "sv": "Det är en fin dag och barnen är på stranden med sin far, men jag har inte tid att gå till dem.",
    "pl": "Nie wiem, co się stało, ale jest już późno i do domu mam daleko, a z nim to jak z dzieckiem na ulicy.",
    "tr": "Bu bir ev ve ben de çok mutluyum; o kadar güzel bir gün için ne kadar beklesek değil mi, ama ile daha.",
    "ru": "Он не знал, что это было на улице, и она с ними по дороге шла, но мы как он были там.",
    "id": "Saya tidak akan pergi ke pasar dengan mereka karena ini ada di rumah yang dan untuk itu dalam pada.",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_language_is_recognised_by_its_frequent_words(language):
    assert guess_language([SENTENCES[language]]) == language


@pytest.mark.parametrize(
    "texts", [[], ["alpha bravo charlie"], ["seven three nine"], [SENTENCES["en"], SENTENCES["de"]]]
)
def test_no_language_is_guessed_without_evidence(texts):
    assert guess_language(texts) == ""


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("tr", True),
        ("TR-tr", True),
        ("az_Latn", True),
        ("kk-Latn", True),
        ("kk", False),
        ("az-Cyrl", False),
        ("", False),
    ],
)
def test_dotless_i(language, expected):
    assert has_dotless_i(language) == expected
