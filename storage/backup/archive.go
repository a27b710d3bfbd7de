package backup

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
	"os"
	"slices"
	"strings"

	"planet/storage/media"
)

// archive is the tar file that a backup is, while it is written.
type archive struct {
	tar      *tar.Writer
	manifest *Manifest
}

func newArchive(w io.Writer, m *Manifest) *archive { return &archive{tar.NewWriter(w), m} }

// magic is the whole of the first member.
const magic = "planet backup, format "

func (a *archive) begin() error {
	return a.put(magicName, fmt.Appendf(nil, magic+"%d\n", Format))
}

// file adds a file. fs.ErrNotExist when it is not there, and nothing was written.
func (a *archive) file(ctx context.Context, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if err := a.head(name, st.Size()); err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(a.tar, h), unhurried{ctx, io.LimitReader(f, st.Size())})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if n != st.Size() {
		return fmt.Errorf("%s became shorter while it was read", path)
	}
	a.manifest.Members = append(a.manifest.Members, Member{name, n, hex.EncodeToString(h.Sum(nil))})
	return nil
}

// end writes what the file is checked by.
func (a *archive) end() error {
	text, err := json.MarshalIndent(a.manifest, "", " ")
	if err != nil {
		return err
	}
	if err := a.put(manifestName, text); err != nil {
		return err
	}
	if err := a.put(sumName, sumLine(text)); err != nil { // as sha256sum -c reads it
		return err
	}
	return a.tar.Close()
}

func sumLine(manifest []byte) []byte { return []byte(sum(manifest) + "  " + manifestName + "\n") }

func (a *archive) put(name string, text []byte) error {
	if err := a.head(name, int64(len(text))); err != nil {
		return err
	}
	_, err := a.tar.Write(text)
	return err
}

func (a *archive) head(name string, size int64) error {
	return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: a.manifest.Time, Format: tar.FormatGNU})
}

// unhurried is a reader that ends with its context.
type unhurried struct {
	ctx context.Context
	r   io.Reader
}

// Read reads, unless the context has ended.
func (u unhurried) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}

// maxManifest bounds what is read into memory: some two million pictures.
const maxManifest = 512 << 20

// read goes through a backup and checks all that can be told from the file alone. take says where a member goes; every error says
// what is wrong with the file, in words for people, unless it comes from take or its writer.
func read(ctx context.Context, r io.Reader, take func(name string) (io.WriteCloser, error)) (*Manifest, error) {
	count := &counting{r: unhurried{ctx, r}}
	in := tar.NewReader(count)
	if err := readMagic(ctx, in); err != nil {
		return nil, err
	}
	seen := map[string]Member{}
	last := magicName
	for {
		h, err := in.Next()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("the backup is cut off: it ends after %s", last)
		case errors.Is(err, tar.ErrHeader):
			return nil, fmt.Errorf("the backup is damaged after %s", last)
		case err != nil:
			return nil, fmt.Errorf("the backup cannot be read after %s: %w", last, err)
		}
		if err := known(h); err != nil {
			return nil, err
		}
		last = h.Name
		if h.Name == manifestName {
			return readManifest(in, seen, count)
		}
		if _, twice := seen[h.Name]; twice {
			return nil, fmt.Errorf("the backup is not as it was made: %s is in it twice", h.Name)
		}
		w, err := take(h.Name)
		if err != nil {
			return nil, err
		}
		hash := sha256.New()
		n, err := io.Copy(io.MultiWriter(hash, w), in)
		if err := errors.Join(err, w.Close()); err != nil {
			return nil, within(err, h.Name)
		}
		seen[h.Name] = Member{h.Name, n, hex.EncodeToString(hash.Sum(nil))}
	}
}

// within names the member in which reading ended.
func within(err error, name string) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the backup is cut off: it ends within %s", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func readMagic(ctx context.Context, in *tar.Reader) error {
	h, err := in.Next()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var unreadable *os.PathError
	if errors.As(err, &unreadable) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("this is not a backup of a planet node, or only the first bytes of one")
	}
	if err != nil || h.Name != magicName || h.Typeflag != tar.TypeReg || h.Size > 100 {
		return errors.New("this is not a backup of a planet node")
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return within(err, magicName)
	}
	var format int
	if _, err := fmt.Sscanf(string(text), magic+"%d\n", &format); err != nil || string(text) != fmt.Sprintf(magic+"%d\n", format) {
		return fmt.Errorf("the backup is damaged: %s does not say which format it is", magicName)
	}
	if format > Format {
		return fmt.Errorf("the backup is of format %d, this planet knows %d: use a later planet", format, Format)
	}
	if format < 1 {
		return fmt.Errorf("the backup is damaged: there is no format %d", format)
	}
	return nil
}

// known refuses every member that a backup does not have: no other name, no link, no directory, no sparse file ever reaches the disk.
func known(h *tar.Header) error {
	if h.Typeflag != tar.TypeReg || len(h.PAXRecords) > 0 || h.Size < 0 {
		return fmt.Errorf("the backup is not as it was made: %q is not a plain file", h.Name)
	}
	switch h.Name {
	case databaseName, settingsName:
		return nil
	case manifestName:
		if h.Size > maxManifest {
			return fmt.Errorf("the backup is damaged: %s has %d bytes", manifestName, h.Size)
		}
		return nil
	}
	if pictureOf(h.Name) == "" {
		return fmt.Errorf("the backup is not as it was made: %q does not belong in it", h.Name)
	}
	return nil
}

// pictureOf is the name of the picture that a member is, or "".
func pictureOf(member string) string {
	name := member[strings.LastIndex(member, "/")+1:]
	if media.MediaType(name) == "" || member != mediaDir+name[:2]+"/"+name {
		return ""
	}
	return name
}

// readManifest holds what was read against what was written, and wants the file to end.
func readManifest(in *tar.Reader, seen map[string]Member, count *counting) (*Manifest, error) {
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, within(err, manifestName)
	}
	h, err := in.Next()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("the backup is cut off: it ends after %s", manifestName)
	}
	if err != nil || h.Name != sumName || h.Size > 1000 {
		return nil, fmt.Errorf("the backup is damaged after %s", manifestName)
	}
	line, err := io.ReadAll(in)
	if err != nil {
		return nil, within(err, sumName)
	}
	if !bytes.Equal(line, sumLine(text)) {
		return nil, fmt.Errorf("the backup is damaged: %s and %s do not agree", manifestName, sumName)
	}
	if err := ends(in, count); err != nil {
		return nil, err
	}
	var m Manifest
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&m); err != nil {
		return nil, fmt.Errorf("the backup cannot be used: %s: %w", manifestName, err)
	}
	if m.Database != "sqlite" {
		return nil, fmt.Errorf("the backup is of a database %q, which this planet cannot restore", m.Database)
	}
	for _, want := range m.Members {
		switch got, ok := seen[want.Name]; {
		case !ok:
			return nil, fmt.Errorf("the backup is not whole: %s is missing", want.Name)
		case got.Size != want.Size:
			return nil, fmt.Errorf("the backup is damaged: %s has %d bytes, want %d", want.Name, got.Size, want.Size)
		case got.SHA256 != want.SHA256:
			return nil, fmt.Errorf("the backup is damaged: %s has changed since it was made (SHA-256 %s, want %s)", want.Name, got.SHA256, want.SHA256)
		}
		delete(seen, want.Name)
	}
	for name := range seen {
		return nil, fmt.Errorf("the backup is not as it was made: %s was added", name)
	}
	if !slices.ContainsFunc(m.Members, func(f Member) bool { return f.Name == databaseName }) {
		return nil, fmt.Errorf("the backup is not whole: %s is missing", databaseName)
	}
	return &m, nil
}

// ends wants the two empty blocks with which a tar file ends, and nothing after them.
func ends(in *tar.Reader, count *counting) error {
	before := count.n
	_, err := in.Next()
	if err == nil {
		return errors.New("the backup is not as it was made: something was added at its end")
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the backup is damaged after %s", sumName)
	}
	padding := (512 - before%512) % 512
	if count.n-before < padding+1024 {
		return errors.New("the backup is cut off: its last bytes are missing")
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(count, 1)); err != nil || n > 0 {
		return errors.New("the backup is not as it was made: something was added at its end")
	}
	return nil
}

// counting counts what is read.
type counting struct {
	r io.Reader
	n int64
}

// Read reads and counts.
func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
