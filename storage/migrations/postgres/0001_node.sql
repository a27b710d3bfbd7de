-- +goose Up

-- What the node knows of itself: origin, epoch, one-time codes, that it was restored.
CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

-- Everyone who can speak: people, co-ops, the node's own actors, and those of other servers.
CREATE TABLE actors (
  id            BIGINT PRIMARY KEY,
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
  latitude      DOUBLE PRECISION,
  longitude     DOUBLE PRECISION,
  hours         TEXT NOT NULL,
  links         TEXT, -- JSON, NULL for none
  principles    TEXT, -- JSON, NULL for none
  fields        TEXT, -- JSON, NULL for none
  also_known_as TEXT, -- JSON, NULL for none
  moved_to      TEXT NOT NULL,
  moved_at      TIMESTAMPTZ,
  raw           BYTEA,
  published_at  TIMESTAMPTZ NOT NULL,
  created_at    TIMESTAMPTZ NOT NULL,
  updated_at    TIMESTAMPTZ NOT NULL,
  fetched_at    TIMESTAMPTZ NOT NULL,
  suspended_at  TIMESTAMPTZ,
  silenced_at   TIMESTAMPTZ,
  deleted_at    TIMESTAMPTZ
);
CREATE INDEX actors_handle ON actors (domain, username);
CREATE UNIQUE INDEX actors_local_name ON actors (lower(username)) WHERE domain = '';
CREATE INDEX actors_followers ON actors (followers);

CREATE TABLE keys (
  iri        TEXT PRIMARY KEY,
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  kind       TEXT NOT NULL,
  public     TEXT NOT NULL,
  private    TEXT NOT NULL, -- '' for actors elsewhere
  created_at TIMESTAMPTZ NOT NULL,
  retired_at TIMESTAMPTZ
);
CREATE INDEX keys_actor ON keys (actor_id);

-- People who sign in; each has a Person actor of her own.
CREATE TABLE users (
  id            BIGINT PRIMARY KEY,
  actor_id      BIGINT NOT NULL UNIQUE REFERENCES actors (id),
  username      TEXT NOT NULL UNIQUE,
  email         TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  role          TEXT NOT NULL,
  created_at    TIMESTAMPTZ NOT NULL,
  suspended_at  TIMESTAMPTZ
);

CREATE TABLE members (
  id         BIGINT PRIMARY KEY,
  user_id    BIGINT NOT NULL REFERENCES users (id),
  coop_id    BIGINT NOT NULL REFERENCES actors (id),
  role       TEXT NOT NULL CHECK (role IN ('admin', 'treasurer', 'cashier', 'editor', 'member', 'observer')),
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (coop_id, user_id, role)
);
CREATE INDEX members_user ON members (user_id);

-- Who did what as whom. Append-only.
CREATE TABLE acts (
  id         BIGINT PRIMARY KEY,
  user_id    BIGINT NOT NULL, -- 0: the operator, at the command line
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  kind       TEXT NOT NULL,
  object     TEXT NOT NULL,
  detail     TEXT NOT NULL DEFAULT '', -- what was → what is now, where the kind does not say it
  created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX acts_actor ON acts (actor_id, id);

CREATE TABLE invites (
  id         BIGINT PRIMARY KEY,
  code_hash  TEXT NOT NULL UNIQUE,
  coop_id    BIGINT NOT NULL, -- 0: an invitation to the node alone
  uses_left  BIGINT NOT NULL CHECK (uses_left >= 0),
  created_by BIGINT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ,
  revoked_at TIMESTAMPTZ
);

CREATE TABLE follows (
  id         BIGINT PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  target_id  BIGINT NOT NULL REFERENCES actors (id),
  state      TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'rejected')),
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (actor_id, target_id)
);
CREATE INDEX follows_target ON follows (target_id, state, id);

CREATE TABLE posts (
  id             BIGINT PRIMARY KEY,
  iri            TEXT NOT NULL UNIQUE,
  actor_id       BIGINT NOT NULL REFERENCES actors (id),
  user_id        BIGINT NOT NULL, -- who wrote it, 0 elsewhere and for the operator
  type           TEXT NOT NULL,
  in_reply_to    TEXT NOT NULL,
  in_reply_to_id BIGINT,
  conversation   TEXT NOT NULL,
  boost_of_id    BIGINT, -- of an Announce: the post that it shares
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
  raw            BYTEA,
  published_at   TIMESTAMPTZ NOT NULL,
  edited_at      TIMESTAMPTZ,
  deleted_at     TIMESTAMPTZ
);
CREATE INDEX posts_actor ON posts (actor_id, id);
CREATE UNIQUE INDEX posts_boost ON posts (boost_of_id, actor_id) WHERE boost_of_id IS NOT NULL;
CREATE INDEX posts_conversation ON posts (conversation, id) WHERE conversation <> '';
CREATE INDEX posts_reply ON posts (in_reply_to) WHERE in_reply_to <> '';
CREATE INDEX posts_stamp ON posts (quote_approval) WHERE quote_approval <> '';

-- Pictures that were uploaded here; the files lie in the data directory.
CREATE TABLE media (
  id         BIGINT PRIMARY KEY,
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  user_id    BIGINT NOT NULL, -- 0: the operator, at the command line
  post_id    BIGINT NOT NULL, -- 0: not attached yet
  position   INTEGER NOT NULL,
  profile    BOOLEAN NOT NULL, -- an icon or a header
  name       TEXT NOT NULL, -- of the file
  media_type TEXT NOT NULL,
  alt        TEXT NOT NULL,
  width      INTEGER NOT NULL,
  height     INTEGER NOT NULL,
  size       BIGINT NOT NULL,
  blurhash   TEXT NOT NULL,
  focus_x    DOUBLE PRECISION NOT NULL,
  focus_y    DOUBLE PRECISION NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  freed_at   TIMESTAMPTZ -- the file may go
);
CREATE INDEX media_post ON media (post_id) WHERE post_id <> 0;
CREATE INDEX media_unattached ON media (created_at) WHERE post_id = 0;
CREATE INDEX media_freed ON media (id) WHERE freed_at IS NOT NULL;
CREATE INDEX media_actor ON media (actor_id);
CREATE INDEX media_name ON media (name);

-- To whom a post speaks by name: the readers of a direct post.
CREATE TABLE mentions (
  actor_id BIGINT NOT NULL REFERENCES actors (id),
  post_id  BIGINT NOT NULL REFERENCES posts (id),
  PRIMARY KEY (actor_id, post_id)
);
CREATE INDEX mentions_post ON mentions (post_id);

CREATE TABLE hashtags (
  name    TEXT NOT NULL,
  post_id BIGINT NOT NULL REFERENCES posts (id),
  PRIMARY KEY (name, post_id)
);
CREATE INDEX hashtags_post ON hashtags (post_id);

CREATE TABLE notifications (
  id         BIGINT PRIMARY KEY,
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  kind       TEXT NOT NULL,
  from_id    BIGINT NOT NULL REFERENCES actors (id),
  post_id    BIGINT NOT NULL, -- 0: about no post
  order_id   BIGINT NOT NULL, -- 0: about no order
  payment_id BIGINT NOT NULL, -- 0: about no payment
  created_at TIMESTAMPTZ NOT NULL,
  read_at    TIMESTAMPTZ,
  UNIQUE (actor_id, kind, from_id, post_id, order_id, payment_id)
);

-- Who likes what; content is the emoji of a reaction, '' for a plain like.
CREATE TABLE likes (
  id         BIGINT PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  post_id    BIGINT NOT NULL REFERENCES posts (id),
  content    TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (actor_id, post_id)
);
CREATE INDEX likes_post ON likes (post_id, id);

-- What an actor puts on top of its profile (featured).
CREATE TABLE pins (
  id         BIGINT PRIMARY KEY,
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  post_id    BIGINT NOT NULL REFERENCES posts (id),
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (actor_id, post_id)
);
CREATE INDEX pins_post ON pins (post_id);

-- What an actor of this node wants to find again. Nobody else learns of it.
CREATE TABLE bookmarks (
  id         BIGINT PRIMARY KEY,
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  post_id    BIGINT NOT NULL REFERENCES posts (id),
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (actor_id, post_id)
);
CREATE INDEX bookmarks_post ON bookmarks (post_id);

-- What a post of type Question asks.
CREATE TABLE polls (
  post_id   BIGINT PRIMARY KEY REFERENCES posts (id),
  multiple  BOOLEAN NOT NULL,
  options   TEXT NOT NULL, -- JSON: names and votes
  voters    BIGINT NOT NULL,
  ends_at   TIMESTAMPTZ,
  closed_at TIMESTAMPTZ,
  told_at   TIMESTAMPTZ -- when its numbers last went out
);

CREATE TABLE votes (
  id         BIGINT PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  post_id    BIGINT NOT NULL REFERENCES posts (id),
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  choice     BIGINT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (post_id, actor_id, choice)
);
CREATE INDEX votes_actor ON votes (actor_id);

-- Who wants nothing to do with whom, in both directions between servers.
CREATE TABLE blocks (
  id         BIGINT PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  target_id  BIGINT NOT NULL REFERENCES actors (id),
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (actor_id, target_id)
);
CREATE INDEX blocks_target ON blocks (target_id);

-- Whom an actor of this node does not want to read. Nobody else learns of it.
CREATE TABLE mutes (
  id         BIGINT PRIMARY KEY,
  actor_id   BIGINT NOT NULL REFERENCES actors (id),
  target_id  BIGINT NOT NULL REFERENCES actors (id),
  expires_at TIMESTAMPTZ,
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (actor_id, target_id)
);
CREATE INDEX mutes_target ON mutes (target_id);

-- Which servers this node has nothing to do with, holds at a distance, or lets in.
CREATE TABLE domain_rules (
  domain     TEXT PRIMARY KEY, -- and all names below it
  kind       TEXT NOT NULL CHECK (kind IN ('block', 'silence', 'allow')),
  reason     TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE reports (
  id          BIGINT PRIMARY KEY,
  iri         TEXT NOT NULL UNIQUE,
  reporter_id BIGINT NOT NULL REFERENCES actors (id),
  target_id   BIGINT NOT NULL REFERENCES actors (id),
  posts       TEXT, -- JSON: their ids, NULL for none
  comment     TEXT NOT NULL,
  forwarded   BOOLEAN NOT NULL,
  created_at  TIMESTAMPTZ NOT NULL,
  resolved_at TIMESTAMPTZ,
  resolved_by BIGINT NOT NULL -- a user; 0: nobody, or the operator
);

-- Leave to quote a post (FEP-044f), which others may look up until it is revoked.
CREATE TABLE stamps (
  id         BIGINT PRIMARY KEY,
  post_id    BIGINT NOT NULL REFERENCES posts (id),
  actor_id   BIGINT NOT NULL REFERENCES actors (id), -- who quotes
  quote      TEXT NOT NULL,                           -- the post that quotes
  created_at TIMESTAMPTZ NOT NULL,
  revoked_at TIMESTAMPTZ,
  UNIQUE (post_id, quote)
);

-- Every activity, as received or as sent; the bytes are evidence.
CREATE TABLE activities (
  id        BIGINT PRIMARY KEY,
  iri       TEXT NOT NULL,
  actor_iri TEXT NOT NULL,
  type      TEXT NOT NULL,
  object    TEXT NOT NULL,
  digest    TEXT NOT NULL, -- of an Update's bytes: servers reuse its id
  local     BOOLEAN NOT NULL,
  public    BOOLEAN NOT NULL,
  raw       BYTEA NOT NULL,
  seen_at   TIMESTAMPTZ NOT NULL,
  UNIQUE (iri, actor_iri, digest)
);
CREATE INDEX activities_object ON activities (object) WHERE local;

-- Ids that were deleted, so that they are never used again.
CREATE TABLE tombstones (
  iri        TEXT NOT NULL,
  actor_iri  TEXT NOT NULL, -- who said so: another cannot say it in her place
  created_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (iri, actor_iri)
);

CREATE TABLE deliveries (
  id          BIGINT PRIMARY KEY,
  activity_id BIGINT NOT NULL REFERENCES activities (id),
  inbox       TEXT NOT NULL,
  host        TEXT NOT NULL,
  actor_id    BIGINT NOT NULL REFERENCES actors (id),
  object      TEXT NOT NULL,
  lasting     BOOLEAN NOT NULL, -- it is for somebody in particular, and waits for her server however long that is away
  state       TEXT NOT NULL CHECK (state IN ('queued', 'done', 'dead')),
  attempts    BIGINT NOT NULL,
  next_at     TIMESTAMPTZ NOT NULL,
  lease_until TIMESTAMPTZ NOT NULL,
  last_status BIGINT NOT NULL,
  last_error  TEXT NOT NULL,
  created_at  TIMESTAMPTZ NOT NULL,
  UNIQUE (activity_id, inbox)
);
CREATE INDEX deliveries_due ON deliveries (next_at, id) WHERE state = 'queued';
CREATE INDEX deliveries_host ON deliveries (host, object, id) WHERE state = 'queued';

CREATE TABLE hosts (
  host             TEXT PRIMARY KEY,
  failures         BIGINT NOT NULL,
  first_failure_at TIMESTAMPTZ,
  failing_days     BIGINT NOT NULL,
  last_failure_at  TIMESTAMPTZ,
  open_until       TIMESTAMPTZ,
  last_ok_at       TIMESTAMPTZ,
  unavailable_at   TIMESTAMPTZ,
  scheme           TEXT NOT NULL -- the signature that worked: '', cavage, rfc9421
);

CREATE TABLE jobs (
  id          BIGINT PRIMARY KEY,
  kind        TEXT NOT NULL,
  about       TEXT NOT NULL, -- what it is about: a job of one kind waits once
  payload     BYTEA NOT NULL,
  attempts    BIGINT NOT NULL,
  run_at      TIMESTAMPTZ NOT NULL,
  lease_until TIMESTAMPTZ NOT NULL,
  last_error  TEXT NOT NULL,
  created_at  TIMESTAMPTZ NOT NULL,
  dead_at     TIMESTAMPTZ
);
CREATE INDEX jobs_about ON jobs (kind, about) WHERE dead_at IS NULL;
CREATE INDEX jobs_due ON jobs (run_at, id) WHERE dead_at IS NULL;

-- +goose StatementBegin
CREATE FUNCTION keep_acts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'acts are append-only'; END $$;
-- +goose StatementEnd
CREATE TRIGGER acts_keep BEFORE UPDATE OR DELETE ON acts FOR EACH ROW EXECUTE FUNCTION keep_acts();

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
DROP FUNCTION keep_acts();
DROP TABLE members;
DROP TABLE users;
DROP TABLE keys;
DROP TABLE actors;
DROP TABLE settings;
