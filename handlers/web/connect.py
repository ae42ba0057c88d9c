"""/dashboard/connect: configurations for programs and agents, and ShareX's as a file."""

from __future__ import annotations

from urllib.parse import urlsplit

from handlers.web.connecting import NO_KEY, setups, sharex
from handlers.web.signed_in import SignedIn
from iuserver.accounts import hash_key


class ConnectHandler(SignedIn):
    """The page. The key is known right after it was made, when the form of that page sends it along."""

    def show(self) -> None:
        """Show the configurations without a key."""
        self._show(NO_KEY)

    async def show_with_key(self) -> None:
        """Show them with the key that was sent, if it is the account's."""
        self._show(self.sent_key())

    def sent_key(self) -> str:
        """The key in the form, or what stands for one."""
        key = self.form_field("key")
        return key if hash_key(key) == self.caller.account.key_hash else NO_KEY

    def file_name(self) -> str:
        """What the file for ShareX is called."""
        return f"{urlsplit(self.base_url()).hostname or 'iuserver'}.sxcu"

    def _show(self, key: str) -> None:
        self.render(
            "connect.html",
            key=key,
            has_key=key != NO_KEY,
            setups=setups(self.base_url(), key),
            sxcu_name=self.file_name(),
        )


class ShareXHandler(ConnectHandler):
    """The file for ShareX."""

    def download(self) -> None:
        """Without a key."""
        self._send(NO_KEY)

    def download_with_key(self) -> None:
        """With the key that was sent, if it is the account's."""
        self._send(self.sent_key())

    def _send(self, key: str) -> None:
        name = self.file_name().replace('"', "")
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.send_json(sharex(self.base_url(), key))
