package proof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// witness signs a note as somebody else would, with x/mod.
func witness(t testing.TB, name string, seed byte, n *note.Note) (signed []byte, key note.Verifier) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(strings.NewReader(strings.Repeat(string(rune('a'+seed)), 64)), name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err = note.Sign(n, s)
	if err != nil {
		t.Fatal(err)
	}
	return signed, verifier(t, vkey)
}

// openNote opens a note with x/mod, so that more can sign it.
func openNote(t testing.TB, signed []byte, keys ...note.Verifier) *note.Note {
	t.Helper()
	n, err := note.Open(signed, note.VerifierList(keys...))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTheExamplesOfC2SP(t *testing.T) {
	v := verifier(t, strings.TrimSpace(string(read(t, "testdata/c2sp/signed-note.vkey"))))
	signed := read(t, "testdata/c2sp/signed-note.txt")
	if n, err := note.Open(signed, note.VerifierList(v)); err != nil || n.Text != "This is an example message.\n" {
		t.Errorf("signed-note: %v", err)
	}
	_, _, err := Open(signed, v)
	want(t, "a note that is no checkpoint", err, ErrMalformed)

	// The signature of tlog-checkpoint's example is by a key that the page does not give.
	signed = read(t, "testdata/c2sp/tlog-checkpoint.txt")
	_, _, err = Open(signed, v)
	want(t, "a checkpoint by nobody we know", err, ErrUnsigned)
	text, _, _ := strings.Cut(string(signed), "\n\n")
	c, err := parseCheckpoint(text + "\n")
	if err != nil || c.Origin != "example.com/behind-the-sofa" || c.Size != 20852163 || c.Root.String() != "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=" {
		t.Errorf("tlog-checkpoint: got %+v, %v", c, err)
	}

	// tlog-proof's example shows no whole base64 in extra, and no whole signatures.
	_, err = ParseReceipt(read(t, "testdata/c2sp/tlog-proof.txt"))
	want(t, "a proof of another application", err, ErrMalformed)
}

func TestACheckpointIsSignedAndOpened(t *testing.T) {
	l := newLedger(t, grain).pay(41)
	signed := l.checkpoint(41)
	golden(t, "checkpoint.txt", signed)
	c, signers, err := Open(signed, l.key)
	if err != nil || c != (Checkpoint{grain, 41, l.frontier.Root()}) || !slices.Equal(signers, []string{grain}) {
		t.Errorf("got %+v by %q, %v", c, signers, err)
	}
	// Another implementation reads the same.
	theirs, rest, n, err := log.ParseCheckpoint(signed, grain, l.key)
	if err != nil || theirs.Origin != grain || theirs.Size != 41 || Hash(theirs.Hash) != c.Root || len(rest) != 0 || len(n.Sigs) != 1 {
		t.Errorf("formats: got %+v, %q, %v", theirs, rest, err)
	}
	if text := string(theirs.Marshal()); !strings.HasPrefix(string(signed), text+"\n— ") {
		t.Errorf("formats writes %q", text)
	}
	// x/mod signs the same bytes with the same key.
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%x+%s", grain, l.signer.id, base64Of(append([]byte{1}, l.signer.key.Seed()...)))
	reference, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := note.Sign(&note.Note{Text: n.Text}, reference); err != nil || string(signed) != string(want) {
		t.Errorf("got\n%s\nx/mod signs\n%s%v", signed, want, err)
	}
	vkey, err := note.NewEd25519VerifierKey(grain, ed25519.PublicKey(l.signer.key[32:]))
	if err != nil || vkey != l.signer.Vkey() {
		t.Errorf("x/mod: vkey %q, %v, want %q", vkey, err, l.signer.Vkey())
	}
	if l.signer.Origin() != grain {
		t.Errorf("got the origin %q", l.signer.Origin())
	}
}

func TestOthersMaySignACheckpointToo(t *testing.T) {
	l := newLedger(t, grain).pay(3)
	signed := l.checkpoint(3)
	var keys []note.Verifier
	for i := range byte(15) {
		more, key := witness(t, fmt.Sprintf("oak.example/witness%d", i), i, openNote(t, signed, append(keys, l.key)...))
		signed, keys = more, append(keys, key)
	}
	if got := strings.Count(string(signed), "— "); got != 16 {
		t.Fatalf("got %d signatures, want 16", got)
	}
	if _, signers, err := Open(signed, l.key); err != nil || len(signers) != 1 {
		t.Errorf("of 16 signatures one is known: got %q, %v", signers, err)
	}
	if _, signers, err := Open(signed, append(keys, l.key)...); err != nil || len(signers) != 16 || signers[0] != grain {
		t.Errorf("all 16 are known: got %q, %v", signers, err)
	}
	_, _, err := Open(signed, keys...)
	want(t, "witnesses alone", err, ErrUnsigned)

	// What a witness signs does not matter to those who do not know it, and matters to those who do.
	at := strings.Index(string(signed), "witness7 ") + len("witness7 ") + 40
	false7 := slices.Clone(signed)
	false7[at] ^= 'A' ^ 'B'
	if _, _, err := Open(false7, l.key); err != nil {
		t.Errorf("an unknown key's false signature: %v", err)
	}
	_, _, err = Open(false7, l.key, keys[7])
	want(t, "a known witness's false signature", err, ErrSignature)
}

func TestACheckpointMustBeSignedByItsLog(t *testing.T) {
	l, other := newLedger(t, grain).pay(5), newLedger(t, "oak.example/currencies/hour")
	signed := l.checkpoint(5)
	_, _, err := Open(signed)
	want(t, "no key", err, ErrUnsigned)
	_, _, err = Open(signed, other.key)
	want(t, "the key of another log", err, ErrUnsigned)

	// Another log whose key we trust for its own history signs one of ours.
	foreign := append(Checkpoint{grain, 6, Hash{}}.appendText(nil), '\n')
	signature := ed25519.Sign(other.signer.key, foreign[:len(foreign)-1])
	foreign = append(foreign, "— "+other.signer.Origin()+" "+base64Of(append(other.signer.id[:], signature...))+"\n"...)
	_, _, err = Open(foreign, l.key, other.key)
	want(t, "a true signature by the key of another log", err, ErrUnsigned)

	// Same name, another key.
	forged, _ := witness(t, grain, 3, &note.Note{Text: fmt.Sprintf("%s\n5\n%s\n", grain, l.frontier.Root())})
	_, _, err = Open(forged, l.key)
	want(t, "another key of that name", err, ErrUnsigned)

	_, _, err = Open([]byte(strings.Replace(string(signed), "\n5\n", "\n6\n", 1)), l.key)
	want(t, "another size", err, ErrSignature)

	// x/mod looks at a key's first signature alone.
	line := string(signed[strings.Index(string(signed), "— "):])
	bad := strings.Replace(line, line[len(line)-20:len(line)-10], "AAAAAAAAAA", 1)
	_, _, err = Open([]byte(string(signed)+bad), l.key)
	want(t, "a true signature, then a false one of the same key", err, ErrSignature)
	_, _, err = Open([]byte(strings.Replace(string(signed), line, bad+line, 1)), l.key)
	want(t, "a false signature, then a true one of the same key", err, ErrSignature)
	if _, signers, err := Open([]byte(string(signed)+line), l.key); err != nil || len(signers) != 1 {
		t.Errorf("one signature twice: got %q, %v", signers, err)
	}
	if _, _, err := Open(signed, l.key, l.key); err == nil {
		t.Error("one key given twice should be refused, as ambiguous")
	}
}

func TestACheckpointHasOneForm(t *testing.T) {
	l := newLedger(t, grain)
	text := "coop.example/currencies/grn\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
	for name, bad := range map[string]string{
		"an extension line":    text + "hello\n",
		"an empty line":        text + "\n",
		"two lines":            "coop.example/currencies/grn\n0\n",
		"no origin":            strings.Replace(text, grain, "", 1),
		"a space":              strings.Replace(text, "coop.", "coop ", 1),
		"a plus":               strings.Replace(text, "coop.", "coop+", 1),
		"an origin too long":   strings.Replace(text, "coop.", strings.Repeat("c", 300), 1),
		"a leading zero":       strings.Replace(text, "\n0\n", "\n00\n", 1),
		"a negative size":      strings.Replace(text, "\n0\n", "\n-1\n", 1),
		"a size too large":     strings.Replace(text, "\n0\n", "\n1152921504606846977\n", 1),
		"a size without end":   strings.Replace(text, "\n0\n", "\n99999999999999999999999999\n", 1),
		"no size":              strings.Replace(text, "\n0\n", "\n\n", 1),
		"a short root":         strings.Replace(text, "47DE", "", 1),
		"loose bits":           strings.Replace(text, "SuFU=", "SuFV=", 1),
		"base64 without end":   strings.Replace(text, "SuFU=", "SuFU", 1),
		"base64 of addresses":  strings.Replace(text, "+/", "-_", 1),
		"a space after a size": strings.Replace(text, "\n0\n", "\n0 \n", 1),
	} {
		signed, _ := witness(t, "oak.example/witness", 1, &note.Note{Text: bad})
		_, _, err := Open(signed, l.key)
		want(t, name, err, ErrMalformed)
	}
	signed := string(l.checkpoint(0))
	for name, bad := range map[string]string{
		"nothing":                  "",
		"no signature":             text,
		"no line of signature":     text + "\n",
		"no newline":               strings.TrimSuffix(signed, "\n"),
		"a line more":              signed + "\n",
		"a tab":                    strings.Replace(signed, "\n0\n", "\n0\t\n", 1),
		"no UTF-8":                 strings.Replace(signed, "coop.", "coop\xff", 1),
		"a hyphen for a dash":      strings.Replace(signed, "— ", "- ", 1),
		"loose bits in one":        strings.Replace(signed, signed[len(signed)-4:], string(rune(signed[len(signed)-4]))+string(rune(signed[len(signed)-3]+1))+"=\n", 1),
		"101 signatures":           signed + strings.Repeat("— oak.example/witness AAAAAAAA\n", 100),
		"more than can be handled": signed + strings.Repeat("— oak.example/witness "+strings.Repeat("AAAA", 2000)+"\n", 50),
	} {
		_, _, err := Open([]byte(bad), l.key)
		want(t, name, err, ErrMalformed)
	}
	for _, size := range []int64{-1, MaxSize + 1, math.MaxInt64, math.MinInt64} {
		_, err := l.signer.Sign(size, Hash{})
		want(t, "signing a size that cannot be", err, ErrMalformed)
	}
}

func TestOrigins(t *testing.T) {
	for line, o := range map[string]Origin{
		grain:                                        {"coop.example", "grn", 1},
		"coop.example/currencies/grn/e2":             {"coop.example", "grn", 2},
		"coop.example/currencies/e2":                 {"coop.example", "e2", 1},
		"localhost:8080/currencies/hour/e4294":       {"localhost:8080", "hour", 4294},
		"":                                           {},
		"coop.example":                               {},
		"coop.example/currencies/":                   {},
		"/currencies/grn":                            {},
		"coop.example/x/currencies/grn":              {},
		"coop.example/currencies/grn/":               {},
		"coop.example/currencies/grn/e1":             {},
		"coop.example/currencies/grn/e0":             {},
		"coop.example/currencies/grn/e02":            {},
		"coop.example/currencies/grn/e":              {},
		"coop.example/currencies/grn/2":              {},
		"coop.example/currencies/grn/e2/e3":          {},
		"coop.example/currencies/grn/e4294967296":    {},
		"coop.example/currencies/GRN":                {},
		"coop.example/currencies/g+n":                {},
		"coop.example/currencies/g n":                {},
		"https://coop.example/currencies/grn":        {},
		strings.Repeat("c", 250) + "/currencies/grn": {},
	} {
		got, err := ParseOrigin(line)
		if o == (Origin{}) {
			want(t, line, err, ErrMalformed)
			_, err = NewSigner(line, make(ed25519.PrivateKey, 64))
			want(t, "a signer for "+line, err, ErrMalformed)
		} else if err != nil || got != o || o.String() != line {
			t.Errorf("%s: got %+v, %v", line, got, err)
		}
	}
	_, err := NewSigner(grain, make(ed25519.PrivateKey, 32))
	want(t, "half a key", err, ErrMalformed)
}

func TestVkeys(t *testing.T) {
	good := newLedger(t, grain).signer.Vkey()
	name, rest, _ := strings.Cut(good, "+")
	id, key, _ := strings.Cut(rest, "+")
	cosigner := make([]byte, 33)
	cosigner[0] = 4
	cosignerID := sha256.Sum256(append([]byte("oak.example/witness\n"), cosigner...))
	for what, bad := range map[string]string{
		"nothing":          "",
		"a name alone":     name,
		"no key":           name + "+" + id,
		"an empty key":     name + "+" + id + "+",
		"another id":       name + "+00000000+" + key,
		"another name":     "x" + good,
		"upper case":       name + "+" + strings.ToUpper(id) + "+" + key,
		"a space":          "coop example+" + id + "+" + key,
		"a type of ECDSA":  name + "+" + id + "+Ag" + key[2:],
		"a cosigner's key": fmt.Sprintf("oak.example/witness+%x+%s", cosignerID[:4], base64Of(cosigner)),
		"a byte more":      good + "AA==",
		"a newline":        good + "\n",
	} {
		_, err := NewVerifier(bad)
		want(t, what, err, ErrMalformed)
	}
	if !strings.ContainsAny(id, "abcdef") {
		t.Fatal("this key cannot show the case of upper case")
	}
}

func TestOneHistoryContinuesAnother(t *testing.T) {
	l := newLedger(t, grain).pay(300)
	at := func(size int64) Checkpoint {
		c, _, err := Open(l.checkpoint(size), l.key)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	prove := func(older, newer int64) tlog.TreeProof {
		p, err := l.tree(newer).ProveOlder(older)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range [][2]int64{{0, 0}, {0, 300}, {1, 300}, {255, 256}, {256, 300}, {299, 300}, {300, 300}} {
		if err := CheckConsistent(at(c[0]), at(c[1]), prove(c[0], c[1])); err != nil {
			t.Errorf("from %d to %d: %v", c[0], c[1], err)
		}
	}
	rewritten := newLedger(t, grain).pay(200)
	rewritten.log([]byte("something else"))
	rewritten.pay(99)
	fork := Checkpoint{grain, 300, rewritten.frontier.Root()}
	want(t, "another root at that size", CheckConsistent(at(300), fork, nil), ErrFork)
	want(t, "a later size, rewritten before", CheckConsistent(at(250), fork, prove(250, 300)), ErrInconsistent)
	want(t, "the wrong proof", CheckConsistent(at(250), at(300), prove(249, 300)), ErrInconsistent)
	want(t, "no proof", CheckConsistent(at(250), at(300), nil), ErrInconsistent)
	want(t, "a proof for nothing", CheckConsistent(at(300), at(300), prove(250, 300)), ErrInconsistent)
	want(t, "a proof from the empty log", CheckConsistent(at(0), at(300), prove(250, 300)), ErrInconsistent)
	want(t, "an empty log with a root", CheckConsistent(Checkpoint{grain, 0, Hash{1}}, at(300), nil), ErrInconsistent)
	want(t, "backwards", CheckConsistent(at(300), at(250), prove(250, 300)), ErrInconsistent)
	want(t, "another log", CheckConsistent(Checkpoint{"oak.example/currencies/grn", 0, at(0).Root}, at(300), nil), ErrForeign)
	want(t, "a size at which tlog would never come back", CheckConsistent(at(1), Checkpoint{grain, math.MaxInt64, Hash{}}, make(tlog.TreeProof, 62)), ErrInconsistent)
	want(t, "sizes that cannot be", CheckConsistent(Checkpoint{grain, math.MinInt64, Hash{}}, Checkpoint{grain, math.MaxInt64, Hash{}}, nil), ErrInconsistent)
}

// F49: a peer that signs two histories is shown to have done so, by anyone with its key, for ever.
// F50: an issuer that rewrites its history contradicts the receipts that its members hold.
func TestTwoHistoriesAreProof(t *testing.T) {
	l, other := newLedger(t, grain).pay(10), newLedger(t, "oak.example/currencies/hour").pay(10)
	rewritten := newLedger(t, grain).pay(4)
	rewritten.log([]byte("something else"))
	rewritten.pay(5)

	if forked, err := Equivocates(l.checkpoint(10), rewritten.checkpoint(10), l.key); err != nil || !forked {
		t.Errorf("two roots at size 10: got %v, %v", forked, err)
	}
	for _, size := range []int64{10, 9, 3} {
		if forked, err := Equivocates(l.checkpoint(10), l.checkpoint(size), l.key); err != nil || forked {
			t.Errorf("sizes 10 and %d of one history: got %v, %v", size, forked, err)
		}
	}
	if forked, err := Equivocates(l.checkpoint(10), rewritten.checkpoint(9), l.key); err != nil || forked {
		t.Errorf("different sizes prove nothing at sight: got %v, %v", forked, err)
	}
	_, err := Equivocates(l.checkpoint(10), other.checkpoint(10), l.key, other.key)
	want(t, "two logs", err, ErrForeign)
	_, err = Equivocates(l.checkpoint(10), rewritten.checkpoint(10), other.key)
	want(t, "without the key", err, ErrUnsigned)
	forged, _ := witness(t, grain, 3, &note.Note{Text: fmt.Sprintf("%s\n10\n%s\n", grain, Hash{})})
	_, err = Equivocates(l.checkpoint(10), forged, l.key)
	want(t, "a slander", err, ErrUnsigned)

	receipt, err := ParseReceipt(l.file(6, 10))
	if err != nil {
		t.Fatal(err)
	}
	if forked, err := Equivocates(receipt.Checkpoint, rewritten.checkpoint(10), l.key); err != nil || !forked {
		t.Errorf("a member's receipt against the new history: got %v, %v", forked, err)
	}
}

func TestErrorsSayWhatWasSeen(t *testing.T) {
	l := newLedger(t, grain).pay(2)
	_, _, err := Open([]byte(strings.Replace(string(l.checkpoint(2)), "\n2\n", "\n3\n", 1)), l.key)
	if got, want := fmt.Sprint(err), fmt.Sprintf("checkpoint: false signature by %s+%x", grain, l.signer.id); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, ErrSignature) || errors.Is(err, ErrMalformed) {
		t.Error("two kinds of error at once")
	}
}
