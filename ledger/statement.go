package ledger

import "fmt"

// Line is one movement on one account.
type Line struct {
	Seq      Seq
	At       Instant
	Entry    ID // of the command
	Transfer ID
	Code     Code
	Other    ID    // the account on the other side
	Change   int64 // minor units, positive: received
	Balance  int64 // after it
}

// Statement is what happened on one account between two instants, with the balance running from line to line.
type Statement struct {
	Account          ID
	Opening, Closing int64
	Lines            []Line
}

// LineOf is what e means on the account id, if it moves anything there. transfer gives the code of a transfer that e names.
func LineOf(id ID, e Entry, transfer func(ID) Code) (Line, bool) {
	if e.Debit != id && e.Credit != id {
		return Line{}, false
	}
	l := Line{Seq: e.Seq, At: e.At, Entry: e.ID(), Transfer: e.ID(), Other: e.Credit, Change: -int64(e.Amount), Balance: e.DebitAfter}
	if e.Credit == id {
		l.Other, l.Change, l.Balance = e.Debit, int64(e.Amount), e.CreditAfter
	}
	switch c := e.Cmd.(type) {
	case Pay:
		if c.Pending {
			return Line{}, false
		}
		l.Code = c.Code
	case Post:
		l.Transfer, l.Code = c.Pending, transfer(c.Pending)
	case Refund:
		l.Code = RefundCode
	default: // a release moves nothing
		return Line{}, false
	}
	return l, true
}

// Add appends a line, and says what is wrong when the balance does not follow from the line before it.
func (s *Statement) Add(l Line) error {
	if want := s.Closing + l.Change; l.Balance != want {
		return fmt.Errorf("entry %d leaves %d on the account %s, where %d follows from the entries before it", l.Seq, l.Balance, s.Account, want)
	}
	s.Lines = append(s.Lines, l)
	s.Closing = l.Balance
	return nil
}
