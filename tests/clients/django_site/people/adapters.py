from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth import get_user_model

from letstalk_client.allauth import CallsMixin


class AccountAdapter(CallsMixin, DefaultAccountAdapter):
    def get_phone(self, user):
        return (user.phone, user.phone_verified) if user.phone else None

    def set_phone(self, user, phone, verified):
        user.phone, user.phone_verified = phone, verified
        user.save(update_fields=["phone", "phone_verified"])

    def set_phone_verified(self, user, phone):
        self.set_phone(user, phone, True)

    def get_user_by_phone(self, phone):
        return get_user_model().objects.filter(phone=phone).order_by("-phone_verified").first()
