package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"planet/activitypub"
	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

type receiptCmd struct {
	Show   receiptShowCmd   `cmd:"" help:"Print the receipt of a payment."`
	Verify receiptVerifyCmd `cmd:"" help:"Say whether a receipt holds, and what it proves. Needs no network."`
}

type receiptShowCmd struct {
	Payment storage.ID `arg:"" help:"Which payment."`
	JSON    bool       `help:"Print JSON."`
}

func (receiptShowCmd) Help() string {
	return `A receipt shows who paid whom, and holds for ever, also when this node is gone. It is for the two and their auditors.

Example: planet receipt show 123456789 > loaves.tlog-proof`
}

func (cmd receiptShowCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		db := n.DB
		p, m, err := c.payment(n, cmd.Payment)
		if err != nil {
			return err
		}
		if m.Here == nil {
			return cmd.kept(c, p, m)
		}
		_, seq, err := db.Transfer(c.ctx, p.Transfer())
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("payment %s is in no book: it is %s", p.ID, stateOf(p))
		} else if err != nil {
			return err
		}
		file, err := db.Receipt(c.ctx, m.Book.ID, seq)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("payment %s has no receipt any more: its contents were erased", p.ID)
		} else if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(struct {
				Payment storage.ID `json:"payment"`
				Entry   uint64     `json:"entry"`
				Receipt string     `json:"receipt"`
			}{p.ID, uint64(seq), string(file)})
		}
		_, err = c.stdout.Write(file)
		return err
	})
}

// kept prints the receipt of a payment in a book elsewhere, as it was fetched.
func (cmd receiptShowCmd) kept(c *app, p *storage.Payment, m *activitypub.Money) error {
	if p.Receipt == nil {
		return fmt.Errorf("payment %s is %s, and the ledger of %s has given no receipt of it yet", p.ID, stateOf(p), m.Name())
	}
	if cmd.JSON {
		r, err := proof.ParseReceipt(p.Receipt)
		if err != nil {
			return err
		}
		return c.json(struct {
			Payment storage.ID `json:"payment"`
			Entry   uint64     `json:"entry"`
			Receipt string     `json:"receipt"`
		}{p.ID, uint64(r.Index), string(p.Receipt)})
	}
	_, err := c.stdout.Write(p.Receipt)
	return err
}

type receiptVerifyCmd struct {
	File string `arg:"" help:"The receipt; - is standard input."`
	Vkey string `placeholder:"VKEY" help:"The currency's key, from a place that you trust; then nothing of a node is needed. Without it, the key is that of this node's own currency."`
	JSON bool   `help:"Print JSON."`
}

func (receiptVerifyCmd) Help() string {
	return `Exits with 1 and the reason when the receipt does not hold.

Example: planet receipt verify loaves.tlog-proof --vkey coop.example/currencies/grn+1d16c003+ATc7NGUoFfFFZ1jkv16ClgeYUAgbq0lxVfEHZrE/3F89`
}

// provenEntry is what a receipt proves, as --json prints it.
type provenEntry struct {
	Currency string    `json:"currency"`
	Entry    uint64    `json:"entry"`
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"`
	ID       string    `json:"id"`
	Text     string    `json:"text"` // the whole entry
	Size     int64     `json:"size"` // of the log that was vouched for
	Signers  []string  `json:"signers"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
}

func (cmd receiptVerifyCmd) Run(c *app) error {
	file, err := c.readSmall(cmd.File, proof.MaxReceipt)
	if err != nil {
		return err
	}
	if cmd.Vkey != "" {
		key, err := proof.NewVerifier(cmd.Vkey)
		if err != nil {
			return usageError{fmt.Sprintf("--vkey: %v", err)}
		}
		return cmd.verify(c, file, key, nil, nil)
	}
	r, err := proof.ParseReceipt(file)
	if err != nil {
		return fmt.Errorf("%s does not hold: %w", cmd.File, err)
	}
	leaf, err := proof.ParseLeaf(r.Leaf)
	if err != nil {
		return fmt.Errorf("%s does not hold: %w", cmd.File, err)
	}
	if _, err := os.Stat(c.cfg.Database); err != nil && !postgres(c.cfg) {
		return fmt.Errorf("there is no node here that knows the key of %s: name it with --vkey", printable(leaf.Currency))
	}
	return c.withDB(func(db *storage.DB) error {
		cur, err := db.CurrencyByIRI(c.ctx, storage.IRI(leaf.Currency))
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("%s is not a currency of this node: name its key with --vkey", printable(leaf.Currency))
		} else if err != nil {
			return err
		}
		epoch := uint32(1)
		first, _, _ := strings.Cut(string(r.Checkpoint), "\n")
		if o, err := proof.ParseOrigin(first); err == nil {
			epoch = min(o.Epoch, cur.Book.Epoch+1)
		}
		vkey, err := cur.VkeyAt(epoch)
		if err != nil {
			return err
		}
		key, err := proof.NewVerifier(vkey)
		if err != nil {
			return err
		}
		_, names, err := c.holders(c.ctx, db, cur)
		if err != nil {
			return err
		}
		return cmd.verify(c, file, key, cur, names)
	})
}

// verify checks a receipt and says in words what it proves; names and the currency are known on its node alone.
func (cmd receiptVerifyCmd) verify(c *app, file []byte, key proof.Verifier, cur *storage.Currency, names map[ledger.ID]ledger.Holder) error {
	v, err := proof.Verify(file, key)
	if err != nil {
		return fmt.Errorf("%s does not hold: %w", cmd.File, err)
	}
	e, err := ledger.ParseEntry(v.Entry())
	if err != nil {
		return fmt.Errorf("%s does not hold: it is signed, and its entry cannot be read: %w", cmd.File, err)
	}
	name := func(id ledger.ID) string {
		if h, ok := names[id]; ok {
			return h.Name
		}
		return "account " + id.String()
	}
	at := time.Unix(0, int64(e.At)).UTC()
	if cmd.JSON {
		p := provenEntry{Currency: e.Currency, Entry: uint64(e.Seq), Time: at, Kind: e.Kind(), ID: e.ID().String(), Text: string(v.Entry()), Size: v.Checkpoint.Size, Signers: v.Signers}
		if !e.Debit.IsZero() {
			p.From, p.To = name(e.Debit), name(e.Credit)
		}
		return c.json(p)
	}
	c.say("%s holds: entry %d of %d in the book of %s, of %s UTC", cmd.File, e.Seq, v.Checkpoint.Size, printable(e.Currency), stamp(&at))
	amount := fmt.Sprintf("%d minor units", e.Amount)
	if cur != nil {
		amount = money(cur.Book, int64(e.Amount))
	}
	switch cmd := e.Cmd.(type) {
	case ledger.Pay:
		verb := "paid"
		if cmd.Pending {
			verb = "held for payment"
		}
		c.say("%s %s %s to %s (%s)", name(e.Debit), verb, amount, name(e.Credit), cmd.Code)
	case ledger.Post:
		c.say("%s was paid %s by %s, out of what was held", name(e.Credit), amount, name(e.Debit))
	case ledger.Void:
		c.say("%s was let go by %s, back to %s", amount, name(e.Credit), name(e.Debit))
	case ledger.Refund:
		c.say("%s gave %s back to %s", name(e.Debit), amount, name(e.Credit))
	default:
		c.say("an entry of kind %s", e.Kind())
	}
	c.say("signed by %s", strings.Join(v.Signers, ", "))
	return nil
}
