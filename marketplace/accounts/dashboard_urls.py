"""Under ``/dashboard/<slug>/``."""

from django.urls import path

from marketplace.accounts import dashboard

urlpatterns = [
    path("members/", dashboard.members_page, name="members"),
    path("members/invite/", dashboard.invite, name="member-invite"),
    path("members/<uuid:user_id>/role/", dashboard.change_role, name="member-role"),
    path("members/<uuid:user_id>/remove/", dashboard.remove, name="member-remove"),
    path("invitations/<uuid:invitation_id>/revoke/", dashboard.revoke_invitation, name="invitation-revoke"),
    path("keys/", dashboard.keys_page, name="keys"),
    path("keys/<uuid:key_id>/revoke/", dashboard.revoke_key, name="key-revoke"),
]
