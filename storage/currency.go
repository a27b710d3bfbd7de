package storage

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"time"

	"planet/ledger"
	"planet/ledger/proof"
)

// Currency is a book that this node keeps: what the ledger knows of it, and what people do.
type Currency struct {
	ID        ID
	ActorID   ID // the co-op whose currency it is
	Name      string
	Book      ledger.Currency
	Frozen    string // why nothing may be written; "" when it may
	CreatedAt time.Time

	Checkpoint string // signed note of the whole log (C2SP tlog-checkpoint)
	seed       []byte // of the key that signs the checkpoints
	frontier   []byte
}

// Origin is the name of the currency's log and of its key: <host>/currencies/<code>, and /e<n> from the second epoch on (docs/receipts.md).
func (c *Currency) Origin() string {
	u, err := url.Parse(c.Book.IRI)
	if err != nil {
		return ""
	}
	return proof.Origin{Host: u.Host, Code: strings.ToLower(c.Book.Code), Epoch: c.Book.Epoch + 1}.String()
}

// originAt is Origin in another epoch, counted from 0.
func (c *Currency) originAt(epoch uint32) string {
	o := *c
	o.Book.Epoch = epoch
	return o.Origin()
}

// VkeyAt is Vkey for checkpoints of an earlier epoch, counted as proof.Origin does, from 1: the key is the same and has another name.
func (c *Currency) VkeyAt(epoch uint32) (string, error) {
	s, err := proof.NewSigner(c.originAt(epoch-1), c.key())
	if err != nil {
		return "", err
	}
	return s.Vkey(), nil
}

// Vkey is the key that checks the currency's checkpoints, as C2SP signed-note writes it.
func (c *Currency) Vkey() (string, error) {
	s, err := c.signer()
	if err != nil {
		return "", err
	}
	return s.Vkey(), nil
}

// PublicKey is the key of Vkey.
func (c *Currency) PublicKey() ed25519.PublicKey { return c.key().Public().(ed25519.PublicKey) }

func (c *Currency) signer() (*proof.Signer, error) { return proof.NewSigner(c.Origin(), c.key()) }

// key is made when it is needed: that takes longer than to read the row.
func (c *Currency) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(c.seed) }

// CreateCurrency opens a currency with its issuer account where the kind has one. ErrConflict when the code is taken; a *ledger.RefusedError says what is
// wrong with the currency itself. c.Book needs IRI, Code, Scale, Kind, Privacy and Rules, c.ActorID and c.Name the rest; the others are set.
func (db *DB) CreateCurrency(ctx context.Context, c *Currency, g ledger.Group) error {
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	asked := c.Book
	asked.ID = ledger.NewID("currency", asked.IRI)
	return db.Transaction(ctx, func(tx *DB) error {
		c.ID, c.CreatedAt, c.seed, c.Book = tx.NewID(), tx.Now().UTC(), secret.Seed(), asked // afresh: it may run twice
		c.frontier = new(proof.Frontier).Marshal()
		if _, err := tx.CurrencyByCode(ctx, c.Book.Code); err == nil {
			return fmt.Errorf("currency %s: %w", c.Book.Code, ErrConflict)
		}
		open := ledger.OpenCurrency{ID: ledger.NewID("create", c.Book.IRI), Currency: c.Book}
		b, err := tx.bookkeeper(ctx)
		if err != nil {
			return err
		}
		b.born = c
		results, err := b.apply(ctx, []ledger.Group{append(ledger.Group{open}, g...)})
		if err != nil {
			return err
		}
		return results[0].Err()
	})
}

const currencyColumns = `id, uid, iri, code, actor_id, name, scale, kind, privacy, floor, ceil, max_transfer, max_pending, opened_by,
	levy_points, levy_least, levy_most, levy_to, epoch, issuer, next, last, frontier, checkpoint, secret, frozen, created_at`

func scanCurrency(row interface{ Scan(...any) error }) (*Currency, error) {
	var (
		c                                Currency
		kind, privacy, opened            string
		uid, levyTo, issuer, secret      []byte
		floor, ceil                      sql.NullInt64
		scale, epoch, next, pending, pts int64
		b                                = &c.Book
	)
	err := row.Scan(&c.ID, &uid, &b.IRI, &b.Code, &c.ActorID, &c.Name, &scale, &kind, &privacy, &floor, &ceil, &b.Rules.MaxTransfer, &pending, &opened,
		&pts, &b.Rules.Levy.Least, &b.Rules.Levy.Most, &levyTo, &epoch, &issuer, &next, &b.Last, &c.frontier, &c.Checkpoint, &secret, &c.Frozen, &c.CreatedAt)
	if err != nil {
		return nil, translate(err)
	}
	if b.Kind, err = ledger.ParseKind(kind); err != nil {
		return nil, err
	}
	if b.Privacy, err = ledger.ParsePrivacy(privacy); err != nil {
		return nil, err
	}
	if b.Rules.Open, err = ledger.ParseOpenRule(opened); err != nil {
		return nil, err
	}
	if len(secret) != ed25519.SeedSize {
		return nil, fmt.Errorf("currency %s has a key of %d bytes", b.Code, len(secret))
	}
	b.ID, b.Rules.Levy.To, b.Issuer = toID(uid), toID(levyTo), toID(issuer)
	b.Scale, b.Epoch, b.Next, b.Rules.MaxPending, b.Rules.Levy.BasisPoints = uint8(scale), uint32(epoch), ledger.Seq(next), uint16(pending), uint16(pts)
	b.Rules.Floor, b.Rules.Ceil = toBound(floor), toBound(ceil)
	c.seed, c.CreatedAt = secret, c.CreatedAt.UTC()
	return &c, nil
}

// CurrencyByCode finds a currency by its code, in any case, or ErrNotFound.
func (db *DB) CurrencyByCode(ctx context.Context, code string) (*Currency, error) {
	return scanCurrency(db.row(ctx, "SELECT "+currencyColumns+" FROM currencies WHERE code = ?", strings.ToUpper(code)))
}

// CurrencyByIRI finds a currency by its IRI, or ErrNotFound.
func (db *DB) CurrencyByIRI(ctx context.Context, iri IRI) (*Currency, error) {
	return scanCurrency(db.row(ctx, "SELECT "+currencyColumns+" FROM currencies WHERE iri = ?", iri))
}

// CurrencyByID finds a currency by the id of its row, or ErrNotFound.
func (db *DB) CurrencyByID(ctx context.Context, id ID) (*Currency, error) {
	return scanCurrency(db.row(ctx, "SELECT "+currencyColumns+" FROM currencies WHERE id = ?", id))
}

// Currencies lists the currencies of this node by code.
func (db *DB) Currencies(ctx context.Context) ([]*Currency, error) {
	rows, err := db.q(ctx).Raw("SELECT " + currencyColumns + " FROM currencies ORDER BY code").Rows()
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var cs []*Currency
	for rows.Next() {
		c, err := scanCurrency(rows)
		if err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	return cs, translate(rows.Err())
}

// ForeignCurrency is a currency whose book another node keeps, as its document said. Its terms stay for ever.
type ForeignCurrency struct {
	ID         ID  `gorm:"primaryKey;autoIncrement:false"`
	IRI        IRI // its identity; Code is a label
	Ledger     IRI // the actor that keeps the book, at the same origin
	Coop       IRI
	Code       string
	Name       string
	Scale      int
	Kind       string
	Vkey       string // of its log
	Checkpoint string // the newest that was seen; "" for none
	FetchedAt  time.Time
}

// Book is as much of the book as amounts need to be read and written.
func (f *ForeignCurrency) Book() ledger.Currency {
	kind, _ := ledger.ParseKind(f.Kind)
	return ledger.Currency{ID: ledger.NewID("currency", string(f.IRI)), IRI: string(f.IRI), Code: f.Code, Scale: uint8(f.Scale), Kind: kind}
}

// ForeignCurrencyByIRI finds a currency of another node, or ErrNotFound.
func (db *DB) ForeignCurrencyByIRI(ctx context.Context, iri IRI) (*ForeignCurrency, error) {
	var f ForeignCurrency
	return &f, translate(db.q(ctx).Where("iri = ?", iri).Take(&f).Error)
}

// ForeignCurrencies lists the currencies of other nodes that are known here, by IRI.
func (db *DB) ForeignCurrencies(ctx context.Context) ([]ForeignCurrency, error) {
	var fs []ForeignCurrency
	return fs, translate(db.q(ctx).Order("iri").Find(&fs).Error)
}

// ForeignCurrenciesOf lists the currencies of other nodes in which an actor has paid or was paid, by IRI.
func (db *DB) ForeignCurrenciesOf(ctx context.Context, actor IRI) ([]ForeignCurrency, error) {
	var fs []ForeignCurrency
	return fs, translate(db.q(ctx).Where("iri IN (SELECT currency FROM payments WHERE currency_id = 0 AND (payer = ? OR payee = ?) AND state IN ('sent', 'held', 'committed'))", actor, actor).Order("iri").Find(&fs).Error)
}

// SaveForeignCurrency keeps what a currency's document says; of one that is known its terms stay, and ErrConflict says that the document has others.
func (db *DB) SaveForeignCurrency(ctx context.Context, f *ForeignCurrency) error {
	return db.Transaction(ctx, func(tx *DB) error {
		f.ID, f.FetchedAt = tx.NewID(), tx.Now().UTC()
		fresh, err := tx.insert(ctx, f, "iri")
		if err != nil || fresh {
			return err
		}
		old, err := tx.ForeignCurrencyByIRI(ctx, f.IRI)
		if err != nil {
			return err
		}
		if old.Ledger != f.Ledger || old.Code != f.Code || old.Scale != f.Scale || old.Kind != f.Kind {
			return fmt.Errorf("%w: %s was %s with %d digits, kept by %s", ErrConflict, f.IRI, old.Code, old.Scale, old.Ledger)
		}
		f.ID, f.Checkpoint = old.ID, old.Checkpoint
		return translate(tx.q(ctx).Model(f).Select("coop", "name", "vkey", "fetched_at").Updates(f).Error)
	})
}

// LedgersOf are the inboxes of the ledgers elsewhere that have to do with an actor: she has paid there, or was paid.
func (db *DB) LedgersOf(ctx context.Context, actor IRI) ([]IRI, error) {
	var out []IRI
	err := db.q(ctx).Raw(`SELECT DISTINCT a.inbox FROM payments p JOIN foreign_currencies f ON f.iri = p.currency JOIN actors a ON a.iri = f.ledger
		WHERE p.currency_id = 0 AND (p.payer = ? OR p.payee = ?) AND a.deleted_at IS NULL ORDER BY a.inbox`, actor, actor).Scan(&out).Error
	return out, translate(err)
}

// SaveCheckpoint keeps the newest checkpoint that was seen of a currency of another node.
func (db *DB) SaveCheckpoint(ctx context.Context, currency IRI, checkpoint string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		_, err := tx.run(ctx, "UPDATE foreign_currencies SET checkpoint = ? WHERE iri = ?", checkpoint, currency)
		return err
	})
}

func toID(b []byte) (id ledger.ID) {
	copy(id[:], b)
	return id
}

func toBound(n sql.NullInt64) ledger.Bound {
	if !n.Valid {
		return ledger.Bound{}
	}
	return ledger.At(n.Int64)
}

// fromID is NULL for the zero ID.
func fromID(id ledger.ID) any {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

func fromBound(b ledger.Bound) any {
	if !b.Set {
		return nil
	}
	return b.V
}
