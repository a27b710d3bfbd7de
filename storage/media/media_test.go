package media_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"planet/storage"
	"planet/storage/media"
)

const limit = 16 << 20

// shelf is a store in a directory of its own, and a clock that the test moves.
type shelf struct {
	t *testing.T
	*media.Store
	dir string
	now time.Time
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, dir: filepath.Join(t.TempDir(), "media"), now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	s.Store = media.New(s.dir, []byte("secret"), func() time.Time { return s.now })
	return s
}

func (s *shelf) put(raw []byte) *media.Image {
	s.t.Helper()
	im, err := s.Put(s.t.Context(), bytes.NewReader(raw), limit)
	if err != nil {
		s.t.Fatal(err)
	}
	return im
}

// bytes are what is stored of a picture.
func (s *shelf) bytes(im *media.Image) []byte {
	s.t.Helper()
	f, err := s.Open(im.Name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil || int64(len(raw)) != im.Size {
		s.t.Fatalf("%s has %d bytes (%v), want %d", im.Name, len(raw), err, im.Size)
	}
	return raw
}

// files are all that lies below the store, unfinished ones too.
func (s *shelf) files() (names []string) {
	s.t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, filepath.Base(path))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return names
}

// refuses wants this error, and that nothing is left on the disk.
func (s *shelf) refuses(name string, raw []byte, want error) {
	s.t.Helper()
	im, err := s.Put(s.t.Context(), bytes.NewReader(raw), limit)
	if !errors.Is(err, want) {
		s.t.Errorf("%s: got %+v, %v; want %v", name, im, err, want)
	}
	if left := s.files(); len(left) != 0 {
		s.t.Errorf("%s: it left %q behind", name, left)
	}
}

// field is a picture whose corners differ, so that one sees how it lies: red, green, blue and white.
func field(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := [2][2]color.RGBA{{{255, 0, 0, 255}, {0, 255, 0, 255}}, {{0, 0, 255, 255}, {255, 255, 255, 255}}}[2*y/h][2*x/w]
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

func asPNG(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asJPEG(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// asGIF draws n frames of which each is one dot of another colour.
func asGIF(t *testing.T, n int) []byte {
	t.Helper()
	g := &gif.GIF{Config: image.Config{Width: 8, Height: 4}}
	for i := range n {
		f := image.NewPaletted(image.Rect(i%8, 0, i%8+1, 1), color.Palette{color.Black, color.RGBA{R: byte(i), A: 255}})
		f.SetColorIndex(i%8, 0, 1)
		g.Image, g.Delay = append(g.Image, f), append(g.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// WebPs come from another encoder: Go has none. The first is lossy, the second lossless and half transparent, the third moves.
var webPs = func() (raw [3][]byte) {
	for i, s := range []string{
		"UklGRjwAAABXRUJQVlA4IDAAAADQAQCdASoIAAQAAgA0JaACdLoB+AADsAD+8Oj3/yC5YXXI1/8gP+QH/ID/+PIAAAA=",
		"UklGRhwAAABXRUJQVlA4TA8AAAAvA8AAEAcQ/Y/+BSKi/wEA",
		"UklGRuoAAABXRUJQVlA4WAoAAAACAAAABwAABwAAQU5JTQYAAAD/////AQBBTk1GagAAAAAAAAAAAAcAAAcAAPQBAAJWUDhMUQAAAC8HwAEAb2CQbaQe2b/6kZ0GgaSNj/7kIxCgqGee88z8B+QGSAhwg9ItXrXxWIJiAECjVwq9g8gggRRSqA1hGDfH7C6GiP6HirkiZ0KGf6lrHwBBTk1GTAAAAAAAAAMAAAcAAAEAAPQBAABWUDhMMwAAAC8HQAAAP0CQbfOa33waAgHCujNnCAQoWMb1ljX/EWmNK1CFMy4IBdAYSxQZtIvof3h4AAA=",
	} {
		raw[i], _ = base64.StdEncoding.DecodeString(s)
	}
	return raw
}()

// chunk is one of a PNG's (PNG §5.3).
func chunk(kind string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, kind...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// hugePNG says that it is w x h, in a kilobyte.
func hugePNG(w, h uint32, depth, colours byte) []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	b = append(b, chunk("IHDR", append(head, depth, colours, 0, 0, 0))...)
	return append(b, chunk("IDAT", make([]byte, 900))...)
}

// segment is one of a JPEG's: a marker, a length, a body.
func segment(marker byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(body)+2)), body...)
}

// withSegments puts segments where a camera puts them: behind the first marker.
func withSegments(raw []byte, segments ...[]byte) []byte {
	return append(append(bytes.Clone(raw[:2]), bytes.Join(segments, nil)...), raw[2:]...)
}

// exif is what a telephone writes: an orientation, a maker's note, and where she stood.
func exif(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("Exif\x00\x00MM")
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		b = []byte("Exif\x00\x00II")
	}
	b = order.AppendUint16(b, 42)
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	for _, tag := range []struct{ tag, kind, value uint16 }{{0x0112, 3, orientation}, {0x8825, 3, 26}} {
		b = order.AppendUint16(order.AppendUint16(b, tag.tag), tag.kind)
		b = order.AppendUint32(b, 1)
		b = order.AppendUint16(order.AppendUint16(b, tag.value), 0)
	}
	b = order.AppendUint32(b, 0)
	return append(b, "GPS 41.9794 N 2.8214 E MAKERNOTE 4711"...)
}

func corners(t *testing.T, raw []byte) string {
	t.Helper()
	img, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	name := func(x, y int) string {
		r, g, b, _ := img.At(x, y).RGBA()
		switch {
		case r > 0x8000 && g > 0x8000 && b > 0x8000:
			return "w"
		case r > 0x8000:
			return "r"
		case g > 0x8000:
			return "g"
		case b > 0x8000:
			return "b"
		}
		return "?"
	}
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	return name(w/8, h/8) + name(w-w/8-1, h/8) + name(w/8, h-h/8-1) + name(w-w/8-1, h-h/8-1)
}

func TestAPictureIsStoredOnceUnderAnUnguessableName(t *testing.T) {
	s := newShelf(t)
	raw := asPNG(t, field(40, 20))
	im := s.put(raw)
	if im.MediaType != media.PNG || im.Width != 40 || im.Height != 20 || len(im.Name) != 68 || len(im.Blurhash) != 28 {
		t.Errorf("got %+v", im)
	}
	if again := s.put(raw); *again != *im || len(s.files()) != 1 {
		t.Errorf("the same again is %+v in %d files", again, len(s.files()))
	}
	other := media.New(t.TempDir(), []byte("another secret"), func() time.Time { return s.now })
	elsewhere, err := other.Put(t.Context(), bytes.NewReader(raw), limit)
	if err != nil || elsewhere.Name == im.Name {
		t.Errorf("whoever has the picture can compute the name %s (%v)", im.Name, err)
	}
	if n, err := s.Remove(im.Name); n != im.Size || err != nil || s.Has(im.Name) {
		t.Errorf("removed %d bytes, %v", n, err)
	}
	if n, err := s.Remove(im.Name); n != 0 || err != nil {
		t.Errorf("removed again: %d bytes, %v", n, err)
	}
	if _, err := s.Open(im.Name); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("what was removed can be opened: %v", err)
	}
}

func TestWhatKindsBecome(t *testing.T) {
	s := newShelf(t)
	clear := field(40, 20)
	clear.SetRGBA(0, 0, color.RGBA{})
	for _, c := range []struct {
		name string
		raw  []byte
		kind string
		w, h int
	}{
		{"a JPEG stays one", asJPEG(t, field(40, 20)), media.JPEG, 40, 20},
		{"a grey JPEG too", asJPEG(t, image.NewGray(image.Rect(0, 0, 9, 9))), media.JPEG, 9, 9},
		{"a PNG stays one", asPNG(t, field(40, 20)), media.PNG, 40, 20},
		{"what one sees through stays so", asPNG(t, clear), media.PNG, 40, 20},
		{"a palette", asPNG(t, image.NewPaletted(image.Rect(0, 0, 3, 3), color.Palette{color.Black})), media.PNG, 3, 3},
		{"sixteen bits", asPNG(t, image.NewNRGBA64(image.Rect(0, 0, 3, 3))), media.PNG, 3, 3},
		{"of a GIF the first frame, on its canvas", asGIF(t, 3), media.PNG, 8, 4},
		{"a lossy WebP", webPs[0], media.JPEG, 8, 4},
		{"a WebP that one sees through", webPs[1], media.PNG, 4, 4},
		{"a large one is scaled down", asPNG(t, field(5000, 1000)), media.PNG, 2048, 410},
		{"a high one too", asJPEG(t, field(100, 4100)), media.JPEG, 50, 2048},
		{"a line keeps a pixel", asPNG(t, field(9000, 1)), media.PNG, 2048, 1},
	} {
		im := s.put(c.raw)
		if im.MediaType != c.kind || im.Width != c.w || im.Height != c.h || im.Blurhash == "" {
			t.Errorf("%s: got %+v", c.name, im)
		}
		if got := media.Sniff(s.bytes(im)); got != c.kind {
			t.Errorf("%s: the file is a %s", c.name, got)
		}
		if got := media.MediaType(im.Name); got != c.kind {
			t.Errorf("%s: by its name it is a %s", c.name, got)
		}
	}
	if got := corners(t, s.bytes(s.put(asPNG(t, field(6000, 3000))))); got != "rgbw" {
		t.Errorf("scaled down, the corners are %s", got)
	}
	im := s.put(asPNG(t, clear))
	if img, _, err := image.Decode(bytes.NewReader(s.bytes(im))); err != nil || color.NRGBAModel.Convert(img.At(0, 0)).(color.NRGBA).A != 0 {
		t.Errorf("the hole is gone: %v", err)
	}
}

// The header alone must be enough to say no: nothing of this size may ever be unpacked.
func TestMED193BombsAreRefusedByTheirHeaders(t *testing.T) {
	s := newShelf(t)
	huge := func(frames int) []byte { return asGIF(t, frames) }
	wideGIF := asGIF(t, 1)
	copy(wideGIF[6:], []byte{0xff, 0xff, 0xff, 0xff})
	wideJPEG := asJPEG(t, field(8, 8))
	at := bytes.Index(wideJPEG, []byte{0xff, 0xc0})
	copy(wideJPEG[at+5:], []byte{0xff, 0xff, 0xff, 0xff})
	wideWebP := bytes.Clone(webPs[1])
	binary.LittleEndian.PutUint32(wideWebP[21:], 0x3fff|0x3fff<<14)
	extended := append([]byte("RIFF\x00\x01\x00\x00WEBPVP8X\x0a\x00\x00\x00\x10\x00\x00\x00\xff\x7f\x00\xff\x7f\x00ALPH\x04\x00\x00\x00"), make([]byte, 64)...)
	// A progressive JPEG takes five times the memory of its samples.
	progressive := asJPEG(t, field(8, 8))
	at = bytes.Index(progressive, []byte{0xff, 0xc0})
	progressive[at+1] = 0xc2
	copy(progressive[at+5:], []byte{0x17, 0x70, 0x17, 0x70}) // 6000 x 6000
	progressive[at+11] = 0x11                                // no subsampling
	hidden := withSegments(progressive, segment(0xfe, nil), []byte("rubbish before the frame"))

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"a PNG of 50 000 x 50 000", hugePNG(50_000, 50_000, 8, 6)},
		{"a PNG of 10 000 x 10 000", hugePNG(10_000, 10_000, 8, 2)},
		{"a PNG of 10 001 x 1", hugePNG(10_001, 1, 8, 2)},
		{"a PNG whose pixels are fat", hugePNG(7000, 5000, 16, 6)},
		{"a GIF of 65 535 x 65 535", wideGIF},
		{"a GIF of 10 000 frames", huge(10_000)},
		{"a JPEG of 65 535 x 65 535", wideJPEG},
		{"a WebP of 16 384 x 16 384", wideWebP},
		{"a WebP of 32 768 x 32 768 with a mask", extended},
		{"a progressive JPEG of 36 million pixels", progressive},
		{"the same behind rubbish", hidden},
	} {
		s.refuses(c.name, c.raw, media.ErrTooManyPixels)
	}
	runtime.ReadMemStats(&after)
	if grown := after.HeapSys - before.HeapSys; after.HeapSys > before.HeapSys && grown > 100<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	s.refuses("a PNG of 2^31-1 x 2^31-1", hugePNG(1<<31-1, 1<<31-1, 1, 0), media.ErrBroken)
	s.refuses("a WebP that moves", webPs[2], media.ErrBroken)
	if im := s.put(huge(1000)); im.Width != 8 {
		t.Errorf("a GIF of 1000 frames is %+v", im)
	}
}

func TestMED194BrokenPicturesAreRefusedAndNothingBreaks(t *testing.T) {
	s := newShelf(t)
	whole := map[string][]byte{"jpeg": asJPEG(t, field(64, 48)), "png": asPNG(t, field(64, 48)), "gif": asGIF(t, 2), "webp": webPs[0], "webp lossless": webPs[1]}
	for name, raw := range whole {
		for _, n := range []int{16, 24, len(raw) / 2} {
			n = min(n, len(raw)-6)
			s.refuses(fmt.Sprintf("%s cut at %d", name, n), raw[:n], media.ErrBroken)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, raw := range whole {
		for range 300 {
			bad := bytes.Clone(raw)
			for range 1 + rnd.IntN(8) {
				bad[12+rnd.IntN(len(bad)-12)] = byte(rnd.Uint32())
			}
			im, err := s.Put(t.Context(), bytes.NewReader(bad), limit)
			if err != nil && !errors.Is(err, media.ErrBroken) && !errors.Is(err, media.ErrTooManyPixels) && !errors.Is(err, media.ErrUnsupported) {
				t.Fatalf("%s: got %+v, %v", name, im, err)
			}
		}
	}
	for _, name := range s.files() {
		if media.MediaType(name) == "" {
			t.Errorf("%s was left behind", name)
		}
	}
}

// What a converter might run, and what a browser might, is no picture, whatever it is called.
func TestMED195OnlyPicturesAreTaken(t *testing.T) {
	s := newShelf(t)
	for name, text := range map[string]string{
		"MVG": "push graphic-context\nviewbox 0 0 640 480\nfill 'url(https://127.0.0.1/x.jpg\"|id\")'\npop graphic-context",
		"MSL": `<?xml version="1.0"?><image><read filename="/etc/passwd"/></image>`, "PostScript": "%!PS-Adobe-3.0\n(/etc/passwd) run", "PDF": "%PDF-1.7\n",
		"SVG": `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, "SVG after a prologue": `<?xml version="1.0"?><!DOCTYPE svg><svg/>`,
		"HTML": "<!doctype html><script>alert(1)</script>", "JSON": `{"@context":"https://www.w3.org/ns/activitystreams"}`, "a playlist": "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\nconcat:http://127.0.0.1/|file:///etc/passwd",
		"MP4": "\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", "HEIC": "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "AVIF": "\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", "BMP": "BM\x00\x00", "TIFF": "II*\x00\x08\x00\x00\x00",
		"a sound": "RIFF\x24\x00\x00\x00WAVEfmt ", "ELF": "\x7fELF", "nothing": "", "a byte": "\xff", "a name for a PNG": "PNG: /etc/passwd", "text, then a PNG": "GIF 89a\x89PNG\r\n\x1a\n",
	} {
		s.refuses(name, []byte(text+strings.Repeat(" ", 600)), media.ErrUnsupported)
		s.refuses(name, []byte(text), media.ErrUnsupported)
	}
}

// MED 196 asks the same of films that name addresses; films are not taken at all, and nothing that is read here dials.
func TestMED196FilmsAreNotTaken(t *testing.T) {
	s := newShelf(t)
	s.refuses("a film whose playlist names addresses", []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom#EXTM3U\nhttp://127.0.0.1/\nfile:///etc/passwd\n"), media.ErrUnsupported)
}

func TestMED197NothingButPixelsIsKept(t *testing.T) {
	s := newShelf(t)
	traces := []string{"GPS 41.9794", "MAKERNOTE", "Exif", "http://ns.adobe.com/xap", "xmpmeta", "a comment", "eXIf", "tEXt", "iTXt", "<script>", "PK\x03\x04", "thumbnail"}
	jpg, pic := asJPEG(t, field(64, 48)), asPNG(t, field(64, 48))
	thumb := append(exif(binary.BigEndian, 1), append([]byte("thumbnail"), jpg...)...)
	for name, raw := range map[string][]byte{
		"a telephone's JPEG":                   withSegments(jpg, segment(0xe1, thumb), segment(0xe1, []byte("http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta/>")), segment(0xed, []byte("Photoshop 3.0 a comment")), segment(0xfe, []byte("a comment"))),
		"a JPEG with an archive behind it":     append(bytes.Clone(jpg), "PK\x03\x04<script>alert(1)</script>"...),
		"a PNG with texts":                     append(append(bytes.Clone(pic[:33]), append(chunk("tEXt", []byte("Comment\x00a comment")), chunk("eXIf", exif(binary.LittleEndian, 1)[6:])...)...), pic[33:]...),
		"a PNG that is a page":                 append(bytes.Clone(pic), "<!doctype html><script>alert(1)</script>"...),
		"a GIF that is a script":               append(asGIF(t, 1), "*/=1;<script>alert(1)</script>"...),
		"a JPEG with a page in its first bits": withSegments(jpg, segment(0xfe, []byte("<!doctype html><script>alert(1)</script>"))),
	} {
		found := 0
		for _, trace := range traces {
			if bytes.Contains(raw, []byte(trace)) {
				found++
			}
		}
		if found == 0 {
			t.Errorf("%s: the test has nothing to look for", name)
		}
		stored := s.bytes(s.put(raw))
		for _, trace := range traces {
			if bytes.Contains(stored, []byte(trace)) {
				t.Errorf("%s: %q is still there", name, trace)
			}
		}
	}
}

func TestAPictureIsTurnedUprightBeforeItsOrientationIsLost(t *testing.T) {
	s := newShelf(t)
	for o, want := range map[uint16]string{1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg", 7: "wgbr", 8: "gwrb", 0: "rgbw", 9: "rgbw"} {
		for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
			im := s.put(withSegments(asJPEG(t, field(64, 32)), segment(0xe1, exif(order, o))))
			if got := corners(t, s.bytes(im)); got != want {
				t.Errorf("orientation %d, %v: the corners are %s, want %s", o, order, got, want)
			}
			if sideways := o >= 5 && o <= 8; sideways != (im.Width == 32 && im.Height == 64) {
				t.Errorf("orientation %d: it is %d x %d", o, im.Width, im.Height)
			}
		}
	}
	for name, bad := range map[string][]byte{"no directory": []byte("Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff"), "endless": []byte("Exif\x00\x00II\x2a\x00\x08\x00\x00\x00\xff\xff"), "empty": []byte("Exif\x00\x00")} {
		if im := s.put(withSegments(asJPEG(t, field(64, 32)), segment(0xe1, bad))); im.Width != 64 {
			t.Errorf("%s: got %+v", name, im)
		}
	}
}

// MED 198: no name of anybody's reaches the file system. INJ 254 asks the same of addresses.
func TestMED198INJ254OnlyNamesOfOurOwnAreOpened(t *testing.T) {
	s := newShelf(t)
	im := s.put(asPNG(t, field(4, 4)))
	if err := os.WriteFile(filepath.Join(s.dir, "..", "node.db"), []byte("keys"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../node.db", "..%2fnode.db", "../../x", `..\node.db`, "-i", "/etc/passwd", "x\x00.png", im.Name + "\x00", im.Name + "/", "./" + im.Name, im.Name[:2] + "/" + im.Name, strings.ToUpper(im.Name),
		im.Name[:67], im.Name + "g", strings.Repeat("a", 10_000), strings.Repeat("0", 64) + ".svg", strings.Repeat("0", 64) + ".png\n", "\u202egnp.exe", strings.Repeat("0", 64) + ".png"} {
		if f, err := s.Open(name); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%q: got %v, %v", name, f, err)
		}
		if n, err := s.Remove(name); n != 0 || err != nil || s.Has(name) {
			t.Errorf("%q: removed %d bytes, %v", name, n, err)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "..", "node.db")); err != nil {
		t.Error(err)
	}
	if !s.Has(im.Name) {
		t.Error("the one that may be opened is not there")
	}
}

// endless is a picture that never stops coming.
type endless struct {
	head io.Reader
	read int64
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.head.Read(p)
	if err == io.EOF {
		n, err = len(p), nil
	}
	e.read += int64(n)
	return n, err
}

func TestMED199TooManyBytesAreRefusedEarly(t *testing.T) {
	s := newShelf(t)
	body := &endless{head: bytes.NewReader(hugePNG(10, 10, 8, 2))}
	if _, err := s.Put(t.Context(), body, 1<<20); !errors.Is(err, media.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if body.read > 1<<20+1 {
		t.Errorf("%d bytes were read of one that may have %d", body.read, 1<<20)
	}
	body = &endless{head: strings.NewReader("<svg>")}
	if _, err := s.Put(t.Context(), body, 1<<20); !errors.Is(err, media.ErrUnsupported) || body.read > 600 {
		t.Errorf("got %v after %d bytes of what is no picture", err, body.read)
	}
	broken := io.MultiReader(bytes.NewReader(hugePNG(10, 10, 8, 2)), iotestErr{})
	if _, err := s.Put(t.Context(), broken, 1<<20); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a reader that breaks off gives %v", err)
	}
	if left := s.files(); len(left) != 0 {
		t.Errorf("%q was left behind", left)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestManyUploadsAtOnceWaitForTheirTurn(t *testing.T) {
	s := newShelf(t)
	raw := asPNG(t, field(900, 900))
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if _, err := s.Put(t.Context(), bytes.NewReader(raw), limit); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := s.files(); len(got) != 1 {
		t.Errorf("%d files are there, want one", len(got))
	}
}

func TestOldFilesAreFoundAndUnfinishedOnesGo(t *testing.T) {
	s := newShelf(t)
	first := s.put(asPNG(t, field(4, 4)))
	crashed := filepath.Join(s.dir, ".new-123")
	if err := os.WriteFile(crashed, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(crashed, s.now, s.now); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(48 * time.Hour)
	second := s.put(asPNG(t, field(8, 8)))
	old, err := s.Older(s.now.Add(-24 * time.Hour))
	if err != nil || len(old) != 1 || old[0] != first.Name {
		t.Errorf("old are %q, %v; want %s", old, err, first.Name)
	}
	if left := s.files(); len(left) != 2 {
		t.Errorf("left are %q", left)
	}
	if again := s.put(asPNG(t, field(4, 4))); again.Name != first.Name {
		t.Errorf("got %s", again.Name)
	}
	if old, err = s.Older(s.now.Add(-24 * time.Hour)); err != nil || len(old) != 0 {
		t.Errorf("what was put again is old: %q, %v", old, err)
	}
	if files, bytes, err := s.Usage(); files != 2 || bytes != first.Size+second.Size || err != nil {
		t.Errorf("usage is %d files, %d bytes, %v", files, bytes, err)
	}
	empty := media.New(filepath.Join(t.TempDir(), "none"), nil, nil)
	if files, _, err := empty.Usage(); files != 0 || err != nil {
		t.Errorf("a store that is not there has %d files, %v", files, err)
	}
}

func FuzzPut(f *testing.F) {
	for _, raw := range webPs {
		f.Add(raw)
	}
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	f.Add(hugePNG(3, 3, 8, 2))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := media.New(t.TempDir(), []byte("x"), time.Now)
		im, err := s.Put(t.Context(), bytes.NewReader(raw), 1<<20)
		if err != nil {
			return
		}
		if im.Width > 2048 || im.Height > 2048 || !s.Has(im.Name) {
			t.Errorf("got %+v", im)
		}
	})
}
