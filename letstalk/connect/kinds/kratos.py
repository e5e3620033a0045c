"""Ory Kratos: an HTTP channel of its courier, whose body our jsonnet writes (ory/kratos, courier/http_channel.go).

Kratos's own body has no code of a login or a registration. It tries again where the answer is not 2xx, five times
unless configured otherwise, and logs the first kilobyte of the answer.
"""

from __future__ import annotations

from typing import Any

from letstalk.connect.kinds.base import Fields, Kind, Step
from letstalk.connect.signatures import SharedSecret

FIELDS = Fields(phone=("/phone",), code=("/code",), locale=("/locale",))

JSONNET = """\
function(ctx)
  local fields(value) = if std.isObject(value) then value else {};
  local data = fields(ctx.template_data);
  local traits = fields(std.get(fields(std.get(data, 'identity')), 'traits'));
  local codes = [
    std.get(data, name)
    for name in ['login_code', 'registration_code', 'verification_code', 'recovery_code']
    if std.isString(std.get(data, name))
  ];
  {
    phone: ctx.recipient,
    code: if std.length(codes) > 0 then codes[0] else '',
    locale: std.get(traits, 'locale'),
    type: ctx.template_type,
  }
"""

GUIDE = (
    Step("Save this beside your configuration as letstalk.jsonnet:", JSONNET, "letstalk.jsonnet"),
    Step(
        "Add the channel to kratos.yml, with the path of that file:",
        "courier:\n"
        "  channels:\n"
        "    - id: sms\n"
        "      type: http\n"
        "      request_config:\n"
        "        url: LETSTALK_URL\n"
        "        method: POST\n"
        "        body: file:///etc/config/kratos/letstalk.jsonnet\n"
        "        headers:\n"
        "          Content-Type: application/json\n"
        "        auth:\n"
        "          type: api_key\n"
        "          config:\n"
        "            in: header\n"
        "            name: Authorization\n"
        "            value: Bearer LETSTALK_SECRET",
        "kratos.yml",
    ),
    Step("Use the method code with a trait whose schema has via: sms, and restart Kratos."),
)


def example(phone: str, code: str) -> dict[str, Any]:
    return {"phone": phone, "code": code, "locale": None, "type": "login_code_valid"}


KIND = Kind(
    name="kratos",
    title="Ory Kratos",
    scheme=SharedSecret(),
    fields=FIELDS,
    example=example,
    guide=GUIDE,
    user_sees="Nothing: Kratos sends in the background. The refusal is in its log and on this page.",
)
