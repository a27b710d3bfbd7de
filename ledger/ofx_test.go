package ledger

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

// What a program that reads OFX gets: every movement signed, and a balance that they come to.
func TestAnOFXStatementAddsUp(t *testing.T) {
	ana, bo := NewID("ana"), NewID("bo")
	at := Instant(time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC).UnixNano())
	j := &Journal{Currency: Currency{Code: "GRN", Scale: 2}, Of: ana, Opening: 100, Closing: -350, Holders: []Holder{{ID: ana, Name: "ana"}, {ID: bo, Name: strings.Repeat("b", 40) + " & <co>"}}, Movements: []Movement{
		{Transfer: NewID("1"), At: at, Code: Payment, Debit: ana, Credit: bo, Amount: 500, Memo: "2 loaves </MEMO>"},
		{Transfer: NewID("2"), At: at + 1e9, Code: RefundCode, Debit: bo, Credit: ana, Amount: 50},
	}}
	var b bytes.Buffer
	if err := j.Write(&b, "ofx"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), xml.Header+`<?OFX OFXHEADER="200" VERSION="220"`) {
		t.Errorf("it begins %q", b.String()[:120])
	}
	var s ofxStatement
	if err := xml.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	sum := j.Opening
	for _, l := range s.Bank.Lines {
		digits, below := strings.CutPrefix(l.Amount, "-")
		v, err := ParseAmount(digits, 2)
		if err != nil || below != (l.Kind == "DEBIT") || len(l.Name) > 32 {
			t.Errorf("%+v: %v", l, err)
		}
		if below {
			v = -v
		}
		sum += int64(v)
	}
	if s.Bank.Balance != FormatAmount(sum, 2) || sum != j.Closing || len(s.Bank.Lines) != 2 || s.Bank.Currency != "XXX" || s.Bank.Ledger != "GRN" || s.Bank.Account != "ana" {
		t.Errorf("it comes to %d: %+v", sum, s.Bank)
	}
	if l := s.Bank.Lines[0]; l.At != "20261125090000.000[0:GMT]" || l.Memo != "2 loaves </MEMO>" || l.ID != NewID("1").String() {
		t.Errorf("the first line is %+v", l)
	}
	if err := (&Journal{}).Write(&b, "ofx"); err == nil {
		t.Error("a whole book was written as a statement")
	}
}
