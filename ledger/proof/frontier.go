package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Frontier is the right edge of a Merkle tree: what appending a leaf and computing the root need, at most 60 hashes whatever the
// size. The zero value is the empty tree. A copy is independent: a store appends to a copy, and keeps it when its transaction is
// durable.
//
// A tree of n leaves is a row of perfect subtrees, one for each bit that is set in n, the largest at the left (RFC 6962, section 2.1).
type Frontier struct {
	size   int64
	raised int // tile levels above 0 that got a hash by the last Append

	// newest[l] is the root of the last perfect subtree of 2^l leaves that was completed. Where bit l of size is set, that subtree is
	// part of the row above; elsewhere it lies within a larger one and is only remembered for TileHash.
	newest [60 + 1]Hash
}

// Size is the number of leaves.
func (f *Frontier) Size() int64 { return f.size }

// Append adds the hash of a leaf. It returns how many tile levels above 0 got one new hash by it: 0 mostly, 1 where the leaf
// completes a tile of 256 leaves, 2 where it completes one of 65536, and so on. TileHash has these hashes. It fails only on a tree of
// MaxSize leaves.
func (f *Frontier) Append(leaf Hash) (levels int, err error) {
	if f.size >= MaxSize {
		return 0, fmt.Errorf("append to a log of %d leaves: it is full", f.size)
	}
	h := leaf
	l := 0
	for ; f.size>>l&1 == 1; l++ {
		left := f.newest[l]
		f.newest[l] = h
		h = tlog.NodeHash(left, h)
	}
	f.newest[l] = h
	f.size++
	f.raised = l / TileHeight
	return f.raised, nil
}

// TileHash is the hash that the last Append added at the end of the tiles of a level: the root of the tile below that it completed.
// It is known for the levels 1 to the number that Append returned; elsewhere ok is false.
func (f *Frontier) TileHash(level int) (h Hash, ok bool) {
	if level < 1 || level > f.raised {
		return Hash{}, false
	}
	return f.newest[level*TileHeight], true
}

// Root is the Merkle tree hash of all leaves; SHA-256 of nothing for the empty tree (RFC 6962, section 2.1).
func (f *Frontier) Root() Hash {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	l := bits.TrailingZeros64(uint64(f.size))
	root := f.newest[l]
	for l++; f.size>>l > 0; l++ {
		if f.size>>l&1 == 1 {
			root = tlog.NodeHash(f.newest[l], root)
		}
	}
	return root
}

// Marshal gives the bytes that ParseFrontier reads: the size in 8 bytes, big-endian, then the 32 bytes of each subtree's root, left
// to right.
func (f *Frontier) Marshal() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(Hash{})*bits.OnesCount64(uint64(f.size))), uint64(f.size))
	for l := bits.Len64(uint64(f.size)) - 1; l >= 0; l-- {
		if f.size>>l&1 == 1 {
			b = append(b, f.newest[l][:]...)
		}
	}
	return b
}

// ParseFrontier is the inverse of Marshal. It fails with ErrMalformed unless b has exactly the length that its size asks for. It
// cannot know whether the hashes are true: compare Root with a signed checkpoint.
func ParseFrontier(b []byte) (*Frontier, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("frontier: %w: %d bytes are no size", ErrMalformed, len(b))
	}
	size := binary.BigEndian.Uint64(b)
	if size > uint64(MaxSize) {
		return nil, fmt.Errorf("frontier: %w: size %d is beyond the largest log", ErrMalformed, size)
	}
	b = b[8:]
	if want := bits.OnesCount64(size) * len(Hash{}); len(b) != want {
		return nil, fmt.Errorf("frontier: %w: size %d has %d bytes of hashes, want %d", ErrMalformed, size, len(b), want)
	}
	f := &Frontier{size: int64(size)}
	for l := bits.Len64(size) - 1; l >= 0; l-- {
		if size>>l&1 == 1 {
			b = b[copy(f.newest[l][:], b):]
		}
	}
	return f, nil
}
