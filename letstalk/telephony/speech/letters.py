"""How letters of a code are spelled: "B wie Berlin".

Each language has a phrase and a word for each letter, as people there spell on the telephone. A language that is not
listed uses the international words of the ICAO (Annex 10, volume II, 5.2.1.3), which radio operators everywhere know.
No word is or contains a number of its language. Sources: DIN 5009:2022 (German), the national spelling alphabets in
Unicode's languages as listed at https://en.wikipedia.org/wiki/Spelling_alphabet.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

LETTER, WORD = "{letter}", "{word}"


@dataclass(frozen=True, slots=True)
class Alphabet:
    """`phrase` contains LETTER and WORD. `words` are in the order of the letters. Raises ValueError for others."""

    phrase: str
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.words) != len(ascii_uppercase) or LETTER not in self.phrase or WORD not in self.phrase:
            raise ValueError(f"26 words, and {LETTER} and {WORD} in the phrase: {self.phrase!r}")

    def spell(self, letter: str) -> str:
        """What is said for a letter from A to Z, in either case."""
        capital = letter.upper()
        word = self.words[ascii_uppercase.index(capital)]
        return self.phrase.replace(LETTER, capital).replace(WORD, word)


_ICAO_WORDS = (
    "Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike November Oscar Papa Quebec Romeo "
    "Sierra Tango Uniform Victor Whiskey X-ray Yankee Zulu"
)
INTERNATIONAL = Alphabet("{letter}, {word}", tuple(_ICAO_WORDS.split()))

# By the language of a tag, without its country.
_ALPHABETS: dict[str, tuple[str, str]] = {
    "cs": (
        "{letter} jako {word}",
        "Adam Božena Cyril David Emil František Gustav Helena Ivan Josef Karel Ludvík Marie Norbert Oto Petr Quido "
        "Rudolf Svatopluk Tomáš Urban Václav Walter Xaver Ypsilon Zuzana",
    ),
    "da": (
        "{letter} som i {word}",
        "Anna Bernhard Cecilia David Erik Frederik Georg Hans Ida Johan Karen Ludvig Mari Nikolaj Odin Peter Quintus "
        "Rasmus Søren Theodor Ulla Viggo William Xerxes Yrsa Zackarias",
    ),
    "de": (
        "{letter} wie {word}",
        "Aachen Berlin Chemnitz Düsseldorf Essen Frankfurt Goslar Hamburg Ingelheim Jena Köln Leipzig München Nürnberg "
        "Offenbach Potsdam Quickborn Rostock Salzwedel Tübingen Unna Völklingen Wuppertal Xanten Ypsilon Zwickau",
    ),
    "en": ("{letter} as in {word}", _ICAO_WORDS),
    "es": (
        "{letter} de {word}",
        "Antonio Barcelona Carmen Dolores Enrique Francia Gerona Historia Inés José Kilo Lorenzo Madrid Navarra Oviedo "
        "París Queso Ramón Sábado Tarragona Ulises Valencia Washington Xilófono Yolanda Zaragoza",
    ),
    "fi": (
        "{letter} kuten {word}",
        "Aarne Bertta Celsius Daavid Eemeli Faarao Gideon Heikki Iivari Jussi Kalle Lauri Matti Niilo Otto Paavo Queen "
        "Risto Sakari Tyyne Urho Vihtori Wiski Xerxes Yrjö Zeppeliini",
    ),
    "fr": (
        "{letter} comme {word}",
        "Anatole Berthe Célestin Désiré Eugène François Gaston Henri Irma Joseph Kléber Louis Marcel Nicolas Oscar "
        "Pierre Quintal Raoul Suzanne Thérèse Ursule Victor William Xavier Yvonne Zoé",
    ),
    "hr": (
        "{letter} kao {word}",
        "Adria Bjelovar Cres Dubrovnik Europa Frankopan Gospić Hrvatska Istra Jadran Karlovac Lika Mostar Nin Osijek "
        "Pula Quebec Rijeka Split Trogir Učka Varaždin Washington Xenija Ypsilon Zagreb",
    ),
    "hu": (
        "{letter}, mint {word}",
        "Aladár Béla Cecil Dénes Elemér Ferenc Gábor Helén Ilona József Kálmán Lajos Mihály Nándor Olga Péter Quintus "
        "Róbert Sándor Tivadar Ubul Vilmos Walter Xavér Ypszilon Zoltán",
    ),
    "it": (
        "{letter} come {word}",
        "Ancona Bologna Como Domodossola Empoli Firenze Genova Hotel Imola Jolly Kursaal Livorno Milano Napoli Otranto "
        "Padova Quadro Roma Savona Torino Udine Venezia Washington Xilofono York Zara",
    ),
    "nb": (
        "{letter} som i {word}",
        "Anna Bernhard Cæsar David Edith Fredrik Gustav Harald Ivar Johan Karin Ludvig Martin Nils Olivia Petter "
        "Quintus Rikard Sigrid Teodor Ulrik Viktor Wilhelm Xerxes Yngling Zakarias",
    ),
    "nl": (
        "{letter} van {word}",
        "Anton Bernhard Cornelis Dirk Eduard Ferdinand Gerard Hendrik Izaak Jan Karel Lodewijk Marie Nico Otto Pieter "
        "Quotiënt Richard Simon Theodoor Utrecht Victor Willem Xantippe Ypsilon Zaandam",
    ),
    "pl": (
        "{letter} jak {word}",
        "Adam Barbara Celina Dorota Ewa Franciszek Genowefa Henryk Irena Jadwiga Karol Leon Maria Natalia Olga Paweł "
        "Quebec Roman Stanisław Tadeusz Urszula Violetta Wacław Xawery Ypsylon Zygmunt",
    ),
    "pt": (
        "{letter} de {word}",
        "Aveiro Braga Coimbra Dafundo Évora Faro Guarda Horta Itália José Kilograma Lisboa Maria Nazaré Ovar Porto "
        "Queluz Rossio Setúbal Tavira Universo Vidago Waldemar Xavier York Zulmira",
    ),
    "ro": (
        "{letter} de la {word}",
        "Ana Barbu Constantin Dumitru Elena Florea Gheorghe Haralambie Ion Jiu Kilogram Lazăr Maria Nicolae Olga Petre "
        "Quebec Radu Sandu Tudor Udrea Vasile Washington Xenia York Zamfir",
    ),
    "sk": (
        "{letter} ako {word}",
        "Adam Božena Cyril Dávid Emil František Gustáv Helena Ivan Jozef Karol Ludvik Mária Norbert Oto Peter Quido "
        "Rudolf Svätopluk Tomáš Urban Václav Walter Xaver Ypsilon Zuzana",
    ),
    "sv": (
        "{letter} som i {word}",
        "Adam Bertil Cesar David Erik Filip Gustav Helge Ivar Johan Kalle Ludvig Martin Niklas Olof Petter Qvintus "
        "Rudolf Sigurd Tore Urban Viktor Wilhelm Xerxes Yngve Zäta",
    ),
    "tr": (
        "{letter}, {word}",
        "Ankara Bursa Ceyhan Denizli Edirne Fatsa Giresun Hatay Isparta Jale Kayseri Lüleburgaz Manisa Nazilli Ordu "
        "Pamukova Quebec Rize Samsun Trabzon Uşak Van Washington X-ray Yozgat Zonguldak",
    ),
}
ALPHABETS = {language: Alphabet(phrase, tuple(words.split())) for language, (phrase, words) in _ALPHABETS.items()}


def alphabet_of(language: str) -> Alphabet:
    """The alphabet of a language without its country, such as `de`."""
    return ALPHABETS.get(language, INTERNATIONAL)
