-- +goose Up
CREATE TABLE currencies (
  id           INTEGER PRIMARY KEY,
  uid          BLOB NOT NULL UNIQUE, -- the ledger's id
  iri          TEXT NOT NULL UNIQUE,
  code         TEXT NOT NULL UNIQUE,
  actor_id     INTEGER NOT NULL REFERENCES actors (id), -- the co-op
  name         TEXT NOT NULL,
  scale        INTEGER NOT NULL,
  kind         TEXT NOT NULL,
  privacy      TEXT NOT NULL,
  floor        INTEGER, -- of new member accounts; NULL: none
  ceil         INTEGER,
  max_transfer INTEGER NOT NULL, -- 0: none but the ledger's own
  max_pending  INTEGER NOT NULL,
  opened_by    TEXT NOT NULL,
  levy_points  INTEGER NOT NULL,
  levy_least   INTEGER NOT NULL,
  levy_most    INTEGER NOT NULL,
  levy_to      BLOB, -- NULL: no levy
  epoch        INTEGER NOT NULL,
  issuer       BLOB,
  next         INTEGER NOT NULL, -- seq of the next entry
  last         INTEGER NOT NULL, -- time of the last entry, ns
  frontier     BLOB NOT NULL, -- right edge of the Merkle tree
  checkpoint   TEXT NOT NULL, -- signed, of the whole tree
  secret       BLOB NOT NULL, -- Ed25519 seed that signs checkpoints
  frozen       TEXT NOT NULL, -- why nothing may be written; '' when it may
  created_at   DATETIME NOT NULL
);

CREATE TABLE accounts (
  uid             BLOB PRIMARY KEY,
  currency_id     INTEGER NOT NULL REFERENCES currencies (id),
  ref             TEXT NOT NULL, -- IRI of the owner
  role            TEXT NOT NULL,
  floor           INTEGER, -- NULL: none, as in the next three
  ceil            INTEGER,
  soft_floor      INTEGER,
  soft_ceil       INTEGER,
  flags           INTEGER NOT NULL,
  debits_pending  INTEGER NOT NULL CHECK (debits_pending >= 0),
  debits_posted   INTEGER NOT NULL CHECK (debits_posted >= 0),
  credits_pending INTEGER NOT NULL CHECK (credits_pending >= 0),
  credits_posted  INTEGER NOT NULL CHECK (credits_posted >= 0),
  pending_count   INTEGER NOT NULL CHECK (pending_count >= 0),
  opened_at       INTEGER NOT NULL, -- ns
  version         INTEGER NOT NULL,
  last_moved      INTEGER NOT NULL, -- seq of the transfer that moved last; -1: none
  UNIQUE (currency_id, ref)
) WITHOUT ROWID;

CREATE TABLE entries ( -- the truth: leaves of the Merkle log
  currency_id INTEGER NOT NULL,
  seq         INTEGER NOT NULL,
  leaf        BLOB NOT NULL,
  PRIMARY KEY (currency_id, seq)
) WITHOUT ROWID;

CREATE TABLE openings ( -- what the leaves commit to
  currency_id INTEGER NOT NULL,
  seq         INTEGER NOT NULL,
  salt        BLOB, -- NULL: erased, and what named a person is out of the opening
  opening     BLOB NOT NULL,
  PRIMARY KEY (currency_id, seq)
) WITHOUT ROWID;

CREATE TABLE transfers ( -- rebuilt from the entries by planet ledger verify, as accounts and outcomes are
  currency_id  INTEGER NOT NULL,
  seq          INTEGER NOT NULL,
  uid          BLOB NOT NULL UNIQUE,
  debit        BLOB NOT NULL,
  credit       BLOB NOT NULL,
  amount       INTEGER NOT NULL,
  code         INTEGER NOT NULL,
  state        INTEGER NOT NULL,
  held         BOOLEAN NOT NULL,
  expires      INTEGER NOT NULL,
  settles      BLOB,
  refund_of    BLOB,
  posted       INTEGER NOT NULL,
  refunded     INTEGER NOT NULL,
  at           INTEGER NOT NULL,
  resolved_at  INTEGER NOT NULL,
  digest       BLOB NOT NULL,
  moved_seq    INTEGER, -- entry that moved it; NULL: none
  debit_after  INTEGER NOT NULL,
  credit_after INTEGER NOT NULL,
  debit_prev   INTEGER NOT NULL, -- seq of the transfer that moved before it on the debit account; -1: none
  credit_prev  INTEGER NOT NULL,
  PRIMARY KEY (currency_id, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX transfers_settles ON transfers (settles) WHERE settles IS NOT NULL AND state <= 1;
CREATE INDEX transfers_due ON transfers (currency_id, expires) WHERE state = 0;

CREATE TABLE outcomes ( -- of command ids that are no transfer, failures above all
  uid    BLOB PRIMARY KEY,
  digest BLOB NOT NULL,
  code   TEXT NOT NULL,
  seq    INTEGER NOT NULL,
  at     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE tiles ( -- full ones; partial ones are computed
  currency_id INTEGER NOT NULL,
  level       INTEGER NOT NULL,
  idx         INTEGER NOT NULL,
  hashes      BLOB NOT NULL,
  root        BLOB NOT NULL, -- of the subtree: a hash of the level above
  PRIMARY KEY (currency_id, level, idx)
);

CREATE TABLE payments ( -- of the books of this node, and of its people in books elsewhere
  id          INTEGER PRIMARY KEY,
  iri         TEXT NOT NULL UNIQUE, -- of the Offer that asks for it
  uid         BLOB NOT NULL, -- of the transfer
  currency_id INTEGER NOT NULL, -- 0: the book is kept elsewhere
  currency    TEXT NOT NULL, -- IRI
  payer       TEXT NOT NULL,
  payee       TEXT NOT NULL,
  amount      INTEGER NOT NULL,
  code        TEXT NOT NULL,
  memo        TEXT NOT NULL,
  memo_salt   BLOB,
  fulfills    TEXT NOT NULL, -- a commitment, or an intent; '' for none
  body        BLOB, -- SHA-256 of the canonical Offer; NULL while it is not signed
  state       TEXT NOT NULL,
  reason      TEXT NOT NULL, -- of a refusal: a code
  words       TEXT NOT NULL, -- likewise, for people
  event       TEXT NOT NULL, -- IRI of the EconomicEvent; '' before there is one
  receipt     BLOB, -- of a book elsewhere
  refund_of   INTEGER, -- payment
  order_id    INTEGER NOT NULL, -- 0: none
  user_id     INTEGER NOT NULL, -- who acted; 0: the operator, or somebody elsewhere
  second_id   INTEGER NOT NULL, -- who approved it; 0: nobody had to
  hold        INTEGER NOT NULL, -- seconds that it is held at most; 0: it is paid at once
  expires_at  DATETIME, -- of a hold, or of what waits for a second person
  ends_at     DATETIME, -- the ledger accepts it until then
  next_at     DATETIME, -- when this node looks at it again; NULL: never
  tries       INTEGER NOT NULL,
  owes        BOOLEAN NOT NULL, -- the parties have not been told how it ended
  created_at  DATETIME NOT NULL,
  settled_at  DATETIME
);
CREATE INDEX payments_uid ON payments (uid);
CREATE INDEX payments_payer ON payments (payer, id);
CREATE INDEX payments_payee ON payments (payee, id);
CREATE INDEX payments_due ON payments (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX payments_owed ON payments (id) WHERE owes;
CREATE INDEX payments_refunds ON payments (refund_of) WHERE refund_of IS NOT NULL;
CREATE INDEX payments_order ON payments (order_id) WHERE order_id <> 0;

-- +goose StatementBegin
CREATE TRIGGER entries_keep_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entries_keep_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER tiles_keep_update BEFORE UPDATE ON tiles BEGIN SELECT RAISE(ABORT, 'tiles are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER tiles_keep_delete BEFORE DELETE ON tiles BEGIN SELECT RAISE(ABORT, 'tiles are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER outcomes_keep_update BEFORE UPDATE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER outcomes_keep_delete BEFORE DELETE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER transfers_keep_delete BEFORE DELETE ON transfers BEGIN SELECT RAISE(ABORT, 'transfers are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER transfers_keep_terms BEFORE UPDATE OF currency_id, seq, uid, debit, credit, amount, code, held, expires, settles, refund_of, at, digest ON transfers
BEGIN SELECT RAISE(ABORT, 'the terms of a transfer do not change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER accounts_keep_delete BEFORE DELETE ON accounts BEGIN SELECT RAISE(ABORT, 'accounts are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER openings_keep_update BEFORE UPDATE ON openings WHEN NEW.salt IS NOT NULL OR NEW.seq <> OLD.seq OR NEW.currency_id <> OLD.currency_id
BEGIN SELECT RAISE(ABORT, 'an opening can be erased, not changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER openings_keep_delete BEFORE DELETE ON openings BEGIN SELECT RAISE(ABORT, 'an opening can be erased, not deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER accounts_keep_terms BEFORE UPDATE OF uid, currency_id, role, opened_at ON accounts
BEGIN SELECT RAISE(ABORT, 'what an account is does not change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER currencies_keep_terms BEFORE UPDATE OF id, uid, iri, code, scale, kind, privacy ON currencies
BEGIN SELECT RAISE(ABORT, 'what a currency is does not change'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER currencies_keep_delete BEFORE DELETE ON currencies BEGIN SELECT RAISE(ABORT, 'currencies are never deleted'); END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE payments;
DROP TABLE tiles;
DROP TABLE outcomes;
DROP TABLE transfers;
DROP TABLE openings;
DROP TABLE entries;
DROP TABLE accounts;
DROP TABLE currencies;
