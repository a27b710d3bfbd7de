package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Verifier is a public key that checks signatures of notes.
type Verifier = note.Verifier

// maxNote bounds a signed checkpoint: 16 signatures of the largest kind in sight (ML-DSA, 5 kB) fit twice.
const maxNote = 256 << 10

// maxName bounds an origin and so the name of a key.
const maxName = 255

// ed25519Type is the signature type Ed25519 of C2SP signed-note.
const ed25519Type = 0x01

// Origin names the log of a currency: <host>/currencies/<code>, and from the second epoch on /e<n> after it. It is the first line of
// its checkpoints and the name of its key. An epoch begins anew where a log was lost (docs/receipts.md).
type Origin struct {
	Host  string // as in an address, a port included
	Code  string // in lower case
	Epoch uint32 // from 1
}

// String is the origin's line.
func (o Origin) String() string {
	s := o.Host + "/currencies/" + o.Code
	if o.Epoch >= 2 {
		s += "/e" + strconv.FormatUint(uint64(o.Epoch), 10)
	}
	return s
}

// ParseOrigin is the inverse of String. The error is ErrMalformed.
func ParseOrigin(line string) (Origin, error) {
	o := Origin{Epoch: 1}
	host, rest, ok := strings.Cut(line, "/currencies/")
	code, epoch, later := strings.Cut(rest, "/")
	if later {
		digits, isEpoch := strings.CutPrefix(epoch, "e")
		n, isNumber := parseDecimal(digits, math.MaxUint32)
		ok = ok && isEpoch && isNumber && n >= 2
		o.Epoch = uint32(n)
	}
	if !ok || host == "" || strings.Contains(host, "/") || code == "" || strings.ToLower(line) != line || !validName(line) {
		return Origin{}, fmt.Errorf("origin %.80q: %w: want <host>/currencies/<code>, in lower case, with /e<n> from epoch 2 on", line, ErrMalformed)
	}
	o.Host, o.Code = host, code
	return o, nil
}

// validName reports whether a string may be an origin and a key's name: visible ASCII without +.
func validName(s string) bool { return graphic(s, maxName) && !strings.Contains(s, "+") }

// Checkpoint says how large a log was and what it held (C2SP tlog-checkpoint). Two of one origin and size have one root, or the log
// lies.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   Hash
}

// appendText writes the three lines that are signed.
func (c Checkpoint) appendText(b []byte) []byte {
	b = append(b, c.Origin...)
	b = append(b, '\n')
	b = strconv.AppendInt(b, c.Size, 10)
	b = append(b, '\n')
	b = base64.StdEncoding.AppendEncode(b, c.Root[:])
	return append(b, '\n')
}

// parseCheckpoint reads the text of a checkpoint. Extension lines, which C2SP allows and does not recommend, are refused: nothing that
// is signed may escape those who compare checkpoints.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: want three lines, origin, size and root", ErrMalformed)
	}
	if !validName(lines[0]) {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: the origin is not of 1 to %d visible ASCII characters without +", ErrMalformed, maxName)
	}
	size, ok := parseDecimal(lines[1], uint64(MaxSize))
	if !ok {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: the size is no decimal number up to %d", ErrMalformed, MaxSize)
	}
	root, ok := parseHash(lines[2])
	if !ok {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: the root is no hash in base64", ErrMalformed)
	}
	return Checkpoint{lines[0], int64(size), root}, nil
}

// keyID is the number of an Ed25519 key (C2SP signed-note, signatures).
func keyID(name string, public ed25519.PublicKey) [4]byte {
	sum := sha256.Sum256(slices.Concat([]byte(name), []byte{'\n', ed25519Type}, public))
	return [4]byte(sum[:4])
}

// Signer signs the checkpoints of one log. It may be used by several goroutines at once.
type Signer struct {
	origin string
	id     [4]byte
	key    ed25519.PrivateKey
}

// NewSigner makes the signer of the log named origin; the key signs that log and nothing else. It fails with ErrMalformed if origin is
// not one that ParseOrigin reads, or key is not of 64 bytes.
func NewSigner(origin string, key ed25519.PrivateKey) (*Signer, error) {
	if _, err := ParseOrigin(origin); err != nil {
		return nil, err
	}
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("key of %s: %w: %d bytes, want %d", origin, ErrMalformed, len(key), ed25519.PrivateKeySize)
	}
	key = slices.Clone(key)
	return &Signer{origin, keyID(origin, ed25519.PublicKey(key[ed25519.SeedSize:])), key}, nil
}

// Origin is the log that is signed for.
func (s *Signer) Origin() string { return s.origin }

// Vkey is the public key as text: <origin>+<id in hex>+<base64> (C2SP signed-note, verifier keys).
func (s *Signer) Vkey() string {
	public := append([]byte{ed25519Type}, s.key[ed25519.SeedSize:]...)
	return s.origin + "+" + hex.EncodeToString(s.id[:]) + "+" + base64.StdEncoding.EncodeToString(public)
}

// Sign gives the signed checkpoint of a tree of size leaves.
//
// A log must never publish two checkpoints of one size and different roots: that is proof of fraud, whatever the reason. So a caller
// signs within the transaction that stores the leaves, and lets nobody see the checkpoint before that transaction is durable.
func (s *Signer) Sign(size int64, root Hash) ([]byte, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("sign checkpoint of %s: %w: size %d", s.origin, ErrMalformed, size)
	}
	b := make([]byte, 0, 2*len(s.origin)+192)
	b = Checkpoint{s.origin, size, root}.appendText(b)
	signature := ed25519.Sign(s.key, b)
	var raw [4 + ed25519.SignatureSize]byte
	copy(raw[copy(raw[:], s.id[:]):], signature)
	b = append(b, "\n— "...)
	b = append(b, s.origin...)
	b = append(b, ' ')
	b = base64.StdEncoding.AppendEncode(b, raw[:])
	return append(b, '\n'), nil
}

// NewVerifier reads a public key as Vkey writes it. Ed25519 (0x01) is the one type of key that signs a ledger. The error is
// ErrMalformed.
func NewVerifier(vkey string) (Verifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	key, ok := parseBase64(encoded)
	switch {
	case !validName(name) || !ok || len(key) == 0:
		return nil, fmt.Errorf("vkey %.80q: %w: want <name>+<id>+<base64>", vkey, ErrMalformed)
	case key[0] != ed25519Type || len(key) != 1+ed25519.PublicKeySize:
		return nil, fmt.Errorf("vkey %.80q: %w: the key is not an Ed25519 key of type 0x01", vkey, ErrMalformed)
	}
	if want := keyID(name, key[1:]); id != hex.EncodeToString(want[:]) {
		return nil, fmt.Errorf("vkey %.80q: %w: the id is not that of name and key, %x", vkey, ErrMalformed, want)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("vkey %.80q: %w: %v", vkey, ErrMalformed, err)
	}
	return v, nil
}

// Open reads a signed checkpoint and checks its signatures with the keys that the caller trusts. At least one key of the log itself,
// one whose name is the origin, must have signed. A signature by a given key must be true, of whatever log or witness that key is;
// signatures by other keys are ignored. Up to 100 signatures are read. It returns the names of the given keys that signed, in the
// order of their lines.
//
// The errors are ErrMalformed, ErrUnsigned and ErrSignature.
func Open(signed []byte, keys ...Verifier) (Checkpoint, []string, error) {
	if len(signed) > maxNote {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint: %w: %d bytes, at most %d", ErrMalformed, len(signed), maxNote)
	}
	n, err := note.Open(signed, note.VerifierList(keys...))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		n = unverified.Note
	case errors.As(err, &invalid):
		return Checkpoint{}, nil, fmt.Errorf("checkpoint: %w by %s+%08x", ErrSignature, invalid.Name, invalid.Hash)
	case err != nil:
		return Checkpoint{}, nil, fmt.Errorf("checkpoint: %w: %v", ErrMalformed, err)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if err := checkSignatures(signed, n); err != nil {
		return Checkpoint{}, nil, err
	}
	var signers []string
	for _, s := range n.Sigs {
		signers = append(signers, s.Name)
	}
	if !slices.Contains(signers, c.Origin) {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint of %s: %w", c.Origin, ErrUnsigned)
	}
	return c, signers, nil
}

// checkSignatures refuses what note.Open lets pass: base64 that another text decodes to as well, and a second signature by a known
// key, which note.Open skips unverified.
func checkSignatures(signed []byte, n *note.Note) error {
	lines := bytes.Split(signed[len(n.Text)+1:], []byte("\n"))
	for _, line := range lines[:len(lines)-1] {
		name, encoded, _ := strings.Cut(strings.TrimPrefix(string(line), "— "), " ")
		raw, ok := parseBase64(encoded)
		if !ok {
			return fmt.Errorf("checkpoint: %w: the signature by %.80q is not in canonical base64", ErrMalformed, name)
		}
		for _, s := range n.Sigs {
			known := s.Name == name && len(raw) > 4 && s.Hash == uint32(raw[0])<<24|uint32(raw[1])<<16|uint32(raw[2])<<8|uint32(raw[3])
			if known && s.Base64 != encoded {
				return fmt.Errorf("checkpoint: %w: two different signatures by %s+%08x", ErrSignature, name, s.Hash)
			}
		}
	}
	return nil
}

// CheckConsistent checks that the newer log begins with all of the older, with the proof that Tree.ProveOlder gives. The checkpoints
// must have come out of Open.
//
// The errors are ErrForeign for two origins, ErrFork for one size and two roots, ErrInconsistent for everything else that is not
// shown. Only ErrFork is proof against the log; ErrInconsistent may be the fault of whoever made the proof.
func CheckConsistent(older, newer Checkpoint, p tlog.TreeProof) error {
	empty := (&Frontier{}).Root()
	switch {
	case older.Origin != newer.Origin:
		return fmt.Errorf("checkpoints of %s and %s: %w", older.Origin, newer.Origin, ErrForeign)
	case older.Size < 0 || older.Size > newer.Size || newer.Size > MaxSize:
		return fmt.Errorf("%s: %w: sizes %d and %d", older.Origin, ErrInconsistent, older.Size, newer.Size)
	case older.Size == newer.Size && older.Root != newer.Root:
		return fmt.Errorf("%s: %w: at size %d the roots %s and %s", older.Origin, ErrFork, older.Size, older.Root, newer.Root)
	case older.Size == 0 && older.Root != empty:
		return fmt.Errorf("%s: %w: the root of size 0 is %s, want %s", older.Origin, ErrInconsistent, older.Root, empty)
	case (older.Size == 0 || older.Size == newer.Size) && len(p) > 0:
		return fmt.Errorf("%s: %w: from size %d to %d the proof is empty, got %d hashes", older.Origin, ErrInconsistent, older.Size, newer.Size, len(p))
	case older.Size == 0 || older.Size == newer.Size:
		return nil
	}
	if err := tlog.CheckTree(p, newer.Size, newer.Root, older.Size, older.Root); err != nil {
		return fmt.Errorf("%s: %w: the proof does not lead from size %d to %d", older.Origin, ErrInconsistent, older.Size, newer.Size)
	}
	return nil
}

// Equivocates reports whether two signed checkpoints together prove that a log told two histories: both valid, of one origin and
// size, with different roots. Whoever has that log's public key can check the pair for ever, so it is worth keeping and publishing
// as it is. Checkpoints of different sizes prove nothing by themselves: ask for a consistency proof.
//
// The error is that of Open, or ErrForeign for two origins; then the two cannot be compared.
func Equivocates(a, b []byte, keys ...Verifier) (bool, error) {
	one, _, err := Open(a, keys...)
	if err != nil {
		return false, fmt.Errorf("first: %w", err)
	}
	two, _, err := Open(b, keys...)
	if err != nil {
		return false, fmt.Errorf("second: %w", err)
	}
	if one.Origin != two.Origin {
		return false, fmt.Errorf("checkpoints of %s and %s: %w", one.Origin, two.Origin, ErrForeign)
	}
	return one.Size == two.Size && one.Root != two.Root, nil
}
