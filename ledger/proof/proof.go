// Package proof makes a currency's history checkable by people who do not trust the node that keeps it.
//
// Every accepted entry is a leaf of a Merkle tree (RFC 6962 with SHA-256). The issuer signs the tree's size and root, its
// checkpoint, and hands out receipts: an entry, the path from its leaf to the root, and the checkpoint. Whoever has a receipt and the
// issuer's public key can tell, without a network and for ever, that the entry stands in that history; whoever has two checkpoints
// can tell whether one history continues the other.
//
// The package reads no clock, no disk, no network and no randomness. It keeps nothing between calls, starts no goroutine, and bytes
// of others end in an error, never in a panic. It judges form and arithmetic alone: whether a payment is allowed is the business of
// package ledger, and an opening is opaque here.
//
// Its words:
//
//   - leaf: the canonical text of an entry, in seven lines; who paid whom is blinded by a commitment.
//   - opening: the text that a commitment stands for. Deleting it with its salt erases the entry's people and breaks no proof.
//   - tile: 256 hashes side by side, how the tree is stored and served.
//   - frontier: the right edge of a tree, all that appending needs.
//   - checkpoint: size and root of a log, signed.
//   - receipt: leaf, opening, path and checkpoint in one file.
//
// The formats are those of C2SP: signed-note, tlog-checkpoint, tlog-tiles and tlog-proof, with the choices that docs/receipts.md lists.
package proof

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 hash: of a leaf, of a node, or a root.
type Hash = tlog.Hash

// MaxSize is the largest number of leaves that a log may have. Sizes beyond it are refused wherever they are read, since some loops
// of x/mod's tlog do not end for sizes above 2^62.
const MaxSize int64 = 1 << 60

// What can be wrong with a proof. Errors of this package wrap one of these and say what they saw.
var (
	// ErrMalformed: the bytes are not of the form. Nothing is known about what they claim.
	ErrMalformed = errors.New("malformed")
	// ErrOpening: salt and opening are not those that the leaf commits to.
	ErrOpening = errors.New("the opening does not belong to the leaf")
	// ErrForeign: what is shown together is not of one log.
	ErrForeign = errors.New("of another log")
	// ErrPlace: the leaf says another place in the log than the proof, or one that the log does not have yet.
	ErrPlace = errors.New("wrong place in the log")
	// ErrNotIncluded: the path does not lead from the leaf to the root.
	ErrNotIncluded = errors.New("the leaf is not in the log")
	// ErrUnsigned: none of the given keys of that log has signed.
	ErrUnsigned = errors.New("not signed by a known key of the log")
	// ErrSignature: a given key is named, and its signature is false.
	ErrSignature = errors.New("false signature")
	// ErrInconsistent: the newer tree is not shown to begin with the older one.
	ErrInconsistent = errors.New("the newer history does not continue the older one")
	// ErrFork: one log has two roots at one size. With both checkpoints signed this is proof of equivocation.
	ErrFork = errors.New("the log has two histories")
)

// LeafHash is the hash of a leaf's bytes in the tree (RFC 6962, section 2.1: SHA-256(0x00 || leaf)).
func LeafHash(leaf []byte) Hash {
	var room [512]byte // a leaf of the usual size stays on the stack
	return sha256.Sum256(append(room[:1], leaf...))
}

// parseDecimal reads an ASCII decimal without sign and leading zeroes, at most max.
func parseDecimal(s string, max uint64) (uint64, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		d := uint64(s[i]) - '0'
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = 10*n + d
	}
	return n, n <= max
}

// parseHex reads exactly len(dst) bytes in lower case hex.
func parseHex(dst []byte, s string) bool {
	if len(s) != hex.EncodedLen(len(dst)) || strings.ContainsAny(s, "ABCDEF") {
		return false
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

// parseBase64 reads standard base64 (RFC 4648, section 4) in the one form that its encoder gives.
func parseBase64(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") { // which the decoder skips
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil
}

// parseHash reads a hash in base64.
func parseHash(s string) (h Hash, ok bool) {
	b, ok := parseBase64(s)
	if !ok || len(b) != len(h) {
		return Hash{}, false
	}
	return Hash(b), true
}

// graphic reports whether s is of 1 to max bytes, all of them visible ASCII.
func graphic(s string, max int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= max
}
