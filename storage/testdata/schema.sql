CREATE TRIGGER acceptances_keep_delete BEFORE DELETE ON acceptances BEGIN SELECT RAISE(ABORT, 'acceptances are append-only'); END;

CREATE TRIGGER acceptances_keep_update BEFORE UPDATE ON acceptances BEGIN SELECT RAISE(ABORT, 'acceptances are append-only'); END;

CREATE TABLE acceptances (
  coop_id    INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  user_id    INTEGER NOT NULL REFERENCES users (id),
  created_at DATETIME NOT NULL,
  PRIMARY KEY (coop_id, user_id, version),
  FOREIGN KEY (coop_id, version) REFERENCES agreements (coop_id, version)
);

CREATE TABLE account_notes (
  actor_id  INTEGER NOT NULL REFERENCES actors (id),
  target_id INTEGER NOT NULL REFERENCES actors (id),
  text      TEXT NOT NULL,
  PRIMARY KEY (actor_id, target_id)
);

CREATE TRIGGER accounts_keep_delete BEFORE DELETE ON accounts BEGIN SELECT RAISE(ABORT, 'accounts are never deleted'); END;

CREATE TRIGGER accounts_keep_terms BEFORE UPDATE OF uid, currency_id, role, opened_at ON accounts
BEGIN SELECT RAISE(ABORT, 'what an account is does not change'); END;

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

CREATE TABLE activities (
  id        INTEGER PRIMARY KEY,
  iri       TEXT NOT NULL,
  actor_iri TEXT NOT NULL,
  type      TEXT NOT NULL,
  object    TEXT NOT NULL,
  digest    TEXT NOT NULL, -- of an Update's bytes: servers reuse its id
  local     BOOLEAN NOT NULL,
  public    BOOLEAN NOT NULL,
  raw       BLOB NOT NULL,
  seen_at   DATETIME NOT NULL,
  UNIQUE (iri, actor_iri, digest)
);

CREATE INDEX activities_object ON activities (object) WHERE local;

CREATE TABLE actors (
  id            INTEGER PRIMARY KEY,
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
  latitude      REAL,
  longitude     REAL,
  hours         TEXT NOT NULL,
  links         TEXT, -- JSON, NULL for none
  principles    TEXT, -- JSON, NULL for none
  fields        TEXT, -- JSON, NULL for none
  also_known_as TEXT, -- JSON, NULL for none
  moved_to      TEXT NOT NULL,
  moved_at      DATETIME,
  raw           BLOB,
  published_at  DATETIME NOT NULL,
  created_at    DATETIME NOT NULL,
  updated_at    DATETIME NOT NULL,
  fetched_at    DATETIME NOT NULL,
  suspended_at  DATETIME,
  silenced_at   DATETIME,
  deleted_at    DATETIME
);

CREATE INDEX actors_followers ON actors (followers);

CREATE INDEX actors_handle ON actors (domain, username);

CREATE UNIQUE INDEX actors_local_name ON actors (lower(username)) WHERE domain = '';

CREATE TRIGGER acts_keep_delete BEFORE DELETE ON acts BEGIN SELECT RAISE(ABORT, 'acts are append-only'); END;

CREATE TRIGGER acts_keep_update BEFORE UPDATE ON acts BEGIN SELECT RAISE(ABORT, 'acts are append-only'); END;

CREATE TABLE acts (
  id         INTEGER PRIMARY KEY,
  user_id    INTEGER NOT NULL, -- 0: the operator, at the command line
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  kind       TEXT NOT NULL,
  object     TEXT NOT NULL,
  detail     TEXT NOT NULL DEFAULT '', -- what was → what is now, where the kind does not say it
  created_at DATETIME NOT NULL
);

CREATE INDEX acts_actor ON acts (actor_id, id);

CREATE TRIGGER agreements_keep_delete BEFORE DELETE ON agreements BEGIN SELECT RAISE(ABORT, 'agreements are append-only'); END;

CREATE TRIGGER agreements_keep_update BEFORE UPDATE ON agreements BEGIN SELECT RAISE(ABORT, 'agreements are append-only'); END;

CREATE TABLE agreements (
  coop_id    INTEGER NOT NULL REFERENCES actors (id),
  version    INTEGER NOT NULL CHECK (version >= 1),
  source     TEXT NOT NULL, -- plain text, as it was set
  content    TEXT NOT NULL, -- safe HTML
  user_id    INTEGER NOT NULL, -- who set it; 0: the operator
  created_at DATETIME NOT NULL,
  PRIMARY KEY (coop_id, version)
);

CREATE TABLE announcement_reactions (
  announcement_id INTEGER NOT NULL REFERENCES announcements (id) ON DELETE CASCADE,
  actor_id        INTEGER NOT NULL REFERENCES actors (id),
  name            TEXT NOT NULL, -- an emoji
  created_at      DATETIME NOT NULL,
  PRIMARY KEY (announcement_id, actor_id, name)
);

CREATE INDEX announcement_reactions_actor ON announcement_reactions (actor_id);

CREATE TABLE announcement_readers (
  announcement_id INTEGER NOT NULL REFERENCES announcements (id) ON DELETE CASCADE,
  actor_id        INTEGER NOT NULL REFERENCES actors (id),
  PRIMARY KEY (announcement_id, actor_id)
);

CREATE INDEX announcement_readers_actor ON announcement_readers (actor_id);

CREATE TABLE announcements (
  id         INTEGER PRIMARY KEY,
  source     TEXT NOT NULL, -- as it was typed
  content    TEXT NOT NULL, -- safe HTML
  created_at DATETIME NOT NULL,
  ends_at    DATETIME
);

CREATE TABLE approvals (
  join_request_id INTEGER NOT NULL REFERENCES join_requests (id),
  user_id         INTEGER NOT NULL REFERENCES users (id),
  created_at      DATETIME NOT NULL,
  PRIMARY KEY (join_request_id, user_id)
);

CREATE TABLE apps (
  id            INTEGER PRIMARY KEY,
  client_id     TEXT NOT NULL UNIQUE,
  secret_hash   TEXT NOT NULL, -- SHA-256, hex
  name          TEXT NOT NULL,
  website       TEXT NOT NULL,
  redirect_uris TEXT NOT NULL, -- JSON
  scopes        TEXT NOT NULL, -- what it may ask for at most
  created_at    DATETIME NOT NULL
);

CREATE INDEX apps_created ON apps (created_at);

CREATE TRIGGER audit_entries_keep_delete BEFORE DELETE ON audit_entries BEGIN SELECT RAISE(ABORT, 'audit entries are append-only'); END;

CREATE TRIGGER audit_entries_keep_update BEFORE UPDATE ON audit_entries BEGIN SELECT RAISE(ABORT, 'audit entries are append-only'); END;

CREATE TABLE audit_entries (
  coop_id INTEGER NOT NULL REFERENCES actors (id),
  seq     INTEGER NOT NULL CHECK (seq >= 1),
  entry   TEXT NOT NULL, -- canonical JSON (RFC 8785)
  hash    TEXT NOT NULL, -- SHA-256 of entry, in hexadecimal
  PRIMARY KEY (coop_id, seq)
);

CREATE TABLE blocks (
  id         INTEGER PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  target_id  INTEGER NOT NULL REFERENCES actors (id),
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, target_id)
);

CREATE INDEX blocks_target ON blocks (target_id);

CREATE TABLE bookmarks (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  post_id    INTEGER NOT NULL REFERENCES posts (id),
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, post_id)
);

CREATE INDEX bookmarks_post ON bookmarks (post_id);

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

CREATE TABLE changes (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  kind       TEXT NOT NULL, -- post, edit, delete, news
  post_id    INTEGER NOT NULL, -- 0 for news
  actor_id   INTEGER NOT NULL, -- who wrote it, or is told
  news_id    INTEGER NOT NULL, -- the notification; 0 for posts
  created_at DATETIME NOT NULL
);

CREATE TRIGGER contributions_keep_delete BEFORE DELETE ON contributions BEGIN SELECT RAISE(ABORT, 'contributions are never deleted'); END;

CREATE TRIGGER contributions_keep_state BEFORE UPDATE ON contributions WHEN OLD.state <> 'kept'
BEGIN SELECT RAISE(ABORT, 'a contribution that was answered stays as it is'); END;

CREATE TRIGGER contributions_keep_terms BEFORE UPDATE OF id, coop_id, user_id, day, minutes, words, paid, payment, corrects, created_at ON contributions BEGIN SELECT RAISE(ABORT, 'a contribution is corrected by another one'); END;

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

CREATE TRIGGER currencies_keep_delete BEFORE DELETE ON currencies BEGIN SELECT RAISE(ABORT, 'currencies are never deleted'); END;

CREATE TRIGGER currencies_keep_terms BEFORE UPDATE OF id, uid, iri, code, scale, kind, privacy ON currencies
BEGIN SELECT RAISE(ABORT, 'what a currency is does not change'); END;

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

CREATE TABLE deliveries (
  id          INTEGER PRIMARY KEY,
  activity_id INTEGER NOT NULL REFERENCES activities (id),
  inbox       TEXT NOT NULL,
  host        TEXT NOT NULL,
  actor_id    INTEGER NOT NULL REFERENCES actors (id),
  object      TEXT NOT NULL,
  lasting     BOOLEAN NOT NULL, -- it is for somebody in particular, and waits for her server however long that is away
  state       TEXT NOT NULL CHECK (state IN ('queued', 'done', 'dead')),
  attempts    INTEGER NOT NULL,
  next_at     DATETIME NOT NULL,
  lease_until DATETIME NOT NULL,
  last_status INTEGER NOT NULL,
  last_error  TEXT NOT NULL,
  created_at  DATETIME NOT NULL,
  UNIQUE (activity_id, inbox)
);

CREATE INDEX deliveries_due ON deliveries (next_at, id) WHERE state = 'queued';

CREATE INDEX deliveries_host ON deliveries (host, object, id) WHERE state = 'queued';

CREATE TABLE domain_blocks (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  domain     TEXT NOT NULL, -- as actors.domain
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, domain)
);

CREATE TABLE domain_rules (
  domain     TEXT PRIMARY KEY, -- and all names below it
  kind       TEXT NOT NULL CHECK (kind IN ('block', 'silence', 'allow')),
  reason     TEXT NOT NULL,
  created_at DATETIME NOT NULL
);

CREATE TRIGGER entries_keep_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;

CREATE TRIGGER entries_keep_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;

CREATE TABLE entries ( -- the truth: leaves of the Merkle log
  currency_id INTEGER NOT NULL,
  seq         INTEGER NOT NULL,
  leaf        BLOB NOT NULL,
  PRIMARY KEY (currency_id, seq)
) WITHOUT ROWID;

CREATE TABLE filter_keywords (
  id         INTEGER PRIMARY KEY,
  filter_id  INTEGER NOT NULL REFERENCES filters (id) ON DELETE CASCADE,
  keyword    TEXT NOT NULL,
  whole_word BOOLEAN NOT NULL
);

CREATE INDEX filter_keywords_filter ON filter_keywords (filter_id);

CREATE TABLE filter_posts (
  id        INTEGER PRIMARY KEY,
  filter_id INTEGER NOT NULL REFERENCES filters (id) ON DELETE CASCADE,
  post_id   INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
  UNIQUE (filter_id, post_id)
);

CREATE INDEX filter_posts_post ON filter_posts (post_id);

CREATE TABLE filters (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  title      TEXT NOT NULL,
  contexts   TEXT NOT NULL, -- JSON: home, notifications, public, thread, account
  action     TEXT NOT NULL CHECK (action IN ('warn', 'hide')),
  expires_at DATETIME
);

CREATE INDEX filters_actor ON filters (actor_id);

CREATE TABLE follow_wishes (
  actor_id  INTEGER NOT NULL REFERENCES actors (id),
  target_id INTEGER NOT NULL REFERENCES actors (id),
  no_boosts BOOLEAN NOT NULL,
  notify    BOOLEAN NOT NULL,
  PRIMARY KEY (actor_id, target_id)
);

CREATE INDEX follow_wishes_target ON follow_wishes (target_id) WHERE notify;

CREATE TABLE followed_tags (
  id       INTEGER PRIMARY KEY,
  actor_id INTEGER NOT NULL REFERENCES actors (id),
  name     TEXT NOT NULL, -- lower case, without #
  featured BOOLEAN NOT NULL, -- shown, not followed
  UNIQUE (actor_id, name, featured)
);

CREATE TABLE follows (
  id         INTEGER PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  target_id  INTEGER NOT NULL REFERENCES actors (id),
  state      TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'rejected')),
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, target_id)
);

CREATE INDEX follows_target ON follows (target_id, state, id);

CREATE TABLE foreign_currencies (
  id         INTEGER PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  ledger     TEXT NOT NULL, -- IRI of the actor that keeps the book
  coop       TEXT NOT NULL,
  code       TEXT NOT NULL,
  name       TEXT NOT NULL,
  scale      INTEGER NOT NULL CHECK (scale BETWEEN 0 AND 9),
  kind       TEXT NOT NULL,
  vkey       TEXT NOT NULL, -- of its log
  checkpoint TEXT NOT NULL, -- the newest that was seen; '' for none
  fetched_at DATETIME NOT NULL
);

CREATE TABLE grants (
  id           INTEGER PRIMARY KEY,
  hash         TEXT NOT NULL UNIQUE, -- SHA-256 of the code, hex
  app_id       INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  user_id      INTEGER NOT NULL REFERENCES users (id),
  actor_id     INTEGER NOT NULL REFERENCES actors (id), -- as whom
  redirect_uri TEXT NOT NULL,
  scopes       TEXT NOT NULL,
  challenge    TEXT NOT NULL, -- of PKCE, S256; '' for none
  created_at   DATETIME NOT NULL,
  used_at      DATETIME
);

CREATE INDEX grants_app ON grants (app_id);

CREATE INDEX grants_created ON grants (created_at);

CREATE INDEX grants_user ON grants (user_id);

CREATE TABLE hashtags (
  name    TEXT NOT NULL,
  post_id INTEGER NOT NULL REFERENCES posts (id),
  PRIMARY KEY (name, post_id)
);

CREATE INDEX hashtags_post ON hashtags (post_id);

CREATE TABLE hosts (
  host             TEXT PRIMARY KEY,
  failures         INTEGER NOT NULL,
  first_failure_at DATETIME,
  failing_days     INTEGER NOT NULL,
  last_failure_at  DATETIME,
  open_until       DATETIME,
  last_ok_at       DATETIME,
  unavailable_at   DATETIME,
  scheme           TEXT NOT NULL -- the signature that worked: '', cavage, rfc9421
);

CREATE TABLE idempotency_keys (
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  key        TEXT NOT NULL,
  object_id  INTEGER NOT NULL, -- what came of it
  created_at DATETIME NOT NULL,
  PRIMARY KEY (actor_id, key)
);

CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

CREATE TABLE invites (
  id         INTEGER PRIMARY KEY,
  code_hash  TEXT NOT NULL UNIQUE,
  coop_id    INTEGER NOT NULL, -- 0: an invitation to the node alone
  uses_left  INTEGER NOT NULL CHECK (uses_left >= 0),
  created_by INTEGER NOT NULL,
  created_at DATETIME NOT NULL,
  expires_at DATETIME,
  revoked_at DATETIME
);

CREATE TABLE jobs (
  id          INTEGER PRIMARY KEY,
  kind        TEXT NOT NULL,
  about       TEXT NOT NULL, -- what it is about: a job of one kind waits once
  payload     BLOB NOT NULL,
  attempts    INTEGER NOT NULL,
  run_at      DATETIME NOT NULL,
  lease_until DATETIME NOT NULL,
  last_error  TEXT NOT NULL,
  created_at  DATETIME NOT NULL,
  dead_at     DATETIME
);

CREATE INDEX jobs_about ON jobs (kind, about) WHERE dead_at IS NULL;

CREATE INDEX jobs_due ON jobs (run_at, id) WHERE dead_at IS NULL;

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

CREATE INDEX join_requests_coop ON join_requests (coop_id, id);

CREATE UNIQUE INDEX join_requests_pending ON join_requests (coop_id, user_id) WHERE state = 'pending';

CREATE TABLE keys (
  iri        TEXT PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  kind       TEXT NOT NULL,
  public     TEXT NOT NULL,
  private    TEXT NOT NULL, -- '' for actors elsewhere
  created_at DATETIME NOT NULL,
  retired_at DATETIME
);

CREATE INDEX keys_actor ON keys (actor_id);

CREATE TABLE likes (
  id         INTEGER PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  post_id    INTEGER NOT NULL REFERENCES posts (id),
  content    TEXT NOT NULL,
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, post_id)
);

CREATE INDEX likes_post ON likes (post_id, id);

CREATE TABLE list_members (
  list_id   INTEGER NOT NULL REFERENCES lists (id) ON DELETE CASCADE,
  target_id INTEGER NOT NULL REFERENCES actors (id),
  PRIMARY KEY (list_id, target_id)
);

CREATE INDEX list_members_target ON list_members (target_id);

CREATE TABLE lists (
  id        INTEGER PRIMARY KEY,
  actor_id  INTEGER NOT NULL REFERENCES actors (id),
  title     TEXT NOT NULL,
  replies   TEXT NOT NULL CHECK (replies IN ('followed', 'list', 'none')),
  exclusive BOOLEAN NOT NULL -- what is in the list is not in the home timeline
);

CREATE INDEX lists_actor ON lists (actor_id);

CREATE TABLE markers (
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  timeline   TEXT NOT NULL CHECK (timeline IN ('home', 'notifications')),
  last_read  INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  updated_at DATETIME NOT NULL,
  PRIMARY KEY (actor_id, timeline)
);

CREATE TABLE media (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  user_id    INTEGER NOT NULL, -- 0: the operator, at the command line
  post_id    INTEGER NOT NULL, -- 0: not attached yet
  position   INTEGER NOT NULL,
  profile    BOOLEAN NOT NULL, -- an icon or a header
  name       TEXT NOT NULL, -- of the file
  media_type TEXT NOT NULL,
  alt        TEXT NOT NULL,
  width      INTEGER NOT NULL,
  height     INTEGER NOT NULL,
  size       INTEGER NOT NULL,
  blurhash   TEXT NOT NULL,
  focus_x    REAL NOT NULL,
  focus_y    REAL NOT NULL,
  created_at DATETIME NOT NULL,
  freed_at   DATETIME -- the file may go
, scheduled_id INTEGER NOT NULL DEFAULT 0);

CREATE INDEX media_actor ON media (actor_id);

CREATE INDEX media_freed ON media (id) WHERE freed_at IS NOT NULL;

CREATE INDEX media_name ON media (name);

CREATE INDEX media_post ON media (post_id) WHERE post_id <> 0;

CREATE INDEX media_scheduled ON media (scheduled_id) WHERE scheduled_id <> 0;

CREATE INDEX media_unattached ON media (created_at) WHERE post_id = 0;

CREATE TABLE members (
  id         INTEGER PRIMARY KEY,
  user_id    INTEGER NOT NULL REFERENCES users (id),
  coop_id    INTEGER NOT NULL REFERENCES actors (id),
  role       TEXT NOT NULL CHECK (role IN ('admin', 'treasurer', 'cashier', 'editor', 'member', 'observer')),
  created_at DATETIME NOT NULL,
  UNIQUE (coop_id, user_id, role)
);

CREATE INDEX members_user ON members (user_id);

CREATE TABLE mentions (
  actor_id INTEGER NOT NULL REFERENCES actors (id),
  post_id  INTEGER NOT NULL REFERENCES posts (id),
  PRIMARY KEY (actor_id, post_id)
);

CREATE INDEX mentions_post ON mentions (post_id);

CREATE TABLE muted_conversations (
  actor_id     INTEGER NOT NULL REFERENCES actors (id),
  conversation TEXT NOT NULL,
  PRIMARY KEY (actor_id, conversation)
);

CREATE TABLE mutes (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  target_id  INTEGER NOT NULL REFERENCES actors (id),
  expires_at DATETIME,
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, target_id)
);

CREATE INDEX mutes_target ON mutes (target_id);

CREATE TABLE notifications (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  kind       TEXT NOT NULL,
  from_id    INTEGER NOT NULL REFERENCES actors (id),
  post_id    INTEGER NOT NULL, -- 0: about no post
  order_id   INTEGER NOT NULL, -- 0: about no order
  payment_id INTEGER NOT NULL, -- 0: about no payment
  created_at DATETIME NOT NULL,
  read_at    DATETIME,
  UNIQUE (actor_id, kind, from_id, post_id, order_id, payment_id)
);

CREATE INDEX notifications_post ON notifications (post_id);

CREATE TABLE offer_words (
  word     TEXT NOT NULL,
  offer_id INTEGER NOT NULL REFERENCES offers (id),
  PRIMARY KEY (word, offer_id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX offer_words_offer ON offer_words (offer_id, word);

CREATE TABLE offers (
  id            INTEGER PRIMARY KEY,
  iri           TEXT NOT NULL UNIQUE, -- of the Proposal
  actor_id      INTEGER NOT NULL REFERENCES actors (id),
  user_id       INTEGER NOT NULL, -- who made it, 0 elsewhere and for the operator
  post_id       INTEGER NOT NULL, -- the Note that carries it, 0 for none
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
  stock         INTEGER, -- lots there were; NULL: as many as anybody wants
  available     INTEGER CHECK (available >= 0), -- lots that are left
  minimum       INTEGER NOT NULL, -- lots in one order
  pricing       TEXT NOT NULL CHECK (pricing IN ('price', 'gift', 'open')),
  price         TEXT NOT NULL, -- decimal, of one lot; '' when there is none
  price_scale   INTEGER NOT NULL,
  price_value   REAL NOT NULL, -- about price
  currency      TEXT NOT NULL, -- IRI, '' for none
  currency_name TEXT NOT NULL,
  place         TEXT NOT NULL,
  latitude      REAL,
  longitude     REAL,
  ends_at       DATETIME,
  state         TEXT NOT NULL CHECK (state IN ('open', 'paused', 'sold', 'closed')),
  auto_accept   BOOLEAN NOT NULL, -- an order that can be met is accepted at once
  hold_seconds  INTEGER NOT NULL, -- how long an accepted order may wait to be fulfilled
  orderable     BOOLEAN NOT NULL, -- its server takes orders of FEP-0837
  listed        BOOLEAN NOT NULL, -- in the market of this node
  raw           BLOB,
  published_at  DATETIME NOT NULL,
  updated_at    DATETIME NOT NULL,
  deleted_at    DATETIME,
  CHECK (stock IS NULL OR available IS NOT NULL AND available <= stock)
);

CREATE INDEX offers_actor ON offers (actor_id, id);

CREATE INDEX offers_ending ON offers (ends_at) WHERE state = 'open' AND ends_at IS NOT NULL;

CREATE INDEX offers_market ON offers (purpose, id) WHERE listed AND state = 'open' AND deleted_at IS NULL;

CREATE INDEX offers_place ON offers (latitude, longitude) WHERE listed AND state = 'open' AND deleted_at IS NULL;

CREATE INDEX offers_post ON offers (post_id) WHERE post_id <> 0;

CREATE TRIGGER openings_keep_delete BEFORE DELETE ON openings BEGIN SELECT RAISE(ABORT, 'an opening can be erased, not deleted'); END;

CREATE TRIGGER openings_keep_update BEFORE UPDATE ON openings WHEN NEW.salt IS NOT NULL OR NEW.seq <> OLD.seq OR NEW.currency_id <> OLD.currency_id
BEGIN SELECT RAISE(ABORT, 'an opening can be erased, not changed'); END;

CREATE TABLE openings ( -- what the leaves commit to
  currency_id INTEGER NOT NULL,
  seq         INTEGER NOT NULL,
  salt        BLOB, -- NULL: erased, and what named a person is out of the opening
  opening     BLOB NOT NULL,
  PRIMARY KEY (currency_id, seq)
) WITHOUT ROWID;

CREATE TRIGGER order_steps_keep_delete BEFORE DELETE ON order_steps BEGIN SELECT RAISE(ABORT, 'order_steps are append-only'); END;

CREATE TRIGGER order_steps_keep_update BEFORE UPDATE ON order_steps BEGIN SELECT RAISE(ABORT, 'order_steps are append-only'); END;

CREATE TABLE order_steps (
  id         INTEGER PRIMARY KEY,
  order_id   INTEGER NOT NULL REFERENCES orders (id),
  actor_id   INTEGER NOT NULL, -- who did it, 0: the node, as time passed
  user_id    INTEGER NOT NULL,
  act        TEXT NOT NULL,
  state      TEXT NOT NULL, -- afterwards
  words      TEXT NOT NULL,
  activity   TEXT NOT NULL, -- IRI of what said so, '' for none
  created_at DATETIME NOT NULL
);

CREATE INDEX order_steps_order ON order_steps (order_id, id);

CREATE TRIGGER orders_keep_delete BEFORE DELETE ON orders BEGIN SELECT RAISE(ABORT, 'orders are never deleted'); END;

CREATE TRIGGER orders_keep_terms BEFORE UPDATE OF ask_iri, offer_id, proposer_id, responder_id, lots, quantity, amount ON orders
BEGIN SELECT RAISE(ABORT, 'the terms of an order do not change'); END;

CREATE TABLE orders (
  id            INTEGER PRIMARY KEY,
  ask_iri       TEXT NOT NULL UNIQUE, -- the Offer(Agreement), or the reply that asks for it
  iri           TEXT NOT NULL, -- of the Agreement, '' before there is one
  offer_id      INTEGER NOT NULL REFERENCES offers (id),
  proposer_id   INTEGER NOT NULL REFERENCES actors (id), -- whose offer or request it is: has the last word
  responder_id  INTEGER NOT NULL REFERENCES actors (id), -- who orders
  user_id       INTEGER NOT NULL, -- who ordered for the responder, 0 elsewhere and for the operator
  post_id       INTEGER NOT NULL, -- the reply that asked for it, 0 for none
  lots          INTEGER NOT NULL CHECK (lots >= 0),
  quantity      TEXT NOT NULL, -- decimal, in the offer's unit
  amount        TEXT NOT NULL, -- decimal, in the offer's currency; '' for a gift
  note          TEXT NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('proposed', 'accepted', 'fulfilled', 'disputed', 'confirmed', 'rejected', 'expired', 'cancelled')),
  code          TEXT NOT NULL, -- why it was rejected, expired or cancelled
  words         TEXT NOT NULL, -- likewise, for people
  reserved      BOOLEAN NOT NULL, -- its lots are taken from what is available
  agreed        BOOLEAN NOT NULL, -- the responder has said so bindingly: by her Offer, or behind the link
  cancel_asked  BOOLEAN NOT NULL, -- the responder wants out, and the proposer elsewhere has not answered
  proposer_at   DATETIME NOT NULL, -- the last word of each
  responder_at  DATETIME NOT NULL,
  answer        TEXT NOT NULL, -- the activity of ours that says how it stands, '' for none
  payment_id    INTEGER NOT NULL, -- that paid it and was not given back in full; 0: none
  expires_at    DATETIME NOT NULL, -- of what is proposed, or accepted and not fulfilled
  next_at       DATETIME, -- when this node looks at it again
  created_at    DATETIME NOT NULL,
  updated_at    DATETIME NOT NULL
);

CREATE UNIQUE INDEX orders_agreement ON orders (iri) WHERE iri <> '';

CREATE INDEX orders_due ON orders (next_at) WHERE next_at IS NOT NULL;

CREATE INDEX orders_offer ON orders (offer_id, id);

CREATE INDEX orders_proposer ON orders (proposer_id, id);

CREATE INDEX orders_responder ON orders (responder_id, id);

CREATE TRIGGER outcomes_keep_delete BEFORE DELETE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes are append-only'); END;

CREATE TRIGGER outcomes_keep_update BEFORE UPDATE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes are append-only'); END;

CREATE TABLE outcomes ( -- of command ids that are no transfer, failures above all
  uid    BLOB PRIMARY KEY,
  digest BLOB NOT NULL,
  code   TEXT NOT NULL,
  seq    INTEGER NOT NULL,
  at     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE payment_requests (
  id         INTEGER PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE, -- of the Proposal
  payee      TEXT NOT NULL,
  payer      TEXT NOT NULL,
  currency   TEXT NOT NULL, -- IRI
  amount     INTEGER NOT NULL CHECK (amount > 0),
  memo       TEXT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('open', 'paid', 'withdrawn', 'refused', 'expired')),
  payment_id INTEGER NOT NULL, -- that paid it; 0: none
  post_id    INTEGER NOT NULL, -- the message that brought it; 0: none
  user_id    INTEGER NOT NULL, -- who asked; 0: the operator, or somebody elsewhere
  expires_at DATETIME NOT NULL,
  created_at DATETIME NOT NULL,
  ended_at   DATETIME
);

CREATE INDEX payment_requests_payee ON payment_requests (payee, id);

CREATE INDEX payment_requests_payer ON payment_requests (payer, id);

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

CREATE INDEX payments_due ON payments (next_at) WHERE next_at IS NOT NULL;

CREATE INDEX payments_event ON payments (event) WHERE event <> '';

CREATE INDEX payments_order ON payments (order_id) WHERE order_id <> 0;

CREATE INDEX payments_owed ON payments (id) WHERE owes;

CREATE INDEX payments_payee ON payments (payee, id);

CREATE INDEX payments_payer ON payments (payer, id);

CREATE INDEX payments_refunds ON payments (refund_of) WHERE refund_of IS NOT NULL;

CREATE INDEX payments_uid ON payments (uid);

CREATE TABLE pins (
  id         INTEGER PRIMARY KEY,
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  post_id    INTEGER NOT NULL REFERENCES posts (id),
  created_at DATETIME NOT NULL,
  UNIQUE (actor_id, post_id)
);

CREATE INDEX pins_post ON pins (post_id);

CREATE TABLE polls (
  post_id   INTEGER PRIMARY KEY REFERENCES posts (id),
  multiple  BOOLEAN NOT NULL,
  options   TEXT NOT NULL, -- JSON: names and votes
  voters    INTEGER NOT NULL,
  ends_at   DATETIME,
  closed_at DATETIME,
  told_at   DATETIME -- when its numbers last went out
);

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

CREATE TABLE posts (
  id             INTEGER PRIMARY KEY,
  iri            TEXT NOT NULL UNIQUE,
  actor_id       INTEGER NOT NULL REFERENCES actors (id),
  user_id        INTEGER NOT NULL, -- who wrote it, 0 elsewhere and for the operator
  type           TEXT NOT NULL,
  in_reply_to    TEXT NOT NULL,
  in_reply_to_id INTEGER,
  conversation   TEXT NOT NULL,
  boost_of_id    INTEGER, -- of an Announce: the post that it shares
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
  raw            BLOB,
  published_at   DATETIME NOT NULL,
  edited_at      DATETIME,
  deleted_at     DATETIME
);

CREATE INDEX posts_actor ON posts (actor_id, id);

CREATE UNIQUE INDEX posts_boost ON posts (boost_of_id, actor_id) WHERE boost_of_id IS NOT NULL;

CREATE INDEX posts_conversation ON posts (conversation, id) WHERE conversation <> '';

CREATE INDEX posts_reply ON posts (in_reply_to) WHERE in_reply_to <> '';

CREATE INDEX posts_stamp ON posts (quote_approval) WHERE quote_approval <> '';

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

CREATE INDEX pushes_notification ON pushes (notification_id);

CREATE INDEX pushes_subscription ON pushes (subscription_id);

CREATE TABLE reports (
  id          INTEGER PRIMARY KEY,
  iri         TEXT NOT NULL UNIQUE,
  reporter_id INTEGER NOT NULL REFERENCES actors (id),
  target_id   INTEGER NOT NULL REFERENCES actors (id),
  posts       TEXT, -- JSON: their ids, NULL for none
  comment     TEXT NOT NULL,
  forwarded   BOOLEAN NOT NULL,
  created_at  DATETIME NOT NULL,
  resolved_at DATETIME,
  resolved_by INTEGER NOT NULL -- a user; 0: nobody, or the operator
);

CREATE TABLE role_limits (
  coop_id     INTEGER NOT NULL REFERENCES actors (id),
  role        TEXT NOT NULL CHECK (role IN ('admin', 'treasurer', 'cashier', 'editor', 'member', 'observer')),
  currency_id INTEGER NOT NULL REFERENCES currencies (id),
  amount      INTEGER NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (coop_id, role, currency_id)
);

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

CREATE TABLE sessions (
  id         INTEGER PRIMARY KEY,
  hash       TEXT NOT NULL UNIQUE, -- SHA-256 of what the cookie holds, hex
  user_id    INTEGER NOT NULL REFERENCES users (id),
  created_at DATETIME NOT NULL,
  expires_at DATETIME NOT NULL
);

CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

CREATE TABLE signature_rules (
  coop_id     INTEGER NOT NULL REFERENCES actors (id),
  currency    TEXT NOT NULL, -- IRI
  per_payment INTEGER CHECK (per_payment >= 0),
  per_day     INTEGER CHECK (per_day >= 0),
  own_benefit INTEGER CHECK (own_benefit >= 0), -- of payments to whoever proposes them
  PRIMARY KEY (coop_id, currency)
);

CREATE TABLE stamps (
  id         INTEGER PRIMARY KEY,
  post_id    INTEGER NOT NULL REFERENCES posts (id),
  actor_id   INTEGER NOT NULL REFERENCES actors (id), -- who quotes
  quote      TEXT NOT NULL,                           -- the post that quotes
  created_at DATETIME NOT NULL,
  revoked_at DATETIME,
  UNIQUE (post_id, quote)
);

CREATE TRIGGER tiles_keep_delete BEFORE DELETE ON tiles BEGIN SELECT RAISE(ABORT, 'tiles are append-only'); END;

CREATE TRIGGER tiles_keep_update BEFORE UPDATE ON tiles BEGIN SELECT RAISE(ABORT, 'tiles are append-only'); END;

CREATE TABLE tiles ( -- full ones; partial ones are computed
  currency_id INTEGER NOT NULL,
  level       INTEGER NOT NULL,
  idx         INTEGER NOT NULL,
  hashes      BLOB NOT NULL,
  root        BLOB NOT NULL, -- of the subtree: a hash of the level above
  PRIMARY KEY (currency_id, level, idx)
);

CREATE TABLE tokens (
  id         INTEGER PRIMARY KEY,
  hash       TEXT NOT NULL UNIQUE, -- SHA-256, hex
  app_id     INTEGER NOT NULL, -- 0: made at the command line
  grant_id   INTEGER NOT NULL, -- the code that it was given for; 0: none
  user_id    INTEGER NOT NULL, -- 0: of the app itself
  actor_id   INTEGER NOT NULL, -- as whom; 0 likewise
  scopes     TEXT NOT NULL,
  created_at DATETIME NOT NULL,
  revoked_at DATETIME
);

CREATE INDEX tokens_app ON tokens (app_id);

CREATE INDEX tokens_grant ON tokens (grant_id);

CREATE INDEX tokens_user ON tokens (user_id);

CREATE TABLE tombstones (
  iri        TEXT NOT NULL,
  actor_iri  TEXT NOT NULL, -- who said so: another cannot say it in her place
  created_at DATETIME NOT NULL,
  PRIMARY KEY (iri, actor_iri)
);

CREATE TRIGGER transfers_keep_delete BEFORE DELETE ON transfers BEGIN SELECT RAISE(ABORT, 'transfers are never deleted'); END;

CREATE TRIGGER transfers_keep_terms BEFORE UPDATE OF currency_id, seq, uid, debit, credit, amount, code, held, expires, settles, refund_of, at, digest ON transfers
BEGIN SELECT RAISE(ABORT, 'the terms of a transfer do not change'); END;

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

CREATE INDEX transfers_due ON transfers (currency_id, expires) WHERE state = 0;

CREATE UNIQUE INDEX transfers_settles ON transfers (settles) WHERE settles IS NOT NULL AND state <= 1;

CREATE TABLE users (
  id            INTEGER PRIMARY KEY,
  actor_id      INTEGER NOT NULL UNIQUE REFERENCES actors (id),
  username      TEXT NOT NULL UNIQUE,
  email         TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  role          TEXT NOT NULL,
  created_at    DATETIME NOT NULL,
  suspended_at  DATETIME
);

CREATE TABLE votes (
  id         INTEGER PRIMARY KEY,
  iri        TEXT NOT NULL UNIQUE,
  post_id    INTEGER NOT NULL REFERENCES posts (id),
  actor_id   INTEGER NOT NULL REFERENCES actors (id),
  choice     INTEGER NOT NULL,
  created_at DATETIME NOT NULL,
  UNIQUE (post_id, actor_id, choice)
);

CREATE INDEX votes_actor ON votes (actor_id);
