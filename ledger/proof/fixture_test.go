package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var update = flag.Bool("update", false, "write the golden files anew")

const grain = "coop.example/currencies/grn"

// ledger is a log as a store would keep it: bundles and tiles grow at their end, the frontier says what goes into the upper ones.
type ledger struct {
	t        testing.TB
	signer   *Signer
	key      note.Verifier
	frontier Frontier
	leaves   [][]byte
	salts    [][32]byte
	openings [][]byte
	levels   [tileLevels][]byte
}

func newLedger(t testing.TB, origin string) *ledger {
	t.Helper()
	seed := sha256.Sum256([]byte("ledger key of " + origin))
	signer, err := NewSigner(origin, ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return &ledger{t: t, signer: signer, key: verifier(t, signer.Vkey())}
}

func verifier(t testing.TB, vkey string) note.Verifier {
	t.Helper()
	v, err := NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// pay logs n payments.
func (l *ledger) pay(n int) *ledger {
	l.t.Helper()
	for range n {
		i := len(l.leaves)
		salt := sha256.Sum256(fmt.Appendf(nil, "salt %d", i))
		id, debit, credit := sha256.Sum256(fmt.Appendf(nil, "payment %d", i)), sha256.Sum256([]byte("ana")), sha256.Sum256([]byte("bo"))
		opening := fmt.Appendf(nil, "debit %x\ncredit %x\namount %d\ncode payment\nstate posted\n", debit[:16], credit[:16], 900+i)
		o, err := ParseOrigin(l.signer.Origin())
		if err != nil {
			l.t.Fatal(err)
		}
		o.Epoch = 1
		leaf, err := Leaf{"https://" + o.String(), uint64(i), 1795000000000000000 + int64(i), "pay", [16]byte(id[:16]), Commitment(salt, opening)}.Append(nil)
		if err != nil {
			l.t.Fatal(err)
		}
		l.log(leaf)
		l.salts, l.openings = append(l.salts, salt), append(l.openings, opening)
	}
	return l
}

func (l *ledger) log(leaf []byte) {
	l.t.Helper()
	h := LeafHash(leaf)
	levels, err := l.frontier.Append(h)
	if err != nil {
		l.t.Fatal(err)
	}
	l.leaves = append(l.leaves, leaf)
	l.levels[0] = append(l.levels[0], h[:]...)
	for level := 1; level <= levels; level++ {
		h, ok := l.frontier.TileHash(level)
		if !ok {
			l.t.Fatalf("size %d: no tile hash at level %d of %d", l.frontier.Size(), level, levels)
		}
		l.levels[level] = append(l.levels[level], h[:]...)
	}
}

// tree is the log when it had size leaves.
func (l *ledger) tree(size int64) Tree {
	return Tree{size, func(level int, index int64, width int) ([]byte, error) {
		if !(Tile{level, index, width}).In(size) || width < TileWidth && (Tile{level, index, width + 1}).In(size) {
			return nil, fmt.Errorf("a log of %d leaves has no such tile", size)
		}
		return l.levels[level][index*TileWidth*32:][:width*32], nil
	}}
}

func (l *ledger) checkpoint(size int64) []byte {
	l.t.Helper()
	root, err := l.tree(size).Root()
	if err != nil {
		l.t.Fatal(err)
	}
	signed, err := l.signer.Sign(size, root)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

func (l *ledger) receipt(index, size int64) Receipt {
	l.t.Helper()
	path, err := l.tree(size).Prove(index)
	if err != nil {
		l.t.Fatal(err)
	}
	return Receipt{l.leaves[index], l.salts[index], l.openings[index], index, path, l.checkpoint(size)}
}

func (l *ledger) file(index, size int64) []byte {
	l.t.Helper()
	return marshal(l.t, l.receipt(index, size))
}

func marshal(t testing.TB, r Receipt) []byte {
	t.Helper()
	file, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// want fails the test unless err is target.
func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got %v, want %v", what, err, target)
	}
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, file); !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stored is a tree in the order of x/mod, the reference.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, i := range indexes {
		hashes = append(hashes, s[i])
	}
	return hashes, nil
}

func (s *stored) add(t testing.TB, n int64, leaf []byte) {
	t.Helper()
	hashes, err := tlog.StoredHashes(n, leaf, *s)
	if err != nil {
		t.Fatal(err)
	}
	*s = append(*s, hashes...)
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 6962)) }
