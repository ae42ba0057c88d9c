"""Accounts and API keys: identifying callers, rate limits, and the operator's account management."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from string import ascii_letters, digits

from iuserver.admission.rate import TokenBuckets
from iuserver.errors import Fault
from iuserver.ports import Catalog
from iuserver.records import Account, Allowance, Caller, Plan, Surface, Via

KEY_PREFIX = "iu_live_"
KEY_CHARACTERS = 38
BASE62 = digits + ascii_letters
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


@dataclass(frozen=True, slots=True)
class NewKey:
    """An account with its key in the clear: the one time that it can be shown."""

    account: Account
    key: str


class Accounts:
    """What can be asked of accounts. `buckets` limits the calls of each by surface, `clock` gives unix seconds."""

    def __init__(
        self,
        catalog: Catalog,
        plans: Mapping[str, Plan],
        buckets: Mapping[Surface, TokenBuckets],
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._plans = plans
        self._buckets = buckets
        self._clock = clock

    def set_rules(self, plans: Mapping[str, Plan], per_minute: Mapping[Surface, int]) -> None:
        """Go by other plans and limits from now on."""
        self._plans = plans
        for surface, calls in per_minute.items():
            self._buckets[surface].per_minute = calls

    @property
    def plans(self) -> Mapping[str, Plan]:
        """The plans by name."""
        return self._plans

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
        return Caller(account, self._plans[account.plan], via)

    def count_anonymous(self, address: str, surface: Surface) -> Allowance:
        """Count a call without a right key, by the address it came from."""
        return self._buckets[surface].take(("address", address))

    def count_call(self, caller: Caller, surface: Surface) -> Allowance:
        """Count a call by a surface of the API; `policy.check_rate` says whether it may go on."""
        return self._buckets[surface].take(caller.account.id)

    async def add(self, email: str, plan: str) -> NewKey:
        """Make an account. Raises Fault: bad_field, name_taken."""
        if not EMAIL.fullmatch(email):
            raise Fault("bad_field", f"{email!r} is no e-mail address")
        key = new_key()
        account = Account(
            id=secrets.token_hex(8),
            email=email,
            plan=self._known(plan),
            key_hash=hash_key(key),
            key_last4=key[-4:],
            created_at=int(self._clock()),
        )
        await self._catalog.add_account(account)
        return NewKey(account, key)

    async def all(self) -> list[Account]:
        """Every account, oldest first."""
        return await self._catalog.accounts()

    async def put_on_plan(self, email: str, plan: str) -> Account:
        """Put an account on another plan. Raises Fault: bad_field, not_found."""
        return await self._catalog.set_plan(email, self._known(plan))

    async def rotate_key(self, email: str) -> NewKey:
        """Replace an account's key; the old one is dead when this returns. Raises Fault("not_found")."""
        key = new_key()
        return NewKey(await self._catalog.set_key(email, hash_key(key), key[-4:]), key)

    async def disable(self, email: str) -> Account:
        """Let an account's key count as wrong. Raises Fault("not_found")."""
        return await self._catalog.set_disabled(email, True)

    async def enable(self, email: str) -> Account:
        """Let an account's key count again. Raises Fault("not_found")."""
        return await self._catalog.set_disabled(email, False)

    async def remove(self, email: str, delete_images: Callable[[str], Awaitable[object]]) -> Account:
        """Delete an account and, by `delete_images`, the images of its id. Raises Fault("not_found").

        The key is dead first, so that no upload can be added meanwhile.
        """
        account = await self.disable(email)
        await delete_images(account.id)
        await self._catalog.remove_account(email)
        return account

    def _known(self, plan: str) -> str:
        if plan not in self._plans:
            raise Fault("bad_field", f"There is no plan {plan!r}; there are {', '.join(self._plans)}")
        return plan


def new_key() -> str:
    """A random key: the prefix and 38 base-62 characters, 226 bits."""
    return KEY_PREFIX + "".join(secrets.choice(BASE62) for _ in range(KEY_CHARACTERS))


def hash_key(key: str) -> bytes:
    """The stored form of a key. A key is random, so a plain SHA-256 cannot be guessed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
