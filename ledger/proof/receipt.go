package proof

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// MaxOpening is the largest opening in bytes. With it the longest line of a receipt stays below 64 KiB, where common readers of
	// lines give up.
	MaxOpening = 32 << 10
	// MaxReceipt is the largest receipt in bytes.
	MaxReceipt = 512 << 10

	receiptHeader = "c2sp.org/tlog-proof@v1\n"
)

// Receipt shows one entry to those whom it concerns and proves that it stands in the log. As a file, with the ending .tlog-proof, it is
//
//	c2sp.org/tlog-proof@v1
//	extra <base64 of: the leaf, a line `salt <64 hex>`, an empty line, the opening>
//	index <n>
//	<base64 of a hash of the path, the leaf's sibling first>
//	…
//	<empty line>
//	<the signed checkpoint>
//
// (C2SP tlog-proof). Like the opening, a receipt is for the parties and the auditors of an entry, not for the public.
type Receipt struct {
	Leaf       []byte // as in the log
	Salt       [32]byte
	Opening    []byte // what Leaf commits to together with Salt
	Index      int64  // place in the log, from 0
	Path       tlog.RecordProof
	Checkpoint []byte // signed, of any size above Index
}

// Marshal writes the file. It fails with ErrMalformed where ParseReceipt would refuse the file, and does not check whether the
// receipt is true; Verify does.
func (r Receipt) Marshal() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	extra := make([]byte, 0, len(r.Leaf)+len("salt \n\n")+2*len(r.Salt)+len(r.Opening))
	extra = append(extra, r.Leaf...)
	extra = append(extra, "salt "...)
	extra = hex.AppendEncode(extra, r.Salt[:])
	extra = append(extra, "\n\n"...)
	extra = append(extra, r.Opening...)

	b := make([]byte, 0, 128+base64.StdEncoding.EncodedLen(len(extra))+45*len(r.Path)+len(r.Checkpoint))
	b = append(b, receiptHeader+"extra "...)
	b = base64.StdEncoding.AppendEncode(b, extra)
	b = append(b, "\nindex "...)
	b = strconv.AppendInt(b, r.Index, 10)
	b = append(b, '\n')
	for _, h := range r.Path {
		b = base64.StdEncoding.AppendEncode(b, h[:])
		b = append(b, '\n')
	}
	b = append(b, '\n')
	return append(b, r.Checkpoint...), nil
}

func (r Receipt) check() error {
	leaf, err := ParseLeaf(r.Leaf)
	switch {
	case err != nil:
		return fmt.Errorf("receipt: %w", err)
	case leaf.Seq != uint64(r.Index):
		return fmt.Errorf("receipt: %w: the leaf says seq %d, the proof is for index %d", ErrPlace, leaf.Seq, r.Index)
	case len(r.Opening) > MaxOpening:
		return fmt.Errorf("receipt: %w: an opening of %d bytes, at most %d", ErrMalformed, len(r.Opening), MaxOpening)
	case len(r.Path) > 60:
		return fmt.Errorf("receipt: %w: a path of %d hashes, at most 60", ErrMalformed, len(r.Path))
	case len(r.Checkpoint) == 0 || len(r.Checkpoint) > maxNote:
		return fmt.Errorf("receipt: %w: a checkpoint of %d bytes, want 1 to %d", ErrMalformed, len(r.Checkpoint), maxNote)
	}
	return nil
}

// ParseReceipt reads a file that Marshal could have written, and nothing else. What it returns is a claim: Verify checks it. The
// errors are ErrMalformed, and ErrPlace where leaf and index contradict each other.
func ParseReceipt(file []byte) (Receipt, error) {
	bad := func(what string) (Receipt, error) {
		return Receipt{}, fmt.Errorf("receipt: %w: %s", ErrMalformed, what)
	}
	if len(file) > MaxReceipt {
		return bad(fmt.Sprintf("%d bytes, at most %d", len(file), MaxReceipt))
	}
	rest, ok := bytes.CutPrefix(file, []byte(receiptHeader))
	if !ok {
		return bad("the first line is not c2sp.org/tlog-proof@v1")
	}
	head, checkpoint, ok := bytes.Cut(rest, []byte("\n\n"))
	if !ok {
		return bad("no empty line before the checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	extra, ok := strings.CutPrefix(lines[0], "extra ")
	if !ok {
		return bad("the second line is not extra, which has the entry")
	}
	index, ok := "", len(lines) >= 2
	if ok {
		index, ok = strings.CutPrefix(lines[1], "index ")
	}
	if !ok {
		return bad("the third line is not index")
	}

	r := Receipt{Checkpoint: slices.Clone(checkpoint)}
	n, ok := parseDecimal(index, uint64(MaxSize)-1)
	if !ok {
		return bad("the index is no decimal number of a leaf")
	}
	r.Index = int64(n)
	for i, line := range lines[2:] {
		h, ok := parseHash(line)
		if !ok {
			return bad(fmt.Sprintf("line %d is no hash in base64", i+4))
		}
		r.Path = append(r.Path, h)
	}
	entry, ok := parseBase64(extra)
	if !ok {
		return bad("extra is not in canonical base64")
	}
	if err := r.parseExtra(entry); err != nil {
		return Receipt{}, err
	}
	if err := r.check(); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// parseExtra splits leaf, salt and opening.
func (r *Receipt) parseExtra(extra []byte) error {
	head, opening, ok := bytes.Cut(extra, []byte("\n\n"))
	at := bytes.LastIndexByte(head, '\n') + 1
	salt, isSalt := bytes.CutPrefix(head[at:], []byte("salt "))
	if !ok || !isSalt || !parseHex(r.Salt[:], string(salt)) {
		return fmt.Errorf("receipt: %w: extra has no line of salt with 64 digits of lower case hex, and an empty line, after the leaf", ErrMalformed)
	}
	r.Leaf, r.Opening = head[:at:at], opening
	return nil
}

// Verified is what a receipt has proved.
type Verified struct {
	Leaf       Leaf
	Text       []byte // of the leaf, as in the log
	Opening    []byte
	Checkpoint Checkpoint // Size says how long the log was; the leaf is number Leaf.Seq of it
	Signers    []string   // names of the given keys that signed the checkpoint
}

// Entry is the whole text of the entry, the leaf's lines but for body and then the opening: what ledger.ParseEntry reads.
func (v Verified) Entry() []byte {
	head, _, _ := bytes.Cut(v.Text, []byte("\nbody "))
	return slices.Concat(head, []byte("\n"), v.Opening)
}

// Verify checks a receipt offline: that the opening belongs to the leaf, the leaf to the log of its currency, and that one of the
// keys given, of that log, signed a checkpoint which contains the leaf. Keys come from NewVerifier; those of witnesses may be among
// them, and do not count yet.
//
// The error wraps one of ErrMalformed, ErrPlace, ErrOpening, ErrSignature, ErrUnsigned, ErrForeign and ErrNotIncluded. Nothing of a
// refused receipt is returned.
func Verify(file []byte, keys ...Verifier) (Verified, error) {
	r, err := ParseReceipt(file)
	if err != nil {
		return Verified{}, err
	}
	leaf, err := ParseLeaf(r.Leaf)
	if err != nil {
		return Verified{}, err
	}
	if err := leaf.CheckOpening(r.Salt, r.Opening); err != nil {
		return Verified{}, err
	}
	c, signers, err := Open(r.Checkpoint, keys...)
	if err != nil {
		return Verified{}, err
	}
	if err := leaf.checkOrigin(c.Origin); err != nil {
		return Verified{}, err
	}
	if r.Index >= c.Size {
		return Verified{}, fmt.Errorf("%w: index %d, the log of the checkpoint has %d leaves", ErrPlace, r.Index, c.Size)
	}
	if err := tlog.CheckRecord(r.Path, c.Size, c.Root, r.Index, LeafHash(r.Leaf)); err != nil {
		return Verified{}, fmt.Errorf("%w: the path does not lead from leaf %d to the root of size %d", ErrNotIncluded, r.Index, c.Size)
	}
	return Verified{leaf, r.Leaf, r.Opening, c, signers}, nil
}

// checkOrigin returns ErrForeign unless the log is that of the leaf's currency, in whatever epoch.
func (l Leaf) checkOrigin(line string) error {
	o, err := ParseOrigin(line)
	if err != nil {
		return err
	}
	o.Epoch = 1
	if scheme, ok := strings.CutSuffix(l.Currency, "://"+o.String()); !ok || scheme != "https" && scheme != "http" {
		return fmt.Errorf("a leaf of the currency %.200s: %w, %s", l.Currency, ErrForeign, line)
	}
	return nil
}
