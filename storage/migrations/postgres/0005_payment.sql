-- +goose Up

-- Currencies of other nodes, as their documents said: their terms stay for ever, the rest is what was last seen.
CREATE TABLE foreign_currencies (
  id         BIGINT PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  ledger     TEXT NOT NULL, -- IRI of the actor that keeps the book
  coop       TEXT NOT NULL,
  code       TEXT NOT NULL,
  name       TEXT NOT NULL,
  scale      BIGINT NOT NULL CHECK (scale BETWEEN 0 AND 9),
  kind       TEXT NOT NULL,
  vkey       TEXT NOT NULL, -- of its log
  checkpoint TEXT NOT NULL, -- the newest that was seen; '' for none
  fetched_at TIMESTAMPTZ NOT NULL
);

-- Above what a payment of a co-op waits for a second person. NULL: never.
CREATE TABLE signature_rules (
  coop_id     BIGINT NOT NULL REFERENCES actors (id),
  currency    TEXT NOT NULL, -- IRI
  per_payment BIGINT CHECK (per_payment >= 0),
  per_day     BIGINT CHECK (per_day >= 0),
  own_benefit BIGINT CHECK (own_benefit >= 0), -- of payments to whoever proposes them
  PRIMARY KEY (coop_id, currency)
);

-- Requests for payment: Proposals that one actor sees.
CREATE TABLE payment_requests (
  id         BIGINT PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE, -- of the Proposal
  payee      TEXT NOT NULL,
  payer      TEXT NOT NULL,
  currency   TEXT NOT NULL, -- IRI
  amount     BIGINT NOT NULL CHECK (amount > 0),
  memo       TEXT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('open', 'paid', 'withdrawn', 'refused', 'expired')),
  payment_id BIGINT NOT NULL, -- that paid it; 0: none
  post_id    BIGINT NOT NULL, -- the message that brought it; 0: none
  user_id    BIGINT NOT NULL, -- who asked; 0: the operator, or somebody elsewhere
  expires_at TIMESTAMPTZ NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  ended_at   TIMESTAMPTZ
);
CREATE INDEX payment_requests_payee ON payment_requests (payee, id);
CREATE INDEX payment_requests_payer ON payment_requests (payer, id);

-- +goose Down
DROP TABLE payment_requests;
DROP TABLE signature_rules;
DROP TABLE foreign_currencies;
