package ledger

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// market is a book of n accounts without limits.
func market(n int, levied bool) (*Book, []ID) {
	b := NewBook()
	c := grn
	c.Rules = Rules{MaxPending: 64}
	b.Apply(noon-Instant(time.Hour), Group{OpenCurrency{ID: act("c"), Currency: c}})
	ids := make([]ID, n)
	for i := range ids {
		o := c.NewAccount(person(strconv.Itoa(i)), Member)
		ids[i] = o.Account
		b.Apply(noon-Instant(time.Hour), Group{o})
	}
	if levied {
		r := c.Rules
		r.Levy = Levy{BasisPoints: 100, Least: 1, To: ids[0]}
		b.Apply(noon-Instant(time.Hour), Group{SetRules{ID: act("r"), Currency: c.ID, Rules: r, Decision: decided}})
	}
	return b, ids
}

// trade is a batch of payments between accounts taken here and there; hot: all to one.
func trade(ids []ID, from, n int, hot bool) []Group {
	gs := make([]Group, n)
	for i := range gs {
		x := uint64(from+i)*0x9e3779b97f4a7c15 ^ 0x1234567
		x ^= x >> 31
		d, c := 1+int(x%uint64(len(ids)-2)), 1+int(x>>20%uint64(len(ids)-2))
		if hot {
			c = len(ids) - 1
		}
		if d == c {
			d++
		}
		gs[i] = Group{Pay{ID: NewID("act", strconv.Itoa(from+i)), Currency: grn.ID, Debit: ids[d], Credit: ids[c], Amount: 1 + Amount(x>>40%100), Auth: Digest{1}}}
	}
	return gs
}

func BenchmarkApply(b *testing.B) {
	for _, x := range []struct {
		name        string
		batch       int
		hot, levied bool
	}{{"1", 1, false, false}, {"256", 256, false, false}, {"8190", 8190, false, false}, {"8190,hot", 8190, true, false}, {"8190,levied", 8190, false, true}} {
		b.Run(x.name, func(b *testing.B) {
			book, ids := market(10_000, x.levied)
			gs := trade(ids, 0, x.batch, x.hot)
			b.ReportAllocs()
			for b.Loop() {
				if _, results := Apply(&book.Snapshot, noon, gs); results[0].Code != OKCreated {
					b.Fatal(results[0].Code)
				}
			}
			b.ReportMetric(float64(b.N)*float64(x.batch)/b.Elapsed().Seconds(), "transfers/s")
		})
	}
}

func BenchmarkDigestOf(b *testing.B) {
	book, ids := market(3, false)
	_ = book
	var c Command = trade(ids, 0, 1, false)[0][0]
	b.ReportAllocs()
	for b.Loop() {
		DigestOf(c)
	}
}

func BenchmarkCanon(b *testing.B) {
	book, ids := market(10, false)
	d, _ := book.Apply(noon, trade(ids, 0, 1, false)...)
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendOpening(AppendHead(buf[:0], d.Entries[0]), d.Entries[0])
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkParseEntry(b *testing.B) {
	book, ids := market(10, false)
	d, _ := book.Apply(noon, trade(ids, 0, 1, false)...)
	text := Canon(d.Entries[0])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEntry(text); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(text)))
}

// BenchmarkReplay reads and replays a log from its text: what an audit costs, hashes aside.
func BenchmarkReplay(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var log [][]byte
			book := NewBook()
			add := func(d Delta) {
				for _, e := range d.Entries {
					log = append(log, Canon(e))
				}
			}
			_, ids := market(1000, false)
			c := grn
			c.Rules = Rules{MaxPending: 64}
			d, _ := book.Apply(noon, Group{OpenCurrency{ID: act("c"), Currency: c}})
			add(d)
			for i := range ids {
				d, _ := book.Apply(noon, Group{c.NewAccount(person(strconv.Itoa(i)), Member)})
				add(d)
			}
			for i := 0; len(log) < n; i += 5000 {
				d, _ := book.Apply(noon, trade(ids, i, 5000, false)...)
				add(d)
			}
			book = nil
			b.ResetTimer()
			for b.Loop() {
				again := NewBook()
				for _, text := range log[:n] {
					e, err := ParseEntry(text)
					if err == nil {
						err = again.Replay(e)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
