-- +goose Up
-- What an app has asked for under a key of its own in the API of this node: done once, kept for ever.
CREATE TABLE calls (
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  key        TEXT NOT NULL,
  digest     BLOB NOT NULL,    -- SHA-256 of what was asked for
  attempt    INTEGER NOT NULL, -- who does it, or has done it
  done       BOOLEAN NOT NULL,
  object     TEXT NOT NULL,    -- what came of it; '' before
  created_at DATETIME NOT NULL,
  PRIMARY KEY (actor_id, key)
);

-- +goose Down
DROP TABLE calls;
