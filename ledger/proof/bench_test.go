package proof

import (
	"encoding/binary"
	"testing"
)

func BenchmarkLeaf(b *testing.B) {
	l, err := ParseLeaf([]byte(goodLeaf))
	if err != nil {
		b.Fatal(err)
	}
	opening := newLedger(b, grain).pay(1).openings[0]
	room := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		l.Body = Commitment([32]byte{1}, opening)
		if room, err = l.Append(room[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeafHash(b *testing.B) {
	leaf := []byte(goodLeaf)
	b.ReportAllocs()
	for b.Loop() {
		LeafHash(leaf)
	}
}

func BenchmarkAppend(b *testing.B) {
	var f Frontier
	var h Hash
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		binary.BigEndian.PutUint64(h[:], i)
		if _, err := f.Append(h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendAndRoot(b *testing.B) {
	var f Frontier
	var h Hash
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		binary.BigEndian.PutUint64(h[:], i)
		if _, err := f.Append(h); err != nil {
			b.Fatal(err)
		}
		f.Root()
	}
}

func BenchmarkSignCheckpoint(b *testing.B) {
	l := newLedger(b, grain).pay(3)
	root := l.frontier.Root()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.signer.Sign(3, root); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenCheckpoint(b *testing.B) {
	l := newLedger(b, grain).pay(3)
	signed := l.checkpoint(3)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Open(signed, l.key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMakeReceipt is for an entry of a log of 70,000, its tiles in memory and its checkpoint at hand.
func BenchmarkMakeReceipt(b *testing.B) {
	l := newLedger(b, grain).pay(70000)
	r := l.receipt(33333, 70000)
	b.ReportAllocs()
	for b.Loop() {
		path, err := l.tree(70000).Prove(r.Index)
		if err != nil {
			b.Fatal(err)
		}
		r.Path = path
		if _, err := r.Marshal(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyReceipt(b *testing.B) {
	l := newLedger(b, grain).pay(70000)
	file := l.file(33333, 70000)
	b.ReportAllocs()
	b.ReportMetric(float64(len(file)), "bytes")
	for b.Loop() {
		if _, err := Verify(file, l.key); err != nil {
			b.Fatal(err)
		}
	}
}
