"""Accounts and API keys: identifying callers, rate limits, and the operator's account management."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from string import ascii_letters, digits

from iuserver import forms, policy, signing
from iuserver.admission.rate import TokenBuckets
from iuserver.audit_log import AuditLog
from iuserver.errors import Fault
from iuserver.last_used import LastUsed
from iuserver.ports import WholeCatalog
from iuserver.records import OPERATOR, Account, Actor, Allowance, AuditAction, Caller, Plan, SignInLink, Surface, Via

KEY_PREFIX = "iu_live_"
KEY_CHARACTERS = 38
BASE62 = digits + ascii_letters
DEFAULT_PLAN = "free"


@dataclass(frozen=True, slots=True)
class NewKey:
    """An account with its key in the clear: the one time that it can be shown."""

    account: Account
    key: str


@dataclass(frozen=True, slots=True)
class NewLink:
    """A one-time sign-in link with its token in the clear: the one time that it can be shown."""

    token: str
    link: SignInLink
    account: Account


class Accounts:
    """What can be asked of accounts. `buckets` limits the calls of each by surface, `clock` gives unix seconds.

    What changes an account is done by somebody (`by`) and noted in the audit log.
    """

    def __init__(
        self,
        catalog: WholeCatalog,
        plans: Mapping[str, Plan],
        buckets: Mapping[Surface, TokenBuckets],
        audit: AuditLog,
        last_used: LastUsed,
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._plans = plans
        self._buckets = buckets
        self._audit = audit
        self._last_used = last_used
        self._clock = clock

    @property
    def plans(self) -> Mapping[str, Plan]:
        """The plans by name, in the order of the settings."""
        return self._plans

    def set_rules(self, plans: Mapping[str, Plan], per_minute: Mapping[Surface, int]) -> None:
        """Go by other plans and limits from now on."""
        self._plans = plans
        for surface, calls in per_minute.items():
            self._buckets[surface].per_minute = calls

    @property
    def per_minute(self) -> dict[Surface, int]:
        """The calls a minute that an account has on each surface (0 = unlimited)."""
        return {surface: bucket.per_minute for surface, bucket in self._buckets.items()}

    async def identify(self, key: str) -> Caller:
        """The caller whose key this is. Raises Fault("invalid_key").

        A key is looked up by its SHA-256, so timing reveals nothing about how much of a guess is right.
        """
        return await self.caller_of(hash_key(key))

    async def caller_of(self, key_hash: bytes, via: Via = "key") -> Caller:
        """The caller whose key has this hash. Raises Fault("invalid_key")."""
        account = await self._catalog.account_by_key(key_hash)
        if account is None or account.disabled:
            raise Fault("invalid_key", "Invalid API key")
        self._last_used.key_used(account)
        return Caller(account, self._plans[account.plan], via)

    def count_anonymous(self, address: str, surface: Surface) -> Allowance:
        """Count a call without a right key, by the address it came from."""
        return self._buckets[surface].take(("address", address))

    def count_call(self, caller: Caller, surface: Surface) -> Allowance:
        """Count a call by a surface of the API; `policy.check_rate` says whether it may go on."""
        return self._buckets[surface].take(caller.account.id)

    async def add(
        self,
        email: str,
        plan: str,
        *,
        admin: bool = False,
        password_hash: str | None = None,
        by: Actor = OPERATOR,
        action: AuditAction = "account_added",
    ) -> NewKey:
        """Make an account. Raises Fault: bad_field, name_taken."""
        email, key = forms.email(email), new_key()
        account = Account(
            id=secrets.token_hex(8),
            email=email,
            plan=self.known_plan(plan),
            key_hash=hash_key(key),
            key_last4=key[-4:],
            created_at=int(self._clock()),
            password_hash=password_hash,
            admin=admin,
        )
        await self._catalog.add_account(account)
        await self._audit.note(by, action, email, plan)
        return NewKey(account, key)

    async def all(self) -> list[Account]:
        """Every account, oldest first."""
        return await self._catalog.accounts()

    async def named(self, email: str) -> Account:
        """The account with this address. Raises Fault("not_found")."""
        account = await self._catalog.account_by_email(email) if forms.is_email(email) else None
        if account is None:
            raise Fault("not_found", f"There is no account with the address {email}")
        return account

    async def put_on_plan(self, email: str, plan: str, by: Actor = OPERATOR) -> Account:
        """Put an account on another plan. Raises Fault: bad_field, not_found."""
        account = await self._catalog.set_plan(email, self.known_plan(plan))
        await self._audit.note(by, "plan_set", account.email, plan)
        return account

    async def set_admin(self, email: str, admin: bool, by: Actor = OPERATOR) -> Account:
        """Make an account an admin's, or one of a user. Raises Fault("not_found")."""
        account = await self._catalog.set_admin(email, admin)
        await self._audit.note(by, "role_set", account.email, account.role)
        return account

    async def rotate_key(self, email: str, by: Actor = OPERATOR) -> NewKey:
        """Replace an account's key; the old one is dead when this returns. Raises Fault("not_found")."""
        key = new_key()
        made = NewKey(await self._catalog.set_key(email, hash_key(key), key[-4:]), key)
        await self._audit.note(by, "key_replaced", made.account.email)
        return made

    async def set_password(self, account: Account, password_hash: str, by: Actor = OPERATOR) -> Account:
        """Give an account another password; its sessions and sign-in links end. Raises Fault("not_found")."""
        changed = await self._catalog.set_password(account.id, password_hash)
        await self._catalog.end_sessions(account.id)
        await self._audit.note(by, "password_set", account.email)
        return changed

    async def make_link(self, account: Account, by: Actor = OPERATOR) -> NewLink:
        """A link that signs in once, for a day at most. Raises Fault("bad_field") for a disabled account."""
        if account.disabled:
            raise Fault("bad_field", f"The account {account.email} is disabled")
        token, now = signing.new_token(), int(self._clock())
        link = SignInLink(signing.token_hash(token), account.id, account.epoch, now, now + policy.LINK_SECONDS)
        await self._catalog.add_link(link)
        await self._audit.note(by, "link_made", account.email)
        return NewLink(token, link, account)

    async def disable(self, email: str, by: Actor = OPERATOR) -> Account:
        """Let an account's key count as wrong, and end its sessions. Raises Fault("not_found")."""
        account = await self._disable(email)
        await self._audit.note(by, "account_disabled", account.email)
        return account

    async def enable(self, email: str, by: Actor = OPERATOR) -> Account:
        """Let an account's key count again. Raises Fault("not_found")."""
        account = await self._catalog.set_disabled(email, False)
        await self._audit.note(by, "account_enabled", account.email)
        return account

    async def remove(
        self, email: str, delete_images: Callable[[str], Awaitable[object]], by: Actor = OPERATOR
    ) -> Account:
        """Delete an account and, by `delete_images`, the images of its id. Raises Fault("not_found").

        The key is dead first, so that no upload can be added meanwhile.
        """
        account = await self._disable(email)
        await delete_images(account.id)
        await self._catalog.remove_account(email)
        await self._audit.note(by, "account_removed", account.email)
        return account

    def known_plan(self, plan: str) -> str:
        """The name of a plan that there is. Raises Fault("bad_field")."""
        if plan not in self._plans:
            raise Fault("bad_field", f"There is no plan {plan!r}; there are {', '.join(self._plans)}")
        return plan

    async def _disable(self, email: str) -> Account:
        account = await self._catalog.set_disabled(email, True)
        await self._catalog.end_sessions(account.id)
        return account


def new_key() -> str:
    """A random key: the prefix and 38 base-62 characters, 226 bits."""
    return KEY_PREFIX + "".join(secrets.choice(BASE62) for _ in range(KEY_CHARACTERS))


def hash_key(key: str) -> bytes:
    """The stored form of a key. A key is random, so a plain SHA-256 cannot be guessed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
