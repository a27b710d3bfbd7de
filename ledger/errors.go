package ledger

import "fmt"

// ResultCode is what came of a command. Where several apply, the first in the order below is the answer; that order is a promise.
// A command that brings a levy along is judged first; what speaks against the levy comes after all that speaks against it.
type ResultCode uint8

// The codes, in order of precedence.
const (
	OKCreated ResultCode = iota // it happened now
	OKExists                    // it happened before, exactly so

	ExistsWithDifferent // the id, or what it would open, was used for something else
	IDAlreadyFailed     // the id failed before; Cause says why
	IDAborted           // the id will never exist, by an Abort
	Malformed           // not a command that could ever be accepted as it is
	CurrencyNotFound
	WrongCurrencyKind // this kind of currency does not do that
	AccountsMustDiffer
	AmountZero     // and the currency counts no gifts
	AmountTooLarge // for one transfer of this currency
	AccountNotFound
	DebitAccountNotFound // the payer has none
	CreditAccountNotFound
	CurrencyMismatch // the account is in another currency
	AccountClosed
	DebitBlocked
	CreditBlocked
	AccountNotEmpty // a balance or a pending transfer stands against closing
	AlreadySettled  // another live transfer settles the same claim
	PendingNotFound
	PendingNotPending // it was posted at once
	AlreadyPosted
	AlreadyVoided
	TransferExpired
	ExceedsPendingAmount
	OriginalNotFound
	OriginalNotPosted
	RefundOfRefund
	ExceedsOriginal
	VersionMismatch
	TooManyPending
	Overflow
	ExceedsFloor
	ExceedsCeiling

	numResults
)

var resultNames = names{"ok_created", "ok_exists", "exists_with_different", "id_already_failed", "id_aborted", "malformed", "currency_not_found",
	"wrong_currency_kind", "accounts_must_differ", "amount_zero", "amount_too_large", "account_not_found", "debit_account_not_found", "credit_account_not_found",
	"currency_mismatch", "account_closed", "debit_blocked", "credit_blocked", "account_not_empty", "already_settled", "pending_not_found",
	"pending_not_pending", "already_posted", "already_voided", "expired", "exceeds_pending_amount", "original_not_found", "original_not_posted",
	"refund_of_refund", "exceeds_original", "version_mismatch", "too_many_pending", "overflow", "exceeds_floor", "exceeds_ceiling"}

// String is the word that stands in rows and answers.
func (c ResultCode) String() string { return resultNames.of(int(c)) }

// ParseResultCode reads a code's word.
func ParseResultCode(s string) (ResultCode, error) {
	return parseName[ResultCode](resultNames, "result code", s)
}

// OK says that the command is in the book.
func (c ResultCode) OK() bool { return c <= OKExists }

// Durable says that a failure is remembered with its id: the same command gets the same answer for ever, whatever changes meanwhile.
// A command that could not be understood, or came too late for its version, may be mended and sent again under its id.
func (c ResultCode) Durable() bool {
	switch c {
	case OKCreated, OKExists, ExistsWithDifferent, IDAlreadyFailed, IDAborted, Malformed, CurrencyNotFound, VersionMismatch:
		return false
	}
	return true
}

// Result is the answer to one group.
type Result struct {
	Code  ResultCode
	Cause ResultCode // with IDAlreadyFailed: what it failed of
	Index int        // with a failure: which command of the group
	Seq   Seq        // with OK: of the entry of the group's first command
	At    Instant    // with OK: of that entry

	Would, Limit int64 // with ExceedsFloor and ExceedsCeiling, the first time: what the balance would be with all that is held, and may be, in minor units
}

// Reason is the code that says what happened: a failure that is told again says what it said the first time.
func (r Result) Reason() ResultCode {
	if r.Code == IDAlreadyFailed {
		return r.Cause
	}
	return r.Code
}

// Err is nil if the group is in the book, else a *RefusedError.
func (r Result) Err() error {
	if r.Code.OK() {
		return nil
	}
	return &RefusedError{Result: r}
}

// RefusedError is a refusal as an error. It is data, not a fault.
type RefusedError struct{ Result Result }

// Error says why, in words for whoever asked.
func (e *RefusedError) Error() string {
	c := e.Result.Reason()
	if words, ok := resultWords[c]; ok {
		return words
	}
	return fmt.Sprintf("refused: %s", c)
}

var resultWords = map[ResultCode]string{
	ExistsWithDifferent:   "this id was used before for something else: take a new one",
	IDAborted:             "this id was given up before and will never be used: take a new one",
	Malformed:             "this is not a complete, well-formed command",
	CurrencyNotFound:      "there is no such currency here",
	WrongCurrencyKind:     "this kind of currency does not allow that",
	AccountsMustDiffer:    "payer and payee are the same account",
	AmountZero:            "the amount is zero",
	AmountTooLarge:        "the amount is larger than one payment of this currency may be",
	AccountNotFound:       "there is no such account in this currency",
	DebitAccountNotFound:  "the payer has no account in this currency",
	CreditAccountNotFound: "the payee has no account in this currency",
	CurrencyMismatch:      "the account belongs to another currency",
	AccountClosed:         "the account is closed",
	DebitBlocked:          "the payer's account is frozen",
	CreditBlocked:         "the payee's account does not accept payments",
	AccountNotEmpty:       "the account is not empty: bring its balance to zero, and end what is pending, first",
	AlreadySettled:        "this has been paid already",
	PendingNotFound:       "there is no such held payment",
	PendingNotPending:     "this payment was not held: it was paid at once",
	AlreadyPosted:         "this payment was completed before",
	AlreadyVoided:         "this payment was cancelled before",
	TransferExpired:       "the hold has expired",
	ExceedsPendingAmount:  "this is more than what was held",
	OriginalNotFound:      "there is no such payment",
	OriginalNotPosted:     "only a completed payment can be refunded",
	RefundOfRefund:        "a refund cannot be refunded: pay again instead",
	ExceedsOriginal:       "the refunds would be more than the payment",
	VersionMismatch:       "somebody changed the account meanwhile: look at it again",
	TooManyPending:        "too many payments of this account are held",
	Overflow:              "the account's counters would overflow",
	ExceedsFloor:          "this is more than the payer may spend",
	ExceedsCeiling:        "this is more than the payee may receive",
}
