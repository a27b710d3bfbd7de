-- +goose Up

-- Programs of others that act for people: each start of an app registers one.
CREATE TABLE apps (
  id            BIGINT PRIMARY KEY,
  client_id     TEXT NOT NULL UNIQUE,
  secret_hash   TEXT NOT NULL, -- SHA-256, hex
  name          TEXT NOT NULL,
  website       TEXT NOT NULL,
  redirect_uris TEXT NOT NULL, -- JSON
  scopes        TEXT NOT NULL, -- what it may ask for at most
  created_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX apps_created ON apps (created_at);

-- Codes by which an app gets a token, once.
CREATE TABLE grants (
  id           BIGINT PRIMARY KEY,
  hash         TEXT NOT NULL UNIQUE, -- SHA-256 of the code, hex
  app_id       BIGINT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  user_id      BIGINT NOT NULL REFERENCES users (id),
  actor_id     BIGINT NOT NULL REFERENCES actors (id), -- as whom
  redirect_uri TEXT NOT NULL,
  scopes       TEXT NOT NULL,
  challenge    TEXT NOT NULL, -- of PKCE, S256; '' for none
  created_at   TIMESTAMPTZ NOT NULL,
  used_at      TIMESTAMPTZ
);
CREATE INDEX grants_app ON grants (app_id);
CREATE INDEX grants_created ON grants (created_at);

CREATE TABLE tokens (
  id         BIGINT PRIMARY KEY,
  hash       TEXT NOT NULL UNIQUE, -- SHA-256, hex
  app_id     BIGINT NOT NULL, -- 0: made at the command line
  grant_id   BIGINT NOT NULL, -- the code that it was given for; 0: none
  user_id    BIGINT NOT NULL, -- 0: of the app itself
  actor_id   BIGINT NOT NULL, -- as whom; 0 likewise
  scopes     TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  revoked_at TIMESTAMPTZ
);
CREATE INDEX tokens_user ON tokens (user_id);
CREATE INDEX tokens_app ON tokens (app_id);

-- People signed in with a browser.
CREATE TABLE sessions (
  id         BIGINT PRIMARY KEY,
  hash       TEXT NOT NULL UNIQUE, -- SHA-256 of what the cookie holds, hex
  user_id    BIGINT NOT NULL REFERENCES users (id),
  created_at TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

-- How far somebody has read a timeline.
CREATE TABLE markers (
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  timeline   TEXT NOT NULL CHECK (timeline IN ('home', 'notifications')),
  last_read  BIGINT NOT NULL,
  version    BIGINT NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (actor_id, timeline)
);

-- What an app has asked for under a key of its own, so that it happens once.
CREATE TABLE idempotency_keys (
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  key        TEXT NOT NULL,
  object_id  BIGINT NOT NULL, -- what came of it
  created_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (actor_id, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- What somebody wrote down about somebody else, for herself.
CREATE TABLE account_notes (
  actor_id  BIGINT NOT NULL REFERENCES actors (id),
  target_id BIGINT NOT NULL REFERENCES actors (id),
  text      TEXT NOT NULL,
  PRIMARY KEY (actor_id, target_id)
);

-- Lists of those whom somebody follows, to read them apart.
CREATE TABLE lists (
  id        BIGINT PRIMARY KEY,
  actor_id  BIGINT NOT NULL REFERENCES actors (id),
  title     TEXT NOT NULL,
  replies   TEXT NOT NULL CHECK (replies IN ('followed', 'list', 'none')),
  exclusive BOOLEAN NOT NULL -- what is in the list is not in the home timeline
);
CREATE INDEX lists_actor ON lists (actor_id);

CREATE TABLE list_members (
  list_id   BIGINT NOT NULL REFERENCES lists (id) ON DELETE CASCADE,
  target_id BIGINT NOT NULL REFERENCES actors (id),
  PRIMARY KEY (list_id, target_id)
);
CREATE INDEX list_members_target ON list_members (target_id);

-- Words that somebody does not want to read.
CREATE TABLE filters (
  id         BIGINT PRIMARY KEY,
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  title      TEXT NOT NULL,
  contexts   TEXT NOT NULL, -- JSON: home, notifications, public, thread, account
  action     TEXT NOT NULL CHECK (action IN ('warn', 'hide')),
  expires_at TIMESTAMPTZ
);
CREATE INDEX filters_actor ON filters (actor_id);

CREATE TABLE filter_keywords (
  id         BIGINT PRIMARY KEY,
  filter_id  BIGINT NOT NULL REFERENCES filters (id) ON DELETE CASCADE,
  keyword    TEXT NOT NULL,
  whole_word BOOLEAN NOT NULL
);
CREATE INDEX filter_keywords_filter ON filter_keywords (filter_id);

-- Hashtags that somebody follows, and those that she shows on her profile.
CREATE TABLE followed_tags (
  id       BIGINT PRIMARY KEY,
  actor_id BIGINT NOT NULL REFERENCES actors (id),
  name     TEXT NOT NULL, -- lower case, without #
  featured BOOLEAN NOT NULL, -- shown, not followed
  UNIQUE (actor_id, name, featured)
);

-- Of whom somebody follows: whether she wants to see what they share, and to be told when they write.
CREATE TABLE follow_wishes (
  actor_id  BIGINT NOT NULL REFERENCES actors (id),
  target_id BIGINT NOT NULL REFERENCES actors (id),
  no_boosts BOOLEAN NOT NULL,
  notify    BOOLEAN NOT NULL,
  PRIMARY KEY (actor_id, target_id)
);
CREATE INDEX follow_wishes_target ON follow_wishes (target_id) WHERE notify;

-- Conversations of which somebody does not want to be told.
CREATE TABLE muted_conversations (
  actor_id     BIGINT NOT NULL REFERENCES actors (id),
  conversation TEXT NOT NULL,
  PRIMARY KEY (actor_id, conversation)
);

-- What has just changed, for those who look on: forgotten after some minutes.
CREATE TABLE changes (
  seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind       TEXT NOT NULL, -- post, edit, delete, news
  post_id    BIGINT NOT NULL, -- 0 for news
  actor_id   BIGINT NOT NULL, -- who wrote it, or is told
  news_id    BIGINT NOT NULL, -- the notification; 0 for posts
  created_at TIMESTAMPTZ NOT NULL
);

-- +goose Down
DROP TABLE changes;
DROP TABLE muted_conversations;
DROP TABLE follow_wishes;
DROP TABLE followed_tags;
DROP TABLE filter_keywords;
DROP TABLE filters;
DROP TABLE list_members;
DROP TABLE lists;
DROP TABLE account_notes;
DROP TABLE idempotency_keys;
DROP TABLE markers;
DROP TABLE sessions;
DROP TABLE tokens;
DROP TABLE grants;
DROP TABLE apps;
