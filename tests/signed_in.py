"""Browsers that are signed in, as tests have them: a session of requests with its cookie."""

from __future__ import annotations

from dataclasses import dataclass

import requests

from iuserver.records import Account
from tests.running import DEADLINE, RunningServer

PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser on a server, and whose it is."""

    server: RunningServer
    account: Account
    key: str
    http: requests.Session

    @property
    def cookie(self) -> str:
        """The session's token."""
        return next(cookie.value or "" for cookie in self.http.cookies if cookie.name.endswith("session"))

    def get(self, path: str, **headers: str) -> requests.Response:
        """Look at a page, without going on where it sends one."""
        return self.http.get(self.server.url + path, headers=headers, allow_redirects=False, timeout=DEADLINE)

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> requests.Response:
        """Send a form of ours, as browsers do from our own pages."""
        sent = {"Sec-Fetch-Site": "same-origin", "Origin": self.server.url} if headers is None else headers
        return self.http.post(
            self.server.url + path, data=fields, headers=sent, allow_redirects=False, timeout=DEADLINE
        )


def signed_in(server: RunningServer, *, admin: bool = False, plan: str = "free", password: str = PASSWORD) -> Browser:
    """A new account with a password (none where it is empty), signed in by a one-time link."""
    accounts = server.server.accounts
    email, key = server.new_email(plan, admin=admin)
    account = server.call(accounts.named(email))
    browser = Browser(server, account, key, requests.Session())
    sign_in_by_link(browser)
    if password:
        assert browser.post("/dashboard/profile/password", new=password).status_code == 303
    return Browser(server, server.call(accounts.named(email)), key, browser.http)


def sign_in_by_link(browser: Browser) -> None:
    """Sign a browser in, by a link that is made for it."""
    server, accounts = browser.server, browser.server.server.accounts
    account = server.call(accounts.named(browser.account.email))  # as it is now: links end with passwords
    token = server.call(accounts.make_link(account)).token
    assert browser.post(f"/login/{token}").status_code == 303


def another(browser: Browser) -> Browser:
    """A second browser of the same account."""
    second = Browser(browser.server, browser.account, browser.key, requests.Session())
    sign_in_by_link(second)
    return second
