"""Address lists: their spelling, what they let in, and which lies within which."""

from __future__ import annotations

import pytest

from letstalk.core.errors import InvalidRequest
from letstalk.core.ip_addresses import (
    are_within,
    is_allowed,
    networks_around,
    normalise_allowed,
    read_address,
    subscriber_of,
    to_networks,
)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        (" 10.0.0.0/8 ", "10.0.0.0/8"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_an_entry_has_one_spelling(given: str, kept: str) -> None:
    assert normalise_allowed([given]) == (kept,)


def test_the_same_entry_twice_is_kept_once() -> None:
    assert normalise_allowed(["10.0.0.1", "10.0.0.1/32", "10.0.0.2"]) == ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "localhost",
        "10.0.0",
        "10.0.0.1/33",
        "10.0.0.1/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/",
        "fe80::1%eth0",
        "::1/x",
        "010.0.0.1",
        "10.0.0.0/-1",
        "10.0.0.0/٨",
        "1",
        "10.0.0.0/8/8",
    ],
)
def test_what_is_no_address_or_block_is_refused(entry: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        normalise_allowed([entry])
    assert caught.value.details[0].field == "allowed_ips"


def test_a_block_with_bits_beyond_its_length_is_refused_with_the_block_that_was_meant() -> None:
    with pytest.raises(InvalidRequest, match=r"the block is 10\.0\.0\.0/8"):
        normalise_allowed(["10.1.2.3/8"])


def test_a_list_holds_1_to_50_entries() -> None:
    entries = [f"10.0.0.{last}" for last in range(51)]
    assert len(normalise_allowed(entries[:50])) == 50
    for wrong in ([], entries):
        with pytest.raises(InvalidRequest):
            normalise_allowed(wrong)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("203.0.113.7", True),
        ("::ffff:203.0.113.7", True),
        ("::FFFF:CB00:7107", True),
        ("2001:db8::9", True),
        ("2001:db8::9%eth0", True),
        ("203.0.114.7", False),
        ("::ffff:203.0.114.7", False),
        ("2001:db9::9", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_an_address_is_let_in_by_the_list_alone(address: str, allowed: bool) -> None:
    assert is_allowed(address, to_networks(("203.0.113.0/24", "2001:db8::/32"))) is allowed


def test_without_a_list_every_address_is_let_in() -> None:
    assert is_allowed("unknown", ())


@pytest.mark.parametrize(
    ("given", "bounds", "within"),
    [
        ((), (), True),
        (("10.0.0.1",), (), True),
        ((), ("10.0.0.0/8",), False),
        (("10.0.0.1", "10.9.0.0/16"), ("10.0.0.0/8",), True),
        (("10.0.0.0/7",), ("10.0.0.0/8",), False),
        (("10.0.0.1", "11.0.0.1"), ("10.0.0.0/8",), False),
        (("10.0.0.0/24",), ("10.0.0.0/25", "10.0.0.128/25"), True),
        (("10.0.0.0/24",), ("10.0.0.0/25", "10.0.1.128/25"), False),
        (("::/0",), ("0.0.0.0/0",), False),
        (("10.0.0.1",), ("::/0",), False),
        (("2001:db8::1",), ("10.0.0.0/8", "2001:db8::/32"), True),
    ],
)
def test_a_list_lies_within_another_when_all_its_addresses_do(
    given: tuple[str, ...], bounds: tuple[str, ...], within: bool
) -> None:
    assert are_within(given, bounds) is within


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
        ("un:known", "un:known"),
        ("2002:cb00:7107::1", "203.0.113.7"),  # 6to4
        ("2002:CB00:7107:ffff:1:2:3:4", "203.0.113.7"),
        ("64:ff9b::203.0.113.7", "203.0.113.7"),  # NAT64
        ("64:ff9b::cb00:7107", "203.0.113.7"),
        ("64:ff9b:0:0:1::cb00:7107", "64:ff9b::/64"),
        ("2001:0:4136:e378:8000:63bf:34ff:8ef8", "203.0.113.7"),  # Teredo
        ("2002:cb00:7107::1%eth0", "203.0.113.7"),
    ],
)
def test_an_ipv6_subscriber_is_one_caller_whatever_the_last_half_of_the_address(address: str, counted_as: str) -> None:
    assert subscriber_of(address) == counted_as


@pytest.mark.parametrize("around", ["{}", " {} ", '"{}"', "'{}'", "\t{}"])
@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[203.0.113.7]:4711", "203.0.113.7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:65535", "2001:db8::7"),
        ("fe80::7%eth0", "fe80::7"),
        ("[fe80::7%25eth0]:80", "fe80::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:cb00:7107]:80", "203.0.113.7"),
    ],
)
def test_an_address_is_read_as_servers_and_proxies_write_it(text: str, address: str, around: str) -> None:
    assert str(read_address(around.format(text))) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "unknown",
            "_hidden",
            "localhost",
            "1",
            "0x7f.1",
            "010.0.0.1",
            "203.0.113",
            "203.0.113.7.1",
            "203.0.113.0/24",
        ),
        *("203.0.113.7:", "203.0.113.7:x", "203.0.113.7:123456", "203.0.113.7:80:80", "[203.0.113.7", "203.0.113.7]"),
        *(
            "[2001:db8::7",
            "[2001:db8::7]:",
            "[2001:db8::7]x",
            "[[2001:db8::7]]",
            "2001:db8::7::",
            ":80",
            "[]:80",
            "::g",
        ),
        *("٢٠٣.0.113.7", "203.0.113.7;evil", "for=203.0.113.7", "203.0.113.7\x00", "2001:db8::7" + " " * 100 + "x"),
    ],
)
def test_what_is_no_address_is_not_read_as_one(text: str) -> None:
    assert read_address(text) is None


def test_around_an_ipv6_subscriber_are_the_networks_that_a_household_and_a_business_get() -> None:
    assert networks_around(subscriber_of("2001:db8:1:2ff::9")) == ("2001:db8:1:200::/56", "2001:db8:1::/48")
    for other in ("203.0.113.7", "unknown", "un:known", "::ffff:203.0.113.7"):
        assert networks_around(subscriber_of(other)) == ()
