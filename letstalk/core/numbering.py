"""The types of phone numbers, and the number under which a phone with several numbers is counted.

Each rule is for one country's numbering plan: a
pattern for the digits after `+`, and the digits to count under, which need not be those that are dialed. There is no
rule where two phones could get the same result, because a limit that others can use up shuts somebody out.
Sources: the national numbering plans that the ITU publishes (https://www.itu.int/oth/T0202.aspx), the ranges that
Google's libphonenumber has as voicemail, and what a line names beside that.
"""

from __future__ import annotations

import re
from functools import lru_cache

GLOBAL_REGION = "001"  # of numbers that belong to no country: satellites and other global networks
NON_GEOGRAPHIC = "non_geographic"  # the type of these
DEFAULT_TYPES = frozenset({"fixed_line", "mobile"})
# The types that can be called, as libphonenumber names them.
CALLABLE_TYPES = DEFAULT_TYPES | {
    *("toll_free", "voip", "personal_number", "pager", "uan", "voicemail", NON_GEOGRAPHIC)
}

_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    # Gabon put a digit before every number in 2019, and the old ones are still valid.
    "241": ((r"2410?([256]\d{6})", r"2416\1"), (r"2410?([47]\d{6})", r"2417\1"), (r"2410?(1\d{6})", r"2411\1")),
    # The overseas departments by France's code, as they are dialed within France.
    "33": (
        (r"33((?:26[239]|639|69[23])\d{6})", r"262\1"),
        (r"33((?:590|69[01])\d{6})", r"590\1"),
        (r"33((?:594|694)\d{6})", r"594\1"),
        (r"33((?:596|69[67])\d{6})", r"596\1"),
        (r"33508(\d{6})", r"508\1"),
    ),
    "353": (
        (r"35348(\d{8})", r"4428\1"),  # Northern Ireland by Ireland's code, as it is dialed there
        (r"353(8[35-79])5(\d{7})", r"353\1\2"),  # voicemail
    ),
    "377": ((r"377(4[45]\d{6})", r"383\1"),),  # Kosovo's mobile phones by Monaco's code, until 2017 their own
    # Crimea and Sevastopol by the codes of Ukraine and of Russia.
    "380": ((r"380(65\d{7})", r"73\1"), (r"380(692\d{6})", r"78\1")),
    "39": (
        (r"39(0549\d{6})", r"378\1"),  # San Marino by Italy's code
        (r"39(3[2-8]\d)\d\d(\d{6,7})", r"39\1\2"),  # voicemail
    ),
    "41": ((r"41860(\d{9})", r"41\1"),),  # voicemail
    "420": ((r"4209[36](\d{9})", r"420\1"),),  # voicemail
    "423": ((r"42369(7\d{6})", r"423\1"),),  # voicemail
    # Voicemail, a network's own digits after its code (Wikipedia, "Mailbox-Durchwahl").
    "43": (
        (r"43(6(?:64|80))77(\d{7,8})", r"43\1\2"),
        (r"4367622(\d{7,8})", r"43676\1"),
        (r"4365011(\d{7,8})", r"43650\1"),
        (r"4366033(\d{7,8})", r"43660\1"),
        (r"4367760(\d{7,8})", r"43677\1"),
        (r"436993(\d{7})", r"436991\1"),
    ),
    "46": ((r"46(?:25[245]|67[3-68])(\d{9})", r"46\1"),),  # voicemail
    # Voicemail, two digits after the network's code, which a phone that has changed its network keeps (teltarif.de,
    # prepaid-wiki.de, "Mailbox").
    "49": (
        (r"49(16[023]|17\d)(?:13|33|50|55|99)(\d{7,8})", r"49\1\2"),
        (r"49(15[0-9])(?:13|33|50|55|99|00)(\d{8})", r"49\1\2"),
        (r"49(15[0-9]\d)(?:13|33|50|55|99)(\d{7})", r"49\1\2"),
    ),
    "52": ((r"521(\d{10})", r"52\1"),),  # the 1 of mobile phones, abolished in 2019
    "54": ((r"549(\d{10})", r"54\1"),),  # the 9 of mobile phones, whose number without it is nobody else's
    # Mobile phones got a ninth digit from 2012 on. Those that begin with 2 to 5 without it are landlines.
    "55": ((r"55(\d\d)([6-9]\d{7})", r"55\g<1>9\2"),),
    # Palestine and Israel number together (Oslo II, annex III, article 36), so each is reached by both codes.
    "970": ((r"970([2489]\d{7}|5\d{8})", r"972\1"),),
    "972": ((r"97215[13]0?([2-9]\d{7,8})", r"972\1"),),  # voicemail and fax boxes
    # Abkhazia by Georgia's code and by Russia's.
    "995": ((r"99544(\d{7})", r"7840\1"),),
}
SAME_PHONE_CODES = tuple(_RULES)
_PATTERNS = {
    code: tuple((re.compile(rf"\+{given}"), f"+{counted}") for given, counted in rules)
    for code, rules in _RULES.items()
}


# A number that a code is sent to is soon requested again, to check the code.
@lru_cache(maxsize=1024)
def canonical_e164(e164: str) -> str:
    """The number under which the phone of `e164` is counted and looked up: the same one for all its numbers.

    Most phones have one number, which is returned as it is.
    """
    for given, counted in _PATTERNS.get(e164[1:3]) or _PATTERNS.get(e164[1:4]) or ():
        match = given.fullmatch(e164)
        if match:
            return match.expand(counted)
    return e164
