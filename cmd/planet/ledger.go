package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"planet/activitypub"
	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

type ledgerCmd struct {
	Verify   ledgerVerifyCmd   `cmd:"" help:"Replay the books and check everything that is stored."`
	Resume   ledgerResumeCmd   `cmd:"" help:"Let a frozen currency go on, after its book was verified."`
	Export   ledgerExportCmd   `cmd:"" help:"Every movement of a currency, for other programs."`
	Import   ledgerImportCmd   `cmd:"" help:"Opening balances from a CSV file."`
	Bench    ledgerBenchCmd    `cmd:"" help:"Measure payments on this machine, in a database that is thrown away."`
	Simulate ledgerSimulateCmd `cmd:"" help:"Put the ledger through a bad month on a simulated disk."`
}

// inOrder are some holders, in the order in which their accounts were opened.
func inOrder(accounts []ledger.Account, names map[ledger.ID]ledger.Holder, want func(ledger.ID) bool) []ledger.Holder {
	var out []ledger.Holder
	for _, a := range accounts {
		if want(a.ID) {
			out = append(out, names[a.ID])
		}
	}
	activitypub.SortHolders(out)
	return out
}

type ledgerVerifyCmd struct {
	Currency   string `placeholder:"CODE" help:"This currency alone."`
	Checkpoint string `placeholder:"FILE" help:"A checkpoint or a receipt that somebody kept: is the book still the one that it vouches for?"`
	JSON       bool   `help:"Print JSON."`
}

func (ledgerVerifyCmd) Help() string {
	return `Says how much there is and the root of each book's tree. When something is not as it should be, it names the first bad entry, freezes that
currency, so that nothing more is written to it, and exits with 1.

Example: planet ledger verify --currency GRN --checkpoint monday.tlog-proof`
}

// verifiedEntry is what was verified, as --json prints it.
type verifiedEntry struct {
	Currency  string  `json:"currency"`
	Entries   int64   `json:"entries"`
	Erased    int64   `json:"erased"`
	Transfers int     `json:"transfers"`
	Accounts  int     `json:"accounts"`
	Failures  int     `json:"failures"`
	Root      string  `json:"root"`
	Damage    string  `json:"damage,omitempty"`
	BadEntry  *uint64 `json:"bad_entry,omitempty"`
}

func (cmd ledgerVerifyCmd) Run(c *app) error {
	var kept []byte
	if cmd.Checkpoint != "" {
		var err error
		if kept, err = c.readSmall(cmd.Checkpoint, proof.MaxReceipt); err != nil {
			return err
		}
	}
	return c.withNode(func(n *activitypub.Node) error {
		all, err := n.DB.Currencies(c.ctx)
		if err != nil {
			return err
		}
		if cmd.Currency != "" {
			cur, _, err := c.currency(n, cmd.Currency)
			if err != nil {
				return err
			}
			all = []*storage.Currency{cur}
		}
		vouched := false
		list := []verifiedEntry{}
		var failed error
		for _, cur := range all {
			v, err := n.DB.Verify(c.ctx, cur)
			e := verifiedEntry{cur.Book.Code, v.Entries, v.Erased, v.Transfers, v.Accounts, v.Failures, v.Root.String(), "", nil}
			says := ""
			if err == nil && kept != nil {
				var mine bool
				if mine, says, err = c.checkKept(n.DB, cur, kept); mine {
					vouched = true
				}
			}
			var damage *storage.DamageError
			switch {
			case errors.As(err, &damage):
				if err := n.DB.Freeze(c.ctx, cur.ID, damage.Reason()); err != nil {
					return err
				}
				if e.Damage = damage.What; damage.Seq != storage.NoEntry {
					seq := uint64(damage.Seq)
					e.BadEntry = &seq
				}
				failed = cmp.Or(failed, fmt.Errorf("%w; %s is frozen now", err, cur.Book.Code))
			case err != nil:
				return err
			case !cmd.JSON:
				c.say("%s: %s, %s, %s, %s refused, root %s: sound%s", cur.Book.Code, plural(v.Entries, "entry", "entries"), plural(int64(v.Transfers), "transfer", "transfers"),
					plural(int64(v.Accounts), "account", "accounts"), plural(int64(v.Failures), "command", "commands"), v.Root, says)
			}
			list = append(list, e)
		}
		if cmd.JSON {
			if err := c.json(list); err != nil {
				return err
			}
		}
		if failed == nil && kept != nil && !vouched {
			return fmt.Errorf("%s is not a checkpoint of any of these currencies", cmd.Checkpoint)
		}
		return failed
	})
}

// checkKept compares a book with a checkpoint or receipt that somebody kept of it; false: it is of another.
func (c *app) checkKept(db *storage.DB, cur *storage.Currency, kept []byte) (mine bool, says string, err error) {
	note, receipt := kept, false
	if bytes.HasPrefix(kept, []byte("c2sp.org/tlog-proof@v1\n")) {
		r, err := proof.ParseReceipt(kept)
		if err != nil {
			return false, "", err
		}
		note, receipt = r.Checkpoint, true
	}
	first, _, _ := strings.Cut(string(note), "\n")
	o, err := proof.ParseOrigin(first)
	if err != nil {
		return false, "", err
	}
	mineNow, err := proof.ParseOrigin(cur.Origin())
	if err != nil || o.Host != mineNow.Host || o.Code != mineNow.Code {
		return false, "", err
	}
	if o.Epoch > mineNow.Epoch {
		return true, "", fmt.Errorf("the checkpoint is of epoch %d, and the book of %s is in epoch %d: this copy of the node is from before that", o.Epoch, cur.Book.Code, mineNow.Epoch)
	}
	vkey, err := cur.VkeyAt(o.Epoch)
	if err != nil {
		return true, "", err
	}
	key, err := proof.NewVerifier(vkey)
	if err != nil {
		return true, "", err
	}
	cp, _, err := proof.Open(note, key)
	if err == nil && receipt {
		_, err = proof.Verify(kept, key)
	}
	if err == nil {
		err = db.Continues(c.ctx, cur, cp)
	}
	return true, fmt.Sprintf(", and it continues the %d entries that were vouched for", cp.Size), err
}

// readSmall reads a file of at most limit bytes; - is standard input.
func (c *app) readSmall(file string, limit int64) ([]byte, error) {
	in := c.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, reason(err))
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, reason(err))
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", file, limit)
	}
	return raw, nil
}

type ledgerResumeCmd struct {
	Code     string `arg:"" help:"Which currency."`
	Decision string `required:"" placeholder:"URL" help:"Where it can be read who decided that."`
}

func (ledgerResumeCmd) Help() string {
	return `Verifies the whole book first: what is damaged stays frozen. A book that came out of a backup goes on in a new epoch, because what was paid after
the backup is not in it.

Example: planet ledger resume GRN --decision https://coop.example/@bakery/123`
}

func (cmd ledgerResumeCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		cur, coop, err := c.currency(n, cmd.Code)
		if err != nil {
			return err
		}
		if cur.Frozen == "" {
			c.say("%s is not frozen", cur.Book.Code)
			return nil
		}
		if err := n.ResumeCurrency(c.ctx, activitypub.By{Actor: coop}, cur, cmd.Decision); err != nil {
			return err
		}
		now, err := n.DB.CurrencyByID(c.ctx, cur.ID)
		if err != nil {
			return err
		}
		if now.Book.Epoch == cur.Book.Epoch {
			c.say("%s goes on, by %s", now.Book.Code, cmd.Decision)
		} else {
			c.say("%s goes on in a new epoch, by %s: its log is at %s", now.Book.Code, cmd.Decision, activitypub.LogURL(now))
		}
		return nil
	})
}

type ledgerExportCmd struct {
	Currency string `required:"" placeholder:"CODE" help:"Which currency."`
	Format   string `required:"" enum:"hledger,beancount,csv,jsonl,text,valueflows" help:"hledger, beancount, csv, jsonl, text or valueflows."`
}

func (ledgerExportCmd) Help() string {
	return "Example: planet ledger export --currency GRN --format hledger > grn.journal"
}

func (cmd ledgerExportCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		cur, coop, err := c.currency(n, cmd.Currency)
		if err != nil {
			return err
		}
		j, err := c.journal(n.DB, cur)
		if err != nil {
			return err
		}
		if err := n.Exported(c.ctx, activitypub.By{Actor: coop}, fmt.Sprintf("the book of %s as %s", cur.Book.Code, cmd.Format)); err != nil {
			return err
		}
		if cmd.Format == "valueflows" {
			out := bufio.NewWriter(c.stdout)
			return errors.Join(n.WriteEvents(c.ctx, cur, j, out), out.Flush())
		}
		return j.Write(c.stdout, cmd.Format)
	})
}

// journal makes an export of a whole book, with names and words.
func (c *app) journal(db *storage.DB, cur *storage.Currency) (*ledger.Journal, error) {
	accounts, names, err := c.holders(c.ctx, db, cur)
	if err != nil {
		return nil, err
	}
	memos, err := db.Memos(c.ctx, cur)
	if err != nil {
		return nil, err
	}
	j := &ledger.Journal{Currency: cur.Book, Holders: inOrder(accounts, names, func(ledger.ID) bool { return true })}
	held := map[ledger.ID]ledger.Code{}
	err = db.EachEntry(c.ctx, cur, 0, func(e ledger.Entry, _ bool) error {
		if p, ok := e.Cmd.(ledger.Pay); ok && p.Pending {
			held[p.ID] = p.Code
		}
		m, ok := ledger.MovementOf(e)
		if !ok {
			return nil
		}
		if code, was := held[m.Transfer]; was {
			m.Code = code
			delete(held, m.Transfer)
		}
		m.Memo = memos[m.Transfer]
		j.Movements = append(j.Movements, m)
		return nil
	})
	return j, err
}

type ledgerImportCmd struct {
	File     string `arg:"" help:"A CSV file of handle,amount; - is standard input."`
	Currency string `required:"" placeholder:"CODE" help:"Into which currency."`
	Suspense string `placeholder:"NAME" help:"Book the difference to this account, when the balances do not sum to zero; the co-op's own name will do where it issues the currency."`
	JSON     bool   `help:"Print JSON."`
}

func (ledgerImportCmd) Help() string {
	return `A balance above zero is what somebody has, one below zero what she owes. All of the file is booked, or nothing; booking it again does nothing.
An account gets one opening balance, once. Accounts that are missing are opened.

Example: planet ledger import balances.csv --currency GRN`
}

// maxImport bounds the file in bytes.
const maxImport = 16 << 20

func (cmd ledgerImportCmd) Run(c *app) error {
	raw, err := c.readSmall(cmd.File, maxImport)
	if err != nil {
		return err
	}
	return c.withNode(func(n *activitypub.Node) error {
		cur, coop, err := c.currency(n, cmd.Currency)
		if err != nil {
			return err
		}
		in, lines, err := c.readBalances(n, cur.Book, raw)
		if err != nil {
			return fmt.Errorf("%s, %w", cmd.File, err)
		}
		done, err := n.ImportBalances(c.ctx, activitypub.By{Actor: coop}, cur, in, cmd.Suspense)
		var at *activitypub.ImportError
		switch {
		case errors.As(err, &at) && at.Index >= 0:
			return fmt.Errorf("%s, line %d (%s): %w", cmd.File, lines[at.Index], in[at.Index].Owner.Username, refusal(at.Err, nil))
		case err != nil:
			return fmt.Errorf("%s: %w", cmd.File, refusal(err, nil))
		case cmd.JSON:
			return c.json(struct {
				Currency string `json:"currency"`
				Balances int    `json:"balances"`
				Opened   int    `json:"opened"`
				Before   bool   `json:"before"`
			}{cur.Book.Code, done.Booked, done.Opened, done.Before})
		case done.Before:
			c.say("%s was imported into %s before: nothing to do", cmd.File, cur.Book.Code)
		default:
			c.say("booked %s in %s, opened %s", plural(int64(done.Booked), "opening balance", "opening balances"), cur.Book.Code, plural(int64(done.Opened), "account", "accounts"))
		}
		return nil
	})
}

// readBalances reads handle,amount; a first line that says so is left out. An error names the line.
func (c *app) readBalances(n *activitypub.Node, u ledger.Currency, raw []byte) (in []activitypub.OpeningBalance, lines []int, err error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))))
	r.FieldsPerRecord, r.TrimLeadingSpace = -1, true
	seen := map[storage.ID]int{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return in, lines, nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			return nil, nil, fmt.Errorf("line %d: this is not CSV: %w", bad.Line, bad.Err)
		} else if err != nil {
			return nil, nil, err
		}
		line, _ := r.FieldPos(0)
		refuse := func(format string, args ...any) ([]activitypub.OpeningBalance, []int, error) {
			return nil, nil, fmt.Errorf("line %d: "+format, append([]any{line}, args...)...)
		}
		if len(row) != 2 {
			return refuse("%d columns, want two: handle,amount", len(row))
		}
		handle, typed := strings.TrimSpace(row[0]), strings.TrimSpace(row[1])
		if len(in) == 0 && len(seen) == 0 && strings.EqualFold(handle, "handle") && strings.EqualFold(typed, "amount") {
			continue
		}
		owner, err := c.owner(n, handle)
		if err == nil && !owner.Local() {
			err = fmt.Errorf("%s is of another server", handle)
		}
		if err != nil {
			return refuse("%w", noted(err))
		}
		if before, twice := seen[owner.ID]; twice {
			return refuse("%s stands in line %d already", handle, before)
		}
		seen[owner.ID] = line
		digits, below := strings.CutPrefix(typed, "-")
		amount, err := ledger.ParseTyped(digits, u.Kind, u.Scale)
		if err != nil {
			return refuse("%w", err)
		}
		b := activitypub.OpeningBalance{Owner: owner, Minor: int64(amount)}
		if below {
			b.Minor = -b.Minor
		}
		in, lines = append(in, b), append(lines, line)
	}
}
