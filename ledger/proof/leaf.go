package proof

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// MaxLeaf is the largest leaf in bytes, so that an entry bundle can hold it (C2SP tlog-tiles, log entries).
const MaxLeaf = 1<<16 - 1

// leafHeader is the first line of a leaf, its version.
const leafHeader = "planet.ledger/v1"

// maxIRI bounds the currency line.
const maxIRI = 2048

// kinds are what an entry can be.
var kinds = []string{"pay", "post", "void", "expire", "refund", "open", "limits", "flags", "rebind", "abort", "note", "rules", "currency", "epoch"}

// Leaf is what everybody may read of an entry whose currency is of privacy `members`:
//
//	planet.ledger/v1
//	currency https://coop.example/currencies/grn
//	seq 41
//	at 1795000000000000000
//	kind pay
//	id 00112233445566778899aabbccddeeff
//	body 0011…eeff
//
// A public currency would have the lines of the opening in the place of body. There is none yet, and its leaf is refused.
type Leaf struct {
	Currency string   // the currency's IRI, visible ASCII
	Seq      uint64   // place in the log, from 0
	At       int64    // nanoseconds since 1970, never negative
	Kind     string   // pay, post, void, …
	ID       [16]byte // of the command that caused the entry
	Body     [32]byte // commitment to salt and opening
}

// Commitment is what a leaf says of an opening: SHA-256(salt || opening). The salt is 32 random bytes, used once, so that nobody can
// find the opening by trying likely ones.
func Commitment(salt [32]byte, opening []byte) [32]byte {
	var room [1024]byte // an opening of the usual size stays on the stack
	return sha256.Sum256(append(append(room[:0], salt[:]...), opening...))
}

// Append writes the canonical text of the leaf after b. It fails with ErrMalformed where ParseLeaf would refuse the text.
func (l Leaf) Append(b []byte) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	b = append(b, leafHeader+"\ncurrency "...)
	b = append(b, l.Currency...)
	b = append(b, "\nseq "...)
	b = strconv.AppendUint(b, l.Seq, 10)
	b = append(b, "\nat "...)
	b = strconv.AppendInt(b, l.At, 10)
	b = append(b, "\nkind "...)
	b = append(b, l.Kind...)
	b = append(b, "\nid "...)
	b = hex.AppendEncode(b, l.ID[:])
	return AppendBody(append(b, '\n'), l.Body), nil
}

// AppendBody makes a leaf of the six lines that ledger.AppendHead writes: it adds the line of the commitment. It is for the hot path
// and looks at nothing; ParseLeaf tells whether the whole is a leaf.
func AppendBody(head []byte, commitment [32]byte) []byte {
	head = append(head, "body "...)
	head = hex.AppendEncode(head, commitment[:])
	return append(head, '\n')
}

func (l Leaf) check() error {
	switch {
	case !graphic(l.Currency, maxIRI):
		return fmt.Errorf("leaf: %w: the currency is no IRI of 1 to %d visible ASCII characters", ErrMalformed, maxIRI)
	case l.Seq >= uint64(MaxSize):
		return fmt.Errorf("leaf: %w: seq %d is beyond the largest log", ErrMalformed, l.Seq)
	case l.At < 0:
		return fmt.Errorf("leaf: %w: at %d is negative", ErrMalformed, l.At)
	case !slices.Contains(kinds, l.Kind):
		return fmt.Errorf("leaf: %w: unknown kind %.16q", ErrMalformed, l.Kind)
	}
	return nil
}

// ParseLeaf reads the canonical text of a leaf and nothing else: fields in their order, one space, no leading zeroes, lower case hex,
// a newline after each line. It is the exact inverse of Append. The error is ErrMalformed.
func ParseLeaf(text []byte) (Leaf, error) {
	if len(text) > MaxLeaf {
		return Leaf{}, fmt.Errorf("leaf: %w: %d bytes, at most %d", ErrMalformed, len(text), MaxLeaf)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 8 || lines[7] != "" {
		return Leaf{}, fmt.Errorf("leaf: %w: want seven lines that end in a newline", ErrMalformed)
	}
	if lines[0] != leafHeader {
		return Leaf{}, fmt.Errorf("leaf: %w: the first line is not %s", ErrMalformed, leafHeader)
	}
	var values [6]string
	for i, name := range [6]string{"currency", "seq", "at", "kind", "id", "body"} {
		value, ok := strings.CutPrefix(lines[i+1], name+" ")
		if !ok {
			return Leaf{}, fmt.Errorf("leaf: %w: line %d is not %q", ErrMalformed, i+2, name)
		}
		values[i] = value
	}
	l := Leaf{Currency: values[0], Kind: values[3]}
	seq, ok := parseDecimal(values[1], math.MaxUint64)
	if !ok {
		return Leaf{}, fmt.Errorf("leaf: %w: seq is no decimal number", ErrMalformed)
	}
	at, ok := parseDecimal(values[2], math.MaxInt64)
	if !ok {
		return Leaf{}, fmt.Errorf("leaf: %w: at is no decimal number of nanoseconds", ErrMalformed)
	}
	if !parseHex(l.ID[:], values[4]) {
		return Leaf{}, fmt.Errorf("leaf: %w: id is not 32 digits of lower case hex", ErrMalformed)
	}
	if !parseHex(l.Body[:], values[5]) {
		return Leaf{}, fmt.Errorf("leaf: %w: body is not 64 digits of lower case hex", ErrMalformed)
	}
	l.Seq, l.At = seq, int64(at)
	if err := l.check(); err != nil {
		return Leaf{}, err
	}
	return l, nil
}

// CheckOpening returns ErrOpening unless salt and opening are what the leaf commits to.
func (l Leaf) CheckOpening(salt [32]byte, opening []byte) error {
	sum := Commitment(salt, opening)
	if subtle.ConstantTimeCompare(sum[:], l.Body[:]) != 1 {
		return fmt.Errorf("%w: the commitment of salt and opening is %x, the leaf has %x", ErrOpening, sum, l.Body)
	}
	return nil
}
