package proof

import (
	"strings"
	"testing"
)

const goodLeaf = `planet.ledger/v1
currency https://coop.example/currencies/grn
seq 41
at 1795000000000000000
kind pay
id 00112233445566778899aabbccddeeff
body 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
`

func TestALeafIsReadAndWrittenAlike(t *testing.T) {
	l, err := ParseLeaf([]byte(goodLeaf))
	if err != nil {
		t.Fatal(err)
	}
	if l.Currency != "https://coop.example/currencies/grn" || l.Seq != 41 || l.At != 1795000000000000000 || l.Kind != "pay" || l.ID[1] != 0x11 || l.Body[31] != 0x1f {
		t.Errorf("got %+v", l)
	}
	for _, kind := range kinds {
		text := strings.Replace(goodLeaf, "kind pay", "kind "+kind, 1)
		l, err := ParseLeaf([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.Append([]byte("before")); err != nil || string(got) != "before"+text {
			t.Errorf("got %q, %v, want %q", got, err, "before"+text)
		}
	}
}

func TestALeafHasOneForm(t *testing.T) {
	for _, c := range []struct{ name, old, new string }{
		{"another version", "v1", "v2"},
		{"CRLF", "\n", "\r\n"},
		{"no newline at the end", "1e1f\n", "1e1f"},
		{"a line more", "1e1f\n", "1e1f\n\n"},
		{"text after the last newline", "1e1f\n", "1e1f\nmemo hello"},
		{"a field more", "1e1f\n", "1e1f\nmemo hello\n"},
		{"a field less", "kind pay\n", ""},
		{"two fields exchanged", "seq 41\nat 1795000000000000000", "at 1795000000000000000\nseq 41"},
		{"two spaces", "seq 41", "seq  41"},
		{"a space at the end", "seq 41", "seq 41 "},
		{"a leading zero", "seq 41", "seq 041"},
		{"a sign", "seq 41", "seq +41"},
		{"a negative time", "at 1", "at -1"},
		{"a number that wraps round", "seq 41", "seq 18446744073709551657"},
		{"a time that wraps round", "at 1795000000000000000", "at 9223372036854775808"},
		{"a place beyond the largest log", "seq 41", "seq 1152921504606846976"},
		{"no number", "seq 41", "seq "},
		{"an unknown kind", "kind pay", "kind paid"},
		{"upper case hex", "aabb", "AABB"},
		{"a short id", "id 00", "id "},
		{"no hex", "body 00", "body 0g"},
		{"an empty currency", "https://coop.example/currencies/grn", ""},
		{"a space in the currency", "coop.", "coop "},
		{"a control character", "coop.", "coop\x7f"},
		{"no ASCII", "coop.", "coöp."},
		{"a long currency", "grn", strings.Repeat("g", maxIRI)},
		{"a leaf too long", "grn", strings.Repeat("g", MaxLeaf)},
	} {
		text := strings.Replace(goodLeaf, c.old, c.new, 1)
		if text == goodLeaf {
			t.Fatalf("%s: nothing changed", c.name)
		}
		_, err := ParseLeaf([]byte(text))
		want(t, c.name, err, ErrMalformed)
	}
	for name, l := range map[string]Leaf{
		"no kind":           {Currency: "https://coop.example/currencies/grn"},
		"no currency":       {Kind: "pay"},
		"a negative time":   {Currency: "x:y", Kind: "pay", At: -1},
		"a newline":         {Currency: "x:y\nseq 1", Kind: "pay"},
		"a place too large": {Currency: "x:y", Kind: "pay", Seq: uint64(MaxSize)},
	} {
		_, err := l.Append(nil)
		want(t, name, err, ErrMalformed)
	}
}

func TestACommitmentOpensInOneWay(t *testing.T) {
	salt, opening := [32]byte{1}, []byte("debit 1\ncredit 2\namount 900\n")
	l := Leaf{Body: Commitment(salt, opening)}
	if err := l.CheckOpening(salt, opening); err != nil {
		t.Error(err)
	}
	other := salt
	other[31] ^= 1
	want(t, "another salt", l.CheckOpening(other, opening), ErrOpening)
	want(t, "another amount", l.CheckOpening(salt, []byte("debit 1\ncredit 2\namount 901\n")), ErrOpening)
	want(t, "a byte less", l.CheckOpening(salt, opening[1:]), ErrOpening)
	want(t, "nothing", l.CheckOpening([32]byte{}, nil), ErrOpening)
}
