-- A catalog that iuserver 0.1.0 wrote: two accounts, of which one is disabled; a folder; a picture in it, one whose
-- only viewer has seen it, one with a password, one that was deleted; an idempotency key; a block.
BEGIN TRANSACTION;
CREATE TABLE accounts (
        id           TEXT PRIMARY KEY,
        email        TEXT NOT NULL UNIQUE COLLATE NOCASE,
        plan         TEXT NOT NULL,
        key_hash     BLOB NOT NULL UNIQUE,
        key_last4    TEXT NOT NULL,
        created_at   INTEGER NOT NULL,
        disabled     INTEGER NOT NULL,
        stored_bytes INTEGER NOT NULL,
        month        TEXT NOT NULL,
        used         INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "accounts" VALUES('551e5acbbcbfdb91','user2@example.org','free',X'972551718D9E5EB71DB9990B50064DD163769180D4C9EB4A23A75EEAFB7BCEA0','2T3D',1795982555,1,5060,'2026-11',3);
INSERT INTO "accounts" VALUES('c30d804ec206c684','user1@example.org','pro',X'80C3E1EC6B32889C392EB50EB3695CBC2EFD46D4CB8FB7032C7E81BA77843F44','TyyG',1795982555,0,5060,'2026-11',2);
CREATE TABLE blocks (
        id         TEXT PRIMARY KEY,
        sha256     BLOB NOT NULL UNIQUE,
        size       INTEGER,
        origin     TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "blocks" VALUES('abababababab',X'ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB',NULL,'SHA-256',1795982556);
CREATE TABLE folders (
        account_id TEXT NOT NULL REFERENCES accounts (id),
        slug       TEXT NOT NULL,
        name       TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        PRIMARY KEY (account_id, slug),
        UNIQUE (account_id, name)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "folders" VALUES('c30d804ec206c684','cats','Cats',1795982555);
CREATE TABLE grants (
        slug      TEXT NOT NULL REFERENCES images (slug) ON DELETE CASCADE,
        hash      BLOB NOT NULL,
        lapses_at INTEGER NOT NULL,
        PRIMARY KEY (slug, hash)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency_keys (
        account_id  TEXT NOT NULL,
        key         TEXT NOT NULL,
        claimed_at  INTEGER NOT NULL,
        lease_until INTEGER NOT NULL,
        fingerprint BLOB,
        answer      BLOB,
        PRIMARY KEY (account_id, key)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "idempotency_keys" VALUES('551e5acbbcbfdb91','k1',1795982555,1795982675,X'C863F60E80EBB43BDB057D2DBC14A6F549EB406DC3C9DB1F6394D222337A0C6F',X'7B22696D616765223A7B22736C7567223A22354D334672596433222C22626C6F62223A223434363261376633616237306538326465373463646333366435636336313963222C226163636F756E745F6964223A2235353165356163626263626664623931222C2266696C656E616D65223A2274687265652E6A7067222C22657874223A226A7067222C226D696D65223A22696D6167652F6A706567222C2273697A65223A323533302C227769647468223A33322C22686569676874223A34382C2265787069726174696F6E223A223164222C22657870697265735F6174223A313739363036383935352C22766965775F6C696D6974223A6E756C6C2C2270617373776F72645F68617368223A6E756C6C2C22666F6C646572223A6E756C6C2C2275706C6F61645F736F75726365223A22617069222C22637265617465645F6174223A313739353938323535352C227669657773223A302C227669657765645F6174223A6E756C6C2C226C65745F676F5F6174223A6E756C6C2C226275726965645F6174223A6E756C6C7D2C2271756F7461223A7B2275736564223A312C226C696D6974223A31302C22706C616E223A2266726565227D2C227265706C61796564223A66616C73657D');
CREATE TABLE image_counts (
        account_id TEXT NOT NULL,
        folder     TEXT NOT NULL,
        images     INTEGER NOT NULL,
        PRIMARY KEY (account_id, folder)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "image_counts" VALUES('551e5acbbcbfdb91','',2);
INSERT INTO "image_counts" VALUES('c30d804ec206c684','',1);
INSERT INTO "image_counts" VALUES('c30d804ec206c684','cats',1);
CREATE TABLE images (
        slug          TEXT PRIMARY KEY,
        blob          TEXT NOT NULL UNIQUE,
        account_id    TEXT NOT NULL REFERENCES accounts (id),
        filename      TEXT NOT NULL,
        ext           TEXT NOT NULL,
        mime          TEXT NOT NULL,
        size          INTEGER NOT NULL,
        width         INTEGER NOT NULL,
        height        INTEGER NOT NULL,
        expiration    TEXT NOT NULL,
        expires_at    INTEGER,
        view_limit    INTEGER,
        password_hash TEXT,
        folder        TEXT,
        upload_source TEXT NOT NULL,
        created_at    INTEGER NOT NULL
    , views INTEGER NOT NULL DEFAULT 0, viewed_at INTEGER, let_go_at INTEGER, buried_at INTEGER) STRICT, WITHOUT ROWID;
INSERT INTO "images" VALUES('29dvOsLY','ebe44998afe22764b20745eb936adffc','c30d804ec206c684','two.jpg','jpg','image/jpeg',2530,32,48,'burn',NULL,NULL,NULL,NULL,'api',1795982555,1,1795982555,1795982555,NULL);
INSERT INTO "images" VALUES('5M3FrYd3','4462a7f3ab70e82de74cdc36d5cc619c','551e5acbbcbfdb91','three.jpg','jpg','image/jpeg',2530,32,48,'1d',1796068955,NULL,NULL,NULL,'api',1795982555,0,NULL,NULL,NULL);
INSERT INTO "images" VALUES('TvhqXoUG','1551e08636ebbc6156fc82d615960c0e','551e5acbbcbfdb91','secret.jpg','jpg','image/jpeg',2530,32,48,'1d',1796068955,NULL,'$argon2id$v=19$m=19456,t=2,p=1$nyaHUNzp6SNG9rBg1X67Vg$HaYfAwQIhQoAjFCwN05XvMuiBYtRhZ4TjoWenvlIlPE',NULL,'api',1795982555,0,NULL,NULL,NULL);
INSERT INTO "images" VALUES('zDFguOB0','9907c6f26d4567a1dc68b42c8d8a2f48','c30d804ec206c684','one.jpg','jpg','image/jpeg',2530,32,48,'forever',NULL,NULL,NULL,'cats','api',1795982555,0,NULL,NULL,NULL);
CREATE TABLE kept_slugs (
        slug  TEXT PRIMARY KEY,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "kept_slugs" VALUES('3LccI4xk',1798574555);
CREATE TABLE "ledger" (
        month      TEXT NOT NULL,
        account_id TEXT NOT NULL,
        blob       TEXT NOT NULL,
        slug       TEXT NOT NULL,
        PRIMARY KEY (month, account_id, blob)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "ledger" VALUES('2026-11','551e5acbbcbfdb91','1551e08636ebbc6156fc82d615960c0e','TvhqXoUG');
INSERT INTO "ledger" VALUES('2026-11','551e5acbbcbfdb91','4462a7f3ab70e82de74cdc36d5cc619c','5M3FrYd3');
INSERT INTO "ledger" VALUES('2026-11','551e5acbbcbfdb91','5db2f947876ba9cb7a67e63767c1cf1a','3LccI4xk');
INSERT INTO "ledger" VALUES('2026-11','c30d804ec206c684','9907c6f26d4567a1dc68b42c8d8a2f48','zDFguOB0');
INSERT INTO "ledger" VALUES('2026-11','c30d804ec206c684','ebe44998afe22764b20745eb936adffc','29dvOsLY');
CREATE TABLE secrets (
        name  TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "secrets" VALUES('signing',X'B9ACE16BD51DB6DFF2A972244290B4836639914758A3B5EEC9375826A59D83B4');
CREATE TABLE viewers (
        slug   TEXT NOT NULL REFERENCES images (slug) ON DELETE CASCADE,
        viewer BLOB NOT NULL,
        PRIMARY KEY (slug, viewer)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "viewers" VALUES('29dvOsLY',X'98C5AA0104649238C59F072DDC3E3FA1');
CREATE INDEX images_by_account ON images (account_id, created_at);
CREATE INDEX images_by_expiry ON images (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (claimed_at);
CREATE INDEX kept_slugs_by_time ON kept_slugs (until);
CREATE INDEX images_to_bury ON images (let_go_at) WHERE let_go_at IS NOT NULL;
CREATE INDEX grants_by_time ON grants (lapses_at);
CREATE INDEX images_by_folder ON images (account_id, folder, created_at);
CREATE TRIGGER image_added AFTER INSERT ON images BEGIN
        INSERT INTO image_counts VALUES (new.account_id, coalesce(new.folder, ''), 1)
            ON CONFLICT DO UPDATE SET images = images + 1;
    END;
CREATE TRIGGER image_removed AFTER DELETE ON images BEGIN
        UPDATE image_counts SET images = images - 1
            WHERE account_id = old.account_id AND folder = coalesce(old.folder, '');
    END;
COMMIT;
PRAGMA user_version = 8;
