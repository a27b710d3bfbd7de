-- +goose Up

-- What the node knows of itself: origin, epoch, one-time codes, that it was restored.
CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

-- Everyone who can speak: people, co-ops, the node's own actors, and those of other servers.
CREATE TABLE actors (
  id            INTEGER PRIMARY KEY,
  iri           TEXT NOT NULL UNIQUE,
  type          TEXT NOT NULL,
  username      TEXT NOT NULL,
  domain        TEXT NOT NULL, -- '' on this node
  name          TEXT NOT NULL,
  summary       TEXT NOT NULL,
  source        TEXT NOT NULL,
  url           TEXT NOT NULL,
  inbox         TEXT NOT NULL,
  shared_inbox  TEXT NOT NULL,
  outbox        TEXT NOT NULL,
  followers     TEXT NOT NULL,
  following     TEXT NOT NULL,
  featured      TEXT NOT NULL,
  liked         TEXT NOT NULL,
  icon_url      TEXT NOT NULL,
  icon_alt      TEXT NOT NULL,
  header_url    TEXT NOT NULL,
  locked        BOOLEAN NOT NULL,
  bot           BOOLEAN NOT NULL,
  discoverable  BOOLEAN NOT NULL,
  indexable     BOOLEAN NOT NULL,
  category      TEXT NOT NULL,
  place         TEXT NOT NULL,
  latitude      REAL,
  longitude     REAL,
  hours         TEXT NOT NULL,
  links         TEXT, -- JSON, NULL for none
  principles    TEXT, -- JSON, NULL for none
  fields        TEXT, -- JSON, NULL for none
  also_known_as TEXT, -- JSON, NULL for none
  moved_to      TEXT NOT NULL,
  moved_at      DATETIME,
  raw           BLOB,
  published_at  DATETIME NOT NULL,
  created_at    DATETIME NOT NULL,
  updated_at    DATETIME NOT NULL,
  fetched_at    DATETIME NOT NULL,
  suspended_at  DATETIME,
  silenced_at   DATETIME,
  deleted_at    DATETIME
);
CREATE INDEX actors_handle ON actors (domain, username);
CREATE UNIQUE INDEX actors_local_name ON actors (lower(username)) WHERE domain = '';
CREATE INDEX actors_followers ON actors (followers);

CREATE TABLE keys (
  iri        TEXT PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  kind       TEXT NOT NULL,
  public     TEXT NOT NULL,
  private    TEXT NOT NULL, -- '' for actors elsewhere
  created_at DATETIME NOT NULL,
  retired_at DATETIME
);
CREATE INDEX keys_actor ON keys (actor_id);

-- People who sign in; each has a Person actor of her own.
CREATE TABLE users (
  id            INTEGER PRIMARY KEY,
  actor_id      INTEGER NOT NULL UNIQUE REFERENCES actors (id),
  username      TEXT NOT NULL UNIQUE,
  email         TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  role          TEXT NOT NULL,
  created_at    DATETIME NOT NULL,
  suspended_at  DATETIME
);

CREATE TABLE members (
  id         INTEGER PRIMARY KEY,
  user_id    INTEGER NOT NULL REFERENCES users (id),
  coop_id    INTEGER NOT NULL REFERENCES actors (id),
  role       TEXT NOT NULL CHECK (role IN ('admin', 'treasurer', 'cashier', 'editor', 'member', 'observer')),
  created_at DATETIME NOT NULL,
  UNIQUE (coop_id, user_id, role)
);
CREATE INDEX members_user ON members (user_id);

-- Who did what as whom. Append-only.
CREATE TABLE acts (
  id         INTEGER PRIMARY KEY,
  user_id    INTEGER NOT NULL, -- 0: the operator, at the command line
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  kind       TEXT NOT NULL,
  object     TEXT NOT NULL,
  detail     TEXT NOT NULL DEFAULT '', -- what was → what is now, where the kind does not say it
  created_at DATETIME NOT NULL
);
CREATE INDEX acts_actor ON acts (actor_id, id);

CREATE TABLE invites (
  id         INTEGER PRIMARY KEY,
  code_hash  TEXT NOT NULL UNIQUE,
  coop_id    INTEGER NOT NULL, -- 0: an invitation to the node alone
  uses_left  INTEGER NOT NULL CHECK (uses_left >= 0),
  created_by INTEGER NOT NULL,
  created_at DATETIME NOT NULL,
  expires_at DATETIME,
  revoked_at DATETIME
);

CREATE TABLE follows (
  id         INTEGER PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  target_id  INTEGER NOT NULL REFERENCES actors (id),
  state      TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'rejected')),
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, target_id)
);
CREATE INDEX follows_target ON follows (target_id, state, id);

CREATE TABLE posts (
  id             INTEGER PRIMARY KEY,
  iri            TEXT NOT NULL UNIQUE,
  actor_id       INTEGER NOT NULL REFERENCES actors (id),
  user_id        INTEGER NOT NULL, -- who wrote it, 0 elsewhere and for the operator
  type           TEXT NOT NULL,
  in_reply_to    TEXT NOT NULL,
  in_reply_to_id INTEGER,
  conversation   TEXT NOT NULL,
  boost_of_id    INTEGER, -- of an Announce: the post that it shares
  visibility     TEXT NOT NULL CHECK (visibility IN ('public', 'unlisted', 'private', 'direct')),
  title          TEXT NOT NULL,
  content        TEXT NOT NULL,
  source         TEXT NOT NULL,
  summary        TEXT NOT NULL,
  sensitive      BOOLEAN NOT NULL,
  language       TEXT NOT NULL,
  url            TEXT NOT NULL,
  quote          TEXT NOT NULL, -- the post that it quotes
  quote_approval TEXT NOT NULL, -- the stamp that allows it, as claimed
  quote_allowed  BOOLEAN NOT NULL, -- the server of the post that is quoted says so
  approval       TEXT NOT NULL, -- of a reply whose parent's author wants to be asked: pending, rejected, or the IRI that says yes
  policy         TEXT, -- JSON: who may reply, quote, like and share; NULL for no word of it
  attachments    TEXT, -- JSON, NULL for none
  mentions       TEXT, -- JSON, NULL for none
  tags           TEXT, -- JSON, NULL for none
  raw            BLOB,
  published_at   DATETIME NOT NULL,
  edited_at      DATETIME,
  deleted_at     DATETIME
);
CREATE INDEX posts_actor ON posts (actor_id, id);
CREATE UNIQUE INDEX posts_boost ON posts (boost_of_id, actor_id) WHERE boost_of_id IS NOT NULL;
CREATE INDEX posts_conversation ON posts (conversation, id) WHERE conversation <> '';
CREATE INDEX posts_reply ON posts (in_reply_to) WHERE in_reply_to <> '';
CREATE INDEX posts_stamp ON posts (quote_approval) WHERE quote_approval <> '';

-- Pictures that were uploaded here; the files lie in the data directory.
CREATE TABLE media (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  user_id    INTEGER NOT NULL, -- 0: the operator, at the command line
  post_id    INTEGER NOT NULL, -- 0: not attached yet
  position   INTEGER NOT NULL,
  profile    BOOLEAN NOT NULL, -- an icon or a header
  name       TEXT NOT NULL, -- of the file
  media_type TEXT NOT NULL,
  alt        TEXT NOT NULL,
  width      INTEGER NOT NULL,
  height     INTEGER NOT NULL,
  size       INTEGER NOT NULL,
  blurhash   TEXT NOT NULL,
  focus_x    REAL NOT NULL,
  focus_y    REAL NOT NULL,
  created_at DATETIME NOT NULL,
  freed_at   DATETIME -- the file may go
);
CREATE INDEX media_post ON media (post_id) WHERE post_id <> 0;
CREATE INDEX media_unattached ON media (created_at) WHERE post_id = 0;
CREATE INDEX media_freed ON media (id) WHERE freed_at IS NOT NULL;
CREATE INDEX media_actor ON media (actor_id);
CREATE INDEX media_name ON media (name);

-- To whom a post speaks by name: the readers of a direct post.
CREATE TABLE mentions (
  actor_id INTEGER NOT NULL REFERENCES actors (id),
  post_id  INTEGER NOT NULL REFERENCES posts (id),
  PRIMARY KEY (actor_id, post_id)
);
CREATE INDEX mentions_post ON mentions (post_id);

CREATE TABLE hashtags (
  name    TEXT NOT NULL,
  post_id INTEGER NOT NULL REFERENCES posts (id),
  PRIMARY KEY (name, post_id)
);
CREATE INDEX hashtags_post ON hashtags (post_id);

CREATE TABLE notifications (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  kind       TEXT NOT NULL,
  from_id    INTEGER NOT NULL REFERENCES actors (id),
  post_id    INTEGER NOT NULL, -- 0: about no post
  order_id   INTEGER NOT NULL, -- 0: about no order
  payment_id INTEGER NOT NULL, -- 0: about no payment
  created_at DATETIME NOT NULL,
  read_at    DATETIME,
  UNIQUE (actor_id, kind, from_id, post_id, order_id, payment_id)
);

-- Who likes what; content is the emoji of a reaction, '' for a plain like.
CREATE TABLE likes (
  id         INTEGER PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  post_id    INTEGER NOT NULL REFERENCES posts (id),
  content    TEXT NOT NULL,
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, post_id)
);
CREATE INDEX likes_post ON likes (post_id, id);

-- What an actor puts on top of its profile (featured).
CREATE TABLE pins (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  post_id    INTEGER NOT NULL REFERENCES posts (id),
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, post_id)
);
CREATE INDEX pins_post ON pins (post_id);

-- What an actor of this node wants to find again. Nobody else learns of it.
CREATE TABLE bookmarks (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  post_id    INTEGER NOT NULL REFERENCES posts (id),
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, post_id)
);
CREATE INDEX bookmarks_post ON bookmarks (post_id);

-- What a post of type Question asks.
CREATE TABLE polls (
  post_id   INTEGER PRIMARY KEY REFERENCES posts (id),
  multiple  BOOLEAN NOT NULL,
  options   TEXT NOT NULL, -- JSON: names and votes
  voters    INTEGER NOT NULL,
  ends_at   DATETIME,
  closed_at DATETIME,
  told_at   DATETIME -- when its numbers last went out
);

CREATE TABLE votes (
  id         INTEGER PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  post_id    INTEGER NOT NULL REFERENCES posts (id),
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  choice     INTEGER NOT NULL,
  created_at DATETIME NOT NULL,
  UNIQUE (post_id, actor_id, choice)
);
CREATE INDEX votes_actor ON votes (actor_id);

-- Who wants nothing to do with whom, in both directions between servers.
CREATE TABLE blocks (
  id         INTEGER PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  target_id  INTEGER NOT NULL REFERENCES actors (id),
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, target_id)
);
CREATE INDEX blocks_target ON blocks (target_id);

-- Whom an actor of this node does not want to read. Nobody else learns of it.
CREATE TABLE mutes (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  target_id  INTEGER NOT NULL REFERENCES actors (id),
  expires_at DATETIME,
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, target_id)
);
CREATE INDEX mutes_target ON mutes (target_id);

-- Which servers this node has nothing to do with, holds at a distance, or lets in.
CREATE TABLE domain_rules (
  domain     TEXT PRIMARY KEY, -- and all names below it
  kind       TEXT NOT NULL CHECK (kind IN ('block', 'silence', 'allow')),
  reason     TEXT NOT NULL,
  created_at DATETIME NOT NULL
);

CREATE TABLE reports (
  id          INTEGER PRIMARY KEY,
  iri         TEXT NOT NULL UNIQUE,
  reporter_id INTEGER NOT NULL REFERENCES actors (id),
  target_id   INTEGER NOT NULL REFERENCES actors (id),
  posts       TEXT, -- JSON: their ids, NULL for none
  comment     TEXT NOT NULL,
  forwarded   BOOLEAN NOT NULL,
  created_at  DATETIME NOT NULL,
  resolved_at DATETIME,
  resolved_by INTEGER NOT NULL -- a user; 0: nobody, or the operator
);

-- Leave to quote a post (FEP-044f), which others may look up until it is revoked.
CREATE TABLE stamps (
  id         INTEGER PRIMARY KEY,
  post_id    INTEGER NOT NULL REFERENCES posts (id),
  actor_id   INTEGER NOT NULL REFERENCES actors (id), -- who quotes
  quote      TEXT NOT NULL,                           -- the post that quotes
  created_at DATETIME NOT NULL,
  revoked_at DATETIME,
  UNIQUE (post_id, quote)
);

-- Every activity, as received or as sent; the bytes are evidence.
CREATE TABLE activities (
  id        INTEGER PRIMARY KEY,
  iri       TEXT NOT NULL,
  actor_iri TEXT NOT NULL,
  type      TEXT NOT NULL,
  object    TEXT NOT NULL,
  digest    TEXT NOT NULL, -- of an Update's bytes: servers reuse its id
  local     BOOLEAN NOT NULL,
  public    BOOLEAN NOT NULL,
  raw       BLOB NOT NULL,
  seen_at   DATETIME NOT NULL,
  UNIQUE (iri, actor_iri, digest)
);
CREATE INDEX activities_object ON activities (object) WHERE local;

-- Ids that were deleted, so that they are never used again.
CREATE TABLE tombstones (
  iri        TEXT NOT NULL,
  actor_iri  TEXT NOT NULL, -- who said so: another cannot say it in her place
  created_at DATETIME NOT NULL,
  PRIMARY KEY (iri, actor_iri)
);

CREATE TABLE deliveries (
  id          INTEGER PRIMARY KEY,
  activity_id INTEGER NOT NULL REFERENCES activities (id),
  inbox       TEXT NOT NULL,
  host        TEXT NOT NULL,
  actor_id    INTEGER NOT NULL REFERENCES actors (id),
  object      TEXT NOT NULL,
  lasting     BOOLEAN NOT NULL, -- it is for somebody in particular, and waits for her server however long that is away
  state       TEXT NOT NULL CHECK (state IN ('queued', 'done', 'dead')),
  attempts    INTEGER NOT NULL,
  next_at     DATETIME NOT NULL,
  lease_until DATETIME NOT NULL,
  last_status INTEGER NOT NULL,
  last_error  TEXT NOT NULL,
  created_at  DATETIME NOT NULL,
  UNIQUE (activity_id, inbox)
);
CREATE INDEX deliveries_due ON deliveries (next_at, id) WHERE state = 'queued';
CREATE INDEX deliveries_host ON deliveries (host, object, id) WHERE state = 'queued';

CREATE TABLE hosts (
  host             TEXT PRIMARY KEY,
  failures         INTEGER NOT NULL,
  first_failure_at DATETIME,
  failing_days     INTEGER NOT NULL,
  last_failure_at  DATETIME,
  open_until       DATETIME,
  last_ok_at       DATETIME,
  unavailable_at   DATETIME,
  scheme           TEXT NOT NULL -- the signature that worked: '', cavage, rfc9421
);

CREATE TABLE jobs (
  id          INTEGER PRIMARY KEY,
  kind        TEXT NOT NULL,
  about       TEXT NOT NULL, -- what it is about: a job of one kind waits once
  payload     BLOB NOT NULL,
  attempts    INTEGER NOT NULL,
  run_at      DATETIME NOT NULL,
  lease_until DATETIME NOT NULL,
  last_error  TEXT NOT NULL,
  created_at  DATETIME NOT NULL,
  dead_at     DATETIME
);
CREATE INDEX jobs_about ON jobs (kind, about) WHERE dead_at IS NULL;
CREATE INDEX jobs_due ON jobs (run_at, id) WHERE dead_at IS NULL;

-- +goose StatementBegin
CREATE TRIGGER acts_keep_update BEFORE UPDATE ON acts BEGIN SELECT RAISE(ABORT, 'acts are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER acts_keep_delete BEFORE DELETE ON acts BEGIN SELECT RAISE(ABORT, 'acts are append-only'); END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE jobs;
DROP TABLE hosts;
DROP TABLE deliveries;
DROP TABLE tombstones;
DROP TABLE activities;
DROP TABLE stamps;
DROP TABLE reports;
DROP TABLE domain_rules;
DROP TABLE mutes;
DROP TABLE blocks;
DROP TABLE votes;
DROP TABLE polls;
DROP TABLE bookmarks;
DROP TABLE pins;
DROP TABLE likes;
DROP TABLE notifications;
DROP TABLE hashtags;
DROP TABLE mentions;
DROP TABLE media;
DROP TABLE posts;
DROP TABLE follows;
DROP TABLE invites;
DROP TABLE acts;
DROP TABLE members;
DROP TABLE users;
DROP TABLE keys;
DROP TABLE actors;
DROP TABLE settings;
