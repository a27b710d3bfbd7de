package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"planet/storage"
	"planet/storage/backup"
	"planet/storage/storagetest"
)

// A node of one actor with two pictures, the second of which has no file, and settings.
func node(t *testing.T) backup.Node {
	t.Helper()
	db := storagetest.New(t)
	n := backup.Node{DB: db, Data: t.TempDir(), Planet: "1.2.3"}
	must(t, db.SetSetting(t.Context(), "origin", "https://rye.example"))
	a := &storage.Actor{IRI: "https://rye.example/users/ana", Type: storage.Person, Username: "ana"}
	must(t, db.SaveActor(t.Context(), a))
	must(t, db.SaveKey(t.Context(), &storage.Key{IRI: a.IRI + "#main-key", ActorID: a.ID, Kind: storage.KeyRSA, Private: "secret"}))
	for _, name := range []string{loaf, gone} {
		must(t, db.CreateMedia(t.Context(), &storage.Media{ActorID: a.ID, Name: name, MediaType: "image/png"}))
	}
	must(t, os.MkdirAll(filepath.Join(n.Data, "media", loaf[:2]), 0o700))
	must(t, os.WriteFile(filepath.Join(n.Data, "media", loaf[:2], loaf), bytes.Repeat([]byte("crust "), 300), 0o600))
	must(t, os.WriteFile(filepath.Join(n.Data, "media", loaf[:2], nobodys), []byte("?"), 0o600))
	must(t, os.WriteFile(filepath.Join(n.Data, "planet.toml"), []byte("signup = \"closed\"\n"), 0o600))
	return n
}

var (
	loaf    = strings.Repeat("1a", 32) + ".png"
	gone    = strings.Repeat("2b", 32) + ".png"
	nobodys = strings.Repeat("3c", 32) + ".png"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T) (*backup.Manifest, string, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "monday.planet")
	m, err := backup.Create(t.Context(), node(t), path)
	must(t, err)
	raw, err := os.ReadFile(path)
	must(t, err)
	return m, path, raw
}

func restore(t *testing.T, raw []byte, data string) (*backup.Manifest, error) {
	t.Helper()
	return backup.Restore(t.Context(), bytes.NewReader(raw), data, filepath.Join(data, "planet.db"))
}

// files lists what is below a directory.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if want := fs.FileMode(0o600); err == nil {
			if d.IsDir() {
				want = 0o700
			} else {
				names = append(names, strings.TrimPrefix(path, dir+"/"))
			}
			if path != dir && st.Mode().Perm() != want {
				t.Errorf("%s has mode %o, want %o", path, st.Mode().Perm(), want)
			}
		}
		return err
	}))
	return names
}

func TestABackupComesBack(t *testing.T) {
	m, path, raw := create(t)
	if m.Origin != "https://rye.example" || m.Planet != "1.2.3" || m.Pictures() != 1 || len(m.Members) != 3 || fmt.Sprint(m.Missing) != "["+gone+"]" {
		t.Errorf("got %+v", m)
	}
	if got := fmt.Sprint(files(t, filepath.Dir(path))); got != "[monday.planet]" { // nothing is left beside it
		t.Errorf("got %s beside the backup", got)
	}
	if _, err := backup.Verify(t.Context(), bytes.NewReader(raw), t.TempDir()); err != nil {
		t.Error(err)
	}
	for _, made := range []bool{false, true} {
		data := filepath.Join(t.TempDir(), "new", "data")
		if made {
			must(t, os.MkdirAll(data, 0o755))
		}
		if _, err := restore(t, raw, data); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(files(t, data)), fmt.Sprint([]string{"media/1a/" + loaf, "planet.db", "planet.toml"}); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if st, err := os.Stat(data); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("got %v, %v; want a directory of mode 0700", st, err)
		}
		db, err := storage.Open(t.Context(), storage.Config{DSN: filepath.Join(data, "planet.db")})
		must(t, err)
		if k, err := db.KeyByIRI(t.Context(), "https://rye.example/users/ana#main-key"); err != nil || k.Private != "secret" {
			t.Errorf("got %v, %v; want the key", k, err)
		}
		if at, marked, err := db.Restored(t.Context()); !at.Equal(m.Time) || !marked || err != nil {
			t.Errorf("got %v, %v, %v; want the mark of %v", at, marked, err, m.Time)
		}
		must(t, db.Close())
		if _, err := restore(t, raw, data); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("got %v, want that nothing is restored over a node", err)
		}
	}
}

func TestNothingIsWrittenOver(t *testing.T) {
	_, path, raw := create(t)
	if _, err := backup.Create(t.Context(), node(t), path); err == nil || !strings.Contains(err.Error(), "not written over") {
		t.Errorf("got %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, raw) {
		t.Errorf("the backup changed: %v", err)
	}
	data := t.TempDir()
	must(t, os.WriteFile(filepath.Join(data, "letter"), []byte("dear"), 0o600))
	if _, err := restore(t, raw, data); err == nil || !strings.Contains(err.Error(), "is not empty (there is letter)") {
		t.Errorf("got %v", err)
	}
	if got := fmt.Sprint(files(t, data)); got != "[letter]" {
		t.Errorf("the directory holds %s", got)
	}
	if _, err := restore(t, raw, filepath.Join(data, "letter")); err == nil {
		t.Error("restored into a file")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := backup.Create(ended, node(t), filepath.Join(dir, "x")); !errors.Is(err, context.Canceled) && (err == nil || !strings.Contains(err.Error(), "interrupt")) {
		t.Errorf("got %v, want that it was given up", err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("a backup that was given up left %v", got)
	}
}

func TestWhatIsNoNodeIsNotBackedUp(t *testing.T) {
	n := backup.Node{DB: storagetest.New(t), Data: t.TempDir()}
	if _, err := backup.Create(t.Context(), n, filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "names no origin") {
		t.Errorf("got %v", err)
	}
}

func TestWhatKilledBackupsLeftIsRemovedAfterADay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd [name]*")
	for _, name := range []string{".planet-backup-old", ".planet-backup-new", "other"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
	}
	long := time.Now().Add(-25 * time.Hour)
	must(t, os.Chtimes(filepath.Join(dir, ".planet-backup-old"), long, long))
	if _, err := backup.Create(t.Context(), node(t), filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 3 || entries[0].Name() != ".planet-backup-new" {
		t.Errorf("got %v", entries)
	}
}

// member is one of a tar file, as a forger has it.
type member struct {
	tar.Header
	text []byte
}

func unpack(t *testing.T, raw []byte) (ms []member) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return ms
		}
		must(t, err)
		text, err := io.ReadAll(r)
		must(t, err)
		ms = append(ms, member{*h, text})
	}
}

func pack(t *testing.T, ms []member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range ms {
		m.Size = int64(len(m.text))
		must(t, w.WriteHeader(&m.Header))
		_, err := w.Write(m.text)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// forge changes members and makes a manifest that agrees, as somebody would who wants it to be restored.
func forge(t *testing.T, raw []byte, change func([]member, *backup.Manifest) []member) []byte {
	t.Helper()
	all := unpack(t, raw)
	ms, end := all[:len(all)-2:len(all)-2], all[len(all)-2:]
	var m backup.Manifest
	must(t, json.Unmarshal(end[0].text, &m))
	ms = change(ms, &m)
	m.Members = nil
	for _, f := range ms[1:] {
		h := sha256.Sum256(f.text)
		m.Members = append(m.Members, backup.Member{Name: f.Name, Size: int64(len(f.text)), SHA256: hex.EncodeToString(h[:])})
	}
	text, err := json.Marshal(m)
	must(t, err)
	h := sha256.Sum256(text)
	end[0].text, end[1].text = text, []byte(hex.EncodeToString(h[:])+"  manifest.json\n")
	return pack(t, append(ms, end...))
}

func plain(name, text string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600}, []byte(text)}
}

// database changes the database of a backup by statements.
func database(t *testing.T, raw []byte, statements ...string) []byte {
	return forge(t, raw, func(ms []member, _ *backup.Manifest) []member {
		path := filepath.Join(t.TempDir(), "planet.db")
		must(t, os.WriteFile(path, ms[1].text, 0o600))
		storagetest.ExecFile(t, path, statements...)
		text, err := os.ReadFile(path)
		must(t, err)
		ms[1].text = text
		return ms
	})
}

// Every kind of damage, and every member that a backup does not have, is named in one line, by Verify and by Restore, and Restore leaves nothing. Nothing in a backup is packed:
// what comes out is no more than what is in it.
func TestMED202REL321DamageIsNamed(t *testing.T) {
	_, _, raw := create(t)
	picture := "media/1a/" + loaf
	flip := func(name string, at int) []byte {
		b := bytes.Clone(raw)
		head := bytes.Index(b, append([]byte(name), 0))
		b[head+512+at] ^= 1
		return b
	}
	add := func(ms ...member) []byte {
		return forge(t, raw, func(old []member, _ *backup.Manifest) []member { return append(old, ms...) })
	}
	with := func(change func(*backup.Manifest)) []byte {
		return forge(t, raw, func(ms []member, m *backup.Manifest) []member { change(m); return ms })
	}
	link := plain("media/1a/"+nobodys, "")
	link.Typeflag, link.Linkname = tar.TypeSymlink, "/etc/passwd"
	dir := plain("media/", "")
	dir.Typeflag = tar.TypeDir
	pax := plain(picture, "x")
	pax.PAXRecords = map[string]string{"PLANET.x": "y"}
	hard, device := plain("media/1a/"+nobodys, ""), plain("media/1a/"+nobodys, "")
	hard.Typeflag, hard.Linkname = tar.TypeLink, "../../../etc/passwd"
	device.Typeflag = tar.TypeChar
	members := unpack(t, raw)
	var endless bytes.Buffer // its manifest says that it is larger than the memory
	w := tar.NewWriter(&endless)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "planet-backup", Size: int64(len(members[0].text)), Mode: 0o600}))
	_, err := w.Write(members[0].text)
	must(t, err)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Size: 1 << 30, Mode: 0o600}))
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"empty":                          {nil, "not a backup of a planet node, or only the first bytes"},
		"alien text":                     {bytes.Repeat([]byte("dear node, "), 1000), "not a backup of a planet node"},
		"alien tar":                      {pack(t, []member{plain("letter", "dear")}), "not a backup of a planet node"},
		"bare database":                  {members[1].text, "not a backup of a planet node"},
		"cut off at the beginning":       {raw[:100], "not a backup of a planet node, or only the first bytes"},
		"cut off within the database":    {raw[:20000], "cut off: it ends within planet.db"},
		"cut off within a header":        {raw[:bytes.Index(raw, []byte(picture))+10], "cut off: it ends after planet.toml"},
		"cut off within a picture":       {raw[:bytes.Index(raw, []byte(picture))+600], "cut off: it ends within " + picture},
		"cut off within the manifest":    {raw[:bytes.Index(raw, []byte("manifest.json\x00"))+600], "cut off: it ends within manifest.json"},
		"cut off before the last member": {raw[:bytes.Index(raw, []byte("manifest.sha256\x00"))], "cut off: it ends after manifest.json"},
		"cut off at its last byte":       {raw[:len(raw)-1], "last bytes are missing"},
		"cut off at its last block":      {raw[:len(raw)-1024], "last bytes are missing"},
		"something behind":               {append(bytes.Clone(raw), 0), "something was added at its end"},
		"a flipped byte of the magic":    {flip("planet-backup", 3), "does not say which format"},
		"a flipped byte of the database": {flip("planet.db", 5000), "planet.db has changed"},
		"of the settings":                {flip("planet.toml", 3), "planet.toml has changed"},
		"of a picture":                   {flip(picture, 700), picture + " has changed"},
		"of the manifest":                {flip("manifest.json", 40), "manifest.json and manifest.sha256 do not agree"},
		"of its sum":                     {flip("manifest.sha256", 5), "manifest.json and manifest.sha256 do not agree"},
		"of a header":                    {flip("planet.toml", -400), "damaged after planet.db"},
		"newer format": {forge(t, raw, func(ms []member, _ *backup.Manifest) []member {
			ms[0].text = []byte("planet backup, format 2\n")
			return ms
		}), "of format 2, this planet knows 1"},
		"no format": {forge(t, raw, func(ms []member, _ *backup.Manifest) []member {
			ms[0].text = []byte("planet backup, format 0\n")
			return ms
		}), "there is no format 0"},
		"missing picture":            {forge(t, raw, func(ms []member, _ *backup.Manifest) []member { return ms[:3] }), "picture " + loaf + " is missing"},
		"missing member":             {pack(t, append(members[:3:3], members[4:]...)), picture + " is missing"},
		"missing database":           {forge(t, raw, func(ms []member, _ *backup.Manifest) []member { return append(ms[:1:1], ms[2:]...) }), "planet.db is missing"},
		"member that was added":      {pack(t, append(members[:4:4], append([]member{plain("media/3c/"+nobodys, "x")}, members[4:]...)...)), nobodys + " was added"},
		"a member twice":             {add(plain(picture, "x")), "is in it twice"},
		"path upwards":               {add(plain("../planet.toml", "x")), `"../planet.toml" does not belong`},
		"path within":                {add(plain("media/../planet.toml", "x")), `does not belong`},
		"absolute path":              {add(plain("/etc/passwd", "x")), `"/etc/passwd" does not belong`},
		"another name":               {add(plain("planet.db-wal", "x")), `"planet.db-wal" does not belong`},
		"picture in another's place": {add(plain("media/99/"+nobodys, "x")), `does not belong`},
		"symbolic link":              {add(link), "is not a plain file"},
		"hard link":                  {add(hard), "is not a plain file"},
		"device":                     {add(device), "is not a plain file"},
		"a name of Windows":          {add(plain(`media\..\..\x`, "x")), "does not belong"},
		"an endless manifest":        {endless.Bytes(), "manifest.json has 1073741824 bytes"},
		"directory":                  {add(dir), "is not a plain file"},
		"extended header":            {add(pax), "is not a plain file"},
		"other origin":               {with(func(m *backup.Manifest) { m.Origin = "https://oak.example" }), "belongs to https://rye.example, the manifest says https://oak.example"},
		"other schema":               {with(func(m *backup.Manifest) { m.Schema = 99 }), "the manifest says 99"},
		"other database":             {with(func(m *backup.Manifest) { m.Database = "postgres" }), `of a database "postgres"`},
		"newer schema":               {database(t, raw, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9000, 1)"), "of version 9000, this planet knows"},
		"no origin":                  {database(t, raw, "DELETE FROM settings"), "names no origin"},
		"row that points nowhere":    {database(t, raw, "PRAGMA foreign_keys = OFF", "DELETE FROM actors"), "is not there"},
		"no database": {forge(t, raw, func(ms []member, _ *backup.Manifest) []member {
			ms[1].text = bytes.Repeat([]byte("x"), 9000)
			return ms
		}), "planet.db: "},
		"another's database": {forge(t, raw, func(ms []member, _ *backup.Manifest) []member { ms[1].text = nil; return ms }), "no database of a planet node"},
		"damaged page": {forge(t, raw, func(ms []member, _ *backup.Manifest) []member {
			for i := range ms[1].text[8192:] {
				ms[1].text[8192+i] = 0
			}
			return ms
		}), "planet.db: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := backup.Verify(t.Context(), bytes.NewReader(c.raw), dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("verify: got %v, want one line with %q", err, c.want)
			}
			if left := files(t, dir); len(left) != 0 {
				t.Errorf("verify left %v", left)
			}
			data := filepath.Join(dir, "data")
			if _, err := restore(t, c.raw, data); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("restore: got %v, want %q", err, c.want)
			}
			if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("restore left %v", files(t, data))
			}
		})
	}
}

// No single changed bit within a member or a header goes unseen, and no length but the whole.
func TestREL321NoBitIsLost(t *testing.T) {
	_, _, raw := create(t)
	inside := make([]bool, len(raw)) // not padding, which holds nothing
	at := 0
	for _, m := range unpack(t, raw) {
		for i := range 512 + len(m.text) {
			inside[at+i] = true
		}
		at += 512 + (len(m.text)+511)/512*512
	}
	tried := 0
	for i := 0; i < len(raw); i += 1777 {
		if !inside[i] {
			continue
		}
		b := bytes.Clone(raw)
		b[i] ^= 1 << (i % 8)
		tried++
		if _, err := backup.Verify(t.Context(), bytes.NewReader(b), t.TempDir()); err == nil {
			t.Errorf("a flipped bit at %d was not noticed", i)
		}
	}
	for n := 0; n < len(raw); n += 4999 {
		if _, err := backup.Verify(t.Context(), bytes.NewReader(raw[:n]), t.TempDir()); err == nil {
			t.Errorf("cut off at %d, not noticed", n)
		}
	}
	t.Logf("%d flipped bits of %d bytes", tried, len(raw))
}

// Wherever a restore is broken off, no node starts on what is there, and the next restore begins anew.
func TestARestoreThatWasBrokenOffBeginsAnew(t *testing.T) {
	_, _, raw := create(t)
	data := t.TempDir()
	db := filepath.Join(data, "planet.db")
	must(t, os.MkdirAll(filepath.Join(data, ".restore", "media"), 0o700))
	must(t, os.WriteFile(filepath.Join(data, ".restore", "planet.db"), []byte("half"), 0o600))
	must(t, os.MkdirAll(filepath.Join(data, "media", "3c"), 0o700))
	must(t, os.WriteFile(filepath.Join(data, "media", "3c", nobodys), []byte("half"), 0o600))
	if err := backup.Finished(data, db); err == nil || !strings.Contains(err.Error(), "was broken off") {
		t.Errorf("got %v", err)
	}
	if _, err := restore(t, raw, data); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(files(t, data)), fmt.Sprint([]string{"media/1a/" + loaf, "planet.db", "planet.toml"}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	must(t, os.Mkdir(filepath.Join(data, ".restore"), 0o700)) // broken off after the database was in its place
	must(t, backup.Finished(data, db))
	if _, err := os.Stat(filepath.Join(data, ".restore")); err == nil {
		t.Error("what was left is still there")
	}
}
