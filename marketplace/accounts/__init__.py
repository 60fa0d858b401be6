"""Who somebody is: sign-up, sign-in, the second factor, invitations."""
