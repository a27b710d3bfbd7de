package ledger

import (
	"cmp"
	"slices"
)

// Snapshot is all that Apply looks at. What is not in it does not exist: Keys says what has to be.
type Snapshot struct {
	Currencies map[ID]Currency
	Accounts   map[ID]Account
	Transfers  map[ID]Transfer
	Outcomes   map[ID]Outcome // of ids that are no transfer
	Settled    map[ID]ID      // settles key -> the live transfer that has it

	// Due holds each pending transfer of these currencies that expires until DueUntil, sorted by Expires and Seq; one too many does no harm.
	// They are expired before anything else happens, so that no result depends on when somebody looked.
	Due []Transfer
}

// DueUntil is the instant until which an Apply at the instant has to know what expires. Times never go back: where the clock did, the
// last entry counts (F12), and each entry may be a nanosecond later than the one before.
func (s *Snapshot) DueUntil(at Instant) Instant {
	for _, c := range s.Currencies {
		at = max(at, c.Last)
	}
	return at + Instant(Slack)
}

// Outcome is what came of a command id, for ever.
type Outcome struct {
	ID     ID
	Digest Digest
	Code   ResultCode // OKCreated, IDAborted, or the failure
	Seq    Seq        // with OKCreated
	At     Instant    // with OKCreated
}

// Entry is an accepted command in its place. Canon writes it down.
type Entry struct {
	Currency string // IRI
	Seq      Seq
	At       Instant
	Cmd      Command
	Group    ID // the first command of the group that it belongs to; zero when it stands alone

	// Of an entry that touches a transfer: the two accounts, what was moved, held or released, and their balances after it.
	Debit, Credit           ID
	Amount                  Amount
	DebitAfter, CreditAfter int64
}

// Delta is what Apply changed: each currency, account and transfer once, as it is in the end.
type Delta struct {
	Currencies []Currency
	Accounts   []Account
	Transfers  []Transfer
	Outcomes   []Outcome
	Entries    []Entry // in order; each currency's without a gap
}

// KeySet names what a Snapshot for some groups has to hold.
type KeySet struct {
	Currencies []ID
	Accounts   []ID
	IDs        []ID // of commands and of what they name: to be looked for among transfers and outcomes
	Settles    []ID
}

// Keys is what Apply needs to know about gs. A store loads in this order: IDs and Settles; the transfers that have the Settles, which may
// be of another currency and due; WantAccounts; WantCurrencies; WantIDs; Due of those currencies; and WantAccounts again, for what the dues and
// the levies added.
func Keys(gs []Group) KeySet {
	var k KeySet
	for _, g := range gs {
		for _, c := range g {
			switch c := c.(type) {
			default: // nothing that Apply would look at
				continue
			case OpenCurrency:
				k.Currencies = append(k.Currencies, c.Currency.ID)
			case SetRules:
				k.Currencies = append(k.Currencies, c.Currency)
				if !c.Rules.Levy.To.IsZero() {
					k.Accounts = append(k.Accounts, c.Rules.Levy.To)
				}
			case OpenAccount:
				k.Currencies, k.Accounts = append(k.Currencies, c.Currency), append(k.Accounts, c.Account)
			case SetLimits:
				k.Accounts = append(k.Accounts, c.Account)
			case SetFlags:
				k.Accounts = append(k.Accounts, c.Account)
			case Rebind:
				k.Accounts = append(k.Accounts, c.Account)
			case Pay:
				k.Currencies, k.Accounts = append(k.Currencies, c.Currency), append(k.Accounts, c.Debit, c.Credit)
				if !c.Settles.IsZero() {
					k.Settles = append(k.Settles, c.Settles)
				}
			case Post:
				k.IDs = append(k.IDs, c.Pending, LevyID(c.Pending), LevyID(c.ID))
			case Void:
				k.IDs = append(k.IDs, c.Pending, LevyID(c.Pending), LevyID(c.ID))
			case Refund:
				k.IDs = append(k.IDs, c.Original)
			case Abort:
				k.Currencies, k.IDs = append(k.Currencies, c.Currency), append(k.IDs, c.Target)
			case Note:
				k.Currencies = append(k.Currencies, c.Currency)
			}
			k.IDs = append(k.IDs, c.id())
		}
	}
	return KeySet{Currencies: sorted(k.Currencies), Accounts: sorted(k.Accounts), IDs: sorted(k.IDs), Settles: sorted(k.Settles)}
}

// WantAccounts is every account that Apply may touch on s: those of k, of the transfers and dues in s, and of the levies. Sorted, each once.
func (s *Snapshot) WantAccounts(k KeySet) []ID {
	ids := slices.Clone(k.Accounts)
	for _, t := range s.Transfers {
		ids = append(ids, t.Debit, t.Credit)
	}
	for i := range s.Due {
		ids = append(ids, s.Due[i].Debit, s.Due[i].Credit)
	}
	for _, c := range s.Currencies {
		if !c.Rules.Levy.To.IsZero() {
			ids = append(ids, c.Rules.Levy.To)
		}
	}
	return sorted(ids)
}

// WantCurrencies is every currency that Apply may touch on s: those of k, and of the transfers and accounts in s. Sorted, each once.
func (s *Snapshot) WantCurrencies(k KeySet) []ID {
	ids := slices.Clone(k.Currencies)
	for _, t := range s.Transfers {
		ids = append(ids, t.Currency)
	}
	for _, a := range s.Accounts {
		ids = append(ids, a.Currency)
	}
	return sorted(ids)
}

// WantIDs is what has to be looked for, like Keys.IDs, where payments bring levies along: the levies' own ids, which somebody may have
// used for something else. It is nil where no currency of s has a levy and none of gs gives it one.
func (s *Snapshot) WantIDs(gs []Group) []ID {
	levied := false
	for _, c := range s.Currencies {
		levied = levied || !c.Rules.Levy.To.IsZero()
	}
	var ids []ID
	for _, g := range gs {
		for _, c := range g {
			switch c := c.(type) {
			case SetRules:
				levied = levied || !c.Rules.Levy.To.IsZero()
			case Pay:
				if levied && c.Code == Payment {
					ids = append(ids, LevyID(c.ID))
				}
			}
		}
	}
	return sorted(ids)
}

func sorted(ids []ID) []ID {
	slices.SortFunc(ids, compareID)
	return slices.Compact(ids)
}

func compareID(a, b ID) int { return slices.Compare(a[:], b[:]) }

// SortDue puts pending transfers in the order that Snapshot.Due wants.
func SortDue(due []Transfer) { slices.SortFunc(due, compareDue) }

// Moves gives the transfer that the entry moved, if it moved one.
func (e Entry) Moves() (ID, bool) {
	switch c := e.Cmd.(type) {
	case Pay:
		return c.ID, !c.Pending
	case Post:
		return c.Pending, true
	case Refund:
		return c.ID, true
	}
	return ID{}, false
}

func compareDue(a, b Transfer) int {
	return cmp.Or(cmp.Compare(a.Expires, b.Expires), cmp.Compare(a.Seq, b.Seq), compareID(a.ID, b.ID))
}
