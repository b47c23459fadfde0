-- The session table as Django's migrations of jwtauth create it, for projects without Django. A user's key is any text.
CREATE TABLE "jwtauth_session" (
    "id" char(32) NOT NULL PRIMARY KEY,
    "generation" bigint NOT NULL,
    "acknowledged_at" datetime NULL,
    "rotated_at" datetime NOT NULL,
    "created_at" datetime NOT NULL,
    "expires_at" datetime NOT NULL,
    "auth_hash" text NOT NULL,
    "remember" bool NOT NULL,
    "user_agent" text NOT NULL,
    "ip_address" char(39) NULL,
    "last_seen_at" datetime NOT NULL,
    "user_id" text NOT NULL,
    "end_is_fixed" bool DEFAULT 0 NOT NULL,
    "backend" text DEFAULT '' NOT NULL,
    "actor_session_id" char(32) NULL,
    "amr" text DEFAULT '' NOT NULL,
    "auth_time" datetime NULL,
    "locks_at" datetime NULL,
    "device_key" text NULL
);
CREATE INDEX "jwtauth_session_expires_at_8889006b" ON "jwtauth_session" ("expires_at");
CREATE INDEX "jwtauth_session_user_id_20fd0ab7" ON "jwtauth_session" ("user_id");
