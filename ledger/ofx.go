package ledger

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"time"
)

// ofxStatement is what of OFX 2.2 a bank statement needs: one account, its movements, its balance at the end.
type ofxStatement struct {
	XMLName xml.Name `xml:"OFX"`
	SignOn  struct {
		Code     int    `xml:"SONRS>STATUS>CODE"`
		Severity string `xml:"SONRS>STATUS>SEVERITY"`
		At       string `xml:"SONRS>DTSERVER"`
		Language string `xml:"SONRS>LANGUAGE"`
	} `xml:"SIGNONMSGSRSV1"`
	Bank struct {
		ID       string    `xml:"TRNUID"`
		Code     int       `xml:"STATUS>CODE"`
		Severity string    `xml:"STATUS>SEVERITY"`
		Currency string    `xml:"STMTRS>CURDEF"`
		Ledger   string    `xml:"STMTRS>BANKACCTFROM>BANKID"`
		Account  string    `xml:"STMTRS>BANKACCTFROM>ACCTID"`
		Kind     string    `xml:"STMTRS>BANKACCTFROM>ACCTTYPE"`
		From     string    `xml:"STMTRS>BANKTRANLIST>DTSTART"`
		To       string    `xml:"STMTRS>BANKTRANLIST>DTEND"`
		Lines    []ofxLine `xml:"STMTRS>BANKTRANLIST>STMTTRN"`
		Balance  string    `xml:"STMTRS>LEDGERBAL>BALAMT"`
		At       string    `xml:"STMTRS>LEDGERBAL>DTASOF"`
	} `xml:"BANKMSGSRSV1>STMTTRNRS"`
}

type ofxLine struct {
	Kind   string `xml:"TRNTYPE"` // CREDIT or DEBIT
	At     string `xml:"DTPOSTED"`
	Amount string `xml:"TRNAMT"`
	ID     string `xml:"FITID"`
	Name   string `xml:"NAME"` // at most 32 characters
	Memo   string `xml:"MEMO,omitempty"`
}

// ofxNoCurrency is what ISO 4217 has for no currency of any country.
const ofxNoCurrency = "XXX"

// ofx is a statement in OFX 2.2 (Open Financial Exchange, Banking, section 11.4), as accounting programs import it. A currency of a co-op has no code of ISO 4217, so that
// CURDEF is XXX; BANKID is the currency's own code.
func (j *Journal) ofx(w io.Writer) error {
	if j.Of.IsZero() {
		return errors.New("ofx is of one account: take a statement")
	}
	holder := j.holders()
	stamp := func(at Instant) string { return time.Unix(0, int64(at)).UTC().Format("20060102150405.000[0:GMT]") }
	amount := func(v int64) string { return FormatAmount(v, j.Currency.Scale) }
	first, last := j.From, j.To
	if n := len(j.Movements); n > 0 {
		if first == 0 {
			first = j.Movements[0].At
		}
		if last == 0 {
			last = j.Movements[n-1].At
		}
	}
	var s ofxStatement
	s.SignOn.Severity, s.SignOn.At, s.SignOn.Language = "INFO", stamp(last), "ENG"
	b := &s.Bank
	b.ID, b.Severity, b.Currency, b.Ledger, b.Account, b.Kind = "0", "INFO", ofxNoCurrency, j.Currency.Code, cut(line(holder(j.Of).Name), 22), "CHECKING"
	b.From, b.To, b.Balance, b.At = stamp(first), stamp(last), amount(j.Closing), stamp(last)
	for _, m := range j.Movements {
		l := ofxLine{Kind: "CREDIT", At: stamp(m.At), Amount: amount(m.Amount), ID: m.Transfer.String(), Name: holder(m.Debit).Name, Memo: cut(words(m), 255)}
		if m.Debit == j.Of {
			l.Kind, l.Amount, l.Name = "DEBIT", amount(-m.Amount), holder(m.Credit).Name
		}
		l.Name = cut(line(l.Name), 32)
		b.Lines = append(b.Lines, l)
	}
	if _, err := fmt.Fprint(w, xml.Header, `<?OFX OFXHEADER="200" VERSION="220" SECURITY="NONE" OLDFILEUID="NONE" NEWFILEUID="NONE"?>`, "\n"); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	return errors.Join(e.Encode(s), e.Close())
}

// cut keeps the first characters of a text.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}
