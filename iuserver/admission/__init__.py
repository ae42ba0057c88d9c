"""Admission: who may call, upload and try passwords, and where they wait.

Every waiting line, in the order in which an upload meets them. What exceeds a bound is refused with 503 `overloaded`
and a `Retry-After`; the limits of `rate`, `quota` and `attempts` never wait and answer 429.

1. Connections (`handlers/http/connections.py`): `server.max_connections`, of which 4 begin per tick. While the queue
   sheds (`UploadQueue.is_shedding`), uploads on new connections are refused before they are parsed.
2. Calls a minute (`rate.TokenBuckets`), by account or by address.
3. Uploads a month (`quota.QuotaReservations`), by account.
4. Start (`UploadQueue.wait_to_start`): 2 per tick, 256 waiting, in order of arrival.
5. Receive (`UploadQueue.enter`): `receive.max_uploads` and `receive.per_account`; as many may wait, each for at most
   `receive.max_wait`, accounts in round-robin order.
6. Read (`UploadQueue.acquire_read`): 2 chunks per tick and 1 more for each 32 waiting, accounts in round-robin order.
   Who waits here holds a receive permit, so there are no more of them than of those.
7. Work (`UploadQueue.enqueue`): `queue.max_jobs` and `queue.max_mb`, of which an account has `queue.per_account_share`;
   `queue.max_wait` is checked when an upload asks to begin.
8. Workers (`UploadQueue.acquire_worker`): 4 permits per worker, at most `queue.max_jobs` waiting, accounts in
   round-robin order. What has a permit is in a worker or in the pool's queue (`imaging.pool`), in order of arrival.
9. Password hashes (`passwords.Passwords`), where an upload has one.
10. The writer process (`writer.client`): one step of each upload at a time, so at most `queue.max_jobs`.

Thumbnails have a line of their own (`thumbnails.Thumbnails`): as many as there are workers are made at a time, of
those that take much memory one; 256 may wait in each of the two lines, each for at most 30 seconds, accounts in
round-robin order. Who asks for one that is being made waits for that.

A tick is one iteration of the event loop.
"""
