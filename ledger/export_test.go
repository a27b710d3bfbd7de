package ledger_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"planet/ledger"
)

// hostile are words that would be orders in one of the formats, if they were not kept words.
var hostile = []string{"2 loaves", `"quoted" and \backslashed\`, `"; 2026-01-01 close Assets:Member:Ana`, "first\nsecond\n2026-01-01 * \"x\"\n  Assets:A  1 GRN", "; date:2020-01-01", "a ; b  ; date:2020-01-01, date2:2020-01-01",
	"[2020-01-01]", "* cleared", "! pending", "(code) x", "= 5 GRN", "a | b | c", "=cmd()", "@SUM(A1)", "+1", "-1", "\ttab\r\n", "x\x00y\x1b[2J", "\u202egnp.exe", "日本語 ünï👩\u200d🍳", "#tag ^link", "include /etc/passwd",
	"a,b,\"c\"", "", "  ", "\u2028para\u2029", "end comment", "%{}", strings.Repeat("long ", 90), "\ufffd\xff"}

// workload is a random history of a currency over a month, in which some names are hostile, too.
func workload(t *testing.T, seed uint64, kind ledger.Kind, scale uint8) (*ledger.Book, *ledger.Journal) {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 1))
	u := ledger.Currency{IRI: "https://coop.example/currencies/grn", Code: "GRN", Scale: scale, Kind: kind, Rules: ledger.Preset(kind, 10_000)}
	if seed%2 == 1 {
		u.Code = "G2R"
	}
	u.ID = ledger.NewID("currency", u.IRI)
	at := ledger.Instant(time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC).UnixNano())
	b, entries := ledger.NewBook(), []ledger.Entry{}
	apply := func(g ledger.Group) ledger.ResultCode {
		d, rs := b.Apply(at, g)
		entries = append(entries, d.Entries...)
		return rs[0].Code
	}
	names := []string{"ana", "bo", "Ana", "ana-", "a.n.a", "a_n_a", "ana@coop.example:8080", `ev"il;x`, "日本", "x  y", "-", "0day", "bo|bo", "suspense-a"}
	j := &ledger.Journal{}
	opens := ledger.Group{ledger.OpenCurrency{ID: ledger.NewID("create", u.IRI), Currency: u}}
	var ids []ledger.ID
	for i, name := range names {
		role := ledger.Member
		if i == len(names)-1 && (kind == ledger.Issued) {
			role = ledger.Issuer
		} else if i == len(names)-1 {
			role = ledger.Suspense
		}
		o := u.NewAccount(fmt.Sprintf("https://coop.example/users/%d?x=%s", i, strings.ReplaceAll(name, " ", "")), role)
		opens, ids = append(opens, o), append(ids, o.Account)
		j.Holders = append(j.Holders, ledger.Holder{ID: o.Account, Ref: o.Ref, Name: name, Role: role, OpenedAt: at})
	}
	if code := apply(opens); code != ledger.OKCreated {
		t.Fatalf("open: %s", code)
	}
	memos, codes, moved := map[ledger.ID]string{}, map[ledger.ID]ledger.Code{}, 0
	var held, paid []ledger.ID
	for i := 0; i < 400; i++ {
		at += ledger.Instant(dice.Int64N(int64(3 * time.Hour)))
		id := ledger.NewID("x", fmt.Sprint(seed, i))
		amount := ledger.Amount(dice.Int64N(3000) + 1)
		if kind == ledger.Gift {
			amount = ledger.Amount(dice.Int64N(3))
		}
		switch p := (ledger.Pay{ID: id, Currency: u.ID, Debit: ids[dice.IntN(len(ids))], Credit: ids[dice.IntN(len(ids))], Amount: amount}); {
		case i%7 == 3 && len(held) > 0:
			h := held[dice.IntN(len(held))]
			if i%2 == 0 {
				apply(ledger.Group{ledger.Void{ID: id, Pending: h}})
			} else {
				apply(ledger.Group{ledger.Post{ID: id, Pending: h, Amount: ledger.All}})
			}
		case i%11 == 5 && len(paid) > 0:
			if apply(ledger.Group{ledger.Refund{ID: id, Original: paid[dice.IntN(len(paid))], Amount: amount}}) == ledger.OKCreated {
				memos[id] = hostile[i%len(hostile)]
			}
		default:
			if kind == ledger.Issued && i%3 == 0 {
				p.Debit = ids[len(ids)-1]
			}
			if p.Pending = i%5 == 0; p.Pending {
				p.Timeout = time.Hour * 5
			}
			memos[id], codes[id] = hostile[i%len(hostile)], p.Code
			if apply(ledger.Group{p}) != ledger.OKCreated {
				continue
			}
			if p.Pending {
				held = append(held, id)
			} else {
				paid = append(paid, id)
			}
		}
	}
	for _, e := range entries {
		if m, ok := ledger.MovementOf(e); ok {
			if code, is := codes[m.Transfer]; is {
				m.Code = code
			}
			m.Memo = memos[m.Transfer]
			j.Movements = append(j.Movements, m)
			moved++
		}
	}
	if moved < 100 {
		t.Fatalf("only %d movements", moved)
	}
	j.Currency = b.Currencies[u.ID]
	return b, j
}

// statementOf is the part of a whole journal that is one account's, from a day on.
func statementOf(j *ledger.Journal, id ledger.ID, from ledger.Instant) *ledger.Journal {
	s := *j
	s.Of, s.From, s.Movements, s.Opening, s.Closing = id, from, nil, 0, 0
	for _, m := range j.Movements {
		change := m.Amount
		switch id {
		case m.Debit:
			change = -change
			m.CreditAfter = ledger.Bound{}
		case m.Credit:
			m.DebitAfter = ledger.Bound{}
		default:
			continue
		}
		if s.Closing += change; m.At < from {
			s.Opening += change
			continue
		}
		s.Movements = append(s.Movements, m)
	}
	return &s
}

func write(t *testing.T, j *ledger.Journal, format string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := j.Write(&b, format); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestXSS189CSVAndJSONLinesSayWhatMoved(t *testing.T) {
	b, j := workload(t, 2, ledger.Mutual, 2)
	raw := write(t, j, "csv")
	if bytes.Count(raw, []byte("\r\n")) != len(j.Movements)+1 || bytes.Count(raw, []byte("\n")) != len(j.Movements)+1 {
		t.Errorf("%d lines end with CRLF, want %d", bytes.Count(raw, []byte("\r\n")), len(j.Movements)+1)
	}
	rows, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, row := range rows[1:] {
		a, err := ledger.ParseAmount(row[5], 2)
		if err != nil {
			t.Fatal(err)
		}
		sums[row[3]] -= int64(a)
		sums[row[4]] += int64(a)
		for _, cell := range []string{row[3], row[4], row[9]} {
			if cell != "" && strings.ContainsRune("=+-@\t", rune(cell[0])) {
				t.Errorf("a spreadsheet would compute %q", cell)
			}
		}
	}
	dec := json.NewDecoder(bytes.NewReader(write(t, j, "jsonl")))
	for i := 0; dec.More(); i++ {
		var m struct{ Memo, From, To, Amount string }
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(j.Movements[i].Memo, "\ufffd"); m.Memo != want {
			t.Errorf("got the words %q, want %q", m.Memo, want)
		}
	}
	for _, h := range j.Holders {
		name := h.Name
		if name == "-" {
			name = "'-"
		}
		if name == "x  y" {
			name = "x y"
		}
		if got, want := sums[name], b.Accounts[h.ID].Balance(); got != want {
			t.Errorf("%s: the lines sum to %d, the book has %d", h.Name, got, want)
		}
	}
	for _, format := range []string{"text", "csv", "jsonl", "hledger", "beancount"} {
		for _, x := range []*ledger.Journal{j, statementOf(j, j.Holders[0].ID, 0), {Currency: j.Currency}} {
			for line := range strings.Lines(string(write(t, x, format))) {
				if strings.ContainsAny(strings.TrimRight(line, "\r\n"), "\r\x00\x1b\u202e\u2028") && format != "jsonl" {
					t.Errorf("%s: the line %q", format, line)
				}
			}
		}
	}
	if err := j.Write(&bytes.Buffer{}, "pdf"); err == nil {
		t.Error("a format that nobody knows was written")
	}
}

func TestAmountsForPeople(t *testing.T) {
	for _, x := range []struct {
		kind  ledger.Kind
		scale uint8
		v     int64
		want  string
	}{{ledger.Mutual, 2, -305, "-3.05"}, {ledger.Hours, 0, 90, "1:30"}, {ledger.Hours, 0, -5, "-0:05"}, {ledger.Hours, 0, -1 << 63, "-153722867280912930:08"}, {ledger.Gift, 0, 0, "0"}, {ledger.Mutual, 9, 1, "0.000000001"}} {
		if got := (ledger.Currency{Kind: x.kind, Scale: x.scale}).Format(x.v); got != x.want {
			t.Errorf("%s, %d: got %s, want %s", x.kind, x.v, got, x.want)
		}
	}
}

// need finds a program, or skips.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("PLANET_TEST_ALL") != "" {
				t.Fatalf("%s is not installed, and PLANET_TEST_ALL wants every test", p)
			}
			t.Skipf("SKIPPED: %s is not installed (apt-get install hledger beancount)", p)
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "BEANCOUNT_DISABLE_LOAD_CACHE=1")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%.2000s%.2000s", name, strings.Join(args, " "), err, &out, &said)
	}
	return out.String()
}

// Two programs of others read the same history, check each of its assertions, and come to the same balances, to the unit (P6).
func TestOtherProgramsComeToTheSameBalances(t *testing.T) {
	need(t, "hledger", "bean-check", "bean-query")
	for i, x := range []struct {
		kind  ledger.Kind
		scale uint8
	}{{ledger.Mutual, 2}, {ledger.Hours, 0}, {ledger.Issued, 6}, {ledger.Gift, 0}} {
		t.Run(x.kind.String(), func(t *testing.T) {
			b, j := workload(t, uint64(i), x.kind, x.scale)
			from := ledger.Instant(time.Date(2026, 11, 15, 0, 0, 0, 0, time.UTC).UnixNano())
			exports := map[string]*ledger.Journal{"all": j, "one": statementOf(j, j.Holders[0].ID, 0), "half": statementOf(j, j.Holders[1].ID, from)}
			for name, j := range exports {
				dir := t.TempDir()
				want := map[string]int64{}
				for i, h := range j.Holders {
					if j.Of.IsZero() || j.Of == h.ID {
						want[fmt.Sprint(i)] = b.Accounts[h.ID].Balance()
					}
				}
				journal := filepath.Join(dir, "x.journal")
				if err := os.WriteFile(journal, write(t, j, "hledger"), 0o600); err != nil {
					t.Fatal(err)
				}
				run(t, "hledger", "-f", journal, "check", "--strict", "ordereddates")
				got := balances(t, run(t, "hledger", "-f", journal, "balance", "--flat", "-E", "-N", "-O", "csv"), j.Currency.Scale)
				compare(t, name+", hledger", j, want, got)
				sameWords(t, name+", hledger", j, descriptions(t, run(t, "hledger", "-f", journal, "print", "-O", "csv")))

				beans := filepath.Join(dir, "x.beancount")
				if err := os.WriteFile(beans, write(t, j, "beancount"), 0o600); err != nil {
					t.Fatal(err)
				}
				if said := run(t, "bean-check", beans); strings.TrimSpace(said) != "" {
					t.Errorf("%s: bean-check says %s", name, said)
				}
				got = balances(t, run(t, "bean-query", "-f", "csv", beans, "SELECT account, sum(position) GROUP BY account"), j.Currency.Scale)
				compare(t, name+", beancount", j, want, got)
			}
		})
	}
}

// balances reads account,amount as both programs print them.
func balances(t *testing.T, text string, scale uint8) map[string]int64 {
	t.Helper()
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatalf("%v in %.500s", err, text)
	}
	out := map[string]int64{}
	for _, row := range rows {
		if len(row) < 2 || !strings.Contains(row[0], ":") {
			continue
		}
		digits, _, _ := strings.Cut(strings.TrimSpace(row[1]), " ")
		digits, below := strings.CutPrefix(digits, "-")
		if digits == "" {
			digits = "0"
		}
		v, err := ledger.ParseAmount(digits, scale)
		if err != nil {
			t.Fatalf("%q: %v", row, err)
		}
		if out[strings.TrimSpace(row[0])] = int64(v); below {
			out[strings.TrimSpace(row[0])] = -int64(v)
		}
	}
	return out
}

// compare finds each holder's account by the order of the names in the export, which is that of the holders.
func compare(t *testing.T, what string, j *ledger.Journal, want, got map[string]int64) {
	t.Helper()
	var names []string
	for line := range strings.Lines(string(write(t, j, "hledger"))) {
		if name, ok := strings.CutPrefix(line, "account "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	seen := map[string]bool{}
	for i := range j.Holders {
		if seen[names[i]] {
			t.Fatalf("%s: two accounts are called %s", what, names[i])
		}
		seen[names[i]] = true
		if w, asked := want[fmt.Sprint(i)]; asked && got[names[i]] != w {
			t.Errorf("%s: %s has %d, the book says %d", what, names[i], got[names[i]], w)
		}
	}
}

// descriptions are those of each transaction that hledger read, by its code: the entry's number.
func descriptions(t *testing.T, text string) map[string]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, row := range rows[1:] { // txnidx,date,date2,status,code,description,…
		if row[2] != "" || row[3] != "" {
			t.Errorf("words became a date or a state: %q", row)
		}
		out[row[4]] = row[5]
	}
	return out
}

// sameWords wants the words of each movement to have stayed words, all of them.
func sameWords(t *testing.T, what string, j *ledger.Journal, said map[string]string) {
	t.Helper()
	for _, m := range j.Movements {
		words := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsControl(r), r == 0x2028, r == 0x2029:
				return ' '
			case r == ';':
				return '；'
			case r == unicode.ReplacementChar, r == 0x202e:
				return -1
			}
			return r
		}, m.Memo)
		want := m.Code.String()
		if words = strings.Join(strings.Fields(words), " "); words != "" {
			want += " | " + words
		}
		if got := said[fmt.Sprint(m.Seq)]; got != want {
			t.Errorf("%s: entry %d is read as %q, want %q", what, m.Seq, got, want)
		}
	}
}
