package ledger

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"
)

// FuzzParseEntry: what is read is written the same, byte for byte, and means the same when it is read again. Replay takes it or refuses
// it, and never falls over.
func FuzzParseEntry(f *testing.F) {
	for _, e := range golden() {
		f.Add(Canon(e))
	}
	w := newWorld(f)
	w.must(pay("p", ana, bo, 5))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseEntry(text)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if got := Canon(e); !bytes.Equal(got, text) {
			t.Fatalf("read\n%s\nwritten\n%s", text, got)
		}
		if e.At < 0 || int64(e.Seq) < 0 {
			t.Fatalf("it stands at %d, %d", e.Seq, e.At)
		}
		book := cloneBook(w.book)
		before := StateDigest(&book.Snapshot)
		if err := book.Replay(e); err == nil {
			if err := Check(&book.Snapshot); err != nil {
				t.Fatal(err)
			}
		} else if StateDigest(&book.Snapshot) != before {
			t.Fatal("an entry that was refused changed the book")
		}
	})
}

// FuzzAmount holds ParseAmount and ParseTyped against the grammar of the wire and big numbers.
func FuzzAmount(f *testing.F) {
	for _, s := range []string{"0", "12", "12.50", "1e3", "01", "-1", "１２", "1,000", "999999999999999999", "46116860184273879.03", "1:30", "0.1", "."} {
		for _, scale := range []uint8{0, 2, 9} {
			f.Add(s, scale)
		}
	}
	grammar := regexp.MustCompile(`^(0|[1-9][0-9]{0,17})(\.([0-9]{1,9}))?$`)
	slow := func(s string, scale uint8) (Amount, bool) {
		m := grammar.FindStringSubmatch(s)
		if m == nil || scale > 9 || len(m[3]) > int(scale) || strings.HasSuffix(s, "\n") {
			return 0, false
		}
		n, _ := new(big.Int).SetString(m[1]+m[3]+strings.Repeat("0", int(scale)-len(m[3])), 10)
		return Amount(n.Int64()), n.Cmp(big.NewInt(int64(MaxAmount))) <= 0
	}
	f.Fuzz(func(t *testing.T, s string, scale uint8) {
		want, ok := slow(s, scale)
		if got, err := ParseAmount(s, scale); (err == nil) != ok || ok && got != want || !ok && got != 0 {
			t.Fatalf("%q at scale %d: got %d, %v, want %d, %v", s, scale, got, err, want, ok)
		}
		if ok {
			text := FormatAmount(int64(want), scale)
			if again, err := ParseAmount(text, scale); len(strings.Split(text, ".")[0]) <= 18 && (err != nil || again != want) {
				t.Fatalf("%d at scale %d is written %q and read %d, %v", want, scale, text, again, err)
			}
		}
		h, m, colon := strings.Cut(s, ":")
		hours, whole := slow(h, 0)
		typed, err := ParseTyped(s, Hours, scale)
		switch {
		case !colon:
			if (err == nil) != ok || ok && typed != want {
				t.Fatalf("%q typed: got %d, %v", s, typed, err)
			}
		case err == nil:
			if !whole || scale != 0 || !regexp.MustCompile(`^[0-5][0-9]$`).MatchString(m) || int64(typed)%60 != int64(m[0]-'0')*10+int64(m[1]-'0') || typed/60 != hours {
				t.Fatalf("%q typed: got %d", s, typed)
			}
		case whole && scale == 0 && hours < MaxAmount/60-1 && regexp.MustCompile(`^[0-5][0-9]$`).MatchString(m) && !strings.HasSuffix(m, "\n"):
			t.Fatalf("%q typed: %v", s, err)
		}
		if _, err := ParseTyped(s, Mutual, scale); (err == nil) != ok {
			t.Fatalf("%q typed: %v", s, err)
		}
	})
}

// FuzzApply makes commands of bytes, of fields that fit and fields that do not, and gives them to a book and to the oracle.
func FuzzApply(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add(bytes.Repeat([]byte{0, 1, 2, 3, 4, 5, 6, 7}, 20))
	f.Add([]byte{6, 1, 0, 2, 0, 1, 0, 0, 1, 0, 0, 3, 0, 1, 1, 5, 0, 0, 0, 7, 2, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 600 { // the oracle takes its time
			return
		}
		w := newWorld(t)
		in := fuzzed{b: b}
		for len(in.b) > 0 {
			switch k := in.byte(); {
			case k < 32:
				w.at += Instant(in.number())
			case k < 64:
				w.at += Instant(time.Minute)
			}
			g := make(Group, 1+in.byte()%8/6)
			for i := range g {
				g[i] = in.command()
			}
			w.send(g...)
		}
		w.ended()
	})
}

// fuzzed takes fields off bytes; of what is over it gives zeros.
type fuzzed struct{ b []byte }

func (f *fuzzed) byte() (b byte) {
	if len(f.b) > 0 {
		b, f.b = f.b[0], f.b[1:]
	}
	return b
}

// number is a small one, or any.
func (f *fuzzed) number() int64 {
	b := f.byte()
	if b < 200 {
		return int64(b % 50)
	}
	var x [8]byte
	f.b = f.b[copy(x[:], f.b):]
	return int64(binary.BigEndian.Uint64(x[:]))
}

// id is one of a few, so that they meet.
func (f *fuzzed) id() ID {
	b := f.byte()
	switch {
	case b == 255:
		return ID{}
	case b == 254:
		return reserved
	case b > 230:
		return LevyID(act(string('a' + rune(b%16))))
	}
	return act(string('a' + rune(b%24)))
}

func (f *fuzzed) currency() Currency {
	b := f.byte()
	if b > 250 {
		return Currency{ID: nobody}
	}
	return []Currency{grn, grn, top, eur, gft}[b%5]
}

func (f *fuzzed) account() ID {
	b := f.byte()
	if b > 250 {
		return []ID{nobody, {}, reserved}[b%3]
	}
	return []ID{ana, bo, cy, fund, tia, tom, bank, eva, gia, gus}[b%10]
}

func (f *fuzzed) bound() Bound { return Bound{Set: f.byte()%4 > 0, V: f.number()} }

func (f *fuzzed) text() string {
	b := f.byte()
	if b < 230 {
		return decided
	}
	n := min(int(b-230), len(f.b))
	s := string(f.b[:n])
	f.b = f.b[n:]
	return s
}

func (f *fuzzed) command() Command {
	k, id := f.byte()%24, f.id()
	switch {
	case k < 8:
		p := Pay{ID: id, Currency: f.currency().ID, Debit: f.account(), Credit: f.account(), Amount: Amount(f.number()), Code: Code(f.byte() % 16 * (f.byte() % 2))}
		if f.byte()%2 == 1 {
			p.Pending, p.Timeout = true, time.Duration(f.number())*time.Second
		}
		switch f.byte() % 8 {
		case 0:
			p.Settles = NewID("invoice", string(f.byte()%3))
		case 1:
			p.EffectiveAt = noon + Instant(f.number())
		case 2:
			p.Timeout = time.Duration(f.number())
		}
		return p
	case k < 11:
		return Post{ID: id, Pending: f.id(), Amount: Amount(f.number())}
	case k < 13:
		return Void{ID: id, Pending: f.id()}
	case k < 16:
		return Refund{ID: id, Original: f.id(), Amount: Amount(f.number())}
	case k == 16:
		return Abort{ID: id, Currency: f.currency().ID, Target: f.id()}
	case k == 17:
		return SetLimits{ID: id, Account: f.account(), Floor: f.bound(), Ceil: f.bound(), SoftFloor: f.bound(), SoftCeil: f.bound(), Decision: f.text(), IfVersion: uint64(f.byte() % 3)}
	case k == 18:
		return SetFlags{ID: id, Account: f.account(), Flags: Flags(f.byte() % 9), Decision: f.text(), IfVersion: uint64(f.byte() % 3)}
	case k == 19:
		return Rebind{ID: id, Account: f.account(), NewRef: f.text(), Decision: f.text()}
	case k == 20:
		r := Rules{Floor: f.bound(), Ceil: f.bound(), MaxTransfer: Amount(f.number()), MaxPending: uint16(f.number()), Open: OpenRule(f.byte() % 4)}
		if f.byte()%2 == 0 {
			r.Levy = Levy{BasisPoints: uint16(f.number()), Least: Amount(f.number()), Most: Amount(f.number()), To: f.account()}
		}
		return SetRules{ID: id, Currency: f.currency().ID, Rules: r, Decision: f.text()}
	case k == 21:
		return Note{ID: id, Currency: f.currency().ID, Kind: NoteKind(f.byte() % 6), Body: []byte(f.text())}
	case k == 22:
		c := Currency{IRI: f.text(), Code: f.text(), Scale: f.byte() % 12, Kind: Kind(f.byte() % 6), Privacy: Privacy(f.byte() % 3), Rules: Rules{Floor: f.bound()}}
		c.ID = NewID("currency", c.IRI)
		if f.byte()%8 == 0 {
			c.Code = "NEW"
		}
		return OpenCurrency{ID: id, Currency: c}
	}
	o := f.currency().NewAccount(f.text(), Role(f.byte()%6))
	if o.ID = id; f.byte()%2 == 0 {
		o.Floor, o.Ceil = f.bound(), f.bound()
	}
	return o
}
