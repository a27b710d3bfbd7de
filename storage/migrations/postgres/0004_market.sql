-- +goose Up

-- What is offered or asked for, here and elsewhere (FEP-0837 Proposal).
CREATE TABLE offers (
  id            BIGINT PRIMARY KEY,
  iri           TEXT NOT NULL UNIQUE, -- of the Proposal
  actor_id      BIGINT NOT NULL REFERENCES actors (id),
  user_id       BIGINT NOT NULL, -- who made it, 0 elsewhere and for the operator
  post_id       BIGINT NOT NULL, -- the Note that carries it, 0 for none
  purpose       TEXT NOT NULL CHECK (purpose IN ('offer', 'request')),
  title         TEXT NOT NULL,
  content       TEXT NOT NULL, -- safe HTML
  source        TEXT NOT NULL,
  language      TEXT NOT NULL,
  category      TEXT NOT NULL CHECK (category IN ('goods', 'services')),
  tags          TEXT, -- JSON, NULL for none
  images        TEXT, -- JSON, NULL for none
  url           TEXT NOT NULL,
  resource      TEXT NOT NULL, -- what it conforms to: an IRI, '' for nothing in particular
  unit          TEXT NOT NULL,
  per           TEXT NOT NULL, -- decimal: how much of the unit one lot is
  unit_based    BOOLEAN NOT NULL, -- several lots may be ordered at once
  stock         BIGINT, -- lots there were; NULL: as many as anybody wants
  available     BIGINT CHECK (available >= 0), -- lots that are left
  minimum       BIGINT NOT NULL, -- lots in one order
  pricing       TEXT NOT NULL CHECK (pricing IN ('price', 'gift', 'open')),
  price         TEXT NOT NULL, -- decimal, of one lot; '' when there is none
  price_scale   BIGINT NOT NULL,
  price_value   DOUBLE PRECISION NOT NULL, -- about price
  currency      TEXT NOT NULL, -- IRI, '' for none
  currency_name TEXT NOT NULL,
  place         TEXT NOT NULL,
  latitude      DOUBLE PRECISION,
  longitude     DOUBLE PRECISION,
  ends_at       TIMESTAMPTZ,
  state         TEXT NOT NULL CHECK (state IN ('open', 'paused', 'sold', 'closed')),
  auto_accept   BOOLEAN NOT NULL, -- an order that can be met is accepted at once
  hold_seconds  BIGINT NOT NULL, -- how long an accepted order may wait to be fulfilled
  orderable     BOOLEAN NOT NULL, -- its server takes orders of FEP-0837
  listed        BOOLEAN NOT NULL, -- in the market of this node
  raw           BYTEA,
  published_at  TIMESTAMPTZ NOT NULL,
  updated_at    TIMESTAMPTZ NOT NULL,
  deleted_at    TIMESTAMPTZ,
  CHECK (stock IS NULL OR available IS NOT NULL AND available <= stock)
);
CREATE INDEX offers_actor ON offers (actor_id, id);
CREATE INDEX offers_market ON offers (purpose, id) WHERE listed AND state = 'open' AND deleted_at IS NULL;
CREATE INDEX offers_place ON offers (latitude, longitude) WHERE listed AND state = 'open' AND deleted_at IS NULL;
CREATE INDEX offers_post ON offers (post_id) WHERE post_id <> 0;
CREATE INDEX offers_ending ON offers (ends_at) WHERE state = 'open' AND ends_at IS NOT NULL;

-- The words by which an offer is found: of its title, text, tags, place and author, folded to lower case without accents.
CREATE TABLE offer_words (
  word     TEXT COLLATE "C" NOT NULL,
  offer_id BIGINT NOT NULL REFERENCES offers (id),
  PRIMARY KEY (word, offer_id)
);
CREATE UNIQUE INDEX offer_words_offer ON offer_words (offer_id, word);

-- What somebody ordered (FEP-0837 Agreement), as this node knows it.
CREATE TABLE orders (
  id            BIGINT PRIMARY KEY,
  ask_iri       TEXT NOT NULL UNIQUE, -- the Offer(Agreement), or the reply that asks for it
  iri           TEXT NOT NULL, -- of the Agreement, '' before there is one
  offer_id      BIGINT NOT NULL REFERENCES offers (id),
  proposer_id   BIGINT NOT NULL REFERENCES actors (id), -- whose offer or request it is: has the last word
  responder_id  BIGINT NOT NULL REFERENCES actors (id), -- who orders
  user_id       BIGINT NOT NULL, -- who ordered for the responder, 0 elsewhere and for the operator
  post_id       BIGINT NOT NULL, -- the reply that asked for it, 0 for none
  lots          BIGINT NOT NULL CHECK (lots >= 0),
  quantity      TEXT NOT NULL, -- decimal, in the offer's unit
  amount        TEXT NOT NULL, -- decimal, in the offer's currency; '' for a gift
  note          TEXT NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('proposed', 'accepted', 'fulfilled', 'disputed', 'confirmed', 'rejected', 'expired', 'cancelled')),
  code          TEXT NOT NULL, -- why it was rejected, expired or cancelled
  words         TEXT NOT NULL, -- likewise, for people
  reserved      BOOLEAN NOT NULL, -- its lots are taken from what is available
  agreed        BOOLEAN NOT NULL, -- the responder has said so bindingly: by her Offer, or behind the link
  cancel_asked  BOOLEAN NOT NULL, -- the responder wants out, and the proposer elsewhere has not answered
  proposer_at   TIMESTAMPTZ NOT NULL, -- the last word of each
  responder_at  TIMESTAMPTZ NOT NULL,
  answer        TEXT NOT NULL, -- the activity of ours that says how it stands, '' for none
  payment_id    BIGINT NOT NULL, -- that paid it and was not given back in full; 0: none
  expires_at    TIMESTAMPTZ NOT NULL, -- of what is proposed, or accepted and not fulfilled
  next_at       TIMESTAMPTZ, -- when this node looks at it again
  created_at    TIMESTAMPTZ NOT NULL,
  updated_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX orders_offer ON orders (offer_id, id);
CREATE INDEX orders_proposer ON orders (proposer_id, id);
CREATE INDEX orders_responder ON orders (responder_id, id);
CREATE UNIQUE INDEX orders_agreement ON orders (iri) WHERE iri <> '';
CREATE INDEX orders_due ON orders (next_at) WHERE next_at IS NOT NULL;

-- What happened to an order, line by line. Append-only.
CREATE TABLE order_steps (
  id         BIGINT PRIMARY KEY,
  order_id   BIGINT NOT NULL REFERENCES orders (id),
  actor_id   BIGINT NOT NULL, -- who did it, 0: the node, as time passed
  user_id    BIGINT NOT NULL,
  act        TEXT NOT NULL,
  state      TEXT NOT NULL, -- afterwards
  words      TEXT NOT NULL,
  activity   TEXT NOT NULL, -- IRI of what said so, '' for none
  created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX order_steps_order ON order_steps (order_id, id);

-- +goose StatementBegin
CREATE FUNCTION keep_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP <> 'UPDATE' OR (NEW.ask_iri, NEW.offer_id, NEW.proposer_id, NEW.responder_id, NEW.lots, NEW.quantity, NEW.amount)
    IS DISTINCT FROM (OLD.ask_iri, OLD.offer_id, OLD.proposer_id, OLD.responder_id, OLD.lots, OLD.quantity, OLD.amount)
  THEN RAISE EXCEPTION 'the terms of an order do not change, and it is never deleted'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION keep_order_steps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'order_steps are append-only'; END $$;
-- +goose StatementEnd
CREATE TRIGGER orders_keep BEFORE UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION keep_order();
CREATE TRIGGER order_steps_keep BEFORE UPDATE OR DELETE ON order_steps FOR EACH ROW EXECUTE FUNCTION keep_order_steps();

-- +goose Down
DROP TABLE order_steps;
DROP TABLE orders;
DROP TABLE offer_words;
DROP TABLE offers;
DROP FUNCTION keep_order();
DROP FUNCTION keep_order_steps();
