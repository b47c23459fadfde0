-- The session table as Django's migrations of jwtauth create it, for projects without Django. A user's key is any text;
-- comparison is case-sensitive, and trailing spaces are significant.
CREATE TABLE `jwtauth_session` (
    `id` uuid NOT NULL PRIMARY KEY,
    `generation` bigint NOT NULL,
    `acknowledged_at` datetime(6) NULL,
    `rotated_at` datetime(6) NOT NULL,
    `created_at` datetime(6) NOT NULL,
    `expires_at` datetime(6) NOT NULL,
    `auth_hash` longtext NOT NULL,
    `remember` bool NOT NULL,
    `user_agent` longtext NOT NULL,
    `ip_address` char(39) NULL,
    `last_seen_at` datetime(6) NOT NULL,
    `user_id` text CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
    `end_is_fixed` bool DEFAULT 0 NOT NULL,
    `backend` longtext DEFAULT '' NOT NULL,
    `actor_session_id` uuid NULL,
    `amr` longtext DEFAULT '' NOT NULL,
    `auth_time` datetime(6) NULL,
    `locks_at` datetime(6) NULL,
    `device_key` longtext NULL
) CHARACTER SET utf8mb4;
CREATE INDEX `jwtauth_session_expires_at_8889006b` ON `jwtauth_session` (`expires_at`);
CREATE INDEX `jwtauth_session_user_id_20fd0ab7` ON `jwtauth_session` (`user_id`(255));
