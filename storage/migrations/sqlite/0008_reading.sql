-- +goose Up

-- Posts that wait for their time.
CREATE TABLE scheduled_posts (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  user_id    INTEGER NOT NULL, -- who wrote it
  app_id     INTEGER NOT NULL, -- with which app; 0: made at the command line
  draft      TEXT NOT NULL, -- JSON
  publish_at DATETIME NOT NULL,
  next_at    DATETIME, -- when it is tried next; NULL: it was given up
  attempts   INTEGER NOT NULL,
  problem    TEXT NOT NULL, -- why it is not published, for its author; '' when nothing is wrong
  created_at DATETIME NOT NULL
);
CREATE INDEX scheduled_posts_actor ON scheduled_posts (actor_id);
CREATE INDEX scheduled_posts_next ON scheduled_posts (next_at) WHERE next_at IS NOT NULL;

ALTER TABLE media ADD COLUMN scheduled_id INTEGER NOT NULL DEFAULT 0; -- the post that waits and will show it; 0: none
CREATE INDEX media_scheduled ON media (scheduled_id) WHERE scheduled_id <> 0;

-- Direct posts by thread, as each actor of this node has them.
CREATE TABLE conversations (
  id           INTEGER PRIMARY KEY,
  actor_id     INTEGER NOT NULL REFERENCES actors (id),
  thread       TEXT NOT NULL, -- posts.conversation, or where that is '' the id of the first post
  last_post_id INTEGER NOT NULL REFERENCES posts (id),
  unread       BOOLEAN NOT NULL,
  UNIQUE (actor_id, thread)
);
CREATE INDEX conversations_actor ON conversations (actor_id, last_post_id);
CREATE INDEX conversations_last ON conversations (last_post_id);
INSERT INTO conversations (id, actor_id, thread, last_post_id, unread)
  SELECT row_number() OVER (ORDER BY last, actor), actor, thread, last, false FROM (
    SELECT a.id AS actor, CASE p.conversation WHEN '' THEN p.iri ELSE p.conversation END AS thread, max(p.id) AS last
    FROM posts p JOIN actors a ON a.domain = '' AND a.deleted_at IS NULL AND (a.id = p.actor_id OR EXISTS (SELECT 1 FROM mentions m WHERE m.post_id = p.id AND m.actor_id = a.id))
    WHERE p.visibility = 'direct' AND p.deleted_at IS NULL GROUP BY 1, 2) threads;

-- Servers from which somebody does not want to hear.
CREATE TABLE domain_blocks (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  domain     TEXT NOT NULL, -- as actors.domain
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, domain)
);

-- What posts said before they were edited; the one of now is in posts.
CREATE TABLE post_versions (
  id          INTEGER PRIMARY KEY,
  post_id     INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
  title       TEXT NOT NULL,
  content     TEXT NOT NULL,
  summary     TEXT NOT NULL,
  sensitive   BOOLEAN NOT NULL,
  attachments TEXT, -- JSON
  answers     TEXT, -- JSON: of its poll
  written_at  DATETIME NOT NULL
);
CREATE INDEX post_versions_post ON post_versions (post_id, id);

-- Single posts that somebody does not want to read.
CREATE TABLE filter_posts (
  id        INTEGER PRIMARY KEY,
  filter_id INTEGER NOT NULL REFERENCES filters (id) ON DELETE CASCADE,
  post_id   INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
  UNIQUE (filter_id, post_id)
);
CREATE INDEX filter_posts_post ON filter_posts (post_id);

-- What the operator tells everybody who signs in.
CREATE TABLE announcements (
  id         INTEGER PRIMARY KEY,
  source     TEXT NOT NULL, -- as it was typed
  content    TEXT NOT NULL, -- safe HTML
  created_at DATETIME NOT NULL,
  ends_at    DATETIME
);

CREATE TABLE announcement_readers (
  announcement_id INTEGER NOT NULL REFERENCES announcements (id) ON DELETE CASCADE,
  actor_id        INTEGER NOT NULL REFERENCES actors (id),
  PRIMARY KEY (announcement_id, actor_id)
);
CREATE INDEX announcement_readers_actor ON announcement_readers (actor_id);

CREATE TABLE announcement_reactions (
  announcement_id INTEGER NOT NULL REFERENCES announcements (id) ON DELETE CASCADE,
  actor_id        INTEGER NOT NULL REFERENCES actors (id),
  name            TEXT NOT NULL, -- an emoji
  created_at      DATETIME NOT NULL,
  PRIMARY KEY (announcement_id, actor_id, name)
);
CREATE INDEX announcement_reactions_actor ON announcement_reactions (actor_id);

-- +goose Down
DROP TABLE announcement_reactions;
DROP TABLE announcement_readers;
DROP TABLE announcements;
DROP TABLE filter_posts;
DROP TABLE post_versions;
DROP TABLE domain_blocks;
DROP TABLE conversations;
DROP INDEX media_scheduled;
ALTER TABLE media DROP COLUMN scheduled_id;
DROP TABLE scheduled_posts;
