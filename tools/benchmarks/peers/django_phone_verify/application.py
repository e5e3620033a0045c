"""django-phone-verify with an API-key package and REST framework's throttle, as one WSGI application on SQLite.

`python application.py CODES` makes the tables, a key, and what the file CODES holds: [[phone, code], ...]; it prints
the key, then each session token, a line each. `gunicorn application:application` serves. DATABASE names the file.

Given its best: SQLite in WAL mode, connections kept, and the code goes nowhere.
"""

import json
import os
import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

settings.configure(
    SECRET_KEY="a secret for this measurement only, nothing else",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "rest_framework",
        "rest_framework_api_key",
        "phone_verify",
    ],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            },
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
        # As short a window as there is: the throttle keeps a list of every request in it, and reads it each time.
        "DEFAULT_THROTTLE_RATES": {"anon": "100000000/s"},
    },
    PHONE_VERIFICATION={
        "BACKEND": f"{__name__}.Nowhere",
        "OPTIONS": {},
        "TOKEN_LENGTH": 6,
        "MESSAGE": "{app}: {security_code}",
        "APP_NAME": "acme",
        "SECURITY_CODE_EXPIRATION_SECONDS": 600,
        "VERIFY_SECURITY_CODE_ONLY_ONCE": True,
    },
)
django.setup()

from phone_verify.api import VerificationViewSet  # noqa: E402  # needs the settings
from phone_verify.backends.base import BaseBackend  # noqa: E402
from phone_verify.models import SMSVerification  # noqa: E402
from rest_framework.routers import SimpleRouter  # noqa: E402
from rest_framework_api_key.models import APIKey  # noqa: E402
from rest_framework_api_key.permissions import HasAPIKey  # noqa: E402


class Nowhere(BaseBackend):
    def send_sms(self, number, message):
        pass

    def send_bulk_sms(self, numbers, message):
        pass


class Guarded(VerificationViewSet):
    def get_permissions(self):
        return [HasAPIKey()]


router = SimpleRouter(trailing_slash=False)
router.register("phone", Guarded, basename="phone")
urlpatterns = [path("", include(router.urls))]
application = get_wsgi_application()


def prepare(codes):
    call_command("migrate", verbosity=0)
    print(APIKey.objects.create_key(name="acme")[1])
    rows = [
        SMSVerification(phone_number=phone, security_code=code, session_token=BaseBackend.generate_session_token(phone))
        for phone, code in codes
    ]
    SMSVerification.objects.bulk_create(rows)
    for row in rows:
        print(row.session_token)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        prepare(json.load(file))
