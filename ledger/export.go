package ledger

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Format writes an amount of the currency as people read it: hours as h:mm, everything else as FormatAmount does.
func (c Currency) Format(v int64) string {
	if c.Kind != Hours || c.Scale != 0 {
		return FormatAmount(v, c.Scale)
	}
	u, sign := uint64(v), ""
	if v < 0 {
		u, sign = -u, "-"
	}
	return fmt.Sprintf("%s%d:%02d", sign, u/60, u%60)
}

// Holder is an account as an export names it.
type Holder struct {
	ID       ID
	Ref      string // IRI of the owner
	Name     string // for people
	Role     Role
	OpenedAt Instant
}

// Movement is one movement of an export. After is the balance that it leaves where that is known.
type Movement struct {
	Seq                     Seq
	At                      Instant
	Transfer                ID
	Code                    Code
	Debit, Credit           ID
	Amount                  int64
	DebitAfter, CreditAfter Bound
	Memo                    string
}

// MovementOf is what an entry moved; false: nothing. The code and the words of a transfer are the caller's to add.
func MovementOf(e Entry) (Movement, bool) {
	id, ok := e.Moves()
	m := Movement{Seq: e.Seq, At: e.At, Transfer: id, Debit: e.Debit, Credit: e.Credit, Amount: int64(e.Amount), DebitAfter: At(e.DebitAfter), CreditAfter: At(e.CreditAfter)}
	switch c := e.Cmd.(type) {
	case Pay:
		m.Code = c.Code
	case Refund:
		m.Code = RefundCode
	}
	return m, ok
}

// Journal is what an export writes: the movements of a whole book, or those of one account.
type Journal struct {
	Currency  Currency
	Holders   []Holder // whoever is named by a movement
	Movements []Movement

	Of       ID      // of a statement: whose; the zero ID: the whole book
	Opening  int64   // of a statement: the balance before the first movement
	Closing  int64   // and after the last
	From, To Instant // of a statement: what was asked for; 0: without end
}

// Between keeps of a whole statement what moved at or after from and before to; 0: without end.
func (j *Journal) Between(from, to Instant) {
	var kept []Movement
	for _, m := range j.Movements {
		change := m.Amount
		if m.Debit == j.Of {
			change = -change
		}
		switch {
		case from != 0 && m.At < from:
			j.Opening += change
		case to != 0 && m.At >= to:
			j.Closing -= change
		default:
			kept = append(kept, m)
		}
	}
	j.Movements, j.From, j.To = kept, from, to
}

// Formats are the words for what Write writes.
var Formats = []string{"text", "csv", "jsonl", "hledger", "beancount", "ofx"}

// Write writes the journal in one of Formats. Names and words of people stay text in each of them: nothing in them can end a line, a string or a field.
func (j *Journal) Write(w io.Writer, format string) error {
	b := bufio.NewWriter(w)
	var err error
	switch format {
	case "text":
		j.text(b)
	case "csv":
		err = j.csv(b)
	case "jsonl":
		err = j.jsonl(b)
	case "hledger":
		j.hledger(b)
	case "beancount":
		j.beancount(b)
	case "ofx":
		err = j.ofx(b)
	default:
		return fmt.Errorf("format %q: want one of %s", format, strings.Join(Formats, ", "))
	}
	if err != nil {
		return err
	}
	return b.Flush()
}

// holders are the accounts by id; one that is not among them is named by its id.
func (j *Journal) holders() func(ID) Holder {
	known := make(map[ID]Holder, len(j.Holders))
	for _, h := range j.Holders {
		known[h.ID] = h
	}
	return func(id ID) Holder {
		if h, ok := known[id]; ok {
			return h
		}
		return Holder{ID: id, Name: id.String()}
	}
}

func day(at Instant) string { return time.Unix(0, int64(at)).UTC().Format(time.DateOnly) }

func moment(at Instant) string { return time.Unix(0, int64(at)).UTC().Format(time.RFC3339Nano) }

// line makes one line of words of people that no terminal and no format can be hurt by.
func line(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == 0x2028, r == 0x2029:
			return ' '
		case r == unicode.ReplacementChar, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, s)), " ")
}

// text is a statement, or a list of what moved, for people.
func (j *Journal) text(w *bufio.Writer) {
	holder, c := j.holders(), j.Currency
	if j.Of.IsZero() {
		fmt.Fprintf(w, "%s, all movements\n\n", c.Code)
		for _, m := range j.Movements {
			fields(w, "%6d  %s  %12s  %s -> %s  %s", m.Seq, day(m.At), c.Format(m.Amount), line(holder(m.Debit).Name), line(holder(m.Credit).Name), words(m))
		}
		return
	}
	fmt.Fprintf(w, "%s, statement of %s\n", c.Code, line(holder(j.Of).Name))
	if j.From != 0 || j.To != 0 {
		from, to := "the beginning", "now"
		if j.From != 0 {
			from = day(j.From)
		}
		if j.To != 0 {
			to = day(j.To - 1)
		}
		fmt.Fprintf(w, "%s to %s\n", from, to)
	}
	fmt.Fprintf(w, "\n%-10s  %-28s  %12s  %12s\n", "", "opening balance", "", c.Format(j.Opening))
	for _, m := range j.Movements {
		change, after, other, way := m.Amount, m.CreditAfter, holder(m.Debit), "from"
		if m.Debit == j.Of {
			change, after, other, way = -m.Amount, m.DebitAfter, holder(m.Credit), "to"
		}
		amount := c.Format(change)
		if change > 0 {
			amount = "+" + amount
		}
		fields(w, "%s  %-28s  %12s  %12s  %s", day(m.At), way+" "+line(other.Name), amount, c.Format(after.V), words(m))
	}
	fmt.Fprintf(w, "%-10s  %-28s  %12s  %12s\n", "", "closing balance", "", c.Format(j.Closing))
}

// fields writes a line without spaces at its end.
func fields(w *bufio.Writer, format string, args ...any) {
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// words are what a movement was for.
func words(m Movement) string {
	memo := line(m.Memo)
	switch {
	case m.Code == Payment:
		return memo
	case memo == "":
		return "(" + m.Code.String() + ")"
	}
	return "(" + m.Code.String() + ") " + memo
}

// csv is RFC 4180: one movement a line, amounts as decimals with a point. Of a statement the amount has the sign of the account, and a last column its balance.
func (j *Journal) csv(w io.Writer) error {
	holder, c := j.holders(), csv.NewWriter(w)
	c.UseCRLF = true
	head := []string{"seq", "time", "code", "from", "to", "amount", "currency", "from_after", "to_after", "memo", "transfer"}
	if !j.Of.IsZero() {
		head = []string{"seq", "time", "code", "other", "amount", "currency", "balance", "memo", "transfer"}
	}
	_ = c.Write(head)
	amount := func(v int64) string { return FormatAmount(v, j.Currency.Scale) }
	after := func(b Bound) string {
		if !b.Set {
			return ""
		}
		return amount(b.V)
	}
	for _, m := range j.Movements {
		seq := strconv.FormatUint(uint64(m.Seq), 10)
		row := []string{seq, moment(m.At), m.Code.String(), cell(holder(m.Debit).Name), cell(holder(m.Credit).Name), amount(m.Amount), j.Currency.Code,
			after(m.DebitAfter), after(m.CreditAfter), cell(m.Memo), m.Transfer.String()}
		switch j.Of {
		case ID{}:
		case m.Debit:
			row = []string{seq, moment(m.At), m.Code.String(), cell(holder(m.Credit).Name), amount(-m.Amount), j.Currency.Code, after(m.DebitAfter), cell(m.Memo), m.Transfer.String()}
		default:
			row = []string{seq, moment(m.At), m.Code.String(), cell(holder(m.Debit).Name), amount(m.Amount), j.Currency.Code, after(m.CreditAfter), cell(m.Memo), m.Transfer.String()}
		}
		_ = c.Write(row)
	}
	c.Flush()
	return c.Error()
}

// cell keeps a spreadsheet from reading somebody's words as a formula.
func cell(s string) string {
	if s = line(s); s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

// jsonl is one JSON object a line, with the IRIs of the owners and the words as they were written.
func (j *Journal) jsonl(w io.Writer) error {
	holder, e := j.holders(), json.NewEncoder(w)
	e.SetEscapeHTML(false)
	amount := func(v int64) string { return FormatAmount(v, j.Currency.Scale) }
	after := func(b Bound) *string {
		if !b.Set {
			return nil
		}
		s := amount(b.V)
		return &s
	}
	for _, m := range j.Movements {
		err := e.Encode(struct {
			Currency  string  `json:"currency"`
			Seq       Seq     `json:"seq"`
			Time      string  `json:"time"`
			Transfer  string  `json:"transfer"`
			Code      string  `json:"code"`
			From      string  `json:"from"`
			To        string  `json:"to"`
			Amount    string  `json:"amount"`
			FromAfter *string `json:"from_after,omitempty"`
			ToAfter   *string `json:"to_after,omitempty"`
			Memo      string  `json:"memo,omitempty"`
		}{j.Currency.IRI, m.Seq, moment(m.At), m.Transfer.String(), m.Code.String(), holder(m.Debit).Ref, holder(m.Credit).Ref, amount(m.Amount),
			after(m.DebitAfter), after(m.CreditAfter), m.Memo})
		if err != nil {
			return err
		}
	}
	return nil
}

// accountNames gives each account a name that hledger and beancount both read: Assets:<role>:<name>, of ASCII letters, digits and dashes, unlike any other.
func (j *Journal) accountNames() func(ID) string {
	names, taken := make(map[ID]string, len(j.Holders)), map[string]bool{openingAccount: true}
	add := func(h Holder) {
		role := h.Role.String()
		legal := strings.Trim(strings.Map(func(r rune) rune {
			if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
				return r
			}
			return '-'
		}, h.Name), "-")
		if legal == "" {
			legal = "X"
		}
		name := "Assets:" + strings.ToUpper(role[:1]) + role[1:] + ":" + strings.ToUpper(legal[:1]) + legal[1:]
		if taken[name] {
			name += "-" + h.ID.String()
		}
		taken[name] = true
		names[h.ID] = name
	}
	for _, h := range j.Holders {
		add(h)
	}
	return func(id ID) string {
		if names[id] == "" {
			add(Holder{ID: id, Name: id.String()})
		}
		return names[id]
	}
}

const openingAccount = "Equity:Opening"

// first is the day of the first movement, for what was there before it.
func (j *Journal) first() Instant {
	switch {
	case j.From != 0:
		return j.From
	case len(j.Movements) > 0:
		return j.Movements[0].At
	}
	return j.Currency.Last
}

// hledger is a journal in which each posting whose balance is known asserts it. The mapping of names stands in comments at its head.
func (j *Journal) hledger(w *bufio.Writer) {
	name, code := j.accountNames(), j.Currency.Code
	if strings.ContainsAny(code, "0123456789") {
		code = `"` + code + `"`
	}
	sample := "1000."
	if j.Currency.Scale > 0 {
		sample += strings.Repeat("0", int(j.Currency.Scale))
	}
	fmt.Fprintf(w, "; %s\n; amounts with %d digits after the point; times are UTC\n\ncommodity %s %s\n\n", line(j.Currency.IRI), j.Currency.Scale, sample, code)
	for _, h := range j.Holders {
		fmt.Fprintf(w, "; %s is %s\naccount %s\n", name(h.ID), line(h.Ref), name(h.ID))
	}
	if !j.Of.IsZero() {
		fmt.Fprintf(w, "account %s\n", openingAccount)
	}
	amount := func(v int64) string { return FormatAmount(v, j.Currency.Scale) }
	posting := func(account string, v int64, after Bound) {
		fmt.Fprintf(w, "    %s  %s %s", account, amount(v), code)
		if after.Set {
			fmt.Fprintf(w, " = %s %s", amount(after.V), code)
		}
		w.WriteByte('\n')
	}
	if !j.Of.IsZero() && j.Opening != 0 {
		fmt.Fprintf(w, "\n%s opening balance\n", day(j.first()))
		posting(name(j.Of), j.Opening, At(j.Opening))
		posting(openingAccount, -j.Opening, Bound{})
	}
	for _, m := range j.Movements {
		// A semicolon would begin a comment, in which "date:" is an order; a leading * or ! or ( is one, too: the code stands before it.
		fmt.Fprintf(w, "\n%s (%d) %s", day(m.At), m.Seq, m.Code)
		if memo := strings.ReplaceAll(line(m.Memo), ";", "；"); memo != "" {
			fmt.Fprintf(w, " | %s", memo)
		}
		fmt.Fprintf(w, "  ; transfer:%s\n", m.Transfer)
		posting(name(m.Debit), -m.Amount, j.own(m.Debit, m.DebitAfter))
		posting(name(m.Credit), m.Amount, j.own(m.Credit, m.CreditAfter))
	}
}

// own is a balance that can be asserted: in a statement, that of its account alone.
func (j *Journal) own(id ID, after Bound) Bound {
	if j.Of.IsZero() || j.Of == id {
		return after
	}
	return Bound{}
}

// beancount has open and commodity directives, and a balance for each account on the day after each of its days: a balance there is of the beginning of a day.
func (j *Journal) beancount(w *bufio.Writer) {
	name, code := j.accountNames(), j.Currency.Code
	amount := func(v int64) string { return FormatAmount(v, j.Currency.Scale) + " " + code }
	begin := day(j.first())
	for _, h := range j.Holders {
		if d := day(h.OpenedAt); h.OpenedAt != 0 && d < begin {
			begin = d
		}
	}
	fmt.Fprintf(w, "option \"title\" %s\n\n%s commodity %s\n  iri: %s\n", quoted(j.Currency.Code), begin, code, quoted(j.Currency.IRI))
	for _, h := range j.Holders {
		fmt.Fprintf(w, "%s open %s %s\n  owner: %s\n", begin, name(h.ID), code, quoted(h.Ref))
	}
	if !j.Of.IsZero() {
		fmt.Fprintf(w, "%s open %s %s\n", begin, openingAccount, code)
	}
	if !j.Of.IsZero() && j.Opening != 0 {
		fmt.Fprintf(w, "\n%s * \"opening balance\"\n  %s  %s\n  %s  %s\n", day(j.first()), name(j.Of), amount(j.Opening), openingAccount, amount(-j.Opening))
	}
	var today string
	var touched []ID
	after := map[ID]int64{}
	next := func() {
		if len(touched) == 0 {
			return
		}
		d, _ := time.Parse(time.DateOnly, today)
		for _, id := range touched {
			fmt.Fprintf(w, "%s balance %s  %s\n", d.AddDate(0, 0, 1).Format(time.DateOnly), name(id), amount(after[id]))
		}
		touched, after = touched[:0], map[ID]int64{}
	}
	touch := func(id ID, b Bound) {
		if b = j.own(id, b); !b.Set {
			return
		}
		if _, seen := after[id]; !seen {
			touched = append(touched, id)
		}
		after[id] = b.V
	}
	for _, m := range j.Movements {
		if d := day(m.At); d != today {
			next()
			today = d
		}
		fmt.Fprintf(w, "\n%s * %s %s\n  seq: %d\n  transfer: \"%s\"\n  %s  %s\n  %s  %s\n", today, quoted(m.Code.String()), quoted(m.Memo), m.Seq, m.Transfer,
			name(m.Debit), amount(-m.Amount), name(m.Credit), amount(m.Amount))
		touch(m.Debit, m.DebitAfter)
		touch(m.Credit, m.CreditAfter)
	}
	w.WriteByte('\n')
	next()
}

// quoted is a string of beancount: one line, with quotes and backslashes escaped.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(line(s)) + `"`
}
