package proof

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// needPython finds a Python that has the package cryptography. Without one the test skips; where nothing may skip, it fails.
func needPython(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if out, err := exec.Command(name, "-c", "import cryptography, sys; print(sys.executable)").Output(); err == nil {
			return strings.TrimSpace(string(out)) // what a wrapper runs, which may be slow
		}
	}
	say := t.Skip
	if os.Getenv("PLANET_TEST_ALL") != "" {
		say = t.Fatal
	}
	say("NO SECOND VERIFIER: no python3 with cryptography; install it by: apt-get install python3-cryptography")
	return ""
}

var script = filepath.Join("..", "..", "docs", "receipt.py")

// judge runs the functions of receipt.py over every file of a directory, in one process, and prints its verdicts.
const judge = `
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("receipt", sys.argv[1])
receipt = importlib.util.module_from_spec(spec)
spec.loader.exec_module(receipt)
for name in sorted(os.listdir(sys.argv[2])):
    with open(os.path.join(sys.argv[2], name), "rb") as file:
        try:
            leaf, opening, where = receipt.verify(file.read(), sys.argv[3])
            print(name, "good", (leaf + opening).hex())
        except (receipt.Refused, UnicodeError) as why:
            print(name, "refused", why)
`

// A verifier in another language, written from docs/receipts.md, judges every vector as we do, and a thousand receipts with one
// byte changed.
func TestTheVerifierInPythonAgrees(t *testing.T) {
	python := needPython(t)
	files, _, vkey := vectors(t)
	key := verifier(t, vkey)
	random, good := seeded(10), files["good_with_a_witness"]
	for i := range 1000 {
		file := slices.Clone(good)
		file[random.IntN(len(file))] ^= 1 << random.IntN(8)
		files[fmt.Sprintf("changed_%04d", i)] = file
	}
	dir := t.TempDir()
	for name, file := range files {
		if err := os.WriteFile(filepath.Join(dir, name), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(python, "-c", judge, script, dir, vkey).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		name, verdict, _ := strings.Cut(strings.TrimSpace(line), " ")
		file, ok := files[name]
		if !ok {
			t.Errorf("a line too many: %s", line)
		}
		delete(files, name)
		v, err := Verify(file, key)
		switch want := fmt.Sprintf("good %x%x", v.Text, v.Opening); {
		case err == nil && verdict != want:
			t.Errorf("%s: got %s, want %s", name, verdict, want)
		case err != nil && !strings.HasPrefix(verdict, "refused "):
			t.Errorf("%s: got %s, want a refusal: %v", name, verdict, err)
		}
	}
	for name := range files {
		t.Errorf("%s was not judged", name)
	}
}

func TestTheCommandInPython(t *testing.T) {
	python := needPython(t)
	if lines := strings.Count(string(read(t, script)), "\n"); lines > 150 {
		t.Errorf("receipt.py has %d lines; it should stay within 150", lines)
	}
	vkey := strings.TrimSpace(string(read(t, "testdata/receipts/vkey.txt")))
	run := func(args ...string) (string, int) {
		cmd := exec.Command(python, append([]string{script}, args...)...)
		out, err := cmd.CombinedOutput()
		if _, exited := err.(*exec.ExitError); err != nil && !exited {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	const dir = "testdata/receipts/"
	out, code := run(dir+"good_payment.tlog-proof", vkey)
	if code != 0 || !strings.Contains(out, "\nkind pay\n") || !strings.Contains(out, "\namount 941\n") || !strings.Contains(out, "of size 300, signed by "+grain) {
		t.Errorf("a good receipt: got %d and %q", code, out)
	}
	for _, args := range [][]string{
		{dir + "fail_another_amount.tlog-proof", vkey},
		{dir + "fail_empty.tlog-proof", vkey},
		{dir + "no such file", vkey},
		{dir + "good_payment.tlog-proof", ""},
		{dir + "good_payment.tlog-proof", vkey + "\n"},
		{dir + "good_payment.tlog-proof", newLedger(t, grain+"/e2").signer.Vkey()},
	} {
		if out, code := run(args...); code != 1 || !strings.HasPrefix(out, "refused: ") || strings.Count(out, "\n") != 1 {
			t.Errorf("%q: got %d and %q, want 1 and a refusal", args, code, out)
		}
	}
}
