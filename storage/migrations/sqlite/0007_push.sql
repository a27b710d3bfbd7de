-- +goose Up

-- Where apps want to be told of notifications (RFC 8030): a token has at most one, and it ends with the token.
CREATE TABLE push_subscriptions (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice; apps keep it in 32 bits
  token_id   INTEGER NOT NULL UNIQUE REFERENCES tokens (id),
  actor_id   INTEGER NOT NULL REFERENCES actors (id), -- whose notifications
  endpoint   TEXT NOT NULL,
  host       TEXT NOT NULL, -- of the endpoint
  p256dh     BLOB NOT NULL, -- the app's public key
  auth       BLOB NOT NULL,
  standard   BOOLEAN NOT NULL, -- RFC 8291; otherwise the draft that apps began with
  alerts     TEXT NOT NULL, -- JSON: the kinds of notifications
  policy     TEXT NOT NULL CHECK (policy IN ('all', 'followed', 'follower', 'none')),
  bearer     BLOB NOT NULL, -- the token, sealed with the node's secret
  created_at DATETIME NOT NULL
);
CREATE INDEX push_subscriptions_actor ON push_subscriptions (actor_id);

-- Pushes that are owed, written with their notification.
CREATE TABLE pushes (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription_id INTEGER NOT NULL REFERENCES push_subscriptions (id) ON DELETE CASCADE,
  notification_id INTEGER NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
  attempts        INTEGER NOT NULL,
  next_at         DATETIME NOT NULL,
  lease_until     DATETIME NOT NULL,
  created_at      DATETIME NOT NULL
);
CREATE INDEX pushes_next ON pushes (next_at);
CREATE INDEX pushes_subscription ON pushes (subscription_id);
CREATE INDEX pushes_notification ON pushes (notification_id);

-- +goose Down
DROP TABLE pushes;
DROP TABLE push_subscriptions;
