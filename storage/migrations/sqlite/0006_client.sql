-- +goose Up

-- Programs of others that act for people: each start of an app registers one.
CREATE TABLE apps (
  id            INTEGER PRIMARY KEY,
  client_id     TEXT NOT NULL UNIQUE,
  secret_hash   TEXT NOT NULL, -- SHA-256, hex
  name          TEXT NOT NULL,
  website       TEXT NOT NULL,
  redirect_uris TEXT NOT NULL, -- JSON
  scopes        TEXT NOT NULL, -- what it may ask for at most
  created_at    DATETIME NOT NULL
);
CREATE INDEX apps_created ON apps (created_at);

-- Codes by which an app gets a token, once.
CREATE TABLE grants (
  id           INTEGER PRIMARY KEY,
  hash         TEXT NOT NULL UNIQUE, -- SHA-256 of the code, hex
  app_id       INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  user_id      INTEGER NOT NULL REFERENCES users (id),
  actor_id     INTEGER NOT NULL REFERENCES actors (id), -- as whom
  redirect_uri TEXT NOT NULL,
  scopes       TEXT NOT NULL,
  challenge    TEXT NOT NULL, -- of PKCE, S256; '' for none
  created_at   DATETIME NOT NULL,
  used_at      DATETIME
);
CREATE INDEX grants_app ON grants (app_id);
CREATE INDEX grants_created ON grants (created_at);

CREATE TABLE tokens (
  id         INTEGER PRIMARY KEY,
  hash       TEXT NOT NULL UNIQUE, -- SHA-256, hex
  app_id     INTEGER NOT NULL, -- 0: made at the command line
  grant_id   INTEGER NOT NULL, -- the code that it was given for; 0: none
  user_id    INTEGER NOT NULL, -- 0: of the app itself
  actor_id   INTEGER NOT NULL, -- as whom; 0 likewise
  scopes     TEXT NOT NULL,
  created_at DATETIME NOT NULL,
  revoked_at DATETIME
);
CREATE INDEX tokens_user ON tokens (user_id);
CREATE INDEX tokens_app ON tokens (app_id);

-- People signed in with a browser.
CREATE TABLE sessions (
  id         INTEGER PRIMARY KEY,
  hash       TEXT NOT NULL UNIQUE, -- SHA-256 of what the cookie holds, hex
  user_id    INTEGER NOT NULL REFERENCES users (id),
  created_at DATETIME NOT NULL,
  expires_at DATETIME NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

-- How far somebody has read a timeline.
CREATE TABLE markers (
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  timeline   TEXT NOT NULL CHECK (timeline IN ('home', 'notifications')),
  last_read  INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  updated_at DATETIME NOT NULL,
  PRIMARY KEY (actor_id, timeline)
);

-- What an app has asked for under a key of its own, so that it happens once.
CREATE TABLE idempotency_keys (
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  key        TEXT NOT NULL,
  object_id  INTEGER NOT NULL, -- what came of it
  created_at DATETIME NOT NULL,
  PRIMARY KEY (actor_id, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- What somebody wrote down about somebody else, for herself.
CREATE TABLE notes (
  actor_id  INTEGER NOT NULL REFERENCES actors (id),
  target_id INTEGER NOT NULL REFERENCES actors (id),
  text      TEXT NOT NULL,
  PRIMARY KEY (actor_id, target_id)
);

-- What has just changed, for those who look on: forgotten after some minutes.
CREATE TABLE changes (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  kind       TEXT NOT NULL, -- post, edit, delete, news
  post_id    INTEGER NOT NULL, -- 0 for news
  actor_id   INTEGER NOT NULL, -- who wrote it, or is told
  news_id    INTEGER NOT NULL, -- the notification; 0 for posts
  created_at DATETIME NOT NULL
);

-- +goose Down
DROP TABLE changes;
DROP TABLE notes;
DROP TABLE idempotency_keys;
DROP TABLE markers;
DROP TABLE sessions;
DROP TABLE tokens;
DROP TABLE grants;
DROP TABLE apps;
