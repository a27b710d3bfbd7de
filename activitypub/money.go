package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

// Money is a currency as payments need it, wherever its book is kept.
type Money struct {
	Book   ledger.Currency          // of a currency elsewhere no more than what amounts need
	Keeper storage.IRI              // the ledger: the actor that keeps the book
	Here   *storage.Currency        // nil: elsewhere
	Abroad *storage.ForeignCurrency // nil: here
}

// MoneyHere is a currency of this node.
func MoneyHere(c *storage.Currency) *Money {
	u, _ := url.Parse(c.Book.IRI)
	return &Money{Book: c.Book, Keeper: storage.IRI(u.Scheme + "://" + u.Host + "/ledger"), Here: c}
}

func moneyAbroad(f *storage.ForeignCurrency) *Money {
	return &Money{Book: f.Book(), Keeper: f.Ledger, Abroad: f}
}

// Name is what people call the currency: its code, and of one elsewhere whose it is, as codes are labels (F33).
func (m *Money) Name() string {
	if m.Here != nil {
		return m.Book.Code
	}
	return m.Book.Code + " of " + hostOf(storage.IRI(m.Book.IRI))
}

// book is the currency's book, with a code for the sake of words where it is unknown.
func (m *Money) book() ledger.Currency {
	u := m.Book
	if u.Code == "" {
		u.Code = "that currency"
	}
	return u
}

// Money finds a currency by its code, of this node, or by its IRI, of any: one that is not known here yet is asked for.
func (n *Node) Money(ctx context.Context, name string) (*Money, error) {
	if !strings.Contains(name, "://") || n.isOurs(storage.IRI(name)) {
		c, err := n.Currency(ctx, name)
		if err != nil {
			return nil, err
		}
		return MoneyHere(c), nil
	}
	f, err := n.DB.ForeignCurrencyByIRI(ctx, storage.IRI(name))
	if errors.Is(err, storage.ErrNotFound) {
		f, err = n.fetchCurrency(ctx, storage.IRI(name))
	}
	if err != nil {
		return nil, err
	}
	return moneyAbroad(f), nil
}

// MoneyOf is the currency of a payment.
func (n *Node) MoneyOf(ctx context.Context, p *storage.Payment) (*Money, error) {
	return n.moneyOf(ctx, n.DB, p)
}

func (n *Node) moneyOf(ctx context.Context, db *storage.DB, p *storage.Payment) (*Money, error) {
	if p.CurrencyID != 0 {
		c, err := db.CurrencyByID(ctx, p.CurrencyID)
		if err != nil {
			return nil, err
		}
		return MoneyHere(c), nil
	}
	m, err := knownMoney(ctx, db, p.Currency)
	if errors.Is(err, storage.ErrNotFound) { // it was refused: there is no such currency
		return &Money{Book: ledger.Currency{IRI: string(p.Currency), Code: nameOfMoney(p.Currency)}}, nil
	}
	return m, err
}

// knownMoney finds a currency that is known here, or ErrNotFound: nobody is asked.
func knownMoney(ctx context.Context, db *storage.DB, iri storage.IRI) (*Money, error) {
	c, err := db.CurrencyByIRI(ctx, iri)
	if err == nil {
		return MoneyHere(c), nil
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	f, err := db.ForeignCurrencyByIRI(ctx, iri)
	if err != nil {
		return nil, err
	}
	return moneyAbroad(f), nil
}

// fetchCurrency asks another server for the document of a currency of its, and keeps it. Its ledger has to be of the same origin: nobody keeps the books of others.
func (n *Node) fetchCurrency(ctx context.Context, iri storage.IRI) (*storage.ForeignCurrency, error) {
	raw, err := n.fetch(ctx, iri)
	if err != nil {
		return nil, fmt.Errorf("the currency %s: %w", clip(string(iri), 200), err)
	}
	f, err := currencyFromWire(raw)
	if err != nil {
		return nil, err
	}
	if f.IRI != iri {
		return nil, problem(http.StatusUnprocessableEntity, "currency", "what is at %s is the currency %s: name it so", clip(string(iri), 200), clip(string(f.IRI), 200))
	}
	if _, err := n.actor(ctx, f.Ledger); err != nil {
		return nil, fmt.Errorf("the ledger of %s: %w", iri, err)
	}
	if err := n.DB.SaveForeignCurrency(ctx, f); errors.Is(err, storage.ErrConflict) {
		return nil, problem(http.StatusConflict, "currency", "the document of a currency does not change what it is: %v", err)
	} else if err != nil {
		return nil, err
	}
	return n.DB.ForeignCurrencyByIRI(ctx, f.IRI)
}

// currencyFromWire reads the document of a currency (payments.md of the design, §6.3).
func currencyFromWire(raw []byte) (*storage.ForeignCurrency, error) {
	o := terms(parseObject(raw))
	scale, digits := 0, string(o["scale"])
	refuse := func(why string) error {
		return problem(http.StatusUnprocessableEntity, "currency", "the document of the currency %s", why)
	}
	if len(digits) != 1 || digits[0] < '0' || digits[0] > '9' {
		return nil, refuse("has no scale from 0 to 9")
	}
	scale = int(digits[0] - '0')
	f := &storage.ForeignCurrency{IRI: storage.IRI(o.str("id")), Ledger: o.iri("ledger"), Coop: o.iri("attributedTo"), Code: o.str("symbol"), Name: clip(plainText(o.str("name")), 100),
		Scale: scale, Kind: o.str("kind"), Vkey: o.str("vkey")}
	kinds := false
	for _, raw := range o.list("type") {
		s, _ := stringOf(raw)
		kinds = kinds || localName(s) == "ResourceSpecification"
	}
	_, kindErr := ledger.ParseKind(f.Kind)
	code := f.Code
	switch {
	case !kinds:
		return nil, refuse("is no ResourceSpecification")
	case f.Ledger == "" || !sameOrigin(string(f.Ledger), string(f.IRI)):
		return nil, refuse("names no ledger of the same origin")
	case len(code) < 2 || len(code) > 12 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || code[0] <= '9':
		return nil, refuse("has no code of the letters A-Z and digits")
	case kindErr != nil:
		return nil, refuse("is of a kind that is not known here")
	}
	if f.Name == "" {
		f.Name = code
	}
	if _, err := proof.NewVerifier(f.Vkey); err != nil || len(f.Vkey) > 500 {
		return nil, refuse("has no vkey of its log")
	}
	return f, nil
}
