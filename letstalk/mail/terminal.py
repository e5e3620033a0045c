"""Mails on a developer's terminal, where there is no mail server."""

from __future__ import annotations

import sys
import textwrap

from letstalk.mail.models import Mail


class TerminalCarrier:
    """Shows each mail, its link included: in development only."""

    def carry(self, mail: Mail, _mail_id: str) -> None:
        text = textwrap.indent(mail.body.strip(), "     ")
        sys.stdout.write(f"\n  ✉  To {mail.to}: {mail.subject}\n\n{text}\n\n")
        sys.stdout.flush()
