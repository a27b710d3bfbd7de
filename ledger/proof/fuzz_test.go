package proof

import (
	"bytes"
	"encoding/base64"
	"reflect"
	"slices"
	"testing"

	theirs "github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func FuzzLeaf(f *testing.F) {
	f.Add([]byte(goodLeaf))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseLeaf(text)
		if err != nil {
			want(t, "ParseLeaf", err, ErrMalformed)
			return
		}
		if again, err := l.Append(nil); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q is written %q, %v", text, again, err)
		}
	})
}

func FuzzTilePath(f *testing.F) {
	for _, path := range []string{"tile/0/x001/x234/067", "tile/entries/273.p/112", "tile/63/999.p/1", "tile/0/x004/x503/x599/x627/x370/495"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := ParseTile(path)
		if err != nil {
			want(t, "ParseTile", err, ErrMalformed)
			return
		}
		if tile.Path() != path {
			t.Errorf("%q is written %q", path, tile.Path())
		}
		// x/mod's path has the height before the level, and "data" for entries.
		if old := (tlog.Tile{H: TileHeight, L: tile.Level, N: tile.Index, W: tile.Width}).Path(); old != "tile/8/"+path[len("tile/"):] && tile.Level != Entries {
			t.Errorf("%q is %q for x/mod", path, old)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	l := newLedger(f, grain).pay(5)
	other := newLedger(f, "oak.example/currencies/hour").pay(5)
	seen, by := witness(f, "oak.example/witness", 5, openNote(f, l.checkpoint(5), l.key))
	f.Add(l.checkpoint(5))
	f.Add(other.checkpoint(3))
	f.Add(seen)
	f.Add(l.checkpoint(0))
	f.Fuzz(func(t *testing.T, signed []byte) {
		keys := []note.Verifier{l.key, other.key, by}
		c, signers, err := Open(signed, keys...)
		if err != nil {
			return
		}
		// Nobody here has the keys, so what opens is one of the checkpoints above, whatever others have added.
		if !slices.Contains(signers, c.Origin) || !bytes.HasPrefix(signed, append(c.appendText(nil), '\n')) {
			t.Errorf("%q opens as %+v by %q", signed, c, signers)
		}
		n, err := note.Open(signed, note.VerifierList(keys...))
		if err != nil || len(n.Sigs) != len(signers) {
			t.Errorf("x/mod: %v", err)
		}
		if forked, err := Equivocates(signed, signed, keys...); forked || err != nil {
			t.Errorf("%q contradicts itself: %v", signed, err)
		}
	})
}

func FuzzOrigin(f *testing.F) {
	f.Add(grain)
	f.Add("localhost:8080/currencies/e2/e3")
	f.Fuzz(func(t *testing.T, line string) {
		if o, err := ParseOrigin(line); err != nil {
			want(t, "ParseOrigin", err, ErrMalformed)
		} else if o.String() != line {
			t.Errorf("%q is written %q", line, o)
		}
	})
}

func FuzzVkey(f *testing.F) {
	f.Add(newLedger(f, grain).signer.Vkey())
	f.Add("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
	f.Fuzz(func(t *testing.T, vkey string) {
		v, err := NewVerifier(vkey)
		if err != nil {
			want(t, "NewVerifier", err, ErrMalformed)
			return
		}
		v.Verify([]byte("text\n"), make([]byte, 64))
	})
}

func FuzzReceipt(f *testing.F) {
	l := newLedger(f, grain).pay(20)
	truth := map[uint64]Verified{}
	for _, c := range [][2]int64{{0, 1}, {6, 20}, {19, 20}, {16, 17}} {
		file := l.file(c[0], c[1])
		v, err := Verify(file, l.key)
		if err != nil {
			f.Fatal(err)
		}
		truth[v.Leaf.Seq] = v
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := ParseReceipt(file)
		v, verr := Verify(file, l.key)
		if err != nil {
			if verr == nil {
				t.Errorf("verified, and not read: %v", err)
			}
			return
		}
		if again := marshal(t, r); !bytes.Equal(again, file) {
			t.Errorf("%q is written %q", file, again)
		}
		var p theirs.TLogProof
		if err := p.Unmarshal(file); err == nil && (p.Index != uint64(r.Index) || len(p.Hashes) != len(r.Path)) {
			t.Errorf("formats reads %+v, want %+v", p, r)
		}
		// Nobody here has the key: what holds says what was logged.
		if verr == nil {
			was, ok := truth[v.Leaf.Seq]
			if !ok || !reflect.DeepEqual(v.Leaf, was.Leaf) || !bytes.Equal(v.Opening, was.Opening) {
				t.Errorf("%q was never logged", file)
			}
		}
	})
}

func FuzzFrontier(f *testing.F) {
	for _, n := range []int{0, 1, 7, 300} {
		f.Add(newLedger(f, grain).pay(n).frontier.Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frontier, err := ParseFrontier(b)
		if err != nil {
			want(t, "ParseFrontier", err, ErrMalformed)
			return
		}
		if again := frontier.Marshal(); !bytes.Equal(again, b) {
			t.Errorf("%x is written %x", b, again)
		}
		before, size := frontier.Root(), frontier.Size()
		levels, err := frontier.Append(Hash{1})
		if size == MaxSize && err == nil || size < MaxSize && (err != nil || frontier.Root() == before || frontier.Size() != size+1 || levels > 7) {
			t.Errorf("size %d: %d levels, %v", size, levels, err)
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add([]byte("\x00\x01a\x00\x00\x00\x02bc"), 3)
	f.Fuzz(func(t *testing.T, bundle []byte, width int) {
		entries, err := ParseBundle(bundle, width)
		if err != nil {
			want(t, "ParseBundle", err, ErrMalformed)
			return
		}
		var again []byte
		for _, entry := range entries {
			if again, err = AppendEntry(again, entry); err != nil {
				t.Fatal(err)
			}
		}
		if len(entries) != width || !bytes.Equal(again, bundle) {
			t.Errorf("%x is written %x", bundle, again)
		}
	})
}

// FuzzProof: no size, index, path or root, however large, makes a check hang, panic or succeed by chance.
func FuzzProof(f *testing.F) {
	f.Add(int64(3), int64(7), []byte("path"))
	f.Add(MaxSize-1, MaxSize, make([]byte, 60*32))
	f.Add(int64(-1), int64(1)<<62+1, []byte{})
	f.Fuzz(func(t *testing.T, a, b int64, path []byte) {
		var p tlog.TreeProof
		for ; len(path) >= 32 && len(p) < 100; path = path[32:] {
			p = append(p, Hash(path))
		}
		if err := CheckConsistent(Checkpoint{grain, a, Hash{1}}, Checkpoint{grain, b, Hash{2}}, p); err == nil {
			t.Errorf("from %d to %d: two invented roots were found consistent", a, b)
		}
		tree := Tree{b, func(_ int, _ int64, width int) ([]byte, error) { return make([]byte, 32*width), nil }}
		if _, err := tree.Prove(a); err == nil && (a < 0 || a >= b) {
			t.Errorf("leaf %d of %d was proved", a, b)
		}
		if _, err := tree.ProveOlder(a); err == nil && (a < 0 || a > b) {
			t.Errorf("size %d of %d was proved", a, b)
		}
		for range Filled(a, b) {
			break
		}
		Partial(a)
	})
}

// FuzzExtra: of all that extra could hold, beside a true path and checkpoint, the entry that was logged alone is taken.
func FuzzExtra(f *testing.F) {
	l := newLedger(f, grain).pay(20)
	file := l.file(6, 20)
	head, rest, _ := bytes.Cut(file, []byte("extra "))
	encoded, rest, _ := bytes.Cut(rest, []byte("\n"))
	truth, err := base64.StdEncoding.DecodeString(string(encoded))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(truth)
	f.Add([]byte("planet.ledger/v1\nsalt \n\n"))
	f.Fuzz(func(t *testing.T, extra []byte) {
		file := slices.Concat(head, []byte("extra "+base64Of(extra)+"\n"), rest)
		if _, err := Verify(file, l.key); (err == nil) != bytes.Equal(extra, truth) {
			t.Errorf("%q: %v", extra, err)
		}
		if r, err := ParseReceipt(file); err == nil && !bytes.Equal(marshal(t, r), file) {
			t.Errorf("%q is written %q", file, marshal(t, r))
		}
	})
}
