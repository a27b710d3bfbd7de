package proof

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// The leaves and roots of Certificate Transparency's reference tests for RFC 6962, which every implementation is held to.
func TestRootsOfCertificateTransparency(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var f Frontier
	for n, want := range roots {
		if got := f.Root(); hex.EncodeToString(got[:]) != want {
			t.Errorf("size %d: got %x, want %s", n, got, want)
		}
		if n == len(leaves) {
			break
		}
		leaf, err := hex.DecodeString(leaves[n])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Append(LeafHash(leaf)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFrontierHasTheRootsOfAWholeTree(t *testing.T) {
	var reference stored
	var f Frontier
	for n := int64(0); n <= 600; n++ {
		root, err := tlog.TreeHash(n, reference)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Root(); got != root {
			t.Fatalf("size %d: got %s, want %s", n, got, root)
		}
		marshalled := f.Marshal()
		again, err := ParseFrontier(marshalled)
		if err != nil || again.Root() != root || again.Size() != n || !bytes.Equal(again.Marshal(), marshalled) {
			t.Fatalf("size %d does not survive storage: %v", n, err)
		}
		f = *again // and goes on from there
		leaf := binary.BigEndian.AppendUint64(nil, uint64(n))
		reference.add(t, n, leaf)
		if _, err := f.Append(LeafHash(leaf)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheUpperTilesAreThoseOfTheReference(t *testing.T) {
	var reference stored
	l := newLedger(t, grain)
	for n := range int64(70000) {
		leaf := binary.BigEndian.AppendUint64(nil, uint64(n))
		reference.add(t, n, leaf)
		l.log(leaf)
	}
	for level, wantHashes := range []int{70000, 273, 1, 0} {
		if got := len(l.levels[level]) / 32; got != wantHashes {
			t.Errorf("level %d has %d hashes, want %d", level, got, wantHashes)
		}
		for i := range int64(len(l.levels[level]) / 32) {
			if got, want := Hash(l.levels[level][32*i:][:32]), reference[tlog.StoredHashIndex(level*TileHeight, i)]; got != want {
				t.Fatalf("level %d, hash %d: got %s, want %s", level, i, got, want)
			}
		}
	}
	for _, level := range []int{-1, 0, 1, 2, 60, math.MaxInt} {
		if _, ok := l.frontier.TileHash(level); ok {
			t.Errorf("size 70000 completed no tile, and has one for level %d", level)
		}
	}
}

func TestTheLargestLogIsFull(t *testing.T) {
	f, err := ParseFrontier(append(binary.BigEndian.AppendUint64(nil, uint64(MaxSize-1)), make([]byte, 60*32)...))
	if err != nil {
		t.Fatal(err)
	}
	if levels, err := f.Append(Hash{}); err != nil || levels != 7 || f.Size() != MaxSize {
		t.Errorf("got %d levels, %v, size %d", levels, err, f.Size())
	}
	root := f.Root()
	if _, err := f.Append(Hash{}); err == nil || f.Root() != root {
		t.Error("a full log took one more")
	}
	if again, err := ParseFrontier(f.Marshal()); err != nil || again.Root() != root {
		t.Errorf("it does not survive storage: %v", err)
	}
}

func TestAFrontierHasOneForm(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":         {},
		"half a size":     {0, 0, 0, 1},
		"a hash too few":  append([]byte{0, 0, 0, 0, 0, 0, 0, 3}, make([]byte, 32)...),
		"a hash too many": append([]byte{0, 0, 0, 0, 0, 0, 0, 2}, make([]byte, 64)...),
		"a byte too many": append([]byte{0, 0, 0, 0, 0, 0, 0, 0}, 0),
		"a size too large": append(binary.BigEndian.AppendUint64(nil, uint64(MaxSize)+1),
			make([]byte, 64)...),
		"a negative size": append(bytes.Repeat([]byte{0xff}, 8), make([]byte, 64*32)...),
	} {
		_, err := ParseFrontier(b)
		want(t, name, err, ErrMalformed)
	}
}

func TestAppendingAllocatesNothing(t *testing.T) {
	var f Frontier
	leaf := []byte(goodLeaf)
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = f.Append(LeafHash(leaf))
		_ = f.Root()
	}); n != 0 {
		t.Errorf("got %v allocations a leaf, want 0", n)
	}
}
