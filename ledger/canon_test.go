package ledger

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden texts that are missing")

// golden has an entry of each kind, and of each form that a kind may have. A form that is here is never changed: its text stands in
// logs, and hashes of it in receipts.
func golden() map[string]Entry {
	e := func(seq Seq, c Command) Entry {
		return Entry{Currency: grn.IRI, Seq: seq, At: noon + Instant(seq%1000), Cmd: c}
	}
	moved := func(e Entry, n Amount) Entry {
		e.Debit, e.Credit, e.Amount, e.DebitAfter, e.CreditAfter = ana, bo, n, -int64(n)-3, int64(n)+4
		return e
	}
	grouped := func(e Entry) Entry {
		e.Group = act("g")
		return e
	}
	memo, auth := Digest{1, 2, 3}, Digest{31: 255}
	full := Pay{ID: act("p"), Currency: grn.ID, Debit: ana, Credit: bo, Amount: 450, Code: Exchange, Pending: true, Timeout: time.Minute, Settles: NewID("invoice", "7"),
		Memo: memo, Auth: auth, EffectiveAt: noon - 5}
	public := grn
	public.Privacy, public.Kind, public.Scale = Public, Backed, 2
	public.Rules = Rules{Ceil: At(MaxCounter), Floor: At(0), MaxTransfer: MaxAmount, Open: OpenOnCredit}
	levy := grn.Rules
	levy.Levy = Levy{BasisPoints: 150, Least: 1, Most: 500, To: fund}
	return map[string]Entry{
		"currency":        e(0, OpenCurrency{ID: act("c"), Currency: grn}),
		"currency_public": e(0, OpenCurrency{ID: act("c"), Currency: public}),
		"rules":           e(1, SetRules{ID: act("r"), Currency: grn.ID, Rules: Rules{}, Decision: decided}),
		"rules_levy":      e(2, SetRules{ID: act("r"), Currency: grn.ID, Rules: levy, Decision: decided}),
		"open":            e(3, OpenAccount{ID: act("o"), Account: ana, Currency: grn.ID, Ref: person("ana")}),
		"open_decided":    grouped(e(3, OpenAccount{ID: act("o"), Account: fund, Currency: grn.ID, Ref: person("fund"), Role: Commons, Floor: At(0), Ceil: At(5), Decision: decided})),
		"limits":          e(4, SetLimits{ID: act("l"), Account: ana, Decision: decided}),
		"limits_all":      e(4, SetLimits{ID: act("l"), Account: ana, Floor: At(-20), Ceil: At(20), SoftFloor: At(-10), SoftCeil: At(10), Decision: decided, IfVersion: 7}),
		"flags":           e(5, SetFlags{ID: act("f"), Account: ana, Decision: decided}),
		"flags_all":       e(5, SetFlags{ID: act("f"), Account: ana, Flags: allFlags, Decision: decided, IfVersion: 2}),
		"rebind":          e(6, Rebind{ID: act("b"), Account: ana, NewRef: person("ana2"), Decision: decided}),
		"rebind_signed":   e(6, Rebind{ID: act("b"), Account: ana, NewRef: person("ána ñ"), Decision: decided, Auth: auth}),
		"pay":             moved(e(7, Pay{ID: act("p"), Currency: grn.ID, Debit: ana, Credit: bo, Amount: 5}), 5),
		"pay_all":         grouped(moved(e(8, full), 450)),
		"post":            moved(e(9, Post{ID: act("x"), Pending: act("p"), Amount: All}), 450),
		"post_part":       grouped(moved(e(9, Post{ID: act("x"), Pending: act("p"), Amount: 400, Auth: auth}), 400)),
		"void":            moved(e(10, Void{ID: act("v"), Pending: act("p")}), 450),
		"void_signed":     grouped(moved(e(10, Void{ID: act("v"), Pending: act("p"), Auth: auth}), 450)),
		"expire":          moved(e(11, expire{Pending: act("p")}), 450),
		"refund":          moved(e(12, Refund{ID: act("f"), Original: act("p"), Amount: All}), 5),
		"refund_signed":   grouped(moved(e(12, Refund{ID: act("f"), Original: act("p"), Amount: 0, Memo: memo, Auth: auth}), 0)),
		"abort":           e(13, Abort{ID: act("a"), Currency: grn.ID, Target: act("t")}),
		"note":            e(14, Note{ID: act("n"), Currency: grn.ID, Kind: NoteEpoch, Body: []byte{}}),
		"note_body":       grouped(e(1<<63-1, Note{ID: act("n"), Currency: grn.ID, Kind: NoteStatement, Body: []byte("so it is\n\x00\xff")})),
	}
}

func TestF68WrittenEntriesKeepTheirForm(t *testing.T) {
	kinds := map[string]bool{}
	for name, e := range golden() {
		kinds[e.Kind()] = true
		file := filepath.Join("testdata", "canon", name+".txt")
		want, err := os.ReadFile(file)
		if os.IsNotExist(err) && *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			want, err = Canon(e), os.WriteFile(file, Canon(e), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := Canon(e); !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s\nWhat is written is never changed, not by -update either: give a new form a new first line.", name, got, want)
		}
		read, err := ParseEntry(want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(read, e) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, read, e)
		}
		head := AppendHead(nil, e)
		if got := append(head, AppendOpening(nil, e)...); !bytes.Equal(got, want) || bytes.Count(head, []byte("\n")) != 6 {
			t.Errorf("%s: head and opening are not the whole", name)
		}
	}
	for _, c := range []Command{OpenCurrency{}, SetRules{}, OpenAccount{}, SetLimits{}, SetFlags{}, Rebind{}, Pay{}, Post{}, Void{}, expire{}, Refund{}, Abort{}, Note{}} {
		if kind := (Entry{Cmd: c}).Kind(); !kinds[kind] {
			t.Errorf("%s has no golden text", kind)
		}
	}
	files, err := filepath.Glob("testdata/canon/*.txt")
	if err != nil || len(files) != len(golden()) {
		t.Errorf("%d texts, %d entries, %v", len(files), len(golden()), err)
	}
	if got := (Entry{}); got.Kind() != "none" || !got.ID().IsZero() {
		t.Errorf("an entry without a command is %q, %s", got.Kind(), got.ID())
	}
}

// TestParseEntryTakesOneForm changes each golden text in each line, and looks for what is read all the same.
func TestParseEntryTakesOneForm(t *testing.T) {
	for name, e := range golden() {
		good := string(Canon(e))
		ls := strings.SplitAfter(strings.TrimSuffix(good, "\n"), "\n")
		try := func(what, text string) {
			if got, err := ParseEntry([]byte(text)); err == nil && text != string(Canon(got)) {
				t.Errorf("%s: %s was read:\n%s", name, what, text)
			}
		}
		refuse := func(what, text string) {
			if _, err := ParseEntry([]byte(text)); err == nil {
				t.Errorf("%s: %s was read:\n%s", name, what, text)
			}
		}
		for i, l := range ls {
			before, after := strings.Join(ls[:i], ""), strings.Join(ls[i+1:], "")
			l = strings.TrimSuffix(l, "\n")
			key, value, _ := strings.Cut(l, " ")
			try("a line less", before+after)
			refuse("a line twice", before+l+"\n"+l+"\n"+after)
			if key != "ref" && key != "decision" && key != "currency" { // these are what they are; Apply looks at them
				refuse("a space more", before+key+"  "+value+"\n"+after)
				refuse("a space at the end", before+l+" \n"+after)
				refuse("CR LF", before+l+"\r\n"+after)
			}
			refuse("an empty value", before+key+" \n"+after)
			refuse("no value", before+key+"\n"+after)
			refuse("another key", before+key+"x "+value+"\n"+after)
			refuse("an end in the line", before+l)
			if value != "" && strings.Trim(value, "0123456789") == "" {
				refuse("a leading zero", before+key+" 0"+value+"\n"+after)
				refuse("a sign", before+key+" +"+value+"\n"+after)
				refuse("too large a number", before+key+" 99999999999999999999\n"+after)
				refuse("no number", before+key+" x\n"+after)
			}
			if upper := strings.ToUpper(value); len(value) >= 32 && strings.Trim(value, "0123456789abcdef") == "" && upper != value {
				refuse("capitals", before+key+" "+upper+"\n"+after)
				refuse("a digit less", before+key+" "+value[1:]+"\n"+after)
				refuse("a digit more", before+key+" "+value+"0\n"+after)
				refuse("no digits", before+key+" "+strings.Repeat("x", len(value))+"\n"+after)
				refuse("nothing, written out", before+key+" "+strings.Repeat("0", len(value))+"\n"+after[:0]+"x")
			}
		}
		refuse("a line more", good+"x y\n")
		refuse("an empty line more", good+"\n")
		refuse("something before", "\n"+good)
		refuse("another version", strings.Replace(good, "/v1", "/v2", 1))
		refuse("another kind", strings.Replace(good, "kind "+e.Kind(), "kind other", 1))
	}
	for name, e := range golden() {
		text := Canon(e)
		for i := range text {
			if _, err := ParseEntry(text[:i]); err == nil {
				if got := Canon(e); len(got) != i {
					shorter, _ := ParseEntry(text[:i])
					if string(Canon(shorter)) != string(text[:i]) {
						t.Errorf("%s: the first %d bytes were read", name, i)
					}
				}
			}
		}
	}
	if _, err := ParseEntry(nil); err == nil {
		t.Error("nothing was read as an entry")
	}
	for _, number := range []string{"9223372036854775808", "18446744073709551615"} {
		for _, key := range []string{"seq", "at", "timeout", "effective"} {
			text := string(Canon(golden()["pay_all"]))
			i := strings.Index(text, "\n"+key+" ") + 1
			j := i + strings.Index(text[i:], "\n")
			if _, err := ParseEntry([]byte(text[:i] + key + " " + number + text[j:])); err == nil {
				t.Errorf("%s %s was read", key, number)
			}
		}
	}
}

func TestParseEntrySaysWhatIsWrong(t *testing.T) {
	for _, x := range []struct{ entry, from, to, want string }{
		{"pay", "v1", "v2", `entry begins with "planet.ledger/v2", want "planet.ledger/v1"`},
		{"pay", "kind pay", "kind x", `entry 7: kind "x": want a kind of entry`},
		{"pay", "seq 7\n", "", `entry 0: line "seq" is missing`},
		{"pay", "seq 7", "seq x", `entry 0: seq "x": want a number`},
		{"pay", "amount 5", "amount x", `entry 7: amount "x": want a number`},
		{"pay", "amount 5", "amount 5x\namount x", `entry 7: amount "5x": want a number`}, // the first mistake
		{"pay", "debit_after -8", "debit_after 9223372036854775808", `entry 7: debit_after "9223372036854775808": want a number`},
		{"pay", "code payment", "code lunch", `entry 7: code "lunch": want one of payment, levy, refund, demurrage, issue, redeem, exchange, opening, closing, writeoff, share`},
		{"pay", "code payment\n", "", `entry 7: line "code" is missing`},
		{"pay", "id b6", "id B", `entry 7: id "B893a5652733c7dd363180afde7b9a1": want 32 hexadecimal digits`},
		{"pay", "id b6", "id bx", `entry 7: id "bx893a5652733c7dd363180afde7b9a1": want hexadecimal digits`},
		{"pay", "id b6", "id B6", "entry 7 is not in canonical form"},
		{"pay_all", "timeout 60000000000", "timeout x", `entry 8: timeout "x": want a number`},
		{"pay_all", "memo 01", "memo 1", `entry 8: memo "102030000000000000000000000000000000000000000000000000000000000": want 64 hexadecimal digits`},
		{"pay_all", "settles fd", "settles f", `entry 8: settles "fcdd86a578b2f77c22847e82208e1cc": want 32 hexadecimal digits`},
		{"limits_all", "ceil 20", "ceil x", `entry 4: ceil "x": want a number or none`},
		{"limits_all", "if_version 7", "if_version 7\nx", `entry 4: "x" is too much`},
		{"limits_all", "if_version 7", "if_version x", `entry 4: if_version "x": want a number`},
		{"rules_levy", "levy 150", "levy 99999", `entry 2: levy "99999": want basis points`},
		{"rules_levy", "levy 150", "levy 0150", "entry 2 is not in canonical form"},
		{"void", "credit_after 454\n", "credit_after 454", "entry 10: it ends within a line"},
		{"void", "credit_after 454\n", "", `entry 10: line "credit_after" is missing`},
	} {
		text := string(Canon(golden()[x.entry]))
		bad := strings.Replace(text, x.from, x.to, 1)
		if bad == text {
			t.Fatalf("%q is not in %s", x.from, x.entry)
		}
		if _, err := ParseEntry([]byte(bad)); err == nil || err.Error() != x.want {
			t.Errorf("%s with %q: got\n%v, want\n%s", x.entry, x.to, err, x.want)
		}
	}
}

// TestTheDigestCoversEveryField changes one field after another: each has to make another command, and another state.
func TestTheDigestCoversEveryField(t *testing.T) {
	var change func(t *testing.T, v reflect.Value, path string, check func(path string))
	change = func(t *testing.T, v reflect.Value, path string, check func(string)) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				change(t, v.Field(i), path+"."+v.Type().Field(i).Name, check)
			}
			return
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Int64:
			v.SetInt(v.Int() + 1)
		case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			v.SetUint(v.Uint() + 1)
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Slice:
			v.SetBytes(append(bytes.Clone(v.Bytes()), 'x'))
		case reflect.Array:
			v.Index(v.Len() - 1).SetUint(v.Index(v.Len()-1).Uint() + 1)
		default:
			t.Fatalf("%s is a %s", path, v.Kind())
		}
		check(path)
		v.Set(old)
	}
	for _, c := range []Command{OpenCurrency{}, SetRules{}, OpenAccount{}, SetLimits{}, SetFlags{}, Rebind{}, Pay{}, Post{}, Void{}, expire{}, Refund{}, Abort{}, Note{}} {
		seen := map[Digest]string{DigestOf(c): "nothing"}
		v := reflect.New(reflect.TypeOf(c)).Elem()
		change(t, v, v.Type().Name(), func(path string) {
			d := DigestOf(v.Interface().(Command))
			if seen[d] != "" {
				t.Errorf("%s and %s changed give one digest", path, seen[d])
			}
			seen[d] = path
		})
	}
	id := ID{1}
	s := Snapshot{Currencies: map[ID]Currency{}, Accounts: map[ID]Account{}, Transfers: map[ID]Transfer{}, Outcomes: map[ID]Outcome{}, Settled: map[ID]ID{}}
	seen := map[Digest]string{StateDigest(&s): "nothing"}
	note := func(path string) {
		d := StateDigest(&s)
		if seen[d] != "" {
			t.Errorf("%s and %s give one state digest", path, seen[d])
		}
		seen[d] = path
	}
	c := reflect.New(reflect.TypeOf(Currency{})).Elem()
	s.Currencies[id] = Currency{}
	note("a currency")
	change(t, c, "Currency", func(path string) { s.Currencies[id] = c.Interface().(Currency); note(path) })
	a := reflect.New(reflect.TypeOf(Account{})).Elem()
	s.Accounts[id] = Account{ID: id}
	note("an account")
	change(t, a, "Account", func(path string) {
		if path != "Account.ID" { // it is the key
			s.Accounts[id] = a.Interface().(Account)
			note(path)
		}
	})
	x := reflect.New(reflect.TypeOf(Transfer{})).Elem()
	s.Transfers[id] = Transfer{}
	note("a transfer")
	change(t, x, "Transfer", func(path string) { s.Transfers[id] = x.Interface().(Transfer); note(path) })
	o := reflect.New(reflect.TypeOf(Outcome{})).Elem()
	s.Outcomes[id] = Outcome{}
	note("an outcome")
	change(t, o, "Outcome", func(path string) { s.Outcomes[id] = o.Interface().(Outcome); note(path) })
	s.Settled[id] = ID{}
	note("a claim")
	s.Settled[id] = ID{2}
	note("another claim")
	s.Settled = map[ID]ID{{3}: {2}}
	note("another claim's key")
}
