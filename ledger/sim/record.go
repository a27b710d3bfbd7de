package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"planet/ledger"
	"planet/ledger/proof"
)

// The log is records one after another, one for each commit:
//
//	"PLR1", bytes of the body, numbers of entries, failures and heads, CRC-32 of these
//	each entry:   bytes, bytes of the leaf, leaf, salt, opening; CRC-32 of these
//	each failure: id, digest, code
//	each head:    bytes, the signed checkpoint of a currency that the record changed
//	the first 8 bytes of SHA-256 of all of it
//
// Each entry has a sum of its own, so that damage is named by its entry. Numbers are big-endian.
const (
	recordMagic  = "PLR1"
	headMagic    = "PLH1"
	headerSize   = 4 + 4 + 2 + 2 + 2 + 4
	failureSize  = 16 + 32 + 1
	checksumSize = 8
)

// record is one commit.
type record struct {
	entries  []stored
	failures []ledger.Outcome
	heads    [][]byte
	size     int
}

// stored is an entry as it lies in the log.
type stored struct {
	leaf    []byte
	salt    [32]byte
	opening []byte
}

func (r *record) marshal() []byte {
	body := make([]byte, 0, 1024*len(r.entries)+256*len(r.heads)+failureSize*len(r.failures))
	for _, e := range r.entries {
		from := len(body)
		body = binary.BigEndian.AppendUint32(body, uint32(2+len(e.leaf)+len(e.salt)+len(e.opening)))
		body = binary.BigEndian.AppendUint16(body, uint16(len(e.leaf)))
		body = append(append(append(body, e.leaf...), e.salt[:]...), e.opening...)
		body = binary.BigEndian.AppendUint32(body, crc32.ChecksumIEEE(body[from:]))
	}
	for _, o := range r.failures {
		body = append(append(append(body, o.ID[:]...), o.Digest[:]...), byte(o.Code))
	}
	for _, h := range r.heads {
		body = append(binary.BigEndian.AppendUint16(body, uint16(len(h))), h...)
	}
	b := make([]byte, 0, headerSize+len(body)+checksumSize)
	b = append(b, recordMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	for _, n := range [...]int{len(r.entries), len(r.failures), len(r.heads)} {
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(b, body...)
	sum := sha256.Sum256(b)
	return append(b, sum[:checksumSize]...)
}

var errTorn = errors.New("it is torn")

// parseRecord reads the record at the beginning of b. Where it is not whole, good is how many of its entries are, one after another.
func parseRecord(b []byte) (r record, good int, err error) {
	if len(b) < headerSize || string(b[:4]) != recordMagic ||
		crc32.ChecksumIEEE(b[:headerSize-4]) != binary.BigEndian.Uint32(b[headerSize-4:]) {
		return r, 0, errTorn
	}
	n := headerSize + int(binary.BigEndian.Uint32(b[4:])) + checksumSize
	whole := len(b) >= n
	r.size = n
	b = b[:min(n, len(b))]
	rest := b[headerSize:]
	for range binary.BigEndian.Uint16(b[8:]) {
		if len(rest) < 8 {
			return r, good, errTorn
		}
		size := int(binary.BigEndian.Uint32(rest))
		if size < 2+32 || len(rest) < 8+size || crc32.ChecksumIEEE(rest[:4+size]) != binary.BigEndian.Uint32(rest[4+size:]) {
			return r, good, errTorn
		}
		body := rest[4 : 4+size]
		leaf := int(binary.BigEndian.Uint16(body))
		if size < 2+leaf+32 {
			return r, good, errTorn
		}
		r.entries = append(r.entries, stored{body[2 : 2+leaf], [32]byte(body[2+leaf:]), body[2+leaf+32:]})
		good++
		rest = rest[8+size:]
	}
	if sum := sha256.Sum256(b[:max(len(b)-checksumSize, 0)]); !whole || !bytes.Equal(sum[:checksumSize], b[len(b)-checksumSize:]) {
		return r, good, errTorn
	}
	for range binary.BigEndian.Uint16(b[10:]) { // whole from here on
		r.failures = append(r.failures, ledger.Outcome{ID: ledger.ID(rest[:16]), Digest: ledger.Digest(rest[16:48]), Code: ledger.ResultCode(rest[48])})
		rest = rest[failureSize:]
	}
	for range binary.BigEndian.Uint16(b[12:]) {
		size := int(binary.BigEndian.Uint16(rest))
		r.heads = append(r.heads, rest[2:2+size])
		rest = rest[2+size:]
	}
	return r, good, nil
}

// head is the second file: how much of the log is certain, and the books' heads.
type head struct {
	bytes, records, entries uint64
	restored                bool // put back from a backup: nothing may be written before a new epoch
	books                   []bookHead
}

type bookHead struct {
	id         ledger.ID
	frontier   []byte
	checkpoint []byte
}

func (h *head) marshal() []byte {
	b := append(make([]byte, 0, 1024), headMagic...)
	for _, n := range [...]uint64{h.bytes, h.records, h.entries} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	flag := byte(0)
	if h.restored {
		flag = 1
	}
	b = append(b, flag, byte(len(h.books)))
	for _, k := range h.books {
		b = append(b, k.id[:]...)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(k.frontier))), k.frontier...)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(k.checkpoint))), k.checkpoint...)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:checksumSize]...)
}

func parseHead(b []byte) (h head, err error) {
	const fixed = 4 + 3*8 + 2
	if len(b) < fixed+checksumSize {
		return h, fmt.Errorf("the head has %d bytes", len(b))
	}
	body := b[:len(b)-checksumSize]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:checksumSize], b[len(body):]) {
		return h, errors.New("the head's sum is wrong")
	}
	h.bytes, h.records, h.entries = binary.BigEndian.Uint64(b[4:]), binary.BigEndian.Uint64(b[12:]), binary.BigEndian.Uint64(b[20:])
	h.restored = b[28] == 1
	rest := body[fixed:]
	for range b[29] {
		k := bookHead{id: ledger.ID(rest[:16])}
		n := int(binary.BigEndian.Uint16(rest[16:]))
		k.frontier, rest = rest[18:18+n], rest[18+n:]
		n = int(binary.BigEndian.Uint16(rest))
		k.checkpoint, rest = rest[2:2+n], rest[2+n:]
		h.books = append(h.books, k)
	}
	return h, nil
}

// entryOf reads an entry with its opening, and checks that they belong together.
func (e stored) entry() (ledger.Entry, proof.Leaf, error) {
	leaf, err := proof.ParseLeaf(e.leaf)
	if err != nil {
		return ledger.Entry{}, leaf, err
	}
	if err := leaf.CheckOpening(e.salt, e.opening); err != nil {
		return ledger.Entry{}, leaf, err
	}
	i := bytes.LastIndex(e.leaf, []byte("\nbody "))
	text := append(make([]byte, 0, 1024), e.leaf[:i+1]...)
	entry, err := ledger.ParseEntry(append(text, e.opening...))
	return entry, leaf, err
}
