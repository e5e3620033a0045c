"""How people say the digits 0 to 9, by the language without its country. Digits that have more than one name, such as
the key 1 in languages with genders, have more than one word.
"""

from __future__ import annotations

# Separated by spaces; no order is needed.
DIGIT_WORDS = {
    "af": "nul nulle een twee drie vier vyf ses sewe agt nege",
    "am": "ዜሮ አንድ ሁለት ሦስት ሶስት አራት አምስት ስድስት ሰባት ስምንት ዘጠኝ",
    "ar": "صفر واحد واحدة اثنان اثنين ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة",
    "bg": "нула едно един две три четири пет шест седем осем девет",
    "bn": "শূন্য এক দুই তিন চার পাঁচ ছয় সাত আট নয়",
    "ca": "zero u un una dos tres quatre cinc sis set vuit nou",
    "cs": "nula jedna jeden jednička dva tři čtyři pět šest sedm osm devět",
    "da": "nul et en én to tre fire fem seks syv otte ni",
    "de": "null eins ein zwei zwo drei vier fünf sechs sieben acht neun",
    "el": "μηδέν ένα δύο τρία τέσσερα πέντε έξι επτά εφτά οκτώ οχτώ εννέα εννιά",
    "en": "zero oh one two to too three four for five six seven eight ate nine",
    "es": "cero uno una dos tres cuatro cinco seis siete ocho nueve",
    "fa": "صفر یک دو سه چهار پنج شش شیش هفت هشت نه",
    "fi": "nolla yksi yks kaksi kaks kolme neljä viisi viis kuusi kuus seitsemän kahdeksan yhdeksän",
    "fil": "sero isa dalawa tatlo apat lima anim pito walo siyam",
    "fr": "zéro un une deux trois quatre cinq six sept huit neuf",
    "he": "אפס אחת אחד שתיים שתי שלוש ארבע חמש שש שבע שמונה תשע",
    "hi": "शून्य ज़ीरो एक दो तीन चार पाँच छह सात आठ नौ",
    "hr": "nula jedan jedna dva dvije tri četiri pet šest sedam osam devet",
    "hu": "nulla egy kettő két három négy öt hat hét nyolc kilenc",
    "id": "nol kosong satu se dua tiga empat lima enam tujuh delapan sembilan",
    "it": "zero uno una due tre quattro cinque sei sette otto nove",
    "ja": "ゼロ れい いち 一 に 二 さん 三 よん し 四 ご 五 ろく 六 なな しち 七 はち 八 きゅう く 九",
    "ko": "영 공 일 이 삼 사 오 육 륙 칠 팔 구 하나 한 둘 두 셋 세 넷 네 다섯 여섯 일곱 여덟 아홉",
    "mr": "शून्य एक दोन तीन चार पाच सहा सात आठ नऊ",
    "ms": "kosong sifar satu se dua tiga empat lima enam tujuh lapan sembilan",
    "nb": "null en én ett to tre fire fem seks sju syv åtte ni",
    "nl": "nul een één twee drie vier vijf zes zeven zeuven acht negen",
    "pa": "ਸਿਫ਼ਰ ਜ਼ੀਰੋ ਇੱਕ ਦੋ ਤਿੰਨ ਚਾਰ ਪੰਜ ਛੇ ਸੱਤ ਅੱਠ ਨੌਂ",
    "pl": "zero jeden raz dwa trzy cztery pięć sześć siedem osiem dziewięć",
    "pt": "zero um uma dois duas três quatro cinco seis meia sete oito nove",
    "ro": "zero unu una doi două trei patru cinci șase șapte opt nouă",
    "ru": "ноль нуль один раз два три четыре пять шесть семь восемь девять",
    "sk": "nula jeden jedna dva tri štyri päť šesť sedem osem deväť",
    "so": "eber kow hal laba saddex afar shan lix toddoba siddeed sagaal",
    "sr": "нула један једна два две три четири пет шест седам осам девет",
    "sv": "noll ett en två tre fyra fem sex sju åtta nio",
    "sw": "sifuri moja mbili tatu nne tano sita saba nane tisa",
    "ta": "பூஜ்யம் சுழியம் ஒன்று இரண்டு மூன்று நான்கு ஐந்து ஆறு ஏழு எட்டு ஒன்பது",
    "te": "సున్నా ఒకటి రెండు మూడు నాలుగు ఐదు ఆరు ఏడు ఎనిమిది తొమ్మిది",
    "th": "ศูนย์ หนึ่ง สอง สาม สี่ ห้า หก เจ็ด แปด เก้า",
    "tr": "sıfır bir iki üç dört beş altı yedi sekiz dokuz",
    "uk": "нуль один раз два три чотири п'ять шість сім вісім дев'ять",
    "ur": "صفر ایک دو تین چار پانچ چھ سات آٹھ نو",
    "vi": "không một mốt hai ba bốn tư năm lăm sáu bảy bẩy tám chín",
    "zh": "零 一 幺 二 两 兩 三 四 五 六 七 八 九",
    "zu": "iqanda uziro kunye kubili kuthathu kune kuhlanu isithupha isikhombisa isishiyagalombili isishiyagalolunye",
}

# Words and endings that people or voices could take for a digit, found by reading. None of them stands beside a code.
LIKE_DIGITS = {
    "am": "እንደገና",  # ("again") like one
    "bg": "е",  # ("is") like one
    "cs": "je",  # ("is") like one
    "el": "είναι",  # ("is") like nine
    "en": "to for",  # two, four
    "fa": "است دوباره",  # ("is") like eight, ("again") like two
    "fi": "kuulette",  # ("you hear") like six
    "he": "לשמיעה",  # ("to hear") like eight
    "hi": "दोबारा",  # ("again") like two
    "mr": "ऐका दुबार",  # ("listen") like one, ("again") like two
    "pa": "ਦੁਬਾਰਾ",  # ("again") like two
    "pt": "novo",  # ("again") like nine
    "ro": "pentru",  # ("to") like four
    "sk": "je",  # ("is") like one
    "so": "si",  # ("to") like eight
    "sr": "да",  # ("to") like two
    "sw": "ni",  # ("is") like four
    "ta": "மீண்டும்",  # ("again") like two
    "th": "หาก",  # ("if") like five and six
    "ur": "دوبارہ",  # ("again") like two
    "zh": "是 复 複 而",  # ("is") like four, ("repeat") like five or six, ("now") like two
}

# Languages in which a full stop after a number makes it an ordinal: "54." is "the 54th".
ORDINAL_BY_FULL_STOP = frozenset(["bg", "cs", "da", "de", "fi", "hr", "hu", "nb", "pl", "sk", "sr", "tr"])
