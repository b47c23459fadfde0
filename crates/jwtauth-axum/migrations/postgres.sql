-- The session table as Django's migrations of jwtauth create it, for projects without Django. A user's key is any text.
CREATE TABLE "jwtauth_session" (
    "id" uuid NOT NULL PRIMARY KEY,
    "generation" bigint NOT NULL,
    "acknowledged_at" timestamp with time zone NULL,
    "rotated_at" timestamp with time zone NOT NULL,
    "created_at" timestamp with time zone NOT NULL,
    "expires_at" timestamp with time zone NOT NULL,
    "auth_hash" text NOT NULL,
    "remember" boolean NOT NULL,
    "user_agent" text NOT NULL,
    "ip_address" inet NULL,
    "last_seen_at" timestamp with time zone NOT NULL,
    "user_id" text NOT NULL,
    "end_is_fixed" boolean DEFAULT false NOT NULL,
    "backend" text DEFAULT '' NOT NULL,
    "actor_session_id" uuid NULL,
    "amr" text DEFAULT '' NOT NULL,
    "auth_time" timestamp with time zone NULL,
    "locks_at" timestamp with time zone NULL,
    "device_key" text NULL
);
CREATE INDEX "jwtauth_session_expires_at_8889006b" ON "jwtauth_session" ("expires_at");
CREATE INDEX "jwtauth_session_user_id_20fd0ab7" ON "jwtauth_session" ("user_id");
