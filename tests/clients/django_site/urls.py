from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from django.urls import include, path
from two_factor.urls import urlpatterns as two_factor_urls

urlpatterns = [
    path("", lambda _request: HttpResponse("home")),
    path("", include(two_factor_urls)),
    path("accounts/", include("allauth.urls")),
]

if settings.WITH_PHONE_VERIFY:
    from phone_verify.api import VerificationViewSet
    from rest_framework.routers import DefaultRouter

    router = DefaultRouter(trailing_slash=False)
    router.register("phone", VerificationViewSet, basename="phone")
    urlpatterns.append(path("api/", include(router.urls)))
