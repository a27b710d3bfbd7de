-- +goose Up

-- What a co-op has decided about itself, and the end of its audit log: whoever changes either locks this row first.
CREATE TABLE coops (
  actor_id      BIGINT PRIMARY KEY REFERENCES actors (id),
  joining       TEXT NOT NULL CHECK (joining IN ('open', 'approval', 'invite')),
  approvals     BIGINT NOT NULL CHECK (approvals >= 1), -- how many admins say yes to a join request
  dues          BIGINT NOT NULL CHECK (dues >= 0), -- 0: none
  dues_currency BIGINT NOT NULL, -- currency; 0: none
  dues_every    TEXT NOT NULL, -- once, month, quarter or year; '' for none
  dues_first    BOOLEAN NOT NULL, -- whoever joins is asked for them at once
  audit_seq     BIGINT NOT NULL, -- of the last entry; 0: none yet
  audit_hash    TEXT NOT NULL
);
INSERT INTO coops SELECT id, 'approval', 1, 0, 0, '', FALSE, 0, '' FROM actors WHERE type = 'Organization' AND domain = '';

-- What a co-op asks of its members. A version is never changed.
CREATE TABLE agreements (
  coop_id    BIGINT NOT NULL REFERENCES actors (id),
  version    BIGINT NOT NULL CHECK (version >= 1),
  source     TEXT NOT NULL, -- plain text, as it was set
  content    TEXT NOT NULL, -- safe HTML
  user_id    BIGINT NOT NULL, -- who set it; 0: the operator
  created_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (coop_id, version)
);

-- Who accepted which version, and when.
CREATE TABLE acceptances (
  coop_id    BIGINT NOT NULL,
  version    BIGINT NOT NULL,
  user_id    BIGINT NOT NULL REFERENCES users (id),
  created_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (coop_id, user_id, version),
  FOREIGN KEY (coop_id, version) REFERENCES agreements (coop_id, version)
);

CREATE TABLE join_requests (
  id         BIGINT PRIMARY KEY,
  coop_id    BIGINT NOT NULL REFERENCES actors (id),
  user_id    BIGINT NOT NULL REFERENCES users (id),
  reason     TEXT NOT NULL, -- why she wants to join
  agreement  BIGINT NOT NULL, -- the version that she accepted; 0: there was none
  state      TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'refused', 'withdrawn')),
  answer     TEXT NOT NULL, -- why it was refused
  created_at TIMESTAMPTZ NOT NULL,
  ended_at   TIMESTAMPTZ
);
CREATE UNIQUE INDEX join_requests_pending ON join_requests (coop_id, user_id) WHERE state = 'pending';
CREATE INDEX join_requests_coop ON join_requests (coop_id, id);

-- The admins who said yes to a join request, each once.
CREATE TABLE approvals (
  join_request_id BIGINT NOT NULL REFERENCES join_requests (id),
  user_id         BIGINT NOT NULL REFERENCES users (id),
  created_at      TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (join_request_id, user_id)
);

-- The most that somebody in a role pays at once as the co-op. No row: no limit.
CREATE TABLE role_limits (
  coop_id     BIGINT NOT NULL REFERENCES actors (id),
  role        TEXT NOT NULL CHECK (role IN ('admin', 'treasurer', 'cashier', 'editor', 'member', 'observer')),
  currency_id BIGINT NOT NULL REFERENCES currencies (id),
  amount      BIGINT NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (coop_id, role, currency_id)
);

-- Work for a co-op. What was done is never edited: a correction is a row of its own.
CREATE TABLE contributions (
  id          BIGINT PRIMARY KEY,
  coop_id     BIGINT NOT NULL REFERENCES actors (id),
  user_id     BIGINT NOT NULL REFERENCES users (id), -- who worked
  day         TEXT NOT NULL, -- 2026-11-30
  minutes     BIGINT NOT NULL CHECK (minutes >= 0),
  words       TEXT NOT NULL,
  paid        BOOLEAN NOT NULL,
  payment     TEXT NOT NULL, -- IRI of what was paid for it; '' for none
  corrects    BIGINT REFERENCES contributions (id),
  state       TEXT NOT NULL CHECK (state IN ('kept', 'confirmed', 'refused', 'withdrawn')),
  answer      TEXT NOT NULL, -- why it was refused
  answered_by BIGINT NOT NULL, -- a user; 0: nobody, or the operator
  created_at  TIMESTAMPTZ NOT NULL,
  ended_at    TIMESTAMPTZ -- when the state last changed
);
CREATE INDEX contributions_coop ON contributions (coop_id, id);
CREATE UNIQUE INDEX contributions_correct ON contributions (corrects) WHERE state IN ('kept', 'confirmed');

-- A chain for each co-op: each entry names the hash of the one before it.
CREATE TABLE audit_entries (
  coop_id BIGINT NOT NULL REFERENCES actors (id),
  seq     BIGINT NOT NULL CHECK (seq >= 1),
  entry   TEXT NOT NULL, -- canonical JSON (RFC 8785)
  hash    TEXT NOT NULL, -- SHA-256 of entry, in hexadecimal
  PRIMARY KEY (coop_id, seq)
);

-- +goose StatementBegin
CREATE FUNCTION keep_coop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% are append-only', TG_TABLE_NAME; END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION keep_contribution() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF (NEW.id, NEW.coop_id, NEW.user_id, NEW.day, NEW.minutes, NEW.words, NEW.paid, NEW.payment, NEW.corrects, NEW.created_at)
    IS DISTINCT FROM (OLD.id, OLD.coop_id, OLD.user_id, OLD.day, OLD.minutes, OLD.words, OLD.paid, OLD.payment, OLD.corrects, OLD.created_at)
  THEN RAISE EXCEPTION 'a contribution is corrected by another one'; END IF;
  IF OLD.state <> 'kept' THEN RAISE EXCEPTION 'a contribution that was answered stays as it is'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_entries_keep BEFORE UPDATE OR DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION keep_coop();
CREATE TRIGGER audit_entries_keep_all BEFORE TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION keep_coop();
CREATE TRIGGER agreements_keep BEFORE UPDATE OR DELETE ON agreements FOR EACH ROW EXECUTE FUNCTION keep_coop();
CREATE TRIGGER agreements_keep_all BEFORE TRUNCATE ON agreements FOR EACH STATEMENT EXECUTE FUNCTION keep_coop();
CREATE TRIGGER acceptances_keep BEFORE UPDATE OR DELETE ON acceptances FOR EACH ROW EXECUTE FUNCTION keep_coop();
CREATE TRIGGER acceptances_keep_all BEFORE TRUNCATE ON acceptances FOR EACH STATEMENT EXECUTE FUNCTION keep_coop();
CREATE TRIGGER contributions_keep BEFORE DELETE ON contributions FOR EACH ROW EXECUTE FUNCTION keep_coop();
CREATE TRIGGER contributions_keep_all BEFORE TRUNCATE ON contributions FOR EACH STATEMENT EXECUTE FUNCTION keep_coop();
CREATE TRIGGER contributions_keep_terms BEFORE UPDATE ON contributions FOR EACH ROW EXECUTE FUNCTION keep_contribution();

-- +goose Down
DROP TABLE audit_entries;
DROP TABLE contributions;
DROP TABLE role_limits;
DROP TABLE approvals;
DROP TABLE join_requests;
DROP TABLE acceptances;
DROP TABLE agreements;
DROP TABLE coops;
DROP FUNCTION keep_contribution();
DROP FUNCTION keep_coop();
