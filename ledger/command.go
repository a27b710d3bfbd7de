package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"
)

// Command asks for one change. Its ID makes it safe to ask again: the same command under the same ID is done once and gets the same answer for ever.
// The set of commands is closed.
type Command interface {
	id() ID
	appendTo([]byte) []byte // every field, in a fixed order: what the digest covers
}

// Group is one act of several commands: all or nothing, and later ones see what earlier ones did.
type Group []Command

type (
	// OpenCurrency begins a book. The currency's Epoch, Issuer, Next and Last must be zero.
	OpenCurrency struct {
		ID       ID
		Currency Currency
	}

	// SetRules replaces a currency's rules, by a decision.
	SetRules struct {
		ID, Currency ID
		Rules        Rules
		Decision     string // IRI of what was decided
	}

	// OpenAccount opens an account. Currency.NewAccount fills in what the rules give.
	OpenAccount struct {
		ID, Account, Currency ID
		Ref                   string
		Role                  Role
		Floor, Ceil           Bound
		Decision              string // optional
	}

	// SetLimits replaces the four limits of an account, by a decision. A balance outside the new limit stays; no debit may make it worse (F38, F39).
	SetLimits struct {
		ID, Account                      ID
		Floor, Ceil, SoftFloor, SoftCeil Bound
		Decision                         string
		IfVersion                        uint64 // 0: whatever it is
	}

	// SetFlags replaces the flags of an account, by a decision.
	SetFlags struct {
		ID, Account ID
		Flags       Flags
		Decision    string
		IfVersion   uint64 // 0: whatever it is
	}

	// Rebind gives an account to another owner, by a decision (F37).
	Rebind struct {
		ID, Account ID
		NewRef      string
		Decision    string
		Auth        Digest
	}

	// Pay moves an amount, or holds it when Pending.
	Pay struct {
		ID, Currency, Debit, Credit ID
		Amount                      Amount
		Code                        Code
		Pending                     bool
		Timeout                     time.Duration // with Pending: MinTimeout to MaxTimeout
		Settles                     ID            // a claim that may be paid once; zero: none
		Memo                        Digest        // salted commitment of the words
		Auth                        Digest        // of the signed activity that asked for it
		EffectiveAt                 Instant       // claimed time, data only; 0: none
	}

	// Post completes a held transfer: Amount of it (All: the whole), the rest is released.
	Post struct {
		ID, Pending ID
		Amount      Amount
		Auth        Digest
	}

	// Void ends a held transfer with nothing moved.
	Void struct {
		ID, Pending ID
		Auth        Digest
	}

	// Refund moves Amount of a completed transfer back (All: what is left of it).
	Refund struct {
		ID, Original ID
		Amount       Amount
		Memo, Auth   Digest
	}

	// Abort promises that Target will never exist.
	Abort struct {
		ID, Currency, Target ID
	}

	// Note puts bytes that others must be able to rely on into the book. A note of kind NoteEpoch opens the next epoch.
	Note struct {
		ID, Currency ID
		Kind         NoteKind
		Body         []byte // at most MaxNote
	}

	// expire ends a held transfer whose time has passed. Only Apply makes it.
	expire struct{ Pending ID }
)

// NoteKind says what a note is.
type NoteKind uint8

// The kinds of notes.
const (
	NoteKeyRotation NoteKind = iota
	NotePolicy
	NoteCheckpoint
	NoteStatement
	NoteEpoch
)

var noteNames = names{"key-rotation", "policy", "checkpoint", "statement", "epoch"}

// String is the word in the log.
func (k NoteKind) String() string { return noteNames.of(int(k)) }

// MaxNote and MaxText bound a note's body, and a ref or a decision, in bytes.
const (
	MaxNote = 16 << 10
	MaxText = 2048
)

// NewAccount is the command that opens an account of role for the owner ref, with the limits that the rules give to it.
// The account's ID follows from currency and owner, and the command's from the account's, so that opening twice is opening once.
func (c Currency) NewAccount(ref string, role Role) OpenAccount {
	o := OpenAccount{Account: NewID("account", c.IRI, ref), Currency: c.ID, Ref: ref, Role: role}
	o.ID = NewID("open", o.Account.String())
	switch role {
	case Member:
		o.Floor, o.Ceil = c.Rules.Floor, c.Rules.Ceil
	case Commons:
		o.Floor = At(0)
	case Peer:
		o.Floor, o.Ceil = At(0), At(0)
	}
	return o
}

// LevyID is the ID of the transfer that carries the levy of the payment id, and of the command that ends it beside the command id.
func LevyID(id ID) ID { return NewID("levy", string(id[:])) }

// levy is what the payer of p gives on top, if anything.
func (c *Currency) levy(p *Pay) (Pay, bool) {
	l := c.Rules.Levy
	if l.To.IsZero() || p.Code != Payment || p.Debit == l.To || p.Credit == l.To {
		return Pay{}, false
	}
	amount := max(part(p.Amount, uint64(l.BasisPoints), 10_000), l.Least)
	if l.Most > 0 {
		amount = min(amount, l.Most)
	}
	if amount == 0 {
		return Pay{}, false
	}
	return Pay{ID: LevyID(p.ID), Currency: p.Currency, Debit: p.Debit, Credit: l.To, Amount: amount, Code: LevyCode,
		Pending: p.Pending, Timeout: p.Timeout}, true
}

// LevyOf is the levy on a payment of amount, in minor units, before it is made.
func (c Currency) LevyOf(amount Amount) Amount {
	l, _ := c.levy(&Pay{Amount: amount, Debit: ID{1}, Credit: ID{2}})
	return l.Amount
}

// DemurragePay is what an account gives to the common fund for one period: basis points of the balance that it had then, rounded down.
// Its ID follows from currency, period and account, so that running a period twice is running it once (F45). False: nothing is due.
func (c Currency) DemurragePay(period string, account, fund ID, balance int64, basisPoints uint16) (Pay, bool) {
	if balance <= 0 || account == fund {
		return Pay{}, false
	}
	amount := part(Amount(min(balance, int64(MaxAmount))), uint64(basisPoints), 10_000)
	return Pay{ID: NewID("demurrage", c.IRI, period, account.String()), Currency: c.ID, Debit: account, Credit: fund, Amount: amount, Code: Demurrage}, amount > 0
}

func (c OpenCurrency) id() ID { return c.ID }
func (c SetRules) id() ID     { return c.ID }
func (c OpenAccount) id() ID  { return c.ID }
func (c SetLimits) id() ID    { return c.ID }
func (c SetFlags) id() ID     { return c.ID }
func (c Rebind) id() ID       { return c.ID }
func (c Pay) id() ID          { return c.ID }
func (c Post) id() ID         { return c.ID }
func (c Void) id() ID         { return c.ID }
func (c Refund) id() ID       { return c.ID }
func (c Abort) id() ID        { return c.ID }
func (c Note) id() ID         { return c.ID }

// An expiry has no id of its own: it is the fate of the transfer.
func (c expire) id() ID { return c.Pending }

// DigestOf is the SHA-256 of a command with every field: what "the same command" means (D5).
func DigestOf(c Command) Digest {
	var buf [384]byte
	if p, ok := c.(Pay); ok { // the hot path: no allocation
		return sha256.Sum256(p.appendTo(buf[:0]))
	}
	return sha256.Sum256(c.appendTo(nil))
}

// The digest's encoding: a byte for the command, fixed-size fields big-endian, strings after their length.

func (c Pay) appendTo(b []byte) []byte {
	b = append(b, 'P')
	b = append(b, c.ID[:]...)
	b = append(b, c.Currency[:]...)
	b = append(b, c.Debit[:]...)
	b = append(b, c.Credit[:]...)
	b = appendInt(b, int64(c.Amount))
	b = append(b, byte(c.Code), boolByte(c.Pending))
	b = appendInt(b, int64(c.Timeout))
	b = append(b, c.Settles[:]...)
	b = append(b, c.Memo[:]...)
	b = append(b, c.Auth[:]...)
	return appendInt(b, int64(c.EffectiveAt))
}

func (c Post) appendTo(b []byte) []byte {
	b = appendIDs(append(b, 'C'), c.ID, c.Pending)
	return append(appendInt(b, int64(c.Amount)), c.Auth[:]...)
}

func (c Void) appendTo(b []byte) []byte {
	return append(appendIDs(append(b, 'V'), c.ID, c.Pending), c.Auth[:]...)
}

func (c Refund) appendTo(b []byte) []byte {
	b = appendIDs(append(b, 'R'), c.ID, c.Original)
	b = append(appendInt(b, int64(c.Amount)), c.Memo[:]...)
	return append(b, c.Auth[:]...)
}

func (c Abort) appendTo(b []byte) []byte {
	return appendIDs(append(b, 'A'), c.ID, c.Currency, c.Target)
}

func (c Note) appendTo(b []byte) []byte {
	b = append(appendIDs(append(b, 'N'), c.ID, c.Currency), byte(c.Kind))
	return appendString(b, string(c.Body))
}

func (c OpenCurrency) appendTo(b []byte) []byte {
	u := c.Currency
	b = appendIDs(append(b, 'M'), c.ID, u.ID, u.Issuer)
	b = appendString(appendString(b, u.IRI), u.Code)
	b = append(b, u.Scale, byte(u.Kind), byte(u.Privacy))
	b = appendRules(b, u.Rules)
	return appendInt(appendInt(appendInt(b, int64(u.Epoch)), int64(u.Next)), int64(u.Last))
}

func (c SetRules) appendTo(b []byte) []byte {
	return appendString(appendRules(appendIDs(append(b, 'S'), c.ID, c.Currency), c.Rules), c.Decision)
}

func (c OpenAccount) appendTo(b []byte) []byte {
	b = append(appendString(appendIDs(append(b, 'O'), c.ID, c.Account, c.Currency), c.Ref), byte(c.Role))
	return appendString(appendBounds(b, c.Floor, c.Ceil), c.Decision)
}

func (c SetLimits) appendTo(b []byte) []byte {
	b = appendBounds(appendIDs(append(b, 'L'), c.ID, c.Account), c.Floor, c.Ceil, c.SoftFloor, c.SoftCeil)
	return appendInt(appendString(b, c.Decision), int64(c.IfVersion))
}

func (c SetFlags) appendTo(b []byte) []byte {
	b = append(appendIDs(append(b, 'F'), c.ID, c.Account), byte(c.Flags))
	return appendInt(appendString(b, c.Decision), int64(c.IfVersion))
}

func (c Rebind) appendTo(b []byte) []byte {
	b = appendString(appendString(appendIDs(append(b, 'B'), c.ID, c.Account), c.NewRef), c.Decision)
	return append(b, c.Auth[:]...)
}

func (c expire) appendTo(b []byte) []byte { return appendIDs(append(b, 'X'), c.Pending) }

func appendRules(b []byte, r Rules) []byte {
	b = appendInt(appendBounds(b, r.Floor, r.Ceil), int64(r.MaxTransfer))
	b = append(binary.BigEndian.AppendUint16(b, r.MaxPending), byte(r.Open))
	b = binary.BigEndian.AppendUint16(b, r.Levy.BasisPoints)
	return appendIDs(appendInt(appendInt(b, int64(r.Levy.Least)), int64(r.Levy.Most)), r.Levy.To)
}

func appendIDs(b []byte, ids ...ID) []byte {
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

func appendBounds(b []byte, bounds ...Bound) []byte {
	for _, x := range bounds {
		b = appendInt(append(b, boolByte(x.Set)), x.V)
	}
	return b
}

func appendInt(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

func appendString(b []byte, s string) []byte { return append(appendInt(b, int64(len(s))), s...) }

func boolByte(x bool) byte {
	if x {
		return 1
	}
	return 0
}

// plain says that s can stand on one line of the log: valid UTF-8 without control characters, at most MaxText bytes.
func plain(s string) bool {
	return len(s) <= MaxText && utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) < 0
}
