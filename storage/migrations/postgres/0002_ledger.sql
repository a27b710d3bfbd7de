-- +goose Up
CREATE TABLE currencies (
  id           BIGINT PRIMARY KEY,
  uid          BYTEA NOT NULL UNIQUE, -- the ledger's id
  iri          TEXT NOT NULL UNIQUE,
  code         TEXT NOT NULL UNIQUE,
  actor_id     BIGINT NOT NULL REFERENCES actors (id), -- the co-op
  name         TEXT NOT NULL,
  scale        BIGINT NOT NULL,
  kind         TEXT NOT NULL,
  privacy      TEXT NOT NULL,
  floor        BIGINT, -- of new member accounts; NULL: none
  ceil         BIGINT,
  max_transfer BIGINT NOT NULL, -- 0: none but the ledger's own
  max_pending  BIGINT NOT NULL,
  opened_by    TEXT NOT NULL,
  levy_points  BIGINT NOT NULL,
  levy_least   BIGINT NOT NULL,
  levy_most    BIGINT NOT NULL,
  levy_to      BYTEA, -- NULL: no levy
  epoch        BIGINT NOT NULL,
  issuer       BYTEA,
  next         BIGINT NOT NULL, -- seq of the next entry
  last         BIGINT NOT NULL, -- time of the last entry, ns
  frontier     BYTEA NOT NULL, -- right edge of the Merkle tree
  checkpoint   TEXT NOT NULL, -- signed, of the whole tree
  secret       BYTEA NOT NULL, -- Ed25519 seed that signs checkpoints
  frozen       TEXT NOT NULL, -- why nothing may be written; '' when it may
  created_at   TIMESTAMPTZ NOT NULL
);

CREATE TABLE accounts (
  uid             BYTEA PRIMARY KEY,
  currency_id     BIGINT NOT NULL REFERENCES currencies (id),
  ref             TEXT NOT NULL, -- IRI of the owner
  role            TEXT NOT NULL,
  floor           BIGINT, -- NULL: none, as in the next three
  ceil            BIGINT,
  soft_floor      BIGINT,
  soft_ceil       BIGINT,
  flags           BIGINT NOT NULL,
  debits_pending  BIGINT NOT NULL CHECK (debits_pending >= 0),
  debits_posted   BIGINT NOT NULL CHECK (debits_posted >= 0),
  credits_pending BIGINT NOT NULL CHECK (credits_pending >= 0),
  credits_posted  BIGINT NOT NULL CHECK (credits_posted >= 0),
  pending_count   BIGINT NOT NULL CHECK (pending_count >= 0),
  opened_at       BIGINT NOT NULL, -- ns
  version         BIGINT NOT NULL,
  last_moved      BIGINT NOT NULL, -- seq of the transfer that moved last; -1: none
  UNIQUE (currency_id, ref)
);

CREATE TABLE entries ( -- the truth: leaves of the Merkle log
  currency_id BIGINT NOT NULL,
  seq         BIGINT NOT NULL,
  leaf        BYTEA NOT NULL,
  PRIMARY KEY (currency_id, seq)
);

CREATE TABLE openings ( -- what the leaves commit to
  currency_id BIGINT NOT NULL,
  seq         BIGINT NOT NULL,
  salt        BYTEA, -- NULL: erased, and what named a person is out of the opening
  opening     BYTEA NOT NULL,
  PRIMARY KEY (currency_id, seq)
);

CREATE TABLE transfers ( -- rebuilt from the entries by planet ledger verify, as accounts and outcomes are
  currency_id  BIGINT NOT NULL,
  seq          BIGINT NOT NULL,
  uid          BYTEA NOT NULL UNIQUE,
  debit        BYTEA NOT NULL,
  credit       BYTEA NOT NULL,
  amount       BIGINT NOT NULL,
  code         BIGINT NOT NULL,
  state        BIGINT NOT NULL,
  held         BOOLEAN NOT NULL,
  expires      BIGINT NOT NULL,
  settles      BYTEA,
  refund_of    BYTEA,
  posted       BIGINT NOT NULL,
  refunded     BIGINT NOT NULL,
  at           BIGINT NOT NULL,
  resolved_at  BIGINT NOT NULL,
  digest       BYTEA NOT NULL,
  moved_seq    BIGINT, -- entry that moved it; NULL: none
  debit_after  BIGINT NOT NULL,
  credit_after BIGINT NOT NULL,
  debit_prev   BIGINT NOT NULL, -- seq of the transfer that moved before it on the debit account; -1: none
  credit_prev  BIGINT NOT NULL,
  PRIMARY KEY (currency_id, seq)
);
CREATE UNIQUE INDEX transfers_settles ON transfers (settles) WHERE settles IS NOT NULL AND state <= 1;
CREATE INDEX transfers_due ON transfers (currency_id, expires) WHERE state = 0;

CREATE TABLE outcomes ( -- of command ids that are no transfer, failures above all
  uid    BYTEA PRIMARY KEY,
  digest BYTEA NOT NULL,
  code   TEXT NOT NULL,
  seq    BIGINT NOT NULL,
  at     BIGINT NOT NULL
);

CREATE TABLE tiles ( -- full ones; partial ones are computed
  currency_id BIGINT NOT NULL,
  level       BIGINT NOT NULL,
  idx         BIGINT NOT NULL,
  hashes      BYTEA NOT NULL,
  root        BYTEA NOT NULL, -- of the subtree: a hash of the level above
  PRIMARY KEY (currency_id, level, idx)
);

CREATE TABLE payments ( -- of the books of this node, and of its people in books elsewhere
  id          BIGINT PRIMARY KEY,
  iri         TEXT NOT NULL UNIQUE, -- of the Offer that asks for it
  uid         BYTEA NOT NULL, -- of the transfer
  currency_id BIGINT NOT NULL, -- 0: the book is kept elsewhere
  currency    TEXT NOT NULL, -- IRI
  payer       TEXT NOT NULL,
  payee       TEXT NOT NULL,
  amount      BIGINT NOT NULL,
  code        TEXT NOT NULL,
  memo        TEXT NOT NULL,
  memo_salt   BYTEA,
  fulfills    TEXT NOT NULL, -- a commitment, or an intent; '' for none
  body        BYTEA, -- SHA-256 of the canonical Offer; NULL while it is not signed
  state       TEXT NOT NULL,
  reason      TEXT NOT NULL, -- of a refusal: a code
  words       TEXT NOT NULL, -- likewise, for people
  event       TEXT NOT NULL, -- IRI of the EconomicEvent; '' before there is one
  receipt     BYTEA, -- of a book elsewhere
  refund_of   BIGINT, -- payment
  order_id    BIGINT NOT NULL, -- 0: none
  user_id     BIGINT NOT NULL, -- who acted; 0: the operator, or somebody elsewhere
  second_id   BIGINT NOT NULL, -- who approved it; 0: nobody had to
  hold        BIGINT NOT NULL, -- seconds that it is held at most; 0: it is paid at once
  expires_at  TIMESTAMPTZ, -- of a hold, or of what waits for a second person
  ends_at     TIMESTAMPTZ, -- the ledger accepts it until then
  next_at     TIMESTAMPTZ, -- when this node looks at it again; NULL: never
  tries       BIGINT NOT NULL,
  owes        BOOLEAN NOT NULL, -- the parties have not been told how it ended
  created_at  TIMESTAMPTZ NOT NULL,
  settled_at  TIMESTAMPTZ
);
CREATE INDEX payments_uid ON payments (uid);
CREATE INDEX payments_payer ON payments (payer, id);
CREATE INDEX payments_payee ON payments (payee, id);
CREATE INDEX payments_due ON payments (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX payments_owed ON payments (id) WHERE owes;
CREATE INDEX payments_refunds ON payments (refund_of) WHERE refund_of IS NOT NULL;
CREATE INDEX payments_order ON payments (order_id) WHERE order_id <> 0;

-- +goose StatementBegin
CREATE FUNCTION keep_ledger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% are append-only', TG_TABLE_NAME; END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION keep_account() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF (NEW.uid, NEW.currency_id, NEW.role, NEW.opened_at) IS DISTINCT FROM (OLD.uid, OLD.currency_id, OLD.role, OLD.opened_at)
  THEN RAISE EXCEPTION 'what an account is does not change'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION keep_currency() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF (NEW.id, NEW.uid, NEW.iri, NEW.code, NEW.scale, NEW.kind, NEW.privacy) IS DISTINCT FROM (OLD.id, OLD.uid, OLD.iri, OLD.code, OLD.scale, OLD.kind, OLD.privacy)
  THEN RAISE EXCEPTION 'what a currency is does not change'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION keep_terms() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF (NEW.currency_id, NEW.seq, NEW.uid, NEW.debit, NEW.credit, NEW.amount, NEW.code, NEW.held, NEW.expires, NEW.settles, NEW.refund_of, NEW.at, NEW.digest)
    IS DISTINCT FROM (OLD.currency_id, OLD.seq, OLD.uid, OLD.debit, OLD.credit, OLD.amount, OLD.code, OLD.held, OLD.expires, OLD.settles, OLD.refund_of, OLD.at, OLD.digest)
  THEN RAISE EXCEPTION 'the terms of a transfer do not change'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION keep_opening() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.salt IS NOT NULL OR NEW.seq <> OLD.seq OR NEW.currency_id <> OLD.currency_id THEN RAISE EXCEPTION 'an opening can be erased, not changed'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER entries_keep BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER tiles_keep BEFORE UPDATE OR DELETE ON tiles FOR EACH ROW EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER outcomes_keep BEFORE UPDATE OR DELETE ON outcomes FOR EACH ROW EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER transfers_keep_delete BEFORE DELETE ON transfers FOR EACH ROW EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER transfers_keep_terms BEFORE UPDATE ON transfers FOR EACH ROW EXECUTE FUNCTION keep_terms();
CREATE TRIGGER accounts_keep BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER openings_keep BEFORE UPDATE ON openings FOR EACH ROW EXECUTE FUNCTION keep_opening();
CREATE TRIGGER openings_keep_delete BEFORE DELETE ON openings FOR EACH ROW EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER accounts_keep_terms BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION keep_account();
CREATE TRIGGER currencies_keep_terms BEFORE UPDATE ON currencies FOR EACH ROW EXECUTE FUNCTION keep_currency();
CREATE TRIGGER currencies_keep_delete BEFORE DELETE ON currencies FOR EACH ROW EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER entries_keep_all BEFORE TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER openings_keep_all BEFORE TRUNCATE ON openings FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER transfers_keep_all BEFORE TRUNCATE ON transfers FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER outcomes_keep_all BEFORE TRUNCATE ON outcomes FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER tiles_keep_all BEFORE TRUNCATE ON tiles FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER accounts_keep_all BEFORE TRUNCATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger();

-- +goose Down
DROP TABLE payments;
DROP TABLE tiles;
DROP TABLE outcomes;
DROP TABLE transfers;
DROP TABLE openings;
DROP TABLE entries;
DROP TABLE accounts;
DROP TABLE currencies;
DROP FUNCTION keep_currency();
DROP FUNCTION keep_account();
DROP FUNCTION keep_opening();
DROP FUNCTION keep_terms();
DROP FUNCTION keep_ledger();
