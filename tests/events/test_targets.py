"""Where webhooks may be sent: no spelling of an address leads into a private network."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest

from letstalk.core.errors import InvalidRequest
from letstalk.core.ip_addresses import read_networks
from letstalk.events.targets import TargetPolicy, ensure_target, is_public

PUBLIC_ONLY = TargetPolicy()
PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"),
    *("0.0.0.0", "255.255.255.255", "192.0.0.8", "198.18.0.1", "240.0.0.1"),  # noqa: S104
    *("::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::", "fec0::1", "2001:db8::1"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_a_public_address_is_not(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *(f"https://{spelling}/hook" for spelling in ("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost")),
        *("https://[::1]/", "https://[::ffff:7f00:1]/", "https://[fe80::1%25lo]/", "https://10.0.0.1:8443/"),
        *("http://93.184.215.14/", "ftp://93.184.215.14/", "//93.184.215.14/", "https://", "https://:443/", ""),
        *(
            "https://a:b@93.184.215.14/",
            "https://93.184.215.14/#part",
            "https://93.184.215.14:0/",
            "https://93.184.215.14:99999/",
        ),
        *(
            "https://exa mple.com/",
            "https://bücher.example/",
            "https://nobody.invalid/",
            "https://" + "a" * 2000,
            "javascript:1",
        ),
    ],
)
def test_a_url_that_leads_nowhere_good_is_refused_with_its_field(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ensure_target(url, PUBLIC_ONLY)
    assert [detail.field for detail in refused.value.details] == ["url"]


def test_a_public_address_by_https_is_accepted() -> None:
    ensure_target("https://93.184.215.14:8443/hooks?a=b", PUBLIC_ONLY)


def test_a_name_for_a_public_and_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve_both(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, 443)) for address in ("93.184.215.14", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_both)
    with pytest.raises(InvalidRequest, match=r"10\.0\.0\.1"):
        ensure_target("https://both.example/", PUBLIC_ONLY)


def test_a_network_that_the_operator_opens_may_be_reached_by_http() -> None:
    policy = TargetPolicy(read_networks("10.1.0.0/24,127.0.0.0/8"))
    ensure_target("http://10.1.0.7/", policy)
    ensure_target("http://[::ffff:10.1.0.7]/", policy)
    with pytest.raises(InvalidRequest):
        ensure_target("http://10.1.1.7/", policy)
