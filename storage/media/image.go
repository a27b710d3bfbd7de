package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"slices"

	"github.com/bbrks/go-blurhash"
	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

// The media types of pictures that Sniff knows.
const (
	JPEG = "image/jpeg"
	PNG  = "image/png"
	GIF  = "image/gif"
	WebP = "image/webp"
	AVIF = "image/avif" // shown to browsers, and not taken: there is no decoder of it here
)

// What a picture may ask of us before it is unpacked, and what is left of it.
const (
	maxPixels   = 40_000_000
	maxSide     = 10_000
	maxFrames   = 1000      // of a GIF, whose first one is kept
	maxUnpacked = 256 << 20 // bytes in memory, as far as the header tells
	keptSide    = 2048      // of what is stored
	quality     = 85        // of a JPEG
)

// sniffLen is how many bytes Sniff wants to see.
const sniffLen = 512

// Sniff recognises a picture by its first bytes; "" for everything else. Names and what others say of it do not count.
func Sniff(head []byte) string {
	is := func(at int, magic string) bool {
		return len(head) >= at+len(magic) && string(head[at:at+len(magic)]) == magic
	}
	switch {
	case is(0, "\xff\xd8\xff"):
		return JPEG
	case is(0, "\x89PNG\r\n\x1a\n"):
		return PNG
	case is(0, "GIF87a"), is(0, "GIF89a"):
		return GIF
	case is(0, "RIFF") && is(8, "WEBPVP8"):
		return WebP
	case is(4, "ftypavif"), is(4, "ftypavis"):
		return AVIF
	}
	return ""
}

// readable reports whether remake can read a media type.
func readable(kind string) bool { return slices.Contains([]string{JPEG, PNG, GIF, WebP}, kind) }

// remake reads a picture and writes it anew: upright, at most keptSide long, and nothing in it but pixels.
func remake(raw []byte) (*Image, []byte, error) {
	kind := Sniff(raw)
	if !readable(kind) {
		return nil, nil, ErrUnsupported
	}
	upright := 1
	if kind == JPEG {
		upright = readJPEG(raw).orientation
	}
	if err := measure(kind, raw); err != nil {
		return nil, nil, err
	}
	img, err := unpack(kind, raw)
	if err != nil {
		return nil, nil, err
	}
	img = turned(shrunk(img, keptSide), upright)
	im := &Image{Width: img.Bounds().Dx(), Height: img.Bounds().Dy(), MediaType: PNG}
	if kind == JPEG || kind == WebP && opaque(img) {
		im.MediaType = JPEG
	}
	if im.Blurhash, err = blurhash.Encode(4, 3, onWhite(shrunk(img, 32))); err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	if im.MediaType == JPEG {
		err = jpeg.Encode(&out, img, &jpeg.Options{Quality: quality})
	} else {
		err = png.Encode(&out, img)
	}
	return im, out.Bytes(), err
}

// measure refuses, by its header alone, what would take too much to be unpacked.
func measure(kind string, raw []byte) error {
	cfg, err := headers[kind](bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("%w: %v", ErrBroken, err)
	}
	w, h := cfg.Width, cfg.Height
	switch {
	case w <= 0 || h <= 0:
		return fmt.Errorf("%w: it has no size", ErrBroken)
	case w > maxSide || h > maxSide || w*h > maxPixels:
		return fmt.Errorf("%w: it is %d x %d, and may have %d on a side and %d million in all", ErrTooManyPixels, w, h, maxSide, maxPixels/1_000_000)
	case kind == GIF && frames(raw) > maxFrames:
		return fmt.Errorf("%w: it has more than %d frames", ErrTooManyPixels, maxFrames)
	case float64(w*h)*weight(kind, cfg.ColorModel, raw) > maxUnpacked:
		return fmt.Errorf("%w: %d x %d of this kind take too much memory", ErrTooManyPixels, w, h)
	}
	return nil
}

var headers = map[string]func(r *bytes.Reader) (image.Config, error){
	JPEG: func(r *bytes.Reader) (image.Config, error) { return jpeg.DecodeConfig(r) },
	PNG:  func(r *bytes.Reader) (image.Config, error) { return png.DecodeConfig(r) },
	GIF:  func(r *bytes.Reader) (image.Config, error) { return gif.DecodeConfig(r) },
	WebP: func(r *bytes.Reader) (image.Config, error) { return webp.DecodeConfig(r) },
}

var decoders = map[string]func(r *bytes.Reader) (image.Image, error){
	JPEG: func(r *bytes.Reader) (image.Image, error) { return jpeg.Decode(r) },
	PNG:  func(r *bytes.Reader) (image.Image, error) { return png.Decode(r) },
	GIF:  firstFrame,
	WebP: func(r *bytes.Reader) (image.Image, error) { return webp.Decode(r) },
}

// weight is how many bytes of memory one pixel takes while it is unpacked.
func weight(kind string, m color.Model, raw []byte) float64 {
	if kind == JPEG {
		h := readJPEG(raw)
		if h.progressive { // its coefficients are all kept until the last scan
			return 5 * h.samples
		}
		return 2 * h.samples
	}
	switch m {
	case color.GrayModel:
		return 1
	case color.Gray16Model:
		return 2
	case color.RGBA64Model, color.NRGBA64Model, color.NYCbCrAModel:
		return 8
	}
	if _, ok := m.(color.Palette); ok {
		return 1
	}
	return 4
}

// unpack decodes. A decoder that trips over what it reads has found a damaged picture.
func unpack(kind string, raw []byte) (img image.Image, err error) {
	defer func() {
		if p := recover(); p != nil {
			img, err = nil, fmt.Errorf("%w: %v", ErrBroken, p)
		}
	}()
	if img, err = decoders[kind](bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrBroken, err)
	}
	return img, nil
}

// firstFrame is the beginning of a GIF, on its whole canvas.
func firstFrame(r *bytes.Reader) (image.Image, error) {
	cfg, err := gif.DecodeConfig(r)
	if err != nil {
		return nil, err
	}
	if _, err := r.Seek(0, 0); err != nil {
		return nil, err
	}
	img, err := gif.Decode(r)
	if err != nil {
		return nil, err
	}
	canvas := image.Rect(0, 0, cfg.Width, cfg.Height)
	if img.Bounds() == canvas {
		return img, nil
	}
	whole := image.NewRGBA(canvas)
	draw.Draw(whole, img.Bounds(), img, img.Bounds().Min, draw.Src)
	return whole, nil
}

// frames counts the frames of a GIF (GIF89a §§ 15-26) without unpacking any; it stops where the file does.
func frames(raw []byte) int {
	table := func(flags byte) int {
		if flags&0x80 == 0 {
			return 0
		}
		return 3 << (1 + flags&7)
	}
	if len(raw) < 13 {
		return 0
	}
	n, i := 0, 13+table(raw[10])
	for i < len(raw) {
		switch raw[i] {
		case 0x21: // an extension: its label, then blocks
			i += 2
		case 0x2c: // an image: its place, its colours, the size of its codes, then blocks
			if i+10 > len(raw) {
				return n
			}
			n++
			i += 11 + table(raw[i+9])
		default:
			return n
		}
		for i < len(raw) && raw[i] != 0 {
			i += 1 + int(raw[i])
		}
		i++
	}
	return n
}

// jpegHeader is what the markers of a JPEG say beyond image.Config.
type jpegHeader struct {
	orientation int // EXIF 2.3 §4.6.4: 1 is upright
	progressive bool
	samples     float64 // per pixel
}

// readJPEG reads the markers of a JPEG (ITU-T T.81 annex B) up to its first scan, as tolerant of rubbish between them as the
// decoder is. Where there is no frame header it assumes the worst.
func readJPEG(raw []byte) jpegHeader {
	h := jpegHeader{orientation: 1, progressive: true, samples: 4}
	for i := 2; i+4 <= len(raw); {
		if raw[i] != 0xff {
			i++
			continue
		}
		m := raw[i+1]
		switch {
		case m == 0xff || m == 0:
			i++
			continue
		case m == 0x01 || m >= 0xd0 && m <= 0xd8:
			i += 2
			continue
		case m == 0xd9 || m == 0xda:
			return h
		}
		n := int(binary.BigEndian.Uint16(raw[i+2:]))
		if n < 2 || i+2+n > len(raw) {
			return h
		}
		body := raw[i+4 : i+2+n]
		switch {
		case m == 0xe1 && bytes.HasPrefix(body, []byte("Exif\x00\x00")):
			h.orientation = orientation(body[6:])
		case m >= 0xc0 && m <= 0xc2 && len(body) >= 6:
			h.progressive, h.samples = m == 0xc2, sampling(body[6:])
		}
		i += 2 + n
	}
	return h
}

// sampling is how many samples the components of a JPEG have per pixel: 3 without subsampling, 1.5 for 4:2:0.
func sampling(components []byte) float64 {
	all, widest, highest := 0, 1, 1
	for ; len(components) >= 3; components = components[3:] {
		x, y := int(components[1]>>4), int(components[1]&15)
		all += x * y
		widest, highest = max(widest, x), max(highest, y)
	}
	return float64(all) / float64(widest*highest)
}

// orientation is tag 0x0112 of the first directory of EXIF data, which is a TIFF; 1 when it is not there.
func orientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	if string(tiff[:2]) == "II" {
		order = binary.LittleEndian
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return 1
		}
		if order.Uint16(entries) == 0x0112 && order.Uint16(entries[2:]) == 3 {
			if o := int(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
				return o
			}
			return 1
		}
		entries = entries[12:]
	}
	return 1
}

// shrunk scales a picture down until its longer side fits: by halves, which averages all pixels and takes little memory.
func shrunk(img image.Image, side int) image.Image {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	long := max(w, h)
	if long <= side {
		return img
	}
	scale := func(w, h int) {
		dst := image.NewRGBA(image.Rect(0, 0, max(w, 1), max(h, 1)))
		draw.ApproxBiLinear.Scale(dst, dst.Bounds(), img, img.Bounds(), draw.Src, nil)
		img = dst
	}
	for now := b; max(now.Dx(), now.Dy()) >= 2*side; now = img.Bounds() {
		scale(now.Dx()/2, now.Dy()/2)
	}
	if now := img.Bounds(); max(now.Dx(), now.Dy()) > side {
		scale((w*side+long/2)/long, (h*side+long/2)/long)
	}
	return img
}

// turned puts a picture upright that was taken with the camera held otherwise.
func turned(img image.Image, orientation int) image.Image {
	if orientation <= 1 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	if orientation >= 5 {
		dst = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	src := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(src, src.Bounds(), img, b.Min, draw.Src)
	for y := range h {
		for x := range w {
			at := [...]image.Point{2: {w - 1 - x, y}, 3: {w - 1 - x, h - 1 - y}, 4: {x, h - 1 - y}, 5: {y, x}, 6: {h - 1 - y, x}, 7: {h - 1 - y, w - 1 - x}, 8: {y, w - 1 - x}}[orientation]
			dst.SetRGBA(at.X, at.Y, src.RGBAAt(x, y))
		}
	}
	return dst
}

// opaque reports whether one sees through no part of a picture.
func opaque(img image.Image) bool {
	o, ok := img.(interface{ Opaque() bool })
	return ok && o.Opaque()
}

// onWhite is a picture as it looks on paper, with its corner at the origin.
func onWhite(img image.Image) image.Image {
	dst := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(dst, dst.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(dst, dst.Bounds(), img, img.Bounds().Min, draw.Over)
	return dst
}
