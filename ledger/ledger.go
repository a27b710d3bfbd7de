// Package ledger decides whether a transfer may happen. It reads no clock, no disk and no network: the caller brings the accounts.
//
// The words of this place:
//   - A currency is one serial book, kept by one node. An account is one owner's place in it.
//   - A transfer moves an amount from the account that is debited (it gives) to the one that is credited (it receives).
//   - A pending transfer holds the amount of both until it is posted, voided or expired, once.
//   - A command asks for a change; commands that only make sense together are a group.
//   - An entry is a command that was accepted, with its place (Seq) and its time in the book. Entries are never changed.
//
// Apply is the whole machine: a pure function of what is stored, an instant and some groups. Everything else here
// makes commands for it, writes down what it did (canon.go), or checks it (book.go).
// Amounts are whole minor units in int64; there is no float and no rounding of what somebody typed.
package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// ID names a command, a transfer, an account or a currency. The zero ID means "none"; it and the ID of ones only are nobody's.
type ID [16]byte

// NewID is the first 16 bytes of SHA-256(domain, 0x00, part, 0x00, part ...). Parts are IRIs, which contain no zero byte.
func NewID(domain string, parts ...string) ID {
	var buf [256]byte
	b := append(buf[:0], domain...)
	for _, p := range parts {
		b = append(append(b, 0), p...)
	}
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

// IsZero says that the ID names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Valid says that the ID may name something: it is neither zero nor all ones.
func (id ID) Valid() bool { return id != ID{} && id != reserved }

// String is 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String writes, and nothing else.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) || strings.ToLower(s) != s {
		return id, fmt.Errorf("id %q: want 32 lower-case hexadecimal digits", clip(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("id %q: want 32 lower-case hexadecimal digits", clip(s))
	}
	return id, nil
}

var reserved = ID{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}

// Digest is a SHA-256 sum. The zero digest means "none".
type Digest [32]byte

// Instant is nanoseconds since the Unix epoch, given by the book: it strictly increases from entry to entry.
type Instant int64

// Seq is an entry's index in its currency's book and Merkle log, from 0 without a gap.
type Seq uint64

// Bound is a limit of a balance in minor units, or none.
type Bound struct {
	Set bool
	V   int64
}

// At is the bound at v.
func At(v int64) Bound { return Bound{Set: true, V: v} }

// Kind is what a currency is. Kinds are presets of one machine: they differ in who may go below zero, and by what.
type Kind uint8

// The kinds. In mutual credit and hours members may owe up to their limit and nobody issues; hours count minutes.
// In issued and backed currencies one issuer account owes what is in circulation, up to its limit, and members hold it.
// Gifts are counted: an amount may be zero.
const (
	Mutual Kind = iota
	Issued
	Backed
	Hours
	Gift
)

var kindNames = names{"mutual", "issued", "backed", "hours", "gift"}

// String is the word on the wire.
func (k Kind) String() string { return kindNames.of(int(k)) }

// ParseKind reads a kind's word.
func ParseKind(s string) (Kind, error) { return parseName[Kind](kindNames, "kind of currency", s) }

// Privacy says what the public log of a currency shows.
type Privacy uint8

// In a currency of privacy Members an entry's contents are a salted commitment; in a Public one they are written in the open.
const (
	Members Privacy = iota
	Public
)

var privacyNames = names{"members", "public"}

// String is the word on the wire.
func (p Privacy) String() string { return privacyNames.of(int(p)) }

// ParsePrivacy reads a privacy's word.
func ParsePrivacy(s string) (Privacy, error) { return parseName[Privacy](privacyNames, "privacy", s) }

// OpenRule says who brings a new account about. The ledger keeps it; those who build groups follow it.
type OpenRule uint8

// Accounts are opened by an admin alone, by a member's invitation too, or by a member's payment as well.
const (
	OpenByAdmin OpenRule = iota
	OpenByInvite
	OpenOnCredit
)

var openNames = names{"admin", "invite", "credit"}

// String is the word in the log.
func (o OpenRule) String() string { return openNames.of(int(o)) }

// ParseOpenRule reads a rule's word.
func ParseOpenRule(s string) (OpenRule, error) {
	return parseName[OpenRule](openNames, "rule of opening", s)
}

// Rules is what may change in a currency, by a decision.
type Rules struct {
	Floor, Ceil Bound  // of new member accounts
	MaxTransfer Amount // 0 means MaxAmount
	MaxPending  uint16 // transfers that one account may hold pending as the payer
	Open        OpenRule
	Levy        Levy
}

// Levy is a contribution that the payer of each Payment gives on top, in the same group.
type Levy struct {
	BasisPoints uint16 // of the amount, rounded down
	Least, Most Amount // of one levy; Most 0 means no upper limit
	To          ID     // the account that receives it; zero means that there is no levy
}

// Currency is one book: what it is for ever, its rules, and its head.
type Currency struct {
	ID      ID
	IRI     string // its identity; Code is a label
	Code    string
	Scale   uint8 // decimal digits of the minor unit, 0 to 9
	Kind    Kind
	Privacy Privacy
	Rules   Rules

	Epoch  uint32  // rises when the book goes on from a restored copy
	Issuer ID      // its one issuer account, when the kind has one
	Next   Seq     // of the next entry
	Last   Instant // of the last entry
}

// Preset is the rules with which a currency of kind k starts: limit is what a member may owe (mutual, hours), and nothing in the other kinds.
func Preset(k Kind, limit Amount) Rules {
	r := Rules{MaxPending: 64}
	switch k {
	case Mutual, Hours:
		r.Floor = At(-int64(limit))
	case Issued, Backed:
		r.Floor = At(0)
	}
	return r
}

// Role is what an account is for.
type Role uint8

// The roles of accounts: a member's; the issuer's of a currency that has one; a common fund's; a partner ledger's; and a place for differences that wait for an answer.
const (
	Member Role = iota
	Issuer
	Commons
	Peer
	Suspense
)

var roleNames = names{"member", "issuer", "commons", "peer", "suspense"}

// String is the word in the log.
func (r Role) String() string { return roleNames.of(int(r)) }

// ParseRole reads a role's word.
func ParseRole(s string) (Role, error) { return parseName[Role](roleNames, "role of account", s) }

// Flags stop an account.
type Flags uint8

// NoDebit freezes what is in the account, NoCredit refuses what comes, Closed is an empty account that does neither.
const (
	NoDebit Flags = 1 << iota
	NoCredit
	Closed

	allFlags = NoDebit | NoCredit | Closed
)

// Account is one owner's place in a currency: four counters that only Apply moves, and the limits of their balance.
type Account struct {
	ID, Currency        ID
	Ref                 string // the owner's IRI; never parsed here
	Role                Role
	Floor, Ceil         Bound // hard limits
	SoftFloor, SoftCeil Bound // warnings for people; Apply does not look at them
	Flags               Flags

	DebitsPending, DebitsPosted   int64
	CreditsPending, CreditsPosted int64

	PendingCount uint16 // pending transfers that debit this account
	OpenedAt     Instant
	Version      uint64 // rises with limits, flags and ref
}

// Balance is what was received less what was given, in minor units.
func (a Account) Balance() int64 { return a.CreditsPosted - a.DebitsPosted }

// Spendable is what may be given now, in minor units; it is negative outside the limit. False means that there is no limit.
// What comes in and is pending does not count (F05).
func (a Account) Spendable() (int64, bool) {
	if !a.Floor.Set {
		return 0, false
	}
	return subSat(a.Balance()-a.DebitsPending, a.Floor.V), true
}

// subSat is x-y, held at the end of int64 where it would overflow.
func subSat(x, y int64) int64 {
	d := x - y
	if (x >= 0) != (y >= 0) && (d >= 0) != (x >= 0) {
		if x >= 0 {
			return MaxCounter
		}
		return -MaxCounter
	}
	return d
}

// MaxCounter is the largest value of an account's counters.
const MaxCounter int64 = 1<<63 - 1

// Code says why money moves.
type Code uint8

// The codes. Issue comes from the issuer's account, Redeem goes to it. Levy and Refund are made by the ledger only.
const (
	Payment Code = iota
	LevyCode
	RefundCode
	Demurrage
	Issue
	Redeem
	Exchange
	Opening
	Closing
	WriteOff
	Share
)

var codeNames = names{"payment", "levy", "refund", "demurrage", "issue", "redeem", "exchange", "opening", "closing", "writeoff", "share"}

// String is the word in the log.
func (c Code) String() string { return codeNames.of(int(c)) }

// ParseCode reads a code's word.
func ParseCode(s string) (Code, error) { return parseName[Code](codeNames, "code", s) }

// TransferState is where a transfer stands. It leaves Pending once and never comes back.
type TransferState uint8

// The states of a transfer.
const (
	Pending TransferState = iota
	Posted
	Voided
	Expired
)

var stateNames = names{"pending", "posted", "voided", "expired"}

// String is the word that people see.
func (s TransferState) String() string { return stateNames.of(int(s)) }

// Transfer is a movement from one account to another: made by Pay or Refund, ended by Post, Void or time.
type Transfer struct {
	ID, Currency, Debit, Credit ID
	Amount                      Amount
	Code                        Code
	State                       TransferState
	Held                        bool    // it began as pending
	Expires                     Instant // of a transfer that began as pending
	Settles, RefundOf           ID      // zero: none
	Posted, Refunded            Amount
	At, ResolvedAt              Instant
	Seq                         Seq
	Digest                      Digest // of the command that made it
}

// MinTimeout and MaxTimeout bound how long a transfer may be pending.
const (
	MinTimeout = time.Second
	MaxTimeout = 366 * 24 * time.Hour
)

// MaxEffectiveAge is how far back a claimed time of a payment may lie (F10).
const MaxEffectiveAge = 30 * 24 * time.Hour

// Slack is how far beyond an Apply's instant its entries may reach, since each has a time of its own. See Snapshot.Due.
const Slack = time.Millisecond

// names are the words of an enumeration, by value.
type names []string

func (n names) of(i int) string {
	if i < 0 || i >= len(n) {
		return fmt.Sprintf("unknown(%d)", i)
	}
	return n[i]
}

func parseName[T ~uint8](n names, what, s string) (T, error) {
	for i, name := range n {
		if name == s {
			return T(i), nil
		}
	}
	return 0, fmt.Errorf("%s %q: want one of %s", what, clip(s), strings.Join(n, ", "))
}

// clip keeps a refused value short enough to be shown.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
