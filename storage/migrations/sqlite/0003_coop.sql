-- +goose Up

-- What a co-op has decided about itself, and the end of its audit log: whoever changes either locks this row first.
CREATE TABLE coops (
  actor_id      INTEGER PRIMARY KEY REFERENCES actors (id),
  joining       TEXT NOT NULL CHECK (joining IN ('open', 'approval', 'invite')),
  approvals     INTEGER NOT NULL CHECK (approvals >= 1), -- how many admins say yes to a join request
  dues          INTEGER NOT NULL CHECK (dues >= 0), -- 0: none
  dues_currency INTEGER NOT NULL, -- currency; 0: none
  dues_every    TEXT NOT NULL, -- once, month, quarter or year; '' for none
  dues_first    BOOLEAN NOT NULL, -- whoever joins is asked for them at once
  audit_seq     INTEGER NOT NULL, -- of the last entry; 0: none yet
  audit_hash    TEXT NOT NULL
);
INSERT INTO coops SELECT id, 'approval', 1, 0, 0, '', FALSE, 0, '' FROM actors WHERE type = 'Organization' AND domain = '';

-- What a co-op asks of its members. A version is never changed.
CREATE TABLE agreements (
  coop_id    INTEGER NOT NULL REFERENCES actors (id),
  version    INTEGER NOT NULL CHECK (version >= 1),
  source     TEXT NOT NULL, -- plain text, as it was set
  content    TEXT NOT NULL, -- safe HTML
  user_id    INTEGER NOT NULL, -- who set it; 0: the operator
  created_at DATETIME NOT NULL,
  PRIMARY KEY (coop_id, version)
);

-- Who accepted which version, and when.
CREATE TABLE acceptances (
  coop_id    INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  user_id    INTEGER NOT NULL REFERENCES users (id),
  created_at DATETIME NOT NULL,
  PRIMARY KEY (coop_id, user_id, version),
  FOREIGN KEY (coop_id, version) REFERENCES agreements (coop_id, version)
);

CREATE TABLE join_requests (
  id         INTEGER PRIMARY KEY,
  coop_id    INTEGER NOT NULL REFERENCES actors (id),
  user_id    INTEGER NOT NULL REFERENCES users (id),
  reason     TEXT NOT NULL, -- why she wants to join
  agreement  INTEGER NOT NULL, -- the version that she accepted; 0: there was none
  state      TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'refused', 'withdrawn')),
  answer     TEXT NOT NULL, -- why it was refused
  created_at DATETIME NOT NULL,
  ended_at   DATETIME
);
CREATE UNIQUE INDEX join_requests_pending ON join_requests (coop_id, user_id) WHERE state = 'pending';
CREATE INDEX join_requests_coop ON join_requests (coop_id, id);

-- The admins who said yes to a join request, each once.
CREATE TABLE approvals (
  join_request_id INTEGER NOT NULL REFERENCES join_requests (id),
  user_id         INTEGER NOT NULL REFERENCES users (id),
  created_at      DATETIME NOT NULL,
  PRIMARY KEY (join_request_id, user_id)
);

-- The most that somebody in a role pays at once as the co-op. No row: no limit.
CREATE TABLE role_limits (
  coop_id     INTEGER NOT NULL REFERENCES actors (id),
  role        TEXT NOT NULL CHECK (role IN ('admin', 'treasurer', 'cashier', 'editor', 'member', 'observer')),
  currency_id INTEGER NOT NULL REFERENCES currencies (id),
  amount      INTEGER NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (coop_id, role, currency_id)
);

-- Work for a co-op. What was done is never edited: a correction is a row of its own.
CREATE TABLE contributions (
  id          INTEGER PRIMARY KEY,
  coop_id     INTEGER NOT NULL REFERENCES actors (id),
  user_id     INTEGER NOT NULL REFERENCES users (id), -- who worked
  day         TEXT NOT NULL, -- 2026-11-30
  minutes     INTEGER NOT NULL CHECK (minutes >= 0),
  words       TEXT NOT NULL,
  paid        BOOLEAN NOT NULL,
  payment     TEXT NOT NULL, -- IRI of what was paid for it; '' for none
  corrects    INTEGER REFERENCES contributions (id),
  state       TEXT NOT NULL CHECK (state IN ('kept', 'confirmed', 'refused', 'withdrawn')),
  answer      TEXT NOT NULL, -- why it was refused
  answered_by INTEGER NOT NULL, -- a user; 0: nobody, or the operator
  created_at  DATETIME NOT NULL,
  ended_at    DATETIME -- when the state last changed
);
CREATE INDEX contributions_coop ON contributions (coop_id, id);
CREATE UNIQUE INDEX contributions_correct ON contributions (corrects) WHERE state IN ('kept', 'confirmed');

-- A chain for each co-op: each entry names the hash of the one before it.
CREATE TABLE audit_entries (
  coop_id INTEGER NOT NULL REFERENCES actors (id),
  seq     INTEGER NOT NULL CHECK (seq >= 1),
  entry   TEXT NOT NULL, -- canonical JSON (RFC 8785)
  hash    TEXT NOT NULL, -- SHA-256 of entry, in hexadecimal
  PRIMARY KEY (coop_id, seq)
);

-- +goose StatementBegin
CREATE TRIGGER audit_entries_keep_update BEFORE UPDATE ON audit_entries BEGIN SELECT RAISE(ABORT, 'audit entries are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_entries_keep_delete BEFORE DELETE ON audit_entries BEGIN SELECT RAISE(ABORT, 'audit entries are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER agreements_keep_update BEFORE UPDATE ON agreements BEGIN SELECT RAISE(ABORT, 'agreements are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER agreements_keep_delete BEFORE DELETE ON agreements BEGIN SELECT RAISE(ABORT, 'agreements are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER acceptances_keep_update BEFORE UPDATE ON acceptances BEGIN SELECT RAISE(ABORT, 'acceptances are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER acceptances_keep_delete BEFORE DELETE ON acceptances BEGIN SELECT RAISE(ABORT, 'acceptances are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER contributions_keep_terms BEFORE UPDATE OF id, coop_id, user_id, day, minutes, words, paid, payment, corrects, created_at ON contributions BEGIN SELECT RAISE(ABORT, 'a contribution is corrected by another one'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER contributions_keep_state BEFORE UPDATE ON contributions WHEN OLD.state <> 'kept'
BEGIN SELECT RAISE(ABORT, 'a contribution that was answered stays as it is'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER contributions_keep_delete BEFORE DELETE ON contributions BEGIN SELECT RAISE(ABORT, 'contributions are never deleted'); END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE audit_entries;
DROP TABLE contributions;
DROP TABLE role_limits;
DROP TABLE approvals;
DROP TABLE join_requests;
DROP TABLE acceptances;
DROP TABLE agreements;
DROP TABLE coops;
