"""Every kind of system that can be connected, by its name in addresses. Each is a file of this folder."""

from __future__ import annotations

from letstalk.connect.kinds import (
    auth0,
    authentik,
    authgear,
    fusionauth,
    generic,
    keycloak,
    kratos,
    logto,
    otpgateway,
    supabase,
    zitadel,
)
from letstalk.connect.kinds.base import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        supabase.KIND,
        logto.KIND,
        authentik.KIND,
        zitadel.KIND,
        kratos.KIND,
        authgear.KIND,
        fusionauth.KIND,
        otpgateway.KIND,
        keycloak.KIND,
        auth0.KIND,
        generic.KIND,
    )
}
