package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	theirs "github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func TestAReceiptProvesItsEntry(t *testing.T) {
	l := newLedger(t, grain).pay(600)
	for _, c := range [][2]int64{{0, 1}, {0, 2}, {1, 2}, {40, 41}, {41, 600}, {255, 256}, {256, 600}, {599, 600}} {
		index, size := c[0], c[1]
		file := l.file(index, size)
		v, err := Verify(file, l.key)
		if err != nil {
			t.Fatalf("leaf %d of %d: %v", index, size, err)
		}
		if !bytes.Equal(v.Text, l.leaves[index]) || !bytes.Equal(v.Opening, l.openings[index]) || v.Leaf.Seq != uint64(index) || v.Leaf.Kind != "pay" ||
			v.Checkpoint.Size != size || v.Checkpoint.Origin != grain || !slices.Equal(v.Signers, []string{grain}) {
			t.Errorf("leaf %d of %d: got %+v", index, size, v)
		}
		r, err := ParseReceipt(file)
		if err != nil || !bytes.Equal(marshal(t, r), file) || !reflect.DeepEqual(r.Path, l.receipt(index, size).Path) && len(r.Path) > 0 {
			t.Errorf("leaf %d of %d is not written as it was read: %v", index, size, err)
		}
		// Another implementation reads the same and writes the same.
		var p theirs.TLogProof
		if err := p.Unmarshal(file); err != nil || p.Index != uint64(index) || len(p.Hashes) != len(r.Path) || !bytes.Equal(p.Checkpoint, r.Checkpoint) || !bytes.Equal(p.Marshal(), file) {
			t.Errorf("leaf %d of %d: formats reads %+v, %v", index, size, p, err)
		}
		if extra := fmt.Sprintf("%ssalt %x\n\n%s", r.Leaf, r.Salt, r.Opening); string(p.ExtraData) != extra {
			t.Errorf("leaf %d of %d: formats reads extra %q", index, size, p.ExtraData)
		}
	}
}

func TestAReceiptOfALaterEpoch(t *testing.T) {
	l := newLedger(t, grain+"/e2").pay(3)
	if v, err := Verify(l.file(1, 3), l.key); err != nil || v.Checkpoint.Origin != grain+"/e2" {
		t.Errorf("got %+v, %v", v.Checkpoint, err)
	}
}

func TestTheLargestReceipt(t *testing.T) {
	l := newLedger(t, grain).pay(1)
	r := l.receipt(0, 1)
	r.Opening = bytes.Repeat([]byte("memo\n"), MaxOpening/5+1)[:MaxOpening]
	leaf, err := ParseLeaf(r.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	leaf.Body = Commitment(r.Salt, r.Opening)
	if r.Leaf, err = leaf.Append(nil); err != nil {
		t.Fatal(err)
	}
	l = newLedger(t, grain)
	l.log(r.Leaf)
	r.Checkpoint = l.checkpoint(1)
	file := marshal(t, r)
	if _, err := Verify(file, l.key); err != nil {
		t.Error(err)
	}
	if err := new(theirs.TLogProof).Unmarshal(file); err != nil {
		t.Errorf("formats: %v", err)
	}
	r.Opening = append(r.Opening, '\n')
	_, err = r.Marshal()
	want(t, "a byte more", err, ErrMalformed)
}

// The proof stays small: G6 of the ledger's goals, 1.5 KB for the path, here for a log of 2^40 leaves.
func TestAPathIsSmall(t *testing.T) {
	const size = 1<<40 - 1
	path, err := Tree{size, func(_ int, _ int64, width int) ([]byte, error) { return make([]byte, 32*width), nil }}.Prove(size / 3)
	if err != nil || len(path)*32 > 1500 {
		t.Errorf("got %d bytes, %v", len(path)*32, err)
	}
}

// vectors are receipts that every verifier must judge alike. Their names start with good_ or fail_.
func vectors(t testing.TB) (files map[string][]byte, fails map[string]error, vkey string) {
	l := newLedger(t, grain).pay(300)
	oak := newLedger(t, "oak.example/currencies/hour").pay(300)
	text := string(l.file(41, 300))
	edit := func(old, new string) []byte {
		t.Helper()
		if strings.Count(text, old) < 1 {
			t.Fatalf("%q is not in the receipt", old)
		}
		return []byte(strings.Replace(text, old, new, 1))
	}
	change := func(f func(r *Receipt)) []byte {
		t.Helper()
		r := l.receipt(41, 300)
		f(&r)
		return marshal(t, r)
	}
	lines := strings.Split(text, "\n")
	extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		t.Fatal(err)
	}
	editExtra := func(old, new string) []byte {
		t.Helper()
		if !strings.Contains(string(extra), old) {
			t.Fatalf("%q is not in extra", old)
		}
		return edit(lines[1], "extra "+base64Of([]byte(strings.Replace(string(extra), old, new, 1))))
	}
	signature := lines[len(lines)-2]
	files, fails = map[string][]byte{}, map[string]error{}
	good := func(name string, file []byte) { files["good_"+name] = file }
	fail := func(name string, err error, file []byte) { files["fail_"+name], fails["fail_"+name] = file, err }

	good("payment", []byte(text))
	good("only_leaf", l.file(0, 1))
	good("last_leaf", l.file(299, 300))
	good("first_leaf", l.file(0, 300))
	good("right_edge", l.file(256, 257))
	good("empty_opening", func() []byte {
		leaf := Leaf{"https://" + grain, 0, 1, "note", [16]byte{}, Commitment([32]byte{7}, nil)}
		text, err := leaf.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		one := newLedger(t, grain)
		one.log(text)
		return marshal(t, Receipt{text, [32]byte{7}, nil, 0, nil, one.checkpoint(1)})
	}())
	seen, _ := witness(t, "oak.example/witness", 5, openNote(t, l.checkpoint(300), l.key))
	good("with_a_witness", change(func(r *Receipt) { r.Checkpoint = seen }))
	good("with_a_cosignature_of_another_kind", []byte(text+"— birch.example/witness "+base64Of(make([]byte, 4+2420))+"\n"))

	fail("empty", ErrMalformed, nil)
	fail("another_version", ErrMalformed, edit("@v1", "@v2"))
	fail("crlf", ErrMalformed, []byte(strings.ReplaceAll(text, "\n", "\r\n")))
	fail("no_extra", ErrMalformed, edit(lines[1]+"\n", ""))
	fail("no_index", ErrMalformed, edit("index 41\n", ""))
	fail("index_with_zero", ErrMalformed, edit("index 41", "index 041"))
	fail("index_negative", ErrMalformed, edit("index 41", "index -41"))
	fail("index_huge", ErrMalformed, edit("index 41", "index 9223372036854775807"))
	fail("index_moved", ErrPlace, edit("index 41", "index 40"))
	fail("extra_twice", ErrMalformed, edit("index 41", lines[1]+"\nindex 41"))
	fail("extra_not_base64", ErrMalformed, edit("extra ", "extra !"))
	fail("extra_unpadded", ErrMalformed, edit("=\nindex", "\nindex"))
	fail("no_salt", ErrMalformed, editExtra("salt ", "sold "))
	fail("salt_without_its_name", ErrMalformed, editExtra("salt ", ""))
	fail("salt_in_upper_case", ErrMalformed, editExtra(hex.EncodeToString(l.salts[41][:]), strings.ToUpper(hex.EncodeToString(l.salts[41][:]))))
	fail("no_empty_line_after_salt", ErrMalformed, editExtra("\n\n", "\n"))
	fail("another_salt", ErrOpening, change(func(r *Receipt) { r.Salt[0] ^= 1 }))
	fail("another_amount", ErrOpening, editExtra("amount 941", "amount 9941"))
	fail("opening_removed", ErrOpening, change(func(r *Receipt) { r.Opening = nil }))
	fail("leaf_malformed", ErrMalformed, editExtra("kind pay", "kind paid"))
	fail("leaf_version", ErrMalformed, editExtra("planet.ledger/v1", "planet.ledger/v2"))
	fail("another_time", ErrNotIncluded, editExtra("at 1795000000000000041", "at 1795000000000000042"))
	fail("another_kind", ErrNotIncluded, editExtra("kind pay", "kind void"))
	fail("another_currency", ErrForeign, editExtra("currencies/grn", "currencies/hour"))
	fail("another_host", ErrForeign, editExtra("coop.example", "oak.example"))
	fail("another_scheme", ErrForeign, editExtra("https://", "ftp://"))
	fail("hash_missing", ErrNotIncluded, edit(lines[5]+"\n", ""))
	fail("hash_twice", ErrNotIncluded, edit(lines[5], lines[5]+"\n"+lines[5]))
	fail("hashes_exchanged", ErrNotIncluded, edit(lines[5]+"\n"+lines[6], lines[6]+"\n"+lines[5]))
	fail("hash_too_long", ErrMalformed, edit(lines[5], base64Of(make([]byte, 33))))
	fail("hash_with_loose_bits", ErrMalformed, edit(lines[5], lines[5][:42]+string(rune(lines[5][42]+1))+"="))
	fail("61_hashes", ErrMalformed, edit(lines[3], strings.Repeat(lines[3]+"\n", 52)+lines[3]))
	fail("no_path", ErrNotIncluded, change(func(r *Receipt) { r.Path = nil }))
	fail("no_checkpoint", ErrMalformed, []byte(text[:strings.Index(text, "\n\n")+2]))
	fail("checkpoint_of_an_older_log", ErrPlace, change(func(r *Receipt) { r.Checkpoint = l.checkpoint(41) }))
	fail("checkpoint_of_a_later_log", ErrNotIncluded, change(func(r *Receipt) { r.Checkpoint = l.checkpoint(42) }))
	fail("checkpoint_of_another_log", ErrUnsigned, change(func(r *Receipt) { r.Checkpoint = oak.checkpoint(300) }))
	fail("size_raised", ErrSignature, edit("\n300\n", "\n301\n"))
	fail("size_huge", ErrMalformed, change(func(r *Receipt) { // and signed: on such a size some verifiers never come back
		text := Checkpoint{grain, 1<<63 - 1, l.frontier.Root()}.appendText(nil)
		signature := append(l.signer.id[:], ed25519.Sign(l.signer.key, text)...)
		r.Checkpoint = fmt.Appendf(nil, "%s\n— %s %s\n", text, grain, base64Of(signature))
	}))
	fail("extension_line", ErrMalformed, change(func(r *Receipt) {
		signed, _ := witness(t, "oak.example/witness", 1, &note.Note{Text: fmt.Sprintf("%s\n300\n%s\nand more\n", grain, l.frontier.Root())})
		r.Checkpoint = signed
	}))
	fail("not_signed", ErrMalformed, edit(signature+"\n", ""))
	fail("signed_by_another_key", ErrUnsigned, change(func(r *Receipt) {
		r.Checkpoint, _ = witness(t, grain, 2, &note.Note{Text: fmt.Sprintf("%s\n300\n%s\n", grain, l.frontier.Root())})
	}))
	fail("signed_by_a_witness_alone", ErrUnsigned, change(func(r *Receipt) {
		r.Checkpoint, _ = witness(t, "oak.example/witness", 2, &note.Note{Text: fmt.Sprintf("%s\n300\n%s\n", grain, l.frontier.Root())})
	}))
	fail("signature_false", ErrSignature, edit(signature, signature[:len(signature)-10]+"AAAAAAAA=="[:8]+"A="))
	fail("signature_false_after_a_true_one", ErrSignature, []byte(text+signature[:len(signature)-10]+"AAAAAAAAA=\n"))
	fail("signature_with_loose_bits", ErrMalformed, edit(signature, signature[:len(signature)-2]+string(rune(signature[len(signature)-2]+1))+"="))
	fail("no_newline_at_the_end", ErrMalformed, []byte(strings.TrimSuffix(text, "\n")))
	fail("text_at_the_end", ErrMalformed, []byte(text+"and more\n"))
	fail("too_large", ErrMalformed, []byte(text+strings.Repeat("— birch.example/witness "+base64Of(make([]byte, 6000))+"\n", 80)))
	return files, fails, l.signer.Vkey()
}

func TestVectors(t *testing.T) {
	files, fails, vkey := vectors(t)
	key := verifier(t, vkey)
	golden(t, "receipts/vkey.txt", []byte(vkey+"\n"))
	for name, file := range files {
		v, err := Verify(file, key)
		if fails[name] == nil {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else {
			want(t, name, err, fails[name])
			if !reflect.DeepEqual(v, Verified{}) {
				t.Errorf("%s was refused, and told all the same: %+v", name, v)
			}
		}
		if len(file) < 8<<10 { // the largest need not be kept
			golden(t, "receipts/"+name+".tlog-proof", file)
		}
	}
	kept, err := filepath.Glob("testdata/receipts/*.tlog-proof")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range kept {
		if name := strings.TrimSuffix(filepath.Base(file), ".tlog-proof"); files[name] == nil && name != "fail_empty" {
			t.Errorf("nothing makes %s any more", file)
		}
	}
}

// One byte that changes on the way makes a receipt worthless, or changes nothing of what it says.
func TestNoByteOfAReceiptIsLoose(t *testing.T) {
	l := newLedger(t, grain).pay(70)
	receipt := l.receipt(41, 70)
	receipt.Checkpoint, _ = witness(t, "oak.example/witness", 5, openNote(t, receipt.Checkpoint, l.key))
	file := marshal(t, receipt)
	truth, err := Verify(file, l.key)
	if err != nil {
		t.Fatal(err)
	}
	witnessed := bytes.Index(file, []byte("— oak.example"))
	survived := 0
	for i := range file {
		for _, with := range []byte{file[i] ^ 1, file[i] ^ 0x20, file[i] ^ 0x80, 0, '\n', ' ', 'A', '='} {
			if with == file[i] {
				continue
			}
			changed := slices.Clone(file)
			changed[i] = with
			v, err := Verify(changed, l.key)
			if err != nil {
				continue
			}
			survived++
			if !reflect.DeepEqual(v, truth) {
				t.Fatalf("byte %d, %q for %q: says something else", i, with, file[i])
			}
			if i < witnessed {
				t.Fatalf("byte %d, %q for %q: still holds, and no witness's signature begins before byte %d", i, with, file[i], witnessed)
			}
		}
		if v, err := Verify(slices.Delete(slices.Clone(file), i, i+1), l.key); err == nil && (i < witnessed || !reflect.DeepEqual(v, truth)) {
			t.Fatalf("without byte %d it still holds", i)
		}
	}
	if survived == 0 {
		t.Error("an unknown witness's signature should not matter")
	}
}

// Erasing an entry, salt and opening, takes nothing from the others: their receipts can still be made, and the log checked.
func TestErasureBreaksNoProof(t *testing.T) {
	const size = 40
	l := newLedger(t, grain).pay(size)
	before := l.checkpoint(size)
	erased := map[int64]bool{0: true, 7: true, 38: true, 39: true}
	for i := range erased {
		l.salts[i], l.openings[i] = [32]byte{}, nil
	}
	if !bytes.Equal(l.checkpoint(size), before) {
		t.Error("the checkpoint changed")
	}
	for i := range int64(size) {
		_, err := Verify(l.file(i, size), l.key)
		if erased[i] {
			want(t, "an erased entry", err, ErrOpening)
			// That there was an entry of this kind at this time remains provable.
			if err := tlog.CheckRecord(l.receipt(i, size).Path, size, l.frontier.Root(), i, LeafHash(l.leaves[i])); err != nil {
				t.Errorf("leaf %d: %v", i, err)
			}
		} else if err != nil {
			t.Errorf("leaf %d: %v", i, err)
		}
	}
}

func TestAReceiptThatCannotBeReadIsNotWritten(t *testing.T) {
	good := newLedger(t, grain).pay(3).receipt(1, 3)
	for name, c := range map[string]struct {
		spoil func(r *Receipt)
		want  error
	}{
		"no leaf":              {func(r *Receipt) { r.Leaf = nil }, ErrMalformed},
		"another index":        {func(r *Receipt) { r.Index = 2 }, ErrPlace},
		"a negative index":     {func(r *Receipt) { r.Index = -1 }, ErrPlace},
		"a long path":          {func(r *Receipt) { r.Path = make(tlog.RecordProof, 61) }, ErrMalformed},
		"no checkpoint":        {func(r *Receipt) { r.Checkpoint = nil }, ErrMalformed},
		"a checkpoint too big": {func(r *Receipt) { r.Checkpoint = make([]byte, maxNote+1) }, ErrMalformed},
	} {
		r := good
		c.spoil(&r)
		_, err := r.Marshal()
		want(t, name, err, c.want)
	}
}

func TestThePageShowsTheVector(t *testing.T) {
	page := string(read(t, "../../docs/receipts.md"))
	for _, file := range []string{"receipts/good_payment.tlog-proof", "receipts/vkey.txt"} {
		text := strings.TrimSuffix(string(read(t, filepath.Join("testdata", file))), "\n")
		if !strings.Contains(strings.ReplaceAll(page, "\n    ", "\n"), "\n"+text+"\n") {
			t.Errorf("docs/receipts.md does not show testdata/%s as it is", file)
		}
	}
}
